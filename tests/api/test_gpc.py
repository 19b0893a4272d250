"""Global Privacy Control: a browser's Sec-GPC ends every sale and sharing, of that read and of the record."""

from typing import Any

import pytest

from api.times import rfc3339
from tests.world import World, record


@pytest.fixture
def world(settled: World) -> World:
    return settled


def send(world: World, *records: dict[str, Any], gpc: str | None = None) -> list[dict[str, Any]]:
    headers = {} if gpc is None else {"Sec-GPC": gpc}
    answer = world.client("ingest").post("/v1/records", json={"records": list(records)}, headers=headers)
    assert answer.status_code == 200, answer.text
    results: list[dict[str, Any]] = answer.json()["results"]
    return results


def anna() -> dict[str, Any]:
    return record("web", "1", "Anna", "advertising")


def read(world: World, golden_id: str, purpose: str, gpc: str | None = None) -> int:
    headers = {} if gpc is None else {"Sec-GPC": gpc}
    asked = {"params": {"purpose": purpose}, "headers": headers}
    return world.client("consumer").get(f"/v1/profiles/{golden_id}", **asked).status_code


def test_a_record_that_arrives_with_the_signal_objects_to_every_sale(world: World) -> None:
    (told,) = send(world, anna(), gpc="1")
    assert read(world, told["golden_id"], "advertising") == 404
    assert read(world, told["golden_id"], "personalization") == 200
    body = {"subject": {"golden_id": told["golden_id"]}, "purpose": "advertising"}
    answer = world.client("officer").post("/v1/consents/query", json=body).json()
    assert (answer["state"], answer["events"][-1]["notice"]) == ("objected", "Sec-GPC")


@pytest.mark.parametrize("value", [None, "0", "true", "1, 1", ""])
def test_only_the_value_one_is_the_signal(world: World, value: str | None) -> None:
    (told,) = send(world, anna(), gpc=value)
    assert read(world, told["golden_id"], "advertising", gpc=value) == 200


def test_a_read_with_the_signal_reveals_nothing_for_a_sale_and_is_logged(world: World) -> None:
    (told,) = send(world, anna())
    assert read(world, told["golden_id"], "advertising", gpc="1") == 404
    assert read(world, told["golden_id"], "personalization", gpc="1") == 200
    assert read(world, told["golden_id"], "advertising") == 200, "it speaks for its own moment"
    asked = {"identifiers": [{"type": "email", "value": "anna@example.com"}], "purpose": "advertising"}
    seeker = world.client("consumer")
    assert seeker.post("/v1/profiles/lookup", json=asked, headers={"Sec-GPC": "1"}).status_code == 404


def test_the_signal_is_recorded_once(world: World) -> None:
    first = send(world, anna(), gpc="1")
    size = entries(world)
    assert send(world, anna(), gpc="1")[0]["golden_id"] == first[0]["golden_id"]
    assert entries(world) == size


def test_the_signal_ends_what_was_granted_elsewhere_since_the_last_one(world: World) -> None:
    (told,) = send(world, anna(), gpc="1")
    grant = {"subject": {"record": {"channel": "web", "source_id": "1"}}, "purpose": "advertising"}
    given = grant | {"state": "granted", "method": "direct"}
    assert world.client("ingest").post("/v1/consents", json=given).status_code == 201
    assert read(world, told["golden_id"], "advertising") == 200
    send(world, anna(), gpc="1")
    assert read(world, told["golden_id"], "advertising") == 404


def test_the_signal_counts_though_the_record_that_brings_it_is_stale(world: World) -> None:
    (told,) = send(world, anna())
    late = anna() | {"observed_at": rfc3339(world.clock() - 3_600_000)}
    assert send(world, late, gpc="1")[0]["status"] == "unchanged"
    assert read(world, told["golden_id"], "advertising") == 404


def test_a_request_with_the_signal_is_not_the_one_without(world: World) -> None:
    http, body = world.client("ingest"), {"records": [anna()]}
    key = {"Idempotency-Key": "k1"}
    assert http.post("/v1/records", json=body, headers=key).status_code == 200
    assert http.post("/v1/records", json=body, headers=key | {"Sec-GPC": "1"}).status_code == 422


def entries(world: World) -> int:
    with world.services.db.read() as conn:
        return world.services.ledger.size(conn)


def test_browsers_are_told_that_it_is_honoured(world: World) -> None:
    said = world.client("consumer").get("/.well-known/gpc.json")
    assert said.headers["content-type"].startswith("application/json")
    assert said.json()["gpc"] is True
