"""From scores to a steward and back: a labelled set with hard cases, through the whole service."""

from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.shared import shared
from tests.world import World, a_world


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory):
    rows = pq.read_table(shared("data/senzing_truthset/records.parquet")).to_pylist()
    people = [{name: value for name, value in row.items() if value} for row in rows]
    with a_world(tmp_path_factory.mktemp("office")) as world:
        world.ingest(*people)
        world.link()
        yield world


def queue(world: World) -> list[dict]:
    page = world.client("steward").get("/v1/reviews", params={"limit": 200}).json()
    assert page["next"] is None
    return page["reviews"]


def memberships(world: World, name: str) -> bytes:
    path: Path = world.folder / name
    world.answer("memberships", "--out", str(path))
    return path.read_bytes()


def test_a_run_leaves_its_doubts_to_stewards_one_for_two_golden_ids(office: World) -> None:
    rows = queue(office)
    assert rows
    weights = [row["match_weight"] for row in rows]
    assert weights == sorted(weights, reverse=True)
    model = office.services.resolver.scoring()[0]
    for row in rows:
        assert row["match_weight"] >= model.review_threshold
        assert (row["cause"] == "guarded") == (row["match_weight"] >= model.threshold)
        assert row["golden_ids"][0] != row["golden_ids"][1]
        assert row["model_version"]
    asked = Counter(frozenset(row["golden_ids"]) for row in rows)
    assert set(asked.values()) == {1}


def test_answers_hold_in_a_rerun_with_a_model_trained_anew_and_undoing_them_restores_every_byte(
    office: World,
) -> None:
    before = memberships(office, "before.csv")
    steward = office.client("steward")
    made = []
    for row, verdict in zip(queue(office), ("same", "different", "unsure"), strict=False):
        one, other = row["records"]
        body = {"first": {"number": one}, "second": {"number": other}, "verdict": verdict, "reason": "looked"}
        answer = steward.post("/v1/judgements", json=body)
        assert answer.status_code == 201
        made.append((row["records"], verdict, answer.json()["judgement"]["judgement"]))
    assert len(made) == 3
    for retrain in (False, True):
        office.link(retrain=retrain)
        for records, verdict, _ in made:
            one, other = steward.get(f"/v1/reviews/{records[0]}/{records[1]}").json()["golden_ids"]
            assert verdict == "unsure" or (one == other) == (verdict == "same")
        assert not {tuple(row["records"]) for row in queue(office)} & {
            tuple(records) for records, _, _ in made
        }
    for _, _, number in made:
        assert steward.post(f"/v1/judgements/{number}/undo", json={"reason": "reset"}).status_code == 201
    assert memberships(office, "after.csv") == before
    office.link()
    assert memberships(office, "again.csv") == before
