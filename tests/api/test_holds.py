"""What the law has kept is not destroyed, and what an erasure leaves in doubt is not served."""

import json
from typing import Any

import httpx
import pytest

from api.times import rfc3339
from consent.erasure_receipt_verification import verify_erasure_receipt
from identity.records import RecordKey
from tests.api.requesting import approved, fulfilled, officer, problem, profile, town
from tests.api.test_requests import doubtful
from tests.world import World

__all__ = ["doubtful", "officer", "town"]  # fixtures

DAY = 86_400_000
POS = {"record": {"channel": "pos", "source_id": "2"}}


def declared(officer: httpx.Client, subject: dict[str, Any] = POS, **more: Any) -> list[dict[str, Any]]:
    answer = officer.post("/v1/holds", json={"subject": subject, "reason": "litigation", **more})
    assert answer.status_code == 201, answer.text
    holds: list[dict[str, Any]] = answer.json()["holds"]
    return holds


def number_of(town: World, channel: str) -> int:
    named = town.golden_id(channel, {"web": "1", "pos": "2", "crm": "3", "shop": "4"}[channel])
    members = town.client("steward").get(f"/v1/golden-ids/{named}").json()["members"]
    return int(next(each["record"] for each in members if each["channel"] == channel))


# Holds of the law


def test_an_erasure_keeps_what_is_held_restricted_and_says_why(town: World, officer: httpx.Client) -> None:
    (hold,) = declared(officer, attributes=["phone"])
    outcome = fulfilled(officer, "erasure")["outcome"]

    pos = hold["record"]
    assert pos not in outcome["receipt"]["statement"]["records"]
    by_law = next(each for each in outcome["fields"]["phone"] if each["record"] == pos)
    assert by_law == {
        "record": pos, "outcome": "kept, restricted to storage", "holds": [hold["hold"]], "until": None,
        "because": "hold declared for litigation, GDPR 17(3)",
    }  # fmt: skip
    name = next(each for each in outcome["fields"]["first_name"] if each["record"] == pos)
    assert name["because"] == "sealed with a field that the law keeps"
    for purpose in ("personalization", "service"):
        assert profile(town, purpose=purpose, of=("pos", "2")).status_code == 404


def test_a_hold_on_attributes_that_the_record_lacks_keeps_nothing(town: World, officer: httpx.Client) -> None:
    declared(officer, attributes=["national_id"])
    assert len(fulfilled(officer, "erasure")["outcome"]["receipt"]["statement"]["records"]) == 2


def test_once_the_hold_is_lifted_the_erasure_goes_on(town: World, officer: httpx.Client) -> None:
    (hold,) = declared(officer)
    request_id = fulfilled(officer, "erasure")["id"]

    lifted = officer.post(f"/v1/holds/{hold['hold']}/lift")
    assert (lifted.status_code, lifted.json()["erased"]) == (200, 1)
    (settled,) = officer.get(f"/v1/requests/{request_id}").json()["outcome"]["settled"]
    proven = verify_erasure_receipt(json.dumps(settled["receipt"]), town.services.ledger.verifier_key())
    assert proven.statement["records"] == [hold["record"]]
    assert town.services.writer.find(RecordKey("pos", "2")) is None
    assert problem(officer.post(f"/v1/holds/{hold['hold']}/lift")) == (404, "not-found")


def test_a_hold_that_ends_by_itself_lets_the_erasure_go_on_too(town: World, officer: httpx.Client) -> None:
    until = town.clock.now + 3 * DAY
    declared(officer, until=rfc3339(until))
    fulfilled(officer, "erasure")
    town.services.housekeep()
    assert town.services.writer.find(RecordKey("pos", "2")) is not None
    town.clock.now = until
    town.services.housekeep()
    assert town.services.writer.find(RecordKey("pos", "2")) is None


def test_what_was_erased_before_a_crash_is_stated_by_the_next_start_and_once(
    town: World, officer: httpx.Client
) -> None:
    (hold,) = declared(officer)
    request_id = fulfilled(officer, "erasure")["id"]
    services, record_no = town.services, hold["record"]
    services.holds.lift(hold["hold"], client="c_1", now=town.clock())
    services.erasure.erase([record_no], request_id=f"{request_id}.{record_no}", now=town.clock())
    for _ in range(2):
        services.housekeep()
    (settled,) = officer.get(f"/v1/requests/{request_id}").json()["outcome"]["settled"]
    assert (settled["outcome"], settled["record"]) == ("erased", record_no)
    assert settled["receipt"]["statement"]["records"] == [record_no]


def test_what_its_channel_deleted_meanwhile_is_gone(town: World, officer: httpx.Client) -> None:
    (hold,) = declared(officer)
    request_id = fulfilled(officer, "erasure")["id"]
    town.services.holds.lift(hold["hold"], client="c_1", now=town.clock())
    town.services.writer.delete([RecordKey("pos", "2")], town.clock())
    town.services.housekeep()
    (settled,) = officer.get(f"/v1/requests/{request_id}").json()["outcome"]["settled"]
    assert settled["outcome"] == "gone"


