"""A town with people who ask what is held about them, and the steps of an officer."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.world import World, a_copied_world, record

ANNA = [{"type": "email", "value": "anna@example.com"}]


def annas(world: World) -> None:
    """Settle, and let Anna shop twice and Berta once."""
    world.settle()
    world.send(record("web", "1", "Anna"), record("pos", "2", "Anna"), record("crm", "3", "Berta"))


@pytest.fixture
def town(tmp_path: Path) -> Iterator[World]:
    with a_copied_world(tmp_path, annas) as world:
        yield world


@pytest.fixture
def officer(town: World) -> httpx.Client:
    return town.client("officer")


def open_one(officer: httpx.Client, kind: str = "access", **more: Any) -> str:
    body = {"type": kind, "jurisdiction": "ES", "identifiers": ANNA, **more}
    answer = officer.post("/v1/requests", json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def approved(officer: httpx.Client, kind: str = "access", **more: Any) -> str:
    request_id = open_one(officer, kind, **more)
    said = {"method": "email link", "outcome": "verified", "evidence": {"link": "clicked"}}
    assert officer.post(f"/v1/requests/{request_id}/verify", json=said).status_code == 200
    answer = officer.post(f"/v1/requests/{request_id}/decide", json={"decision": "approve"})
    assert answer.status_code == 200, answer.text
    return request_id


def fulfilled(officer: httpx.Client, kind: str = "access", **more: Any) -> dict[str, Any]:
    request_id = approved(officer, kind, **more)
    answer = officer.post(f"/v1/requests/{request_id}/fulfil", json={})
    assert answer.status_code == 200, answer.text
    said: dict[str, Any] = answer.json()
    assert said["state"] == "fulfilled"
    return said


def problem(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["type"].removeprefix("urn:aurea:problem:")


def profile(town: World, *, purpose: str = "personalization", of: tuple[str, str] = ("web", "1")) -> Any:
    path = f"/v1/profiles/{town.golden_id(*of)}"
    return town.client("consumer").get(path, params={"purpose": purpose})
