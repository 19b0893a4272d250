"""An erased person is gone, for good and provably; everybody else is as before."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from api.services import Services, open_services
from consent.erasure import Erasure
from consent.erasure_receipt_verification import verify_erasure_receipt
from consent.errors import ReceiptError, UnknownSubjectError
from consent.events import DENIALS
from consent.lookup import Identifier
from identity.records import RecordKey
from tests.world import START, World, row

ROOT = Path(__file__).resolve().parents[2]
OPENING = ("start", "start, after the key", "suppress", "destroy", "remove", "finish", "sign", "seal off")


def number(services: Services, source_id: str, channel: str = "crm") -> int | None:
    return services.writer.find(RecordKey(channel, source_id))


def numbers(services: Services, *source_ids: str) -> list[int]:
    found = [number(services, source_id) for source_id in source_ids]
    assert all(found)
    return [each for each in found if each]


def erase(world: World, *source_ids: str, request: str | None = "r_1") -> dict[str, Any]:
    services = world.services
    records = numbers(services, *source_ids)
    return services.erasure.erase(records, request_id=request, now=world.clock()).document


def count(world: World, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Ingest and return the counts."""
    from api.ingesting import ingest_files

    path = world.write_lines("again.jsonl", rows)
    return ingest_files(world.services, [path], grants=("identity_linking",)).report.as_json()


