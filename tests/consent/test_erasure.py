"""An erased person is gone, for good and provably; everybody else is as before."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from api.services import open_services
from consent.erasure import Erasure
from consent.erasure_receipt_verification import verify_erasure_receipt
from consent.errors import ReceiptError, UnknownSubjectError
from consent.events import DENIALS, ERASURE, Subject
from consent.lookup import Identifier
from tests.consent.erasing import count, erase, number, numbers
from tests.stores import only_on_sqlite
from tests.world import START, World, a_copied_world, row

ROOT = Path(__file__).resolve().parents[2]
OPENING = ("start", "start, after the key", "suppress", "destroy", "remove", "finish", "sign", "seal off")
IN_SHORT = ("start, after the key", "destroy", "sign")  # before the job is there, amid it, and after it


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


# Who stays


def test_the_other_records_of_a_wrongly_merged_cluster_are_unharmed(settled: World) -> None:
    services = settled.services
    settled.ingest(row("crm", "1", "Ana"), row("web", "1", "Ana"), row("pos", "1", "Ana"))
    settled.link()
    golden_id = settled.golden_id("crm", "1")
    before = services.sealed.open_fields(filter(None, [number(services, "1", "web")]), ["email"])
    erase(settled, "1")
    assert settled.golden_id("web", "1") == settled.golden_id("pos", "1") == golden_id
    web = number(services, "1", "web")
    assert web
    assert services.sealed.open_fields([web], ["email"]) == before
    reader = settled.client("consumer")
    answer = reader.get(f"/v1/profiles/{golden_id}", params={"purpose": "personalization"})
    assert answer.status_code == 200
    assert answer.json()["records"] == 2
    settled.link()
    assert settled.golden_id("web", "1") == golden_id


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


def test_a_denial_that_an_import_spoke_over_outlives_the_erasure_too(world: World) -> None:
    world.ingest(row("crm", "1", "Ana"))
    officer = world.client("officer")
    contact = {"type": "email", "value": "ana@example.com"}
    said = {"subject": {"contact": contact}, "purpose": "marketing_email"}
    for what in ({"state": "withdrawn"}, {"state": "granted", "method": "import"}):
        assert officer.post("/v1/consents", json=said | what).status_code == 201
    assert erase(world, "1")["statement"]["contact_points"]["kept_for_a_denial"] == 1
    answer = officer.post(
        "/v1/consents/query", json={"subject": {"contact": contact}, "purpose": "marketing_email"}
    )
    assert answer.json()["state"] == "withdrawn"


# Crashes

CHILD = """
import os, signal, sys
from pathlib import Path
from api.services import open_services
from api.settings import Settings
from consent.erasure import Erasure
from identity.records import RecordKey
home, wanted = sys.argv[1:]
settings = Settings.from_environment({**os.environ, "AUREA_HOME": home})
services = open_services(settings, lambda: int(os.environ["NOW"]))
def stop(step):
    if step == wanted:
        os.kill(os.getpid(), signal.SIGKILL)
erasure = Erasure(services.writer, signing_key=services.keyring.signing_key(), hook=stop)
erasure.erase([services.writer.find(RecordKey("crm", "1"))], request_id="r_1", now=services.clock())
"""


def made(world: World) -> None:
    world.ingest(row("crm", "1", "Ana"), row("web", "1", "Ana"), row("crm", "2", "Berta"))
    world.link()


@pytest.mark.parametrize(
    "step", [step if step in IN_SHORT else pytest.param(step, marks=pytest.mark.slow) for step in OPENING]
)
def test_kill_9_before_any_step_and_the_next_start_completes_the_erasure(tmp_path: Path, step: str) -> None:
    with a_copied_world(tmp_path, made) as world:
        killed_and_completed(world, step)


def killed_and_completed(world: World, step: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(world.home), step], cwd=ROOT, capture_output=True, check=False,
        env={**os.environ, **world.environment, "PYTHONPATH": str(ROOT), "NOW": str(START)},
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


class _StoppedError(Exception):
    """A crash, as the process that lives on sees it."""


def test_an_erasure_that_cannot_be_completed_holds_up_no_other(world: World) -> None:
    def stop(step: str) -> None:
        if step == "suppress":
            raise _StoppedError

    world.ingest(row("crm", "1", "Ana"), row("crm", "2", "Berta"))
    services = world.services
    erasure = Erasure(services.writer, signing_key=services.keyring.signing_key(), hook=stop)
    for request, name in (("r_1", "1"), ("r_2", "2")):
        with pytest.raises(_StoppedError):
            erasure.erase([number(services, name) or 0], request_id=request, now=world.clock())
    services.key_store.destroy([], evidence={Subject(ERASURE, 1): None})  # as after restoring older keys

    with pytest.raises(UnknownSubjectError):
        services.erasure.resume(world.clock())
    assert number(services, "2") is None, "the other person is erased"
    services.recover()


def test_every_step_is_listed_above(world: World) -> None:
    world.ingest(row("crm", "1", "Ana"))
    seen: list[str] = []
    services = world.services
    erasure = Erasure(services.writer, signing_key=services.keyring.signing_key(), hook=seen.append)
    erasure.erase(numbers(services, "1"), request_id=None, now=START)
    assert tuple(seen) == OPENING


# What is left


@only_on_sqlite("the bytes of its files")
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
