"""Nothing is left of an erased person in any file of the home but what is kept on purpose."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from consent.blind_indexes import BlindIndex
from consent.errors import RecordRejectedError
from consent.key_providers import SecretBytes
from consent.remains import Needle, Remains, needles, scan
from identity.records import RecordKey
from tests.consent.erasing import count, erase
from tests.stores import only_on_sqlite
from tests.world import World, row

INDEX = BlindIndex(SecretBytes(bytes(32)))


def written(folder: Path, files: Mapping[str, bytes], marker: str) -> Remains:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return scan(folder, needles(INDEX, marker))


FORMS = {
    "as it was given": b"Ana.Ruiz@Example.com",
    "normalised": b"... ana.ruiz@example.com ...",
    "in a URL": b"?q=ana.ruiz%40example.com",
    "its lookup token": INDEX.token("email", "ana.ruiz@example.com"),
    "the start of its token, as the index keeps it": INDEX.token("email", "ana.ruiz@example.com")[:8][::-1],
}


@pytest.mark.parametrize("form", FORMS)
def test_a_value_is_found_in_every_form(tmp_path: Path, form: str) -> None:
    remains = written(
        tmp_path, {"a/b.log": b"x" * 99 + FORMS[form] + b"y", "c": b"nothing"}, "ana.ruiz@example.com"
    )
    assert list(remains.found) == ["a/b.log"]
    assert not remains.clean
    assert remains.files == 2


def test_escaped_letters_and_phones_written_otherwise_are_found(tmp_path: Path) -> None:
    name = "José Núñez"
    assert written(tmp_path, {"json": json.dumps({"n": name}).encode()}, name).found
    assert written(tmp_path / "phone", {"f": b"tel 34600123456"}, "+34 600 123 456").found


def test_another_value_is_not_found(tmp_path: Path) -> None:
    assert written(
        tmp_path, {"f": b"berta@example.com" + FORMS["its lookup token"]}, "carla@example.com"
    ).clean


def test_what_lies_across_two_chunks_is_found_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("consent.remains._CHUNK", 16)
    for at in range(40):
        (tmp_path / "f").write_bytes(b"." * at + b"needle" + b"." * 40)
        assert scan(tmp_path, [Needle("value", b"needle")]).found["f"]["value"] == 1


def test_a_marker_that_would_be_found_by_chance_is_refused() -> None:
    with pytest.raises(RecordRejectedError, match="shorter"):
        needles(INDEX, "ana")


@only_on_sqlite("the bytes of its files")
def test_after_an_erasure_only_suppression_is_left_run_artefacts_and_logs_included(world: World) -> None:
    rare = {"email": "zenobia.q@example.com", "phone": "+34600777123", "user_id": "u-zenobia"}
    world.ingest(
        {"channel": "crm", "source_id": "zq-1", "first_name": "Zenobia", "last_name": "Quirante", **rare},
        {"channel": "web", "source_id": "zq-2", "first_name": "Zenobia", "last_name": "Quirante", **rare},
    )
    world.settle()  # a run with its report, model and frequencies
    world.client("consumer").post(
        "/v1/profiles/lookup",
        json={"purpose": "personalization", "identifiers": [{"type": "email", "value": rare["email"]}]},
    )
    markers = (*rare.values(), "crm:zq-1", "Zenobia", "Quirante")
    services = world.services

    def search(marker: str) -> Remains:
        return scan(world.home, needles(services.stores.index, marker))

    assert all(search(marker).found for marker in (*rare.values(), "crm:zq-1"))  # tokens, before
    records = [services.lookup.record(key) for key in (RecordKey("crm", "zq-1"), RecordKey("web", "zq-2"))]
    services.erasure.erase([n for n in records if n], request_id="r_1", now=world.clock())
    for marker in markers:
        remains = search(marker)
        assert remains.clean, (marker, remains.found)
    assert search(rare["email"]).kept
    report = count(world, [{"channel": "crm", "source_id": "zq-1", "first_name": "Zenobia", **rare}])
    assert report["suppressed"] == 1
    assert search(rare["email"]).clean  # refused before anything of it was written


@only_on_sqlite("the bytes of its files")
def test_the_command_tells_what_is_left_and_where(world: World) -> None:
    world.ingest(row("crm", "1", "Ana"))
    (world.home / "runs" / "left.txt").write_text("to ANA@example.com")
    before = world.command("scan-remains", "--marker", "-", "--json", stdin="ana@example.com\n")
    assert before.returncode == 1
    assert json.loads(before.stdout)["found"]["runs/left.txt"] == {"value": 1}
    assert "ana@" not in before.stdout.lower()
    erase(world, "1")
    (world.home / "runs" / "left.txt").unlink()
    after = world.command("scan-remains", "--marker", "ana@example.com")
    assert after.returncode == 0, after.stdout
    assert "suppression entries, kept" in after.stdout
    assert "nothing else is left" in after.stdout
    assert world.command("scan-remains", "--marker", "x").returncode == 1