def bytes_of(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def test_the_records_are_gone_their_golden_id_is_erased_and_the_ledger_verifies(world: World) -> None:
    world.ingest(row("crm", "1", "Ana"), row("web", "1", "Ana"), row("crm", "2", "Berta"))
    world.settle()
    golden_id = world.golden_id("crm", "1")
    assert golden_id == world.golden_id("web", "1")
    services = world.services
    both = [number(services, "1"), number(services, "1", "web")]
    document = services.erasure.erase([n for n in both if n], request_id="r_1", now=world.clock()).document
    assert number(services, "1") is None
    with services.db.read() as conn:
        view = services.memberships.resolve(conn, golden_id)
        assert view is not None
        assert view.status == "erased"
    assert document["statement"]["records"] == both
    assert document["statement"]["golden_ids"] == [golden_id]
    assert len(document["statement"]["destroyed_keys"]) == 2
    assert services.lookup.find([Identifier("email", "ana@example.com")]).people == 0
    assert services.lookup.find([Identifier("email", "berta@example.com")]).people == 1
    report = services.ledger.verify()
    assert report.ok, report.reason
    assert report.shredded >= 2  # what the job said in the ledger went with its key


def test_the_receipt_verifies_with_the_public_key_alone_and_no_alteration_does(world: World) -> None:
    world.ingest(row("crm", "1", "Ana"))
    document = erase(world, "1")
    key = world.services.ledger.verifier_key()
    proven = verify_erasure_receipt(json.dumps(document), key, world.services.ledger.checkpoint(START))
    assert proven.statement["request"] == "r_1"

    other = world.services.ledger.origin + "x"
    for path in ALTERATIONS:
        altered = json.loads(json.dumps(document))
        alter(altered, path)
        with pytest.raises(ReceiptError):
            verify_erasure_receipt(json.dumps(altered), key)
    with pytest.raises(ReceiptError):
        verify_erasure_receipt(json.dumps(document), key.replace(world.services.ledger.origin, other))
    for broken in ("", "{}", "[]", '{"kind": "aurea-erasure-receipt-1"}', "null"):
        with pytest.raises(ReceiptError):
            verify_erasure_receipt(broken, key)


ALTERATIONS = (
    ("statement", "destroyed_keys"), ("statement", "finished_at"), ("statement", "records"), ("checkpoint",),
    ("entries", "erasure_started", "leaf"), ("entries", "erasure_finished", "salt"), ("signature",),
    ("entries", "erasure_started", "said"), ("entries", "erasure_finished", "hashes"), ("verifier_key",),
)  # fmt: skip


def alter(document: dict[str, Any], path: tuple[str, ...]) -> None:
    for name in path[:-1]:
        document = document[name]
    value = document[path[-1]]
    if isinstance(value, dict):
        document[path[-1]] = value | {"request": "r_2"}
    else:
        document[path[-1]] = value[:-1] if value else ["AA=="]


@pytest.mark.parametrize("name", ["records", "keys"])
def test_a_receipt_signed_for_other_records_than_approved_does_not_verify(world: World, name: str) -> None:
    """Even by the holder of the signing key: the ledger says what was approved."""
    import base64

    from consent.erasure_receipt_verification import signed_bytes

    world.ingest(row("crm", "1", "Ana"), row("crm", "2", "Berta"))
    document = erase(world, "1")
    key = world.services.keyring.signing_key()
    said = document["entries"]["erasure_started"]["said"]
    said[name] = [*said[name], 99]
    document["signature"] = base64.b64encode(key.sign(signed_bytes(document))).decode()
    with pytest.raises(ReceiptError, match="does not commit"):
        verify_erasure_receipt(json.dumps(document), world.services.ledger.verifier_key())


def test_a_request_gives_its_receipt_again_and_nothing_is_erased_twice(world: World) -> None:
    world.ingest(row("crm", "1", "Ana"), row("crm", "2", "Berta"))
    first = erase(world, "1")
    again = world.services.erasure.erase(numbers(world.services, "2"), request_id="r_1", now=world.clock())
    assert again.document == first
    assert number(world.services, "2")
    with pytest.raises(UnknownSubjectError, match="nothing is left"):
        world.services.erasure.erase([4711], request_id=None, now=world.clock())


# Coming in again


def test_an_erased_person_is_refused_by_file_and_by_http_before_anything_is_linked(world: World) -> None:
    world.ingest(row("crm", "1", "Ana"))
    erase(world, "1")
    rows = [
        row("crm", "1", "Ana"),  # the same record
        row("web", "77", "Ana"),  # another, with her e-mail
        row("crm", "2", "Berta"),
    ]
    report = count(world, rows)
    assert (report["suppressed"], report["created"]) == (2, 1)
    http = world.client("ingest")
    answers = world.send(*(_record(each) for each in rows), by=http)
    assert [answer["status"] for answer in answers] == ["created", "created", "unchanged"]
    for answer in answers[:2]:  # answered as anybody new is, with an ID that is nobody's
        assert world.client("officer").get(f"/v1/golden-ids/{answer['golden_id']}").status_code == 404
    with world.services.db.read() as conn:
        assert conn.execute(text("SELECT count(*) FROM records")).scalar_one() == 1


def _record(said: dict[str, Any], *consents: dict[str, Any]) -> dict[str, Any]:
    attributes = {name: value for name, value in said.items() if name not in {"channel", "source_id"}}
    own = {"channel": said["channel"], "source_id": said["source_id"], "attributes": attributes}
    return own | {"consents": list(consents)}


@pytest.mark.parametrize("kind", ["email", "phone", "national_id", "loyalty_id", "user_id"])
def test_each_personal_identifier_alone_is_enough_and_a_device_is_not(world: World, kind: str) -> None:
    said = {
        "email": "ana@example.com", "phone": "+34600111222", "national_id": "12345678Z", "loyalty_id": "L1",
        "user_id": "u1", "device_id": "d1",
    }  # fmt: skip
    world.ingest({"channel": "crm", "source_id": "1", "first_name": "Ana", **said})
    erase(world, "1")
    rows = [
        {"channel": "web", "source_id": "a", "first_name": "Other", kind: said[kind]},
        {"channel": "web", "source_id": "b", "first_name": "Ana", "device_id": "d1"},
    ]
    report = count(world, rows)
    assert (report["suppressed"], report["created"]) == (1, 1)


def test_erasing_a_mother_does_not_block_her_family(world: World) -> None:
    home = {"email": "casa@example.com", "phone": "+34600999111"}
    world.ingest(
        {"channel": "crm", "source_id": "1", "first_name": "Ana", "birth_date": "1970-01-02", **home},
        {"channel": "crm", "source_id": "2", "first_name": "Leo", "birth_date": "2001-03-04", **home},
    )
    erase(world, "1")
    report = count(
        world,
        [
            {"channel": "crm", "source_id": "2", "first_name": "Leo", "last_name": "Vidal", **home},
            {"channel": "web", "source_id": "3", "first_name": "Leo", **home},
            {"channel": "web", "source_id": "4", "first_name": "Rosa", **home},
            {"channel": "web", "source_id": "5", "first_name": "ANA", **home},
            {"channel": "web", "source_id": "6", "birth_date": "1970-01-02", "email": home["email"]},
        ],
    )
    assert (report["updated"], report["created"], report["suppressed"]) == (1, 2, 2)


GRANT = {"purpose": "personalization", "state": "granted", "method": "direct"}


@pytest.mark.parametrize(
    ("consent", "days", "status"),
    [
        (GRANT, 1, "created"),
        (GRANT, -1, "suppressed"),
        (GRANT | {"method": "api"}, 1, "suppressed"),
        (GRANT | {"state": "refused"}, 1, "suppressed"),
    ],
    ids=["her own grant afterwards", "her own, but before", "a grant by somebody else", "no grant"],
)
def test_only_a_grant_of_her_own_after_the_erasure_lets_her_in_again(
    world: World, consent: dict[str, Any], days: int, status: str
) -> None:
    from api.incoming import incoming
    from api.schemas import RecordIn
    from api.times import rfc3339

    world.ingest(row("crm", "1", "Ana"))
    erase(world, "1")
    world.clock.pass_(days=2)
    seen = rfc3339(START + days * 86_400_000)
    said = _record(row("web", "9", "Ana"), consent) | {"observed_at": seen}
    (result,) = world.services.writer.write([incoming(RecordIn.model_validate(said))], now=world.clock())
    assert result.status == status
    report = count(world, [row("web", "10", "Ana"), row("crm", "1", "Ana")])
    released = int(status == "created")
    assert report["created"] == released  # what she showed is released; her old record's key is not
    assert report["suppressed"] == 2 - released
    with world.services.keys.read() as conn:
        rows = conn.execute(text("SELECT released_at, length(entry) FROM suppressions")).all()
    assert {bool(at): size for at, size in rows}[False] == 32
    assert sum(at is not None for at, _ in rows) == 2 * released  # e-mail and phone


def test_suppression_ends_on_its_date(world: World) -> None:
    world.ingest(row("crm", "1", "Ana"))
    erase(world, "1")
    world.clock.pass_(days=1094)
    assert count(world, [row("crm", "1", "Ana")])["suppressed"] == 1
    world.clock.pass_(days=2)
    assert count(world, [row("crm", "1", "Ana")])["created"] == 1


def test_an_update_prepared_before_the_erasure_and_written_after_it_is_refused(world: World) -> None:
    from consent.incoming import IncomingRecord

    world.ingest(row("crm", "1", "Ana"))
    writer = world.services.writer
    late = IncomingRecord("crm", "1", attributes={"first_name": ["Ana"], "email": ["new@example.com"]})
    batch = writer._preparer.prepare([late], first_key_id=writer._numbers.take(1), source=None, now=START + 9)
    keyed = writer.committer.keys.write(batch)
    erase(world, "1")
    assert writer.committer.finish(keyed) == [None]  # prepare it again: then it is suppressed
    (result,) = writer.write([late], now=START + 10)
    assert result.status == "suppressed"


# Who stays


def test_the_other_records_of_a_wrongly_merged_cluster_are_unharmed(world: World) -> None:
    world.settle()
    services = world.services
    world.ingest(row("crm", "1", "Ana"), row("web", "1", "Ana"), row("pos", "1", "Ana"))
    world.link()
    golden_id = world.golden_id("crm", "1")
    before = services.sealed.open_fields(filter(None, [number(services, "1", "web")]), ["email"])
    erase(world, "1")
    assert world.golden_id("web", "1") == world.golden_id("pos", "1") == golden_id
    web = number(services, "1", "web")
    assert web
    assert services.sealed.open_fields([web], ["email"]) == before
    reader = world.client("consumer")
    answer = reader.get(f"/v1/profiles/{golden_id}", params={"purpose": "personalization"})
    assert answer.status_code == 200
    assert answer.json()["records"] == 2
    world.link()
    assert world.golden_id("web", "1") == golden_id


def test_a_denial_on_an_address_outlives_the_erasure_and_a_grant_does_not(world: World) -> None:
    world.ingest(row("crm", "1", "Ana"), row("crm", "2", "Berta"))
    officer = world.client("officer")
    for name, state in (("ana", "withdrawn"), ("berta", "granted")):
        contact = {"type": "email", "value": f"{name}@example.com"}
        said = {"subject": {"contact": contact}, "purpose": "marketing_email", "state": state}
        assert officer.post("/v1/consents", json=said).status_code == 201
    assert erase(world, "1", request="r_1")["statement"]["contact_points"]["kept_for_a_denial"] == 1
    assert erase(world, "2", request="r_2")["statement"]["contact_points"]["destroyed"] == 1
    with world.services.keys.read() as conn:
        tokens = [token for (token,) in conn.execute(text("SELECT token FROM contact_points"))]
    assert [len(token) for token in tokens] == [32, 0]
    with world.services.db.read() as conn:
        states = {state for (state,) in conn.execute(text("SELECT state FROM ledger WHERE subject_kind = 2"))}
    assert states & DENIALS


# Crashes

CHILD = """
import os, signal, sys
from pathlib import Path
from api.services import open_services
from api.settings import Settings
from consent.erasure import Erasure
from identity.records import RecordKey
home, wanted = sys.argv[1:]
services = open_services(Settings.from_environment({"AUREA_HOME": home}), lambda: int(os.environ["NOW"]))
def stop(step):
    if step == wanted:
        os.kill(os.getpid(), signal.SIGKILL)
erasure = Erasure(services.writer, signing_key=services.keyring.signing_key(), hook=stop)
erasure.erase([services.writer.find(RecordKey("crm", "1"))], request_id="r_1", now=services.clock())
"""


@pytest.mark.parametrize("step", OPENING)
def test_kill_9_before_any_step_and_the_next_start_completes_the_erasure(world: World, step: str) -> None:
    world.ingest(row("crm", "1", "Ana"), row("web", "1", "Ana"), row("crm", "2", "Berta"))
    world.link()
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(world.home), step], cwd=ROOT, capture_output=True, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "NOW": str(START)},
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    world.clock.pass_(seconds=60)
    world.services.recover()
    if step.startswith("start"):  # nothing had begun
        assert number(world.services, "1")
        erase(world, "1")
    assert number(world.services, "1") is None
    assert number(world.services, "1", "web")
    with world.services.db.read() as conn:
        row_ = conn.execute(text("SELECT sealed, receipt, finished_at FROM erasures")).one()
        assert conn.execute(text("SELECT count(*) FROM pending_destructions")).scalar_one() == 0
    assert row_.sealed is None
    assert row_.finished_at
    verify_erasure_receipt(row_.receipt, world.services.ledger.verifier_key())
    assert len(json.loads(row_.receipt)["statement"]["destroyed_keys"]) == 1
    report = world.services.ledger.verify()
    assert report.ok, report.reason
    assert count(world, [row("crm", "1", "Ana")])["suppressed"] == 1
    assert world.services.erasure.resume(world.clock()) == 0


