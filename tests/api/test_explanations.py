"""Explanations over HTTP and on the command line: figures that add up, reasons, and no value of anybody."""

import json
from collections.abc import Iterator
from dataclasses import astuple
from typing import Any

import pytest

from consent.access_log_reading import entries
from identity.link_graph import cohesion
from tests.world import TOWN, World, a_world, record, row


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Every person of the town in two channels, linked; Zoe a third time; one record that is not linkable.

    A father and his son, three records each, and one with the e-mail of one and the telephone of the other.
    """
    with a_world(tmp_path_factory.mktemp("town")) as world:
        yield _linked(world)


def _linked(world: World) -> World:
    world.ingest(*(row(channel, name, name) for name in TOWN for channel in ("crm", "web")))
    world.ingest(row("shop", "z", "Zoe", email="zoe.work@example.com"))
    for name, first_name in (("Zfather", "Zacarias"), ("Zson", "Maximo")):
        more = {"first_name": first_name, "last_name": "Prats"}
        world.ingest(*(row(channel, name, name, **more) for channel in ("shop", "pos", "app")))
    mixed = {"email": row("x", "x", "Zfather")["email"], "phone": row("x", "x", "Zson")["phone"]}
    world.ingest({"channel": "till", "source_id": "mixed", "last_name": "Prats", **mixed})
    world.ingest(row("till", "q", "Zoe"), grants=())
    world.link()
    return world


def key(channel: str, source_id: str) -> dict[str, Any]:
    return {"record": {"channel": channel, "source_id": source_id}}


def explained(world: World, first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    answer = world.client("steward").post("/v1/explanations", json={"first": first, "second": second})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def total(waterfall: dict[str, Any]) -> float:
    steps = sum(step["weight"] for step in waterfall["steps"])
    return float(waterfall["prior"] + steps + (waterfall["households"] or 0) + waterfall["rarity"])


def test_two_records_of_one_person_add_up_to_the_weight_of_their_link(town: World) -> None:
    found = explained(town, key("crm", "Delia"), key("web", "Delia"))
    assert found["same_person"]
    assert (found["decision"], found["channels"]) == ("link", ["crm", "web"])
    assert found["golden_ids"] == [town.golden_id("crm", "Delia")] * 2
    waterfall = found["waterfall"]
    assert total(waterfall) == pytest.approx(waterfall["match_weight"], abs=1e-6)
    assert waterfall["match_weight"] == found["path"][0]["match_weight"] >= found["threshold"]
    levels = {step["comparison"]: step["level"] for step in waterfall["steps"]}
    assert levels["birth_date"] == "same"
    assert {"email", "phone", "names"} <= set(found["rules"])
    assert found["reasons"] == ["A link of their own joins the two."]


def test_a_person_of_three_records_is_joined_by_a_path_and_has_a_weakest_link(town: World) -> None:
    found = explained(town, key("web", "Zoe"), key("shop", "z"))
    assert found["same_person"]
    ends = [link["records"] for link in found["path"]]
    assert (ends[0][0], ends[-1][1]) == tuple(found["records"])
    golden = found["golden"]
    assert (golden["records"], len(golden["tree"])) == (3, 2)
    weights = [link["match_weight"] for link in golden["tree"]]
    assert golden["weakest"]["match_weight"] == min(weights)
    assert sum(golden["weakest"]["parts"]) == 3
    assert town.client("steward").get(
        f"/v1/golden-ids/{golden['golden_id']}/explanation"
    ).json() == golden  # fmt: skip


def test_different_people_are_told_why_they_are_not_joined(town: World) -> None:
    found = explained(town, key("crm", "Delia"), key("web", "Elena"))
    assert not found["same_person"]
    assert len(set(found["golden_ids"])) == 2
    assert (found["decision"], found["path"], found["golden"]) == ("no link", [], None)
    assert found["waterfall"]["match_weight"] < found["review_threshold"]
    assert any("too weak" in reason or "No blocking rule" in reason for reason in found["reasons"])


def test_a_link_that_a_guard_refuses_is_explained_by_what_stands_against_it(town: World) -> None:
    pairs = [explained(town, key("shop", name), key("till", "mixed")) for name in ("Zfather", "Zson")]
    (kept,) = (found for found in pairs if not found["same_person"])
    assert kept["decision"] == "link"
    assert kept["reasons"][0].startswith("A guard refused the link")
    guard = kept["guard"]
    costs = {each["comparison"]: each["cost"] for each in guard["contradictions"]}
    assert {"first_name", "birth_date"} <= set(costs)
    assert guard["link"] > 0 >= guard["link"] + sum(costs.values())
    assert next(found for found in pairs if found["same_person"])["guard"] is None


def test_a_stewards_word_is_told_before_the_scores(settled: World) -> None:
    ours, theirs, rosa = key("town_a", "Delia"), key("town_b", "Delia"), key("town_a", "Rosa")
    one, two = explained(settled, ours, theirs)["records"]
    three = explained(settled, ours, rosa)["records"][1]
    said = {"author": "operator", "reason": "seen", "now": settled.clock()}
    settled.services.judge.decide((one, two), "different", **said)
    apart = explained(settled, ours, theirs)
    assert (apart["same_person"], apart["decision"]) == (False, "link")
    assert apart["reasons"] == ["A steward judged the two to be different people; no score overrides that."]
    settled.services.judge.decide((one, three), "same", **said)
    through = explained(settled, key("town_b", "Rosa"), theirs)
    assert through["reasons"][0] == "A steward judged records of their two golden IDs to be different people."
    joined = explained(settled, ours, rosa)
    assert (joined["same_person"], joined["decision"]) == (True, "no link")
    assert joined["reasons"][0] == "A steward judged the two to be one person."
    assert [(link["judged"], link["match_weight"]) for link in joined["path"]] == [(True, None)]
    assert total(joined["waterfall"]) == pytest.approx(joined["waterfall"]["match_weight"], abs=1e-6)
    http = settled.client("officer")
    plain = http.get(f"/v1/golden-ids/{joined['golden_ids'][0]}/plain-explanation").json()
    assert "decided by a person" in {link["certainty"] for link in plain["links"]}


def test_a_record_that_may_not_be_linked_is_never_opened_to_be_explained(town: World) -> None:
    found = explained(town, key("crm", "Zoe"), key("till", "q"))
    assert (found["waterfall"], found["rules"], found["decision"]) == (None, [], None)
    assert found["reasons"] == [
        f"Record {found['records'][1]} may not be linked (identity_linking), so it stays alone."
    ]


def test_a_record_is_also_named_by_its_number(town: World) -> None:
    by_key = explained(town, key("crm", "Delia"), key("web", "Delia"))
    one, other = by_key["records"]
    assert explained(town, {"number": one}, {"number": other}) == by_key


def test_before_the_first_run_there_is_nothing_to_compare_with(world: World) -> None:
    world.send(record("crm", "1", "Ana"), record("web", "1", "Ana"))
    found = explained(world, key("crm", "1"), key("web", "1"))
    assert (found["waterfall"], found["threshold"]) == (None, None)
    assert found["reasons"] == ["No run has trained a model yet."]


def test_a_record_that_arrives_between_runs_is_explained_with_the_weight_that_attached_it(
    town: World,
) -> None:
    (result,) = town.send(record("app", "i", "Ines"))
    assert result["decision"] == "attached"
    found = explained(town, key("app", "i"), key("crm", "Ines"))
    assert found["waterfall"]["rarity"] == pytest.approx(0.0, abs=1e-6)
    assert total(found["waterfall"]) == pytest.approx(found["waterfall"]["match_weight"], abs=1e-6)


WRONG = {
    "an unknown record": (key("crm", "nobody"), key("crm", "Delia"), 404),
    "an unknown number": ({"number": 10**6}, key("crm", "Delia"), 404),
    "twice the same record": (key("crm", "Delia"), key("crm", "Delia"), 404),
    "no record at all": ({}, key("crm", "Delia"), 422),
    "both names of a record": ({"number": 1, **key("crm", "Delia")}, key("crm", "Delia"), 422),
}


def test_what_cannot_be_explained_is_refused(town: World) -> None:
    http = town.client("steward")
    for case, (first, second, status) in WRONG.items():
        answer = http.post("/v1/explanations", json={"first": first, "second": second})
        assert (answer.status_code, "nobody" in answer.text) == (status, False), case
    assert http.get("/v1/golden-ids/g_nobody/explanation").status_code == 404


def test_the_person_concerned_reads_words_about_the_persons_own_records_only(town: World) -> None:
    golden_id = town.golden_id("crm", "Zoe")
    answer = town.client("officer").get(f"/v1/golden-ids/{golden_id}/plain-explanation")
    told = answer.json()
    assert (told["golden_id"], told["records"], len(told["links"])) == (golden_id, 3, 2)
    assert "statistical model" in told["logic"]
    shop = next(link for link in told["links"] if "shop" in link["channels"])
    assert "date of birth: same" in shop["speaks_for"]
    assert any(words.startswith("e-mail address") for words in shop["speaks_against"])
    words = str(told["links"])
    assert not any(character.isdigit() for character in words)
    assert town.client("steward").get(f"/v1/golden-ids/{golden_id}/plain-explanation").status_code == 403


def test_no_value_of_anybody_is_in_any_explanation(town: World) -> None:
    golden_id = town.golden_id("crm", "Zoe")
    said = [
        str(explained(town, key("crm", "Zoe"), key("shop", "z"))),
        str(explained(town, key("crm", "Zoe"), key("web", "Elena"))),
        town.client("officer").get(f"/v1/golden-ids/{golden_id}/plain-explanation").text,
        town.command_as("steward", "explain", "crm:Zoe", "shop:z").stdout,
    ]
    for value in row("crm", "Zoe", "Zoe").values():
        if value != "crm":
            assert not [text for text in said if str(value).lower() in text.lower()], value


def test_who_looked_is_in_the_access_log_before_anything_is_opened(town: World) -> None:
    found = explained(town, key("crm", "Delia"), key("web", "Elena"))
    logged = [
        entry for entry in entries(town.settings.access_log_dir) if list(entry.record_nos) == found["records"]
    ]
    assert {(entry.purpose, entry.decision) for entry in logged} == {("identity_linking", "explained")}
    assert logged[-1].client.startswith("c_")


def test_a_pairwise_steward_sees_its_own_golden_ids(town: World) -> None:
    http = town.client("steward", pairwise=True)
    body = {"first": key("crm", "Delia"), "second": key("web", "Delia")}
    found = http.post("/v1/explanations", json=body).json()
    assert town.golden_id("crm", "Delia") not in str(found)
    assert http.get(f"/v1/golden-ids/{found['golden_ids'][0]}/explanation").json() == found["golden"]


def test_the_command_draws_the_waterfall(town: World) -> None:
    pair = ("explain", "crm:Delia", "web:Delia")
    done = town.command_as("steward", *pair, environment={"PYTHONIOENCODING": "utf-8"})
    assert done.returncode == 0, done.stderr
    assert "one person" in done.stdout
    assert "= match weight, bits" in done.stdout
    assert "date of birth: same" in done.stdout
    assert "█" in done.stdout
    assert "weakest link" in done.stdout
    ascii_only = town.command_as("steward", *pair, environment={"PYTHONIOENCODING": "ascii"})
    assert ascii_only.returncode == 0, ascii_only.stderr
    assert "#" in ascii_only.stdout


def test_the_command_explains_one_person_and_plainly(town: World) -> None:
    golden = json.loads(town.command_as("steward", "explain", "crm:Zoe", "--json").stdout)
    assert (golden["golden_id"], golden["records"]) == (town.golden_id("crm", "Zoe"), 3)
    plain = json.loads(town.command_as("officer", "explain", "crm:Zoe", "--plain", "--json").stdout)
    assert len(plain["links"]) == 2
    words = town.command_as("officer", "explain", "crm:Zoe", "--plain").stdout
    assert "speaks for it: " in words
    assert "e-mail address: different" in words
    numbers = explained(town, key("crm", "Delia"), key("web", "Delia"))["records"]
    assert "one person" in town.command_as("steward", "explain", *map(str, numbers)).stdout
    assert town.command("explain", "crm:Zoe", "web:Zoe", "--plain").returncode == 2
    assert town.command_as("steward", "explain", "crm:nobody", "web:Zoe").returncode == 1


def test_the_run_report_counts_guard_refusals_and_shows_the_weakest_bridges_by_number(town: World) -> None:
    (path,) = town.settings.runs_dir.glob("*.json")
    seams = json.loads(path.read_text())["seams"]
    rows = town.client("steward").get("/v1/reviews").json()["reviews"]
    assert seams["refused"] == sum(row["cause"] == "guarded" for row in rows) >= 1
    with town.services.db.read() as conn:
        golden_nos = sorted(set(town.services.memberships.goldens_of(conn, range(1, 200)).values()))
        expected = {}
        for golden_no in golden_nos:
            members = [each.record_no for each in town.services.memberships.members(conn, golden_no)]
            links = town.services.memberships.links(conn, members)
            for joint in cohesion(astuple(link) for link in links).bridges:
                expected[golden_no, joint.records] = sorted(joint.parts)
    assert seams["bridges"] == len(expected)
    assert {
        (each["golden_no"], tuple(each["records"])): sorted(each["parts"]) for each in seams["weakest"]
    } == expected
