"""Records of one person that contradict each other about a purpose: denied, and a task until settled."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.requesting import annas
from tests.world import World, a_copied_world

PURPOSE = "personalization"


@pytest.fixture
def town(tmp_path: Path) -> Iterator[World]:
    """Anna has two records, Berta one."""
    with a_copied_world(tmp_path, annas) as world:
        assert world.golden_id("web", "1") == world.golden_id("pos", "2")
        yield world


def say(town: World, state: str, of: tuple[str, str], method: str = "direct", role: Any = "ingest") -> None:
    subject = {"record": {"channel": of[0], "source_id": of[1]}}
    body = {"subject": subject, "purpose": PURPOSE, "state": state, "method": method}
    answer = town.client(role).post("/v1/consents", json=body)
    assert answer.status_code in (200, 201), answer.text


def conflicts(town: World, **asked: Any) -> list[tuple[str, str]]:
    answer = town.client("steward").get("/v1/conflicts", params=asked)
    assert answer.status_code == 200, answer.text
    return [(each["golden_id"], each["purpose"]) for each in answer.json()["conflicts"]]


def served(town: World) -> int:
    path = f"/v1/profiles/{town.golden_id('web', '1')}"
    return town.client("consumer").get(path, params={"purpose": PURPOSE}).status_code


def test_a_grant_in_person_on_another_record_after_a_denial_is_a_task(town: World) -> None:
    assert conflicts(town) == []
    say(town, "withdrawn", ("web", "1"))
    assert conflicts(town) == []
    say(town, "granted", ("pos", "2"))
    assert conflicts(town) == [(town.golden_id("web", "1"), PURPOSE)]
    assert served(town) == 404, "it is denied meanwhile"


@pytest.mark.parametrize(("answer", "status"), [("granted", 200), ("withdrawn", 404)])
def test_the_persons_verified_answer_settles_it(town: World, answer: str, status: int) -> None:
    say(town, "withdrawn", ("web", "1"))
    say(town, "granted", ("pos", "2"))
    say(town, answer, ("pos", "2"), "verified", "officer")
    assert conflicts(town) == []
    assert served(town) == status


def test_what_one_record_says_of_itself_is_no_conflict(town: World) -> None:
    say(town, "withdrawn", ("web", "1"))
    say(town, "granted", ("web", "1"))
    assert conflicts(town) == []
    assert served(town) == 200


def test_what_two_people_say_is_no_conflict(town: World) -> None:
    say(town, "withdrawn", ("web", "1"))
    say(town, "granted", ("crm", "3"))
    assert conflicts(town) == []


def test_pages_end(town: World) -> None:
    say(town, "withdrawn", ("web", "1"))
    say(town, "granted", ("pos", "2"))
    assert len(conflicts(town, limit=1)) == 1
    last = town.client("steward").get("/v1/conflicts", params={"limit": 1}).json()
    assert last["next"] is None


@pytest.mark.parametrize("role", ["consumer", "ingest", "auditor", "operator"])
def test_it_is_a_stewards_and_an_officers_task(town: World, role: Any) -> None:
    assert town.client(role).get("/v1/conflicts").status_code == 403


def test_the_command_line_lists_it_too(town: World) -> None:
    say(town, "withdrawn", ("web", "1"))
    say(town, "granted", ("pos", "2"))
    told = town.command_as("steward", "review", "conflicts")
    assert told.returncode == 0, told.stderr
    first, *reasons = told.stdout.splitlines()
    assert first.endswith(f"  {PURPOSE}")
    assert len(reasons) == 2