def test_every_step_is_listed_above(world: World) -> None:
    world.ingest(row("crm", "1", "Ana"))
    seen: list[str] = []
    services = world.services
    erasure = Erasure(services.writer, signing_key=services.keyring.signing_key(), hook=seen.append)
    erasure.erase(numbers(services, "1"), request_id=None, now=START)
    assert tuple(seen) == OPENING


# What is left


def test_neither_value_nor_token_nor_the_list_of_records_is_left_in_any_file(world: World) -> None:
    services = world.services
    world.ingest(row("crm", "1", "Ana"), row("web", "1", "Ana"), row("crm", "2", "Berta"))
    world.settle()
    records = [n for n in (number(services, "1"), number(services, "1", "web")) if n]
    found_by = (("email", "ana@example.com"), ("record", "crm:1"), ("record", "web:1"))
    tokens = [services.stores.index.token(kind, value) for kind, value in found_by]
    held = bytes_of(world.home)
    assert all(token in held for token in tokens)
    services.erasure.erase(records, request_id="r_1", now=world.clock())
    held = bytes_of(world.home)
    for token in tokens:
        assert token not in held
        assert token[:8] not in held
        assert token[:8][::-1] not in held
    assert b"ana@example.com" not in held
    with services.db.read() as conn:
        for table in ("memberships", "members", "links", "former_members", "household_members"):
            left = conn.execute(
                text(f"SELECT count(*) FROM {table} WHERE record_no IN (:a, :b)"),  # noqa: S608 - our tables
                {"a": records[0], "b": records[1]},
            ).scalar_one()
            assert left == 0, table


def test_another_process_finds_the_person_erased_at_once(world: World) -> None:
    world.ingest(row("crm", "1", "Ana"))
    other = open_services(world.settings, world.clock)
    try:
        record_no = number(other, "1")
        assert record_no
        erase(world, "1")
        assert number(other, "1") is None
        assert other.sealed.open_fields([record_no], ["email"]) == {}
        assert other.erasure.resume(world.clock()) == 0
    finally:
        other.close()