def test_while_one_of_two_holds_stands_nothing_is_erased(town: World, officer: httpx.Client) -> None:
    (first,) = declared(officer)
    declared(officer, reason="regulator")
    fulfilled(officer, "erasure")
    assert officer.post(f"/v1/holds/{first['hold']}/lift").json()["erased"] == 0


def test_a_held_record_is_neither_deleted_nor_lost_to_retention(town: World, officer: httpx.Client) -> None:
    (hold,) = declared(officer)
    body = {"records": [{"channel": "pos", "source_id": "2"}]}
    refused = town.client("ingest").post("/v1/records/delete", json=body)
    assert problem(refused) == (409, "record-held")
    assert refused.json()["detail"].endswith(f"hold {hold['hold']}")

    years = town.clock.now + 20 * 366 * DAY
    report = town.services.retention.run(years)
    assert report.held == 1
    assert report.records > 1
    assert town.services.writer.find(RecordKey("pos", "2")) is not None


def test_a_record_whose_keys_are_about_to_be_destroyed_can_be_held_no_more(
    town: World, officer: httpx.Client
) -> None:
    number = number_of(town, "pos")
    with town.services.db.write() as conn:  # as far as a deletion comes before it destroys
        town.services.writer.note_destruction(conn, [number], town.clock())
    answer = officer.post("/v1/holds", json={"subject": POS, "reason": "litigation"})
    assert problem(answer) == (404, "not-found")


def test_a_hold_that_is_declared_while_an_erasure_begins_keeps_its_record(
    town: World, officer: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    fulfilment = town.services.desk.fulfilment
    of, holds = fulfilment._exceptions.of, []

    def declared_after_the_look(record_nos: Any, now: int) -> Any:
        kept = of(record_nos, now)
        if not holds:
            holds.extend(declared(officer))
        return kept

    monkeypatch.setattr(fulfilment._exceptions, "of", declared_after_the_look)
    outcome = fulfilled(officer, "erasure")["outcome"]
    assert holds[0]["record"] not in outcome["receipt"]["statement"]["records"]
    assert town.services.writer.find(RecordKey("pos", "2")) == holds[0]["record"]


def test_what_is_erased_in_two_parts_is_known_again_as_what_is_erased_at_once(
    town: World, officer: httpx.Client
) -> None:
    (hold,) = declared(officer)
    fulfilled(officer, "erasure")
    assert officer.post(f"/v1/holds/{hold['hold']}/lift").json()["erased"] == 1
    town.send({"channel": "newsletter", "source_id": "77", "attributes": {"email": ["anna@example.com"]}})
    assert town.services.writer.find(RecordKey("newsletter", "77")) is None


def test_a_hold_on_a_golden_id_is_one_on_each_of_its_records(town: World, officer: httpx.Client) -> None:
    holds = declared(officer, {"golden_id": town.golden_id("web", "1")})
    assert {each["record"] for each in holds} == {number_of(town, "web"), number_of(town, "pos")}
    listed = officer.get("/v1/holds", params={"limit": 1}).json()
    assert [each["hold"] for each in listed["holds"]] == [holds[0]["hold"]]
    after = officer.get("/v1/holds", params={"after": listed["next"]}).json()["holds"]
    assert [each["hold"] for each in after] == [holds[1]["hold"]]


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"until": "2020-01-01T00:00:00Z"}, (422, "record-rejected")),
        ({"attributes": ["favourite colour"]}, (422, "record-rejected")),
        ({"subject": {"contact": {"type": "email", "value": "anna@example.com"}}}, (422, "record-rejected")),
        ({"subject": {"record": {"channel": "pos", "source_id": "none"}}}, (404, "not-found")),
        ({"reason": "because"}, (422, "invalid-request")),
    ],
)
def test_a_hold_that_cannot_be_meant_is_refused(
    officer: httpx.Client, more: dict[str, Any], expected: tuple[int, str]
) -> None:
    body = {"subject": POS, "reason": "litigation", **more}
    assert problem(officer.post("/v1/holds", json=body)) == expected


@pytest.mark.parametrize("role", ["consumer", "ingest", "steward", "auditor", "operator"])
def test_only_officers_declare_and_lift(town: World, role: Any) -> None:
    client = town.client(role)
    assert client.post("/v1/holds", json={"subject": POS, "reason": "litigation"}).status_code == 403
    assert client.post("/v1/holds/1/lift").status_code == 403


# What an erasure leaves in doubt


