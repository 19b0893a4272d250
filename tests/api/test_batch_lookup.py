"""Up to 1,000 people in one request: each result is what the person's own request would have been."""

from typing import Any

import httpx
import pytest

from consent.access_log_reading import entries
from tests.api.test_profiles import one_becomes_two, three
from tests.world import World, record

__all__ = ["three"]  # a fixture

PURPOSE = "personalization"


def by_email(address: str) -> dict[str, Any]:
    return {"identifiers": [{"type": "email", "value": address}]}


def batch(http: httpx.Client, *lookups: dict[str, Any], purpose: str = PURPOSE) -> httpx.Response:
    return http.post("/v1/profiles/lookup/batch", json={"purpose": purpose, "lookups": list(lookups)})


def test_each_result_is_what_the_persons_own_request_answers(world: World) -> None:
    ana, bea = world.send(record("crm", "1", "Ana"), record("web", "2", "Bea"))
    officer, http = world.client("officer"), world.client("consumer", PURPOSE)
    body = {"subject": {"golden_id": bea["golden_id"]}, "purpose": PURPOSE, "state": "withdrawn"}
    assert officer.post("/v1/consents", json=body).status_code == 201

    asked = (
        {"golden_id": ana["golden_id"]}, by_email("ANA@example.com"), {"golden_id": bea["golden_id"]},
        by_email("bea@example.com"), by_email("nobody@example.com"), {"golden_id": "g_unknown"},
    )  # fmt: skip
    results = batch(http, *asked).json()["results"]

    alone = http.get(f"/v1/profiles/{ana['golden_id']}", params={"purpose": PURPOSE}).json()
    assert results[0] == {"status": 200, "profile": alone}
    assert results[1] == results[0]
    assert results[2:] == [{"status": 404}] * 4


def test_a_split_id_names_its_successors(three: World) -> None:
    split, successors = one_becomes_two(three)
    (result,) = batch(three.client("consumer", PURPOSE), {"golden_id": split}).json()["results"]
    assert result["status"] == 409
    assert set(result["successors"]) == successors


def test_every_lookup_has_its_entry_in_the_access_log(world: World) -> None:
    (sent,) = world.send(record("crm", "1", "Ana"))
    batch(world.client("consumer", PURPOSE), {"golden_id": sent["golden_id"]}, by_email("nobody@example.com"))

    logged = list(entries(world.settings.access_log_dir))
    assert [entry.decision for entry in logged] == ["revealed", "unknown"]
    assert {entry.time for entry in logged} == {world.clock.now}


def test_a_pairwise_client_asks_and_is_answered_in_its_own_names(world: World) -> None:
    (sent,) = world.send(record("crm", "1", "Ana"))
    http = world.client("consumer", PURPOSE, pairwise=True)
    found = batch(http, by_email("ana@example.com")).json()["results"][0]["profile"]["golden_id"]
    assert found != sent["golden_id"]
    answers = batch(http, {"golden_id": found}, {"golden_id": sent["golden_id"]}).json()["results"]
    assert [answer["status"] for answer in answers] == [200, 404]


def test_what_was_told_is_followed_in_the_change_feed(world: World) -> None:
    (sent,) = world.send(record("crm", "1", "Ana"))
    http = world.client("consumer", PURPOSE)
    batch(http, by_email("ana@example.com"))
    removed = {"records": [{"channel": "crm", "source_id": "1"}]}
    assert world.client("ingest").post("/v1/records/delete", json=removed).status_code == 200
    changes = http.get("/v1/changes").json()["changes"]
    assert ("gone", sent["golden_id"]) in [(change["type"], change["golden_id"]) for change in changes]


@pytest.mark.parametrize(
    "lookups",
    [[], [{"golden_id": "g_1"}] * 1001, [{}], [{"golden_id": "g_1", **by_email("a@example.com")}]],
    ids=["none", "too many", "nobody named", "named twice"],
)
def test_an_unusable_batch_is_refused_as_a_whole(world: World, lookups: list[dict[str, Any]]) -> None:
    assert batch(world.client("consumer", PURPOSE), *lookups).status_code == 422


def test_a_purpose_outside_the_token_and_a_role_that_reads_no_profiles_are_refused(world: World) -> None:
    assert (
        batch(world.client("consumer", PURPOSE), {"golden_id": "g_1"}, purpose="service").status_code == 403
    )
    assert batch(world.client("steward"), {"golden_id": "g_1"}).status_code == 403


def test_a_thousand_lookups_are_one_request(world: World) -> None:
    (sent,) = world.send(record("crm", "1", "Ana"))
    results = batch(world.client("consumer", PURPOSE), *[{"golden_id": sent["golden_id"]}] * 1000).json()[
        "results"
    ]
    assert [each["status"] for each in results] == [200] * 1000
