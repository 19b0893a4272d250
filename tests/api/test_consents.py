"""Consent over HTTP: recording it, and asking why."""

import base64
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from api import idempotency
from api.times import rfc3339
from consent import checkpoints, merkle
from consent.receipt_verification import verify_receipt
from consent.recording import ConsentRecorder
from identity.errors import StoreBusyError
from tests.consent.tc_strings import tc_string
from tests.world import World, record

RECORD = {"record": {"channel": "crm", "source_id": "1"}}


@pytest.fixture
def ana(world: World) -> str:
    return str(world.send(record("crm", "1", "Ana"))[0]["golden_id"])


def ask(world: World, subject: dict[str, Any], **more: Any) -> dict[str, Any]:
    body = {"subject": subject, "purpose": "personalization", **more}
    answer = world.client("officer").post("/v1/consents/query", json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_a_statement_is_acknowledged_with_its_place_in_the_ledger(world: World, ana: str) -> None:
    body = {"subject": {"golden_id": ana}, "purpose": "personalization", "state": "withdrawn"}
    answer = world.client("officer").post("/v1/consents", json=body)
    assert answer.status_code == 201
    said = answer.json()
    assert said["recorded_at"] == "2026-05-28T20:26:40.000Z"
    proof = world.client("auditor").get(f"/v1/ledger/entries/{said['event']}/proof")
    assert proof.json()["index"] == said["event"]


def test_an_answer_lists_the_state_the_reasons_and_the_events(world: World, ana: str) -> None:
    world.clock.pass_(seconds=60)
    body = {"subject": RECORD, "purpose": "personalization", "state": "withdrawn", "notice": "web-7"}
    event = world.client("ingest").post("/v1/consents", json=body).json()["event"]
    answer = ask(world, {"golden_id": ana})
    assert (answer["state"], answer["allowed"]) == ("withdrawn", False)
    assert event in [reason["event"] for reason in answer["reasons"]]
    assert [each["state"] for each in answer["events"]] == ["granted", "withdrawn"]
    assert answer["events"][-1]["notice"] == "web-7"


def test_as_of_replays_what_had_been_recorded_by_then(world: World, ana: str) -> None:
    world.clock.pass_(seconds=60)
    body = {"subject": RECORD, "purpose": "personalization", "state": "withdrawn"}
    world.client("ingest").post("/v1/consents", json=body)
    assert ask(world, RECORD)["allowed"] is False
    assert ask(world, RECORD, as_of="2026-05-28T20:26:41Z")["allowed"] is True
    assert ask(world, RECORD, as_of="2026-05-28T00:00:00Z")["state"] == "unknown"


def test_an_address_can_be_spoken_of_before_any_record_has_it(world: World) -> None:
    subject = {"contact": {"type": "email", "value": "Eva@Example.com"}}
    body = {"subject": subject, "purpose": "marketing_email", "state": "objected"}
    assert world.client("ingest").post("/v1/consents", json=body).status_code == 201
    world.send(record("crm", "1", "Eva", "marketing_email"))
    reader = world.client("consumer", "marketing_email")
    asked = {"purpose": "marketing_email", "identifiers": [{"type": "record", "value": "crm:1"}]}
    assert reader.post("/v1/profiles/lookup", json=asked).status_code == 404


WRONG: dict[str, dict[str, Any]] = {
    "no subject": {"subject": {}},
    "two subjects": {"subject": {"golden_id": "g_x", **RECORD}},
    "an unknown state": {"state": "maybe"},
    "an unknown purpose": {"purpose": "world_domination"},
    "no time": {"event_time": "yesterday"},
    "a time in the future": {"event_time": "2030-01-01T00:00:00Z"},
    "an unreadable address": {"subject": {"contact": {"type": "email", "value": "no address"}}},
    "an unknown member": {"extra": 1},
    "a notice that is a letter": {"notice": "Ana Gómez, ana@example.com"},
    "a time that UTC cannot write": {"event_time": "0001-01-01T00:00:00+14:00"},
}


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG.keys())
def test_a_wrong_statement_is_refused(world: World, ana: str, change: dict[str, Any]) -> None:
    body = {"subject": RECORD, "purpose": "personalization", "state": "withdrawn"} | change
    answer = world.client("officer").post("/v1/consents", json=body)
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


NO_TEXT = {
    "a record": rb'{"record": {"channel": "crm", "source_id": "\ud800"}}',
    "a golden ID": rb'{"golden_id": "g_\ud800"}',
    "a contact": rb'{"contact": {"type": "email", "value": "\ud800@example.com"}}',
}