def test_nobody_is_served_from_a_golden_id_while_a_record_is_in_doubt(
    doubtful: tuple[World, dict[str, int]],
) -> None:
    town, members = doubtful
    officer = town.client("officer")
    assert profile(town, of=("shop", "4")).status_code == 200
    said = fulfilled(officer, "erasure")
    assert said["outcome"]["held"] == [members["shop"]]
    for purpose in ("personalization", "service"):
        assert profile(town, purpose=purpose, of=("shop", "4")).status_code == 404
    asked = {"subject": {"record": {"channel": "shop", "source_id": "4"}}, "purpose": "service"}
    answer = officer.post("/v1/consents/query", json=asked).json()
    assert (answer["state"], answer["allowed"]) == ("restricted", False)
    assert [each["kind"] for each in officer.get("/v1/holds").json()["holds"]] == ["doubt"]


@pytest.mark.parametrize("outcome", ["theirs", "not_theirs"])
def test_an_officer_settles_whose_it_is(doubtful: tuple[World, dict[str, int]], outcome: str) -> None:
    town, members = doubtful
    officer = town.client("officer")
    request_id = fulfilled(officer, "erasure")["id"]
    body = {"record": members["shop"], "outcome": outcome}
    answer = officer.post(f"/v1/requests/{request_id}/settle", json=body)
    assert answer.status_code == 200, answer.text
    (settled,) = answer.json()["outcome"]["settled"]
    if outcome == "theirs":
        assert settled["receipt"]["statement"]["records"] == [members["shop"]]
        assert town.services.writer.find(RecordKey("shop", "4")) is None
    else:
        assert profile(town, of=("shop", "4")).status_code == 200
    assert problem(officer.post(f"/v1/requests/{request_id}/settle", json=body)) == (404, "not-found")


def test_what_is_theirs_and_held_by_law_is_kept_and_said_to_be_until_the_hold_is_over(
    doubtful: tuple[World, dict[str, int]],
) -> None:
    town, members = doubtful
    officer = town.client("officer")
    request_id = fulfilled(officer, "erasure")["id"]
    (hold,) = declared(officer, {"record": {"channel": "shop", "source_id": "4"}})
    body = {"record": members["shop"], "outcome": "theirs"}
    answer = officer.post(f"/v1/requests/{request_id}/settle", json=body).json()
    assert [each["outcome"] for each in answer["outcome"]["settled"]] == ["kept"]
    assert profile(town, of=("shop", "4")).status_code == 404

    assert officer.post(f"/v1/holds/{hold['hold']}/lift").json()["erased"] == 1
    outcome = officer.get(f"/v1/requests/{request_id}").json()["outcome"]
    assert [each["outcome"] for each in outcome["settled"]] == ["kept", "erased"]


def test_whoever_an_officer_leaves_out_by_name_goes_on_unharmed(
    doubtful: tuple[World, dict[str, int]],
) -> None:
    town, members = doubtful
    officer = town.client("officer")
    request_id = approved(officer, "erasure")
    body = {"decision": "approve", "members": [members["web"], members["pos"]]}
    officer.post(f"/v1/requests/{request_id}/decide", json=body)
    assert officer.post(f"/v1/requests/{request_id}/fulfil").status_code == 200
    assert profile(town, of=("shop", "4")).status_code == 200


def test_doubtful_records_are_asked_of_stewards_while_the_request_is_active(
    doubtful: tuple[World, dict[str, int]],
) -> None:
    town, members = doubtful
    officer, steward = town.client("officer"), town.client("steward")
    request_id = approved(officer)

    def asked() -> list[dict[str, Any]]:
        return [each for each in steward.get("/v1/reviews").json()["reviews"] if each["cause"] == "request"]

    ((entry, other),) = [each["records"] for each in asked()]
    assert {entry, other} & {members["shop"]}
    pair = {"first": {"number": entry}, "second": {"number": other}}
    said = {"verdict": "same", "reason": "showed both cards"}
    assert steward.post("/v1/judgements", json=pair | said).status_code == 201
    assert asked() == []
    shown = officer.get(f"/v1/requests/{request_id}").json()["members"]
    assert {each["status"] for each in shown if each["record"] == members["shop"]} == {"certain"}


def test_the_question_survives_a_rerun_and_goes_with_the_request(
    doubtful: tuple[World, dict[str, int]],
) -> None:
    town, _ = doubtful
    officer, steward = town.client("officer"), town.client("steward")
    request_id = approved(officer)
    town.link()
    asked = steward.get("/v1/reviews").json()["reviews"]
    assert [each["cause"] for each in asked].count("request") == 1
    officer.post(f"/v1/requests/{request_id}/decide", json={"decision": "cancel"})
    asked = steward.get("/v1/reviews").json()["reviews"]
    assert [each for each in asked if each["cause"] == "request"] == []


def test_the_command_line_declares_lists_and_lifts(town: World) -> None:
    def answered(*arguments: str) -> Any:
        done = town.command_as("officer", "request", *arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    (hold,) = answered("hold", "pos:2", "--reason", "litigation")["holds"]
    assert [each["hold"] for each in answered("holds")["holds"]] == [hold["hold"]]
    assert answered("lift", str(hold["hold"]))["hold"]["lifted_by"].startswith("c_")
    assert answered("holds")["holds"] == []
