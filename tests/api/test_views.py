"""One golden ID, linked for real: a lenient purpose sees all of it, a cautious one what is beyond doubt."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from consent.purposes import DEFAULT_POLICY
from tests.world import World, a_copied_world, a_world, row

LENIENT, CAUTIOUS = "personalization", "advertising"


def anas(world: World) -> None:
    """Ana's records of crm and web are equal; that of pos shares her name and birth date alone."""
    world.ingest(
        row("crm", "1", "Ana", gender="f"),
        row("web", "1", "Ana", gender="f"),
        row("pos", "1", "Ana", email=None, phone=None, city="Getxo"),
        grants=("identity_linking", LENIENT, CAUTIOUS),
    )
    world.settle()


@contextmanager
def anas_world(folder: Path) -> Iterator[World]:
    default = DEFAULT_POLICY.read_text()
    policy = default.replace("minimum_confidence = 0.9\n", "minimum_confidence = 1.0\n")
    assert policy != default
    with a_copied_world(folder, anas, policy=policy) as one:
        yield one


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A world that is only read."""
    with anas_world(tmp_path_factory.mktemp("town")) as one:
        yield one


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A world of the test's own, to change."""
    with anas_world(tmp_path) as one:
        yield one


def read(world: World, purpose: str) -> httpx.Response:
    return reader(world, purpose).get(
        f"/v1/profiles/{world.golden_id('crm', '1')}", params={"purpose": purpose}
    )


def reader(world: World, purpose: str) -> httpx.Client:
    return world.client("consumer", purpose)


def members(world: World) -> dict[str, dict[str, float]]:
    shown = world.client("steward").get(f"/v1/golden-ids/{world.golden_id('crm', '1')}").json()
    return {member["channel"]: member for member in shown["members"]}


def test_the_cautious_purpose_sees_a_part_of_what_the_lenient_one_sees(town: World) -> None:
    lenient, cautious = read(town, LENIENT).json(), read(town, CAUTIOUS).json()
    assert lenient["golden_id"] == cautious["golden_id"]
    assert (lenient["channels"], lenient["records"]) == (["crm", "pos", "web"], 3)
    assert (cautious["channels"], cautious["records"]) == (["crm", "web"], 2)
    assert lenient["attributes"]["city"] == "Getxo"
    assert "city" not in cautious["attributes"]


def test_each_profile_has_the_confidence_of_its_own_view(town: World) -> None:
    doubtful = members(town)["pos"]["confidence"]
    assert 0 < doubtful < 1
    assert read(town, LENIENT).json()["confidence"] == doubtful
    assert read(town, CAUTIOUS).json()["confidence"] == 1.0


def test_a_record_outside_the_view_is_no_way_in_and_looks_like_nobody(town: World) -> None:
    def look_up(purpose: str, source: str) -> httpx.Response:
        asked = {"purpose": purpose, "identifiers": [{"type": "record", "value": source}]}
        return reader(town, purpose).post("/v1/profiles/lookup", json=asked)

    assert look_up(LENIENT, "pos:1").status_code == look_up(CAUTIOUS, "web:1").status_code == 200
    outside, nobody = look_up(CAUTIOUS, "pos:1"), look_up(CAUTIOUS, "pos:2")
    assert (outside.status_code, outside.content) == (nobody.status_code, nobody.content)
    assert outside.status_code == 404


def test_an_id_that_merged_on_a_doubtful_link_shows_the_cautious_purpose_nobody(world: World) -> None:
    world.ingest(row("app", "1", "Olga"), grants=("identity_linking", LENIENT, CAUTIOUS))
    world.link()
    merged = world.golden_id("app", "1")
    world.ingest(row("app", "1", "Ana", email=None, phone=None))
    world.link()
    assert world.golden_id("app", "1") == world.golden_id("crm", "1")

    def ask(purpose: str) -> httpx.Response:
        return reader(world, purpose).get(f"/v1/profiles/{merged}", params={"purpose": purpose})

    assert ask(LENIENT).json()["requested_id"] == merged
    assert read(world, CAUTIOUS).status_code == 200
    assert ask(CAUTIOUS).status_code == 404


def test_the_views_hold_when_a_record_leaves(world: World) -> None:
    gone = {"records": [{"channel": "web", "source_id": "1"}]}
    assert world.client("ingest").post("/v1/records/delete", json=gone).status_code == 200
    assert read(world, LENIENT).json()["channels"] == ["crm", "pos"]
    assert read(world, CAUTIOUS).json()["records"] == 1


def test_a_denial_outside_the_view_stops_the_cautious_purpose_too(world: World) -> None:
    said = {"subject": {"record": {"channel": "pos", "source_id": "1"}}, "purpose": CAUTIOUS}
    withdrawn = world.client("officer").post("/v1/consents", json=said | {"state": "withdrawn"})
    assert withdrawn.status_code == 201
    assert read(world, CAUTIOUS).status_code == 404
    assert read(world, LENIENT).status_code == 200


def test_an_officer_who_asks_why_is_told_what_is_out_of_view_and_nobody_else_is(town: World) -> None:
    asked = {"subject": {"golden_id": town.golden_id("crm", "1")}, "purpose": CAUTIOUS}
    answers = {
        role: town.client(role).post("/v1/consents/query", json=asked).json()
        for role in ("officer", "steward", "auditor")
    }
    member = members(town)["pos"]
    assert answers["officer"].pop("out_of_view") == [
        {"record": member["record"], "confidence": member["confidence"], "why": "confidence"}
    ]
    assert answers["officer"] == answers["steward"] == answers["auditor"]
    assert set(answers["steward"]) == {"state", "allowed", "reasons", "rule", "events"}


def test_the_command_line_tells_the_officer_alone(town: World) -> None:
    explain = ("consent", "explain", "--golden-id", town.golden_id("crm", "1"), "--purpose", CAUTIOUS)
    officer, secret = town.services.clients.create("olga", "officer")
    told = town.command(
        *explain, "--as", officer.client_id, environment={"AUREA_CLIENT_SECRET": secret}
    ).stdout
    member = members(town)["pos"]
    assert f"record {member['record']} is out of view by its confidence ({member['confidence']:.6f})" in told
    assert "out of view" not in town.command(*explain).stdout


def test_under_the_default_policy_a_cautious_and_a_lenient_purpose_see_nested_views(tmp_path: Path) -> None:
    """Ana's third record shares her name alone: good enough for an offer, not for an address."""
    purposes = (LENIENT, "service")
    with a_world(tmp_path) as own:
        own.ingest(
            row("crm", "1", "Ana"),
            row("web", "1", "Ana"),
            row("pos", "1", "Ana", email=None, phone=None, birth_date=None, city="Getxo"),
            grants=("identity_linking", *purposes),
        )
        own.settle()
        seen = {purpose: read(own, purpose).json() for purpose in purposes}
        lenient, service = seen.values()
        minimum = {name: own.services.purposes[name].minimum_confidence for name in purposes}
        doubtful = members(own)["pos"]["confidence"]
    assert minimum[LENIENT] < doubtful < minimum["service"]
    assert {profile["golden_id"] for profile in seen.values()} == {lenient["golden_id"]}
    assert (lenient["records"], service["records"]) == (3, 2)
    assert set(service["channels"]) < set(lenient["channels"])
    assert lenient["confidence"] == doubtful < service["confidence"]
    assert lenient["attributes"]["city"] == "Getxo"
    assert "Getxo" not in str(service)