@pytest.mark.parametrize("subject", NO_TEXT.values(), ids=NO_TEXT.keys())
def test_half_a_surrogate_pair_names_nobody(world: World, subject: bytes) -> None:
    http = world.client("officer")
    for path, more in (("/v1/consents", b', "state": "withdrawn"'), ("/v1/consents/query", b"")):
        body = b'{"subject": ' + subject + b', "purpose": "personalization"' + more + b"}"
        answer = http.post(path, content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == 422, answer.text


@pytest.mark.parametrize("as_of", ["9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00", "tomorrow"])
def test_a_time_that_cannot_be_is_as_unreadable_as_any(world: World, ana: str, as_of: str) -> None:
    body = {"subject": {"golden_id": ana}, "purpose": "personalization", "as_of": as_of}
    answer = world.client("officer").post("/v1/consents/query", json=body)
    assert answer.status_code == 422
    assert answer.json()["detail"] == "as_of: is no RFC 3339 time"


def test_a_statement_about_nobody_is_not_found(world: World) -> None:
    body = {"subject": {"golden_id": "g_nobody"}, "purpose": "personalization", "state": "withdrawn"}
    assert world.client("officer").post("/v1/consents", json=body).status_code == 404


def test_an_imported_grant_overrides_no_denial_and_a_direct_one_does(world: World, ana: str) -> None:
    http = world.client("ingest")
    said = {"subject": RECORD, "purpose": "personalization"}
    http.post("/v1/consents", json=said | {"state": "withdrawn"})
    http.post("/v1/consents", json=said | {"state": "granted", "method": "import"})
    http.post("/v1/consents", json=said | {"state": "granted", "method": "api"})
    assert ask(world, {"golden_id": ana})["allowed"] is False
    http.post("/v1/consents", json=said | {"state": "granted", "method": "direct"})
    assert ask(world, {"golden_id": ana})["allowed"] is True


@pytest.mark.parametrize("door", ["a statement", "a record"])
def test_a_grant_from_before_a_withdrawal_that_is_delivered_late_undoes_nothing(
    world: World, ana: str, door: str
) -> None:
    given = world.clock()
    http = world.client("ingest")
    world.clock.pass_(seconds=60)
    said = {"purpose": "personalization", "state": "withdrawn", "method": "direct"}
    assert http.post("/v1/consents", json={"subject": RECORD, **said}).status_code == 201
    world.clock.pass_(seconds=60)

    def deliver(at: int) -> None:
        grant = {"purpose": "personalization", "state": "granted", "method": "direct"}
        if door == "a record":
            late = record("crm", "1", "Ana", observed_at=rfc3339(at)) | {"consents": [grant]}
            world.send(late, by=http)
        else:
            body = {"subject": RECORD, "event_time": rfc3339(at), **grant}
            assert http.post("/v1/consents", json=body).status_code == 201

    deliver(given)
    assert ask(world, {"golden_id": ana})["allowed"] is False
    deliver(world.clock())
    assert ask(world, {"golden_id": ana})["allowed"] is True


def granting(world: World, monkeypatch: pytest.MonkeyPatch) -> Callable[[], httpx.Response]:
    """What sends one grant again and again under one key; the first is recorded, and its answer not kept."""
    http, key = world.client("ingest"), {"Idempotency-Key": "k-1"}
    body = {"subject": RECORD, "purpose": "analytics", "state": "granted", "method": "direct"}

    def send() -> httpx.Response:
        return http.post("/v1/consents", json=body, headers=key)

    with monkeypatch.context() as patched:
        patched.setattr(idempotency, "_FINISH", text("UPDATE a_store_that_is_gone SET status = 1"))
        assert send().status_code >= 500
    assert send().status_code == 409
    return send


@pytest.mark.parametrize("failing", [0, 1], ids=["at once", "after a retry that failed"])
def test_a_retry_of_a_grant_brings_nothing_back_that_was_withdrawn_meanwhile(
    world: World, ana: str, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    retry = granting(world, monkeypatch)
    withdrawn = {"subject": RECORD, "purpose": "analytics", "state": "withdrawn", "method": "direct"}
    assert world.client("ingest").post("/v1/consents", json=withdrawn).status_code == 201
    world.clock.pass_(seconds=61)
    for _ in range(failing):
        with monkeypatch.context() as patched:
            patched.setattr(ConsentRecorder, "record", busy)
            assert retry().status_code == 503
    answer = retry()
    events = ask(world, RECORD, purpose="analytics")["events"]
    assert [each["state"] for each in events] == ["granted", "withdrawn"]
    assert (answer.status_code, answer.json()["event"]) == (201, events[0]["event"])
    assert retry().content == answer.content
    assert ask(world, {"golden_id": ana}, purpose="analytics")["allowed"] is False


def test_a_retry_of_what_was_never_recorded_records_it(
    world: World, ana: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:  # killed before it was recorded
        patched.setattr(ConsentRecorder, "record", busy)
        patched.setattr(idempotency, "_RELEASE", idempotency._SELECT)
        retry = granting(world, monkeypatch)
    world.clock.pass_(seconds=61)
    assert retry().status_code == 201
    assert ask(world, {"golden_id": ana}, purpose="analytics")["state"] == "granted"


def busy(*_: Any) -> None:
    raise StoreBusyError("another process writes")


def test_verified_is_an_officers_word_and_anybody_else_is_refused_before_a_look_up(world: World) -> None:
    said = {"purpose": "personalization", "state": "granted", "method": "verified"}
    nobody = {"record": {"channel": "crm", "source_id": "nobody"}}
    for subject in ({"golden_id": "g_nobody"}, nobody):
        refused = world.client("ingest").post("/v1/consents", json=said | {"subject": subject})
        assert refused.status_code == 403
        assert refused.json()["type"] == "urn:aurea:problem:forbidden-method"
        assert (
            world.client("officer").post("/v1/consents", json=said | {"subject": subject}).status_code == 404
        )


def test_a_restriction_ends_by_the_officers_word_and_not_by_the_channels(world: World, ana: str) -> None:
    officer, channel = world.client("officer"), world.client("ingest")
    said = {"subject": RECORD, "purpose": "personalization"}
    officer.post("/v1/consents", json=said | {"state": "restricted"})
    direct = said | {"state": "granted", "method": "direct"}
    assert channel.post("/v1/consents", json=direct).status_code == 201
    assert ask(world, {"golden_id": ana})["state"] == "restricted"
    assert officer.post("/v1/consents", json=direct | {"method": "verified"}).status_code == 201
    assert ask(world, RECORD)["state"] == "granted"


def test_a_record_cannot_bring_the_officers_word_with_it(world: World, ana: str) -> None:
    world.client("officer").post(
        "/v1/consents", json={"subject": RECORD, "purpose": "personalization", "state": "withdrawn"}
    )
    claimed = {"purpose": "personalization", "state": "granted", "method": "verified"}
    again, other = world.send(record("crm", "1", "Anabel", consents=[claimed]), record("crm", "2", "Bea"))
    assert (again["status"], again["error"]["column"]) == ("rejected", "consents")
    assert "POST /v1/consents" in again["error"]["reason"]
    assert other["status"] == "created"
    assert ask(world, {"golden_id": ana})["allowed"] is False


def test_a_consent_ends_by_itself_when_its_time_is_over(world: World, ana: str) -> None:
    path = f"/v1/profiles/{ana}?purpose=personalization"
    assert world.client("consumer").get(path).status_code == 200
    world.clock.pass_(days=731)
    assert world.client("consumer").get(path).status_code == 404


def test_an_answer_names_the_rule_and_proves_its_events_where_asked(world: World, ana: str) -> None:
    answer = ask(world, {"golden_id": ana}, proof=True)
    assert answer["rule"].startswith("4: ")
    key = world.client("auditor").get("/v1/ledger/checkpoint").json()["verifier_key"]
    checkpoint = checkpoints.verify(answer["proof"]["checkpoint"], *checkpoints.read_verifier_key(key))
    assert [entry["index"] for entry in answer["proof"]["entries"]] == [
        event["event"] for event in answer["events"]
    ]
    for entry in answer["proof"]["entries"]:
        hashes = [base64.b64decode(hash_) for hash_ in entry["hashes"]]
        leaf = merkle.leaf_hash(base64.b64decode(entry["leaf"]))
        merkle.verify_inclusion(entry["index"], checkpoint.size, leaf, hashes, checkpoint.root)
    assert "proof" not in ask(world, {"golden_id": ana})


def test_a_receipt_goes_to_who_said_it_and_to_who_may_ask(world: World, ana: str) -> None:
    said, other = world.client("ingest"), world.client("ingest")
    body = {"subject": RECORD, "purpose": "personalization", "state": "withdrawn"}
    event = said.post("/v1/consents", json=body).json()["event"]
    path = f"/v1/consents/events/{event}/receipt"
    key = said.get("/v1/ledger/checkpoint").json()["verifier_key"]
    assert verify_receipt(said.get(path).text, key).state == "withdrawn"
    assert other.get(path).status_code == 404
    assert world.client("officer").get(path).status_code == 200
    assert world.client("officer", "analytics").get(path).status_code == 404
    assert world.client("officer").get("/v1/consents/events/999/receipt").status_code == 404


def test_a_receipt_is_written_and_verified_on_the_command_line(world: World, ana: str) -> None:
    file = world.folder / "receipt.json"
    world.answer("receipt", "show", "0", "--out", str(file))
    key = world.client("auditor").get("/v1/ledger/checkpoint").json()["verifier_key"]
    nowhere = {"AUREA_HOME": str(world.folder / "nowhere")}
    assert world.answer("receipt", "verify", str(file), "--key", key, environment=nowhere)["pinned"] is True
    file.write_text(file.read_text().replace("granted", "refused", 1))
    done = world.command("receipt", "verify", str(file), environment=nowhere)
    assert done.returncode == 1
    assert "altered" in done.stderr
    explained = world.answer(
        "consent", "explain", "--record", "crm:1", "--purpose", "personalization", "--proof"
    )
    assert explained["proof"]["size"] == 2


def tcf(*purposes: int) -> dict[str, str]:
    return {"type": "iab_tcf", "value": tc_string(purposes)}


def test_a_tc_string_is_kept_as_evidence_and_stated_in_the_receipt(world: World, ana: str) -> None:
    said = {"purpose": "advertising", "state": "granted", "evidence": tcf(1, 3, 4)}
    officer = world.client("officer")
    answer = officer.post("/v1/consents", json={"subject": RECORD, **said})
    assert answer.status_code == 201, answer.text
    receipt = officer.get(f"/v1/consents/events/{answer.json()['event']}/receipt").json()
    stated = receipt["dpv:hasConsentStatus"]["dct:source"]
    assert stated == {"dct:type": "iab_tcf", "dct:identifier": said["evidence"]["value"]}


def test_a_tc_string_that_says_otherwise_is_refused_and_nothing_is_recorded(world: World, ana: str) -> None:
    said = {"purpose": "advertising", "state": "granted", "evidence": tcf(1)}
    answer = world.client("ingest").post("/v1/consents", json={"subject": RECORD, **said})
    assert answer.status_code == 422
    assert said["evidence"]["value"] not in answer.text
    assert ask(world, RECORD, purpose="advertising")["events"] == []

    (result,) = world.send(record("web", "2", "Eva") | {"consents": [said]})
    assert (result["status"], result["error"]["column"]) == ("rejected", "consents")
    (result,) = world.send(record("web", "2", "Eva") | {"consents": [said | {"evidence": tcf(1, 3, 4)}]})
    assert result["status"] == "created"


def test_the_command_line_takes_evidence_on_standard_input(world: World, ana: str) -> None:
    ask_for = ("--record", "crm:1", "--purpose", "advertising", "--state", "granted", "--evidence", "-")
    evidence = tcf(1, 3, 4)
    done = world.command("consent", "record", *ask_for, stdin=f"iab_tcf:{evidence['value']}\n")
    assert done.returncode == 0, done.stderr
    assert ask(world, RECORD, purpose="advertising")["state"] == "granted"


def test_a_guardian_consents_over_http_with_a_reference_and_only_an_officer_vouches_for_it(
    world: World,
) -> None:
    child = record("crm", "7", "Nil")
    child["attributes"]["birth_date"] = "2016-02-03"
    (told,) = world.send(child)
    reader = world.client("consumer", "personalization")

    def served() -> int:
        return reader.get(
            f"/v1/profiles/{told['golden_id']}", params={"purpose": "personalization"}
        ).status_code

    assert served() == 404, "what came with the record is the child's own word"
    subject = {"record": {"channel": "crm", "source_id": "7"}}
    said = {"subject": subject, "purpose": "personalization", "state": "granted", "method": "guardian"}
    ingest = world.client("ingest")
    assert ingest.post("/v1/consents", json=said).status_code == 422
    said["evidence"] = {"type": "guardian", "value": "forms/2026/0042"}
    assert ingest.post("/v1/consents", json=said | {"method": "verified_guardian"}).status_code == 403
    assert ingest.post("/v1/consents", json=said).status_code == 201
    assert served() == 200
    assert (
        world.client("officer").post("/v1/consents", json=said | {"method": "verified_guardian"}).status_code
        == 201
    )

    child["consents"] = [{name: said[name] for name in ("purpose", "state", "method")}]
    (result,) = world.send(child)
    assert (result["status"], result["error"]["column"]) == ("rejected", "consents")
    child["consents"][0]["evidence"] = said["evidence"]
    (result,) = world.send(child)
    assert result["status"] == "unchanged"
