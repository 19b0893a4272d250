"""`aurea store migrate`: what arrives on PostgreSQL is what was there, and until it is, nothing is served."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import inspect, text
from sqlalchemy.exc import OperationalError

from api.memberships import by_key
from api.migrations import OPERATIONAL, upgrade
from api.services import open_services
from api.settings import Settings, SettingsError
from api.store_migration import MigrationError, migrate
from identity.records import RecordKey
from tests import stores
from tests.world import World, a_world, record, row

pytestmark = stores.needs_postgresql

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A home on SQLite with people, consent, an erasure and a rotation in it; tests only add to it."""
    folder = tmp_path_factory.mktemp("embedded")
    with a_world(folder, store_urls={}) as world:
        world.settle()
        withdrawal = {
            "subject": {"record": {"channel": "town_a", "source_id": "Delia"}},
            "purpose": "personalization", "state": "withdrawn", "method": "direct",
        }  # fmt: skip
        assert world.client("officer").post("/v1/consents", json=withdrawal).status_code == 201
        zoe = world.services.writer.find(RecordKey("town_a", "Zoe"))
        world.services.erasure.erase([zoe or 0], request_id="r_1", now=world.clock())
        world.services.rotation.rotate(world.clock())
        yield world


@pytest.fixture(autouse=True)
def _embedded_again(embedded: World) -> Iterator[None]:
    """Undo what closed the embedded stores, so that the next test has them (docs/postgresql.md says how)."""
    yield
    for store, counters in ((embedded.services.db, "counters"), (embedded.services.keys, "key_counters")):
        with store.write() as conn:
            if inspect(conn).has_table("moved_counters"):
                conn.execute(text(f"ALTER TABLE moved_counters RENAME TO {counters}"))


@pytest.fixture
def target(tmp_path: Path) -> dict[str, str]:
    return stores.on_postgresql(tmp_path / "target")


def move(world: World, target: dict[str, str], **options: Any) -> dict[str, Any]:
    options = {"restart": False, **options}
    return migrate(world.settings, target["AUREA_DATABASE_URL"], target["AUREA_KEYS_URL"], **options)


def settings_of(world: World, target: dict[str, str]) -> Settings:
    return Settings.from_environment({**world.environment, **target})


def test_a_migrated_home_has_the_same_members_and_ledger_and_goes_on(
    embedded: World, target: dict[str, str], tmp_path: Path
) -> None:
    before, kept = tmp_path / "before.csv", tmp_path / "checkpoint.txt"
    embedded.answer("memberships", "--out", str(before))
    kept.write_text(embedded.services.ledger.checkpoint(embedded.clock()))
    size, elena = embedded.services.ledger.verify().size, embedded.golden_id("town_a", "Elena")
    done = embedded.answer(
        "store", "migrate", "--to", "-", "--keys-to", "-",
        stdin="".join(f"{url}\n" for url in target.values()),
    )  # fmt: skip
    assert set(done["set"]) == set(target)
    assert done["ledger"]["size"] == size
    records = done["rows"]["records"]
    assert records == done["opened"] == len(before.read_text().splitlines()) - 1
    embedded.answer("memberships", "--out", str(tmp_path / "after.csv"), environment=target)
    assert (tmp_path / "after.csv").read_bytes() == before.read_bytes()
    report = embedded.answer("ledger", "verify", "--checkpoint", str(kept), environment=target)
    assert report["ok"] is True
    assert embedded.answer("doctor", environment=target)["ok"] is True
    more = embedded.write_lines("more.jsonl", [row("web", "later", "Elena"), row("web", "new", "Amadeo")])
    embedded.answer("ingest", str(more), "--grant", "identity_linking", environment=target)
    assert embedded.answer("link", environment=target)["records"] == records + 2
    copied = open_services(settings_of(embedded, target))
    try:
        found = by_key(copied)
        assert found[RecordKey("web", "later")] == elena
        assert copied.rotation.rotate(embedded.clock()).epoch == 3
    finally:
        copied.close()


def test_only_the_operational_store_moves_where_no_other_is_named(
    embedded: World, target: dict[str, str]
) -> None:
    before = by_key(embedded.services)
    done = migrate(embedded.settings, target["AUREA_DATABASE_URL"], None, restart=False)
    assert set(done["set"]) == {"AUREA_DATABASE_URL"}
    settings = settings_of(embedded, {"AUREA_DATABASE_URL": target["AUREA_DATABASE_URL"]})
    copied = open_services(settings, embedded.clock)
    try:
        assert by_key(copied) == before
    finally:
        copied.close()


