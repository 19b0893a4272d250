"""Stewards decide what scores do not: over a real socket and by `aurea review`."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from identity import review_queue
from identity.review_queue import Doubt
from tests.world import World, a_world, record

PEOPLE = ("Delia", "Elena", "Fabio", "Gerardo")


@pytest.fixture
def town(tmp_path: Path):
    """Four people of one record each, numbered 1 to 4, of whom no score says that they are the same."""
    with a_world(tmp_path) as world:
        world.send(*(record("crm", name, name) for name in PEOPLE))
        yield world


@pytest.fixture
def steward(town: World) -> httpx.Client:
    return town.client("steward")


def decide(http: httpx.Client, one: Any, other: Any, verdict: str, reason: str = "telephoned both") -> Any:
    named = [{"number": each} if isinstance(each, int) else {"record": each} for each in (one, other)]
    return http.post(
        "/v1/judgements",
        json={"first": named[0], "second": named[1], "verdict": verdict, "reason": reason},
    )


def by_key(name: str) -> dict[str, str]:
    return {"channel": "crm", "source_id": name}


def ask(world: World, *pairs: tuple[int, int, float]) -> None:
    """Put questions into the queue, as a run does."""
    with world.services.db.write() as conn:
        review_queue.add(conn, [Doubt(*pair) for pair in pairs], world.clock())


def test_a_decision_is_effective_when_it_is_answered_and_undoing_it_restores_who_was_who(town, steward):
    before = [town.golden_id("crm", name) for name in PEOPLE]
    answer = decide(steward, by_key("Delia"), by_key("Elena"), "same")
    assert answer.status_code == 201
    body = answer.json()
    assert body["same_person"]
    assert body["in_effect"]
    assert body["judgement"]["author"].startswith("c_")
    assert len({town.golden_id("crm", name) for name in PEOPLE}) == 3
    town.link()
    assert len({town.golden_id("crm", name) for name in PEOPLE}) == 3
    number = body["judgement"]["judgement"]
    undone = steward.post(f"/v1/judgements/{number}/undo", json={"reason": "misheard"})
    assert undone.status_code == 201
    assert [town.golden_id("crm", name) for name in PEOPLE] == before


def test_a_contradiction_is_refused_and_names_the_judgements_that_stand_against_it(town, steward):
    assert decide(steward, 1, 2, "same").status_code == 201
    assert decide(steward, 2, 3, "same").status_code == 201
    answer = decide(steward, 1, 3, "different")
    assert answer.status_code == 409
    problem = answer.json()
    assert problem["type"] == "urn:aurea:problem:contradiction"
    assert problem["judgements"] == [1, 2]
    assert "Undo one of them first" in problem["detail"]
    assert len(steward.get("/v1/judgements").json()["judgements"]) == 2


REFUSED = {
    "an e-mail address in the reason": ({"reason": "mail from d.ruiz@example.com"}, 422),
    "a telephone number in the reason": ({"reason": "called 600 11 22 33"}, 422),
    "no reason": ({"reason": ""}, 422),
    "another verdict": ({"verdict": "maybe"}, 422),
    "a record by two names": ({"first": {"number": 1, "record": by_key("Delia")}}, 422),
    "a record that is not there": ({"first": {"record": by_key("Nobody")}}, 404),
    "a number that nobody has": ({"first": {"number": 77}}, 409),
    "a record with itself": ({"second": {"number": 1}}, 409),
}


@pytest.mark.parametrize(("change", "status"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_decision_is_refused_without_repeating_it(town, steward, change, status):
    body = {"first": {"number": 1}, "second": {"number": 2}, "verdict": "same", "reason": "telephoned"}
    answer = steward.post("/v1/judgements", json=body | change)
    assert answer.status_code == status
    assert "ruiz" not in answer.text
    assert "600" not in answer.text
    assert steward.get("/v1/judgements").json()["judgements"] == []


def test_only_a_standing_judgement_can_be_undone(town, steward):
    decide(steward, 1, 2, "unsure")
    assert steward.post("/v1/judgements/1/undo", json={"reason": "done"}).status_code == 201
    for number in (1, 2, 99):
        assert steward.post(f"/v1/judgements/{number}/undo", json={"reason": "again"}).status_code == 409


def test_the_queue_comes_in_pages_with_numbers_and_weights_and_nothing_of_anyone(town, steward):
    ask(town, (1, 2, 1.5), (1, 3, -2.0), (2, 3, 1.0), (3, 4, 0.25))
    found, after = [], None
    while True:
        page = steward.get("/v1/reviews", params={"limit": 3} | ({"after": after} if after else {})).json()
        assert page["count"] == 4
        found += page["reviews"]
        after = page["next"]
        if after is None:
            break
    assert [(row["records"], row["match_weight"]) for row in found] == [
        ([1, 2], 1.5), ([2, 3], 1.0), ([3, 4], 0.25), ([1, 3], -2.0),
    ]  # fmt: skip
    assert found[0]["channels"] == ["crm", "crm"]
    assert found[0]["golden_ids"] == [town.golden_id("crm", name) for name in PEOPLE[:2]]
    assert not [name for name in PEOPLE if name in str(found)]


def test_an_answer_moves_the_question_and_shows_beside_it(town, steward):
    ask(town, (1, 2, 1.5))
    decide(steward, 2, 1, "unsure", "asked the branch")
    assert steward.get("/v1/reviews").json()["reviews"] == []
    (row,) = steward.get("/v1/reviews", params={"state": "unsure"}).json()["reviews"]
    found = steward.get("/v1/reviews/2/1").json()
    assert found["review"] == row
    (judgement,) = found["judgements"]
    assert (judgement["verdict"], judgement["reason"], judgement["standing"]) == (
        "unsure", "asked the branch", True,
    )  # fmt: skip


@pytest.mark.parametrize("cursor", ["x", "1_2", "nan_1_2"])
def test_a_cursor_that_the_queue_never_gave_is_refused(town, steward, cursor):
    assert steward.get("/v1/reviews", params={"after": cursor}).status_code == 422


def test_pairs_of_records_that_are_not_there_are_unknown(steward):
    assert steward.get("/v1/reviews/1/77").status_code == 404
    assert steward.get("/v1/reviews/1/1").status_code == 404


def test_nothing_is_asked_about_records_whose_permission_to_be_linked_has_run_out(town, steward):
    ask(town, (1, 2, 1.5))
    (row,) = steward.get("/v1/reviews").json()["reviews"]
    assert steward.get("/v1/reviews/1/2").json()["review"] == row
    town.clock.pass_(days=1096)
    later = town.client("steward")
    assert later.get("/v1/reviews").json()["reviews"] == []
    assert later.get("/v1/reviews/1/2").json()["review"] is None


def test_a_judgement_does_not_link_a_record_whose_linking_was_withdrawn(town, steward):
    said = {"subject": {"record": by_key("Elena")}, "purpose": "identity_linking", "state": "withdrawn"}
    assert town.client("ingest").post("/v1/consents", json=said).status_code == 201
    body = decide(steward, 1, 2, "same").json()
    assert not body["same_person"]
    assert not body["in_effect"]
    town.link()
    assert town.golden_id("crm", "Delia") != town.golden_id("crm", "Elena")


def test_what_was_said_of_a_record_goes_with_it(town, steward):
    ask(town, (1, 2, 1.5))
    decide(steward, 1, 2, "same")
    decide(steward, 3, 4, "same")
    town.client("ingest").post("/v1/records/delete", json={"records": [by_key("Elena")]})
    (left,) = steward.get("/v1/judgements").json()["judgements"]
    assert left["records"] == [3, 4]
    assert steward.get("/v1/reviews", params={"state": "same"}).json()["reviews"] == []


def test_the_history_tells_what_stands(town, steward):
    decide(steward, 1, 2, "same")
    decide(steward, 1, 2, "different")
    decide(steward, 3, 4, "unsure")
    page = town.client("auditor").get("/v1/judgements", params={"limit": 2}).json()
    assert [(each["verdict"], each["standing"]) for each in page["judgements"]] == [
        ("same", False), ("different", True),
    ]  # fmt: skip
    rest = steward.get("/v1/judgements", params={"after": page["next"]}).json()
    assert [each["records"] for each in rest["judgements"]] == [[3, 4]]
    assert rest["next"] is None


def test_the_command_line_lists_decides_shows_and_undoes(tmp_path: Path):
    with a_world(tmp_path) as world:
        world.send(*(record("crm", name, name) for name in PEOPLE), by=world.client("ingest"))
        ask(world, (1, 2, 1.5))
        made, secret = world.services.clients.create("anna", "steward", (), pairwise=False)
        acting = {"environment": {"AUREA_CLIENT_SECRET": secret}}
        as_anna = ("--as", made.client_id)
        listed = world.command("review", "list", *as_anna, **acting)
        assert "1.50 bits, below the threshold, open: records 1 and 2" in listed.stdout
        assert "1 pair(s) wait" in listed.stdout
        refused = world.command("review", "decide", "1", "2", "same", "--reason", "telephoned")
        assert refused.returncode == 1
        assert "--as" in refused.stderr
        decided = world.answer(
            "review", "decide", "1", "crm:Elena", "same", "--reason", "telephoned", *as_anna, **acting
        )
        assert decided["same_person"]
        assert decided["judgement"]["author"] == made.client_id
        refused = world.command(
            "review", "decide", "1", "2", "same", "--reason", "d@example.com", *as_anna, **acting
        )
        assert refused.returncode == 2
        assert "example.com" not in refused.stderr
        shown = world.command("review", "show", "crm:Delia", "2", *as_anna, **acting)
        assert "judgement 1: same, records 1 and 2" in shown.stdout
        undone = world.answer("review", "undo", "1", "--reason", "misheard", *as_anna, **acting)
        assert not undone["same_person"]
        history = world.command("review", "history", *as_anna, **acting)
        assert [line.split(",")[0] for line in history.stdout.splitlines()] == [
            "judgement 1 (no longer): same", "judgement 2: undone",
        ]  # fmt: skip
