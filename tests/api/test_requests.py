"""Data-subject requests over HTTP: opened, verified, decided; whose records they are about; what is kept."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from api.roles import Role
from consent.events import REQUEST, Subject
from tests.api.requesting import ANNA, approved, fulfilled, officer, open_one, problem, town
from tests.world import World, record, row

__all__ = ["officer", "town"]  # fixtures


# Opening


def test_a_request_is_opened_with_its_deadlines_and_the_records_it_leads_to(
    town: World, officer: httpx.Client
) -> None:
    opened = officer.post(
        "/v1/requests",
        json={
            "type": "access",
            "jurisdiction": "es",
            "received_at": "2026-05-20T09:00:00Z",
            "identifiers": ANNA,
        },
    ).json()
    assert (opened["state"], opened["due"], opened["extended_due"]) == (
        "received",
        "2026-06-22",
        "2026-08-20",
    )
    assert opened["golden_id"] == town.golden_id("web", "1")
    assert [each["channel"] for each in opened["members"]] == ["web", "pos"]
    assert {each["status"] for each in opened["members"]} == {"certain"}
    assert "anna" not in json.dumps(opened)


def test_one_person_has_one_active_request_of_a_type(officer: httpx.Client) -> None:
    first = open_one(officer)
    body = {"type": "know", "jurisdiction": "US-CA", "identifiers": [{"type": "record", "value": "pos:2"}]}
    second = officer.post("/v1/requests", json=body)
    assert problem(second) == (409, "request-active")
    assert first in second.json()["detail"]
    open_one(officer, "erasure")
    officer.post(f"/v1/requests/{first}/decide", json={"decision": "cancel"})
    assert officer.post("/v1/requests", json=body).status_code == 201


def test_of_two_requests_that_race_one_is_opened(town: World, officer: httpx.Client) -> None:
    body = {"type": "access", "jurisdiction": "ES", "identifiers": ANNA}
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: officer.post("/v1/requests", json=body).status_code, range(8)))
    assert sorted(answers) == [201] + [409] * 7


def test_the_same_request_sent_twice_with_its_key_is_one(officer: httpx.Client) -> None:
    body = {"type": "access", "jurisdiction": "ES", "identifiers": ANNA}
    answers = [officer.post("/v1/requests", json=body, headers={"Idempotency-Key": "k"}) for _ in range(2)]
    assert answers[0].content == answers[1].content


BAD: dict[str, dict[str, Any]] = {
    "an unknown type": {"type": "forget"},
    "an unknown jurisdiction": {"jurisdiction": "ZZ"},
    "a receipt in the future": {"received_at": "2027-01-01T00:00:00Z"},
    "a receipt before any calendar": {"jurisdiction": "US-CA", "received_at": "0001-01-01T00:00:00Z"},
    "no identifier": {"identifiers": []},
    "purposes that access does not take": {"purposes": ["analytics"]},
    "an unknown purpose": {"type": "objection", "purposes": ["nothing"]},
    "an objection to a contract": {"type": "objection", "purposes": ["service"]},
    "a withdrawal of what is no consent": {"type": "withdrawal", "purposes": ["analytics"]},
    "a rectification that corrects nothing": {"type": "rectification"},
    "corrections of an access": {"corrections": {"last_name": "x"}},
    "a correction of no attribute": {"type": "rectification", "corrections": {"shoe_size": "44"}},
    "a correction that no record can hold": {
        "type": "rectification",
        "corrections": {"email": [f"{number}@right.example" for number in range(51)]},
    },
    "an empty correction": {"type": "rectification", "corrections": {"last_name": " "}},
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_meant_is_refused(officer: httpx.Client, case: str) -> None:
    body = {"type": "access", "jurisdiction": "ES", "identifiers": ANNA} | BAD[case]
    answer = officer.post("/v1/requests", json=body)
    assert answer.status_code == 422
    assert "anna" not in answer.text
    assert officer.get("/v1/requests").json()["requests"] == []


# Verification and decision


def test_nothing_is_fulfilled_before_verification_and_approval(officer: httpx.Client) -> None:
    request_id = open_one(officer)
    path = f"/v1/requests/{request_id}"
    assert problem(officer.post(f"{path}/fulfil")) == (409, "request-state")
    assert problem(officer.post(f"{path}/decide", json={"decision": "approve"})) == (409, "request-state")
    assert problem(officer.get(f"{path}/bundle")) == (409, "request-state")
    officer.post(f"{path}/verify", json={"method": "email link", "outcome": "verified"})
    assert problem(officer.post(f"{path}/fulfil")) == (409, "request-state")
    assert problem(officer.get(f"{path}/bundle")) == (409, "request-state")


def test_the_third_verification_that_fails_denies_the_request(officer: httpx.Client) -> None:
    request_id = open_one(officer)
    failed = {"method": "id_document", "outcome": "failed"}
    states = [officer.post(f"/v1/requests/{request_id}/verify", json=failed).json() for _ in range(3)]
    assert [each["state"] for each in states] == ["verifying", "verifying", "denied"]
    assert states[-1]["denial"] == "insuf_verification"
    passed = {"method": "id_document", "outcome": "passed"}
    assert problem(officer.post(f"/v1/requests/{request_id}/verify", json=passed)) == (409, "request-state")


@pytest.mark.parametrize(
    "evidence",
    [
        pytest.param(rb'{"name": "\ud800"}', id="half a character"),
        pytest.param(rb'{"\ud800": "name"}', id="half a character as a name"),
        pytest.param(b'{"number": 100000000000000000000}', id="a number beyond 64 bits"),
    ],
)
def test_evidence_that_cannot_be_kept_is_refused_and_counts_as_no_attempt(
    officer: httpx.Client, evidence: bytes
) -> None:
    path = f"/v1/requests/{open_one(officer)}"
    body = b'{"method": "id_document", "outcome": "failed", "evidence": %b}' % evidence
    answer = officer.post(f"{path}/verify", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert officer.get(path).json()["failures"] == 0


def test_a_retried_verification_counts_once_and_a_key_belongs_to_one_request(officer: httpx.Client) -> None:
    first, second = open_one(officer), open_one(officer, "portability")
    failed = {"method": "phone call", "outcome": "failed"}
    key = {"Idempotency-Key": "k"}
    for request_id in (first, first, second):
        answer = officer.post(f"/v1/requests/{request_id}/verify", json=failed, headers=key).json()
        assert (answer["id"], answer["failures"]) == (request_id, 1)


def test_a_denial_names_a_reason_of_the_data_rights_protocol(officer: httpx.Client) -> None:
    path = f"/v1/requests/{open_one(officer)}/decide"
    for bad in (None, "complexity", "because"):
        assert officer.post(path, json={"decision": "deny", "reason": bad}).status_code == 422
    denied = officer.post(path, json={"decision": "deny", "reason": "claim_not_covered"}).json()
    assert (denied["state"], denied["denial"]) == ("denied", "claim_not_covered")


def test_an_answer_is_put_off_once_with_a_reason_and_before_the_first_deadline(
    town: World, officer: httpx.Client
) -> None:
    body = {"decision": "extend", "reason": "complexity"}
    first, late = open_one(officer), open_one(officer, "erasure")
    extended = officer.post(f"/v1/requests/{first}/decide", json=body).json()
    assert extended["answer_by"] == extended["extended_due"] == "2026-08-28"
    assert problem(officer.post(f"/v1/requests/{first}/decide", json=body)) == (409, "request-state")
    town.clock.pass_(days=40)
    again = town.client("officer")
    assert problem(again.post(f"/v1/requests/{late}/decide", json=body)) == (409, "request-state")
    assert again.get(f"/v1/requests/{late}").json()["overdue"]
    assert not again.get(f"/v1/requests/{first}").json()["overdue"]


@pytest.mark.parametrize(
    "identifiers", [ANNA, [{"type": "email", "value": "carla@example.com"}]], ids=["known", "unknown"]
)
def test_no_decision_leaves_out_a_record_that_a_file_brought_since_the_last_run(
    town: World, officer: httpx.Client, identifiers: list[dict[str, str]]
) -> None:
    person = "Anna" if identifiers is ANNA else "Carla"
    request_id = open_one(officer, "erasure", identifiers=identifiers)
    town.ingest(row("app", "77", person))
    officer.post(f"/v1/requests/{request_id}/verify", json={"method": "email link", "outcome": "verified"})
    answer = officer.post(f"/v1/requests/{request_id}/decide", json={"decision": "approve"})
    assert problem(answer) == (409, "request-blocked")
    assert "run `aurea link`" in answer.json()["detail"]
    town.link()
    answer = officer.post(f"/v1/requests/{request_id}/decide", json={"decision": "approve"})
    assert "app" in [each["channel"] for each in answer.json()["members"]]


def test_an_approved_erasure_is_not_fulfilled_past_a_record_that_waits_for_a_run(
    town: World, officer: httpx.Client
) -> None:
    request_id = approved(officer, "erasure")
    town.ingest(row("app", "77", "Anna"))
    answer = officer.post(f"/v1/requests/{request_id}/fulfil", json={})
    assert problem(answer) == (409, "request-blocked")
    town.link()
    assert officer.post(f"/v1/requests/{request_id}/fulfil", json={}).json()["state"] == "fulfilled"


def test_who_is_not_found_cannot_be_approved(town: World, officer: httpx.Client) -> None:
    nobody = [{"type": "email", "value": "nobody@example.com"}]
    request_id = open_one(officer, identifiers=nobody)
    officer.post(f"/v1/requests/{request_id}/verify", json={"method": "email link", "outcome": "verified"})
    answer = officer.post(f"/v1/requests/{request_id}/decide", json={"decision": "approve"})
    assert problem(answer) == (409, "request-blocked")
    assert "no_match" in answer.json()["detail"]


def test_a_record_of_somebody_else_cannot_be_approved(town: World, officer: httpx.Client) -> None:
    request_id = open_one(officer)
    officer.post(f"/v1/requests/{request_id}/verify", json={"method": "email link", "outcome": "verified"})
    berta = officer.get(f"/v1/golden-ids/{town.golden_id('crm', '3')}").json()["members"][0]["record"]
    body = {"decision": "approve", "members": [berta]}
    assert officer.post(f"/v1/requests/{request_id}/decide", json=body).status_code == 422


# Doubtful records


@pytest.fixture
def doubtful(town: World) -> tuple[World, dict[str, int]]:
    """Anna has a third record that only her telephone and first name join, weakly."""
    other = record("shop", "4", "Anna")
    other["attributes"] |= {"last_name": "Zimmer", "email": "az@example.org"}
    town.send(other)
    steward = town.client("steward")
    members = {}
    for key in (("web", "1"), ("pos", "2"), ("shop", "4")):
        named = town.golden_id(*key)
        for each in steward.get(f"/v1/golden-ids/{named}").json()["members"]:
            members[each["channel"]] = each["record"]
    assert set(members) == {"web", "pos", "shop"}
    with town.services.db.write() as conn:  # as a run leaves them that found the link at 5 bits
        conn.execute(
            text(
                "UPDATE links SET weight = 5.0 WHERE :shop IN (record_no, other_no)"
            ), {"shop": members["shop"]}
        )  # fmt: skip
    return town, members


def test_a_doubtful_record_is_shown_with_its_evidence_and_left_out(
    doubtful: tuple[World, dict[str, int]],
) -> None:
    town, members = doubtful
    if town.golden_id("shop", "4") != town.golden_id("web", "1"):
        pytest.fail("the world's third record of Anna no longer joins her golden ID")
    officer = town.client("officer")
    request_id = open_one(officer)
    shown = {each["channel"]: each for each in officer.get(f"/v1/requests/{request_id}").json()["members"]}
    assert shown["shop"]["status"] == "doubtful"
    assert shown["shop"]["confidence"] == pytest.approx(0.969697)
    assert shown["shop"]["carries"] == []
    said = {"method": "email link", "outcome": "verified"}
    officer.post(f"/v1/requests/{request_id}/verify", json=said)
    officer.post(f"/v1/requests/{request_id}/decide", json={"decision": "approve"})
    outcome = officer.post(f"/v1/requests/{request_id}/fulfil").json()["outcome"]
    assert outcome["held"] == [members["shop"]]
    bundle = officer.get(f"/v1/requests/{request_id}/bundle")
    assert "Zimmer" not in bundle.text
    assert {each["channel"] for each in bundle.json()["records"]} == {"web", "pos"}


def test_an_officer_may_take_a_doubtful_record_in(doubtful: tuple[World, dict[str, int]]) -> None:
    town, members = doubtful
    officer = town.client("officer")
    request_id = open_one(officer)
    said = {"method": "in person", "outcome": "verified"}
    officer.post(f"/v1/requests/{request_id}/verify", json=said)
    body = {"decision": "approve", "members": sorted(members.values())}
    assert officer.post(f"/v1/requests/{request_id}/decide", json=body).status_code == 200
    assert officer.post(f"/v1/requests/{request_id}/fulfil").json()["outcome"]["held"] == []
    assert "Zimmer" in officer.get(f"/v1/requests/{request_id}/bundle").text


def test_what_was_approved_and_has_left_the_person_since_is_not_disclosed(
    doubtful: tuple[World, dict[str, int]],
) -> None:
    town, members = doubtful
    officer = town.client("officer")
    request_id = open_one(officer)
    said = {"method": "in person", "outcome": "verified"}
    officer.post(f"/v1/requests/{request_id}/verify", json=said)
    body = {"decision": "approve", "members": sorted(members.values())}
    officer.post(f"/v1/requests/{request_id}/decide", json=body)
    for other in ("web", "pos"):
        pair = {"first": {"number": members[other]}, "second": {"number": members["shop"]}}
        judged = town.client("steward").post(
            "/v1/judgements", json=pair | {"verdict": "different", "reason": "two sisters"}
        )
        assert judged.status_code == 201
    assert officer.post(f"/v1/requests/{request_id}/fulfil").status_code == 200
    assert "Zimmer" not in officer.get(f"/v1/requests/{request_id}/bundle").text


# What is kept of a request


def test_what_a_request_said_is_sealed_and_its_key_is_destroyed_when_it_is_due(
    town: World, officer: httpx.Client
) -> None:
    request_id = open_one(officer)
    officer.post(
        f"/v1/requests/{request_id}/verify",
        json={"method": "id_document", "outcome": "verified", "evidence": "passport Zanzibar"},
    )
    officer.post(f"/v1/requests/{request_id}/decide", json={"decision": "deny", "reason": "other"})
    for path in sorted(town.home.rglob("*")):
        if path.is_file():
            content = path.read_bytes()
            assert b"Zanzibar" not in content, path.name
            assert b"anna@example.com" not in content, path.name
    town.clock.pass_(days=1094)
    town.services.recover()
    assert _key_of(town, 1)
    town.clock.pass_(days=1)
    town.services.recover()
    assert not _key_of(town, 1)
    shown = town.client("officer").get(f"/v1/requests/{request_id}").json()
    assert (shown["state"], shown["denial"]) == ("denied", "other")
    assert [each["step"] for each in shown["steps"]] == ["opened", "verified", "denied"]


def test_an_erasure_destroys_what_the_persons_ended_requests_said_too(
    town: World, officer: httpx.Client
) -> None:
    ended = open_one(officer)
    officer.post(f"/v1/requests/{ended}/decide", json={"decision": "deny", "reason": "other"})
    assert _key_of(town, 1)
    fulfilled(officer, "erasure")
    town.services.recover()
    assert not _key_of(town, 1)


def _key_of(town: World, number: int) -> bool:
    with town.services.keys.read() as conn:
        return bool(town.services.key_store.evidence.fetch(conn, [Subject(REQUEST, number)]))


def test_a_second_request_that_is_refused_leaves_no_key(town: World, officer: httpx.Client) -> None:
    open_one(officer)
    officer.post("/v1/requests", json={"type": "access", "jurisdiction": "ES", "identifiers": ANNA})
    assert (_key_of(town, 1), _key_of(town, 2)) == (True, False)


@pytest.mark.parametrize("role", ["consumer", "ingest", "auditor", "operator", "steward"])
def test_only_officers_get_a_bundle(town: World, officer: httpx.Client, role: Role) -> None:
    said = fulfilled(officer)
    assert problem(town.client(role).get(said["bundle"])) == (403, "forbidden")


def test_the_list_is_paged_and_filtered_by_state(town: World, officer: httpx.Client) -> None:
    kinds = ("access", "erasure", "portability")
    opened = [open_one(officer, kind) for kind in kinds]
    officer.post(f"/v1/requests/{opened[1]}/decide", json={"decision": "cancel"})
    page = officer.get("/v1/requests", params={"limit": 2}).json()
    rest = officer.get("/v1/requests", params={"after": page["next"]}).json()
    assert [each["id"] for each in page["requests"] + rest["requests"]] == opened
    assert "next" not in rest
    active = officer.get("/v1/requests", params={"state": "received"}).json()["requests"]
    assert [each["type"] for each in active] == ["access", "portability"]


def test_an_unknown_request_is_not_found(officer: httpx.Client) -> None:
    assert problem(officer.get("/v1/requests/r_nobody")) == (404, "not-found")
    assert problem(officer.post("/v1/requests/r_nobody/fulfil")) == (404, "not-found")