def test_a_store_that_has_moved_is_neither_read_nor_written_by_a_process_that_has_it_open(
    embedded: World, target: dict[str, str]
) -> None:
    """It would serve whoever withdrew since, and acknowledge what is lost."""
    golden_id = embedded.golden_id("town_b", "Elena")
    path = f"/v1/profiles/{golden_id}?purpose=personalization"
    consumer, sender = embedded.client("consumer"), embedded.client("ingest")
    assert consumer.get(path).status_code == 200
    assert consumer.get("/readyz").status_code == 200
    move(embedded, target)
    assert consumer.get(path).status_code >= 500
    sent = sender.post("/v1/records", json={"records": [record("web", "lost", "Quirin")]})
    assert sent.status_code >= 500
    assert consumer.get("/readyz").status_code == 503
    for command in ("init", "ledger verify", "store migrate --to -", "doctor"):
        refused = embedded.command(*command.split(), stdin=target["AUREA_DATABASE_URL"])
        assert refused.returncode == 1
        assert "AUREA_DATABASE_URL" in refused.stderr + refused.stdout, command
    with pytest.raises(OperationalError):
        by_key(embedded.services)


CHILD = """
import os, signal, sys
from api.settings import Settings
from api.store_migration import migrate
def stop(step):
    if step.startswith(sys.argv[1]):
        os.kill(os.getpid(), signal.SIGKILL)
to, keys_to = os.environ.pop("AUREA_DATABASE_URL"), os.environ.pop("AUREA_KEYS_URL")
migrate(Settings.from_environment(), to, keys_to, restart=False, told=stop)
"""


def test_kill_9_leaves_the_source_serving_and_a_target_that_is_refused_until_it_is_emptied(
    embedded: World, target: dict[str, str]
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CHILD, "verifying"], cwd=ROOT, capture_output=True, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), **embedded.environment, **target},
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    embedded.ingest(row("crm", "1", "Quique"))  # the locks went with the process
    for command in ("init", "ledger verify"):
        refused = embedded.command(*command.split(), environment=target)
        assert refused.returncode == 1
        assert "aurea" in refused.stderr
        assert "Traceback" not in refused.stderr
    assert "--restart" in embedded.command("init", environment=target).stderr
    with pytest.raises(MigrationError, match="--restart"):
        move(embedded, target)
    before = by_key(embedded.services)
    assert move(embedded, target, restart=True)["opened"] == len(before) + 1  # the new one has no golden ID
    copied = open_services(settings_of(embedded, target), embedded.clock)
    try:
        assert by_key(copied) == before
    finally:
        copied.close()


def test_a_target_with_anything_in_it_is_refused(embedded: World, target: dict[str, str]) -> None:
    taken = stores.opened(target["AUREA_DATABASE_URL"])
    upgrade(taken, OPERATIONAL)
    taken.close()
    for restart in (False, True):
        with pytest.raises(MigrationError, match="is not empty"):
            move(embedded, target, restart=restart)
    assert embedded.golden_id("town_a", "Elena")  # and the source serves


def test_while_it_is_copied_it_can_be_read_and_not_written(embedded: World, target: dict[str, str]) -> None:
    """A write meanwhile waits for the end; a writer that waits too long is told to try again."""
    seen: list[str] = []

    def told(step: str) -> None:
        seen.append(step)
        assert embedded.golden_id("town_a", "Elena")

    move(embedded, target, told=told)
    assert any(step.startswith("ledger") for step in seen)
    assert seen[-1] == "verifying"


DIFFERENCES = {
    "a lost row": ("DELETE FROM members WHERE record_no = 1", "members has"),
    "a changed statement": ("UPDATE ledger SET state = NULL WHERE state = 'withdrawn'", "does not verify"),
    "a changed value": ("UPDATE records SET observed_at = 1 WHERE record_no = 1", "differs"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "said"), DIFFERENCES.values(), ids=DIFFERENCES.keys())
def test_a_copy_that_differs_is_refused(
    embedded: World, target: dict[str, str], change: str, said: str
) -> None:
    def damage(step: str) -> None:
        if step == "verifying":
            copied = stores.opened(target["AUREA_DATABASE_URL"])
            with copied.write() as conn:
                assert conn.execute(text(change)).rowcount == 1
            copied.close()

    with pytest.raises(MigrationError, match=said):
        move(embedded, target, told=damage)
    with pytest.raises(SettingsError, match="--restart"):
        open_services(settings_of(embedded, target))
    assert embedded.golden_id("town_a", "Elena")  # the source serves


WRONG = {
    "no driver of that name": ("mysql://who:secret@host/name", "--to names no store"),
    "no URL": ("not a url with a secret", "--to is no database URL"),
    "an embedded store": ("sqlite:///elsewhere.db", "must be a URL of PostgreSQL"),
    "nobody there": ("postgresql+psycopg://who:secret@localhost:1/x", "does not answer"),
}


@pytest.mark.parametrize(("url", "said"), WRONG.values(), ids=WRONG.keys())
def test_a_url_that_cannot_be_used_is_refused_and_not_repeated(embedded: World, url: str, said: str) -> None:
    done = embedded.command("store", "migrate", "--to", url)
    assert done.returncode == 1
    (sentence,) = done.stderr.splitlines()[-1:]
    assert said in sentence
    assert "secret" not in done.stderr
