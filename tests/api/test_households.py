"""A couple in the whole service: found by a run, shown to the purposes that may know, gone at a word."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from consent.purposes import DEFAULT_POLICY
from tests.world import World, a_copied_world, row

HOME = {"street": "Calle Mayor", "house_number": "3", "postcode": "48001", "city": "Bilbao"}
GRANTS = ("identity_linking", "personalization")


def couple(world: World) -> None:
    """Ana and Benito live together, Carla next door."""
    world.ingest(
        row("crm", "ana", "Ana", **HOME | {"last_name": "Garay"}),
        row("web", "ana", "Ana", **HOME | {"last_name": "Garay"}),
        row("crm", "benito", "Benito", **HOME | {"last_name": "Garay"}),
        row("crm", "carla", "Carla", **HOME | {"last_name": "Garay", "house_number": "5"}),
        grants=GRANTS,
    )
    world.settle()


@contextmanager
def couples_world(folder: Path) -> Iterator[World]:
    """The couple's, where households are shown to `personalization`."""
    table = "[purposes.personalization]"
    policy = DEFAULT_POLICY.read_text().replace(table, f"{table}\nhousehold = true")
    with a_copied_world(folder, couple, policy=policy) as one:
        yield one


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A world that is only read."""
    with couples_world(tmp_path_factory.mktemp("town")) as one:
        yield one


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A world of the test's own, to change."""
    with couples_world(tmp_path) as one:
        yield one


def profile(world: World, who: str, *, purpose: str = "personalization", pairwise: bool = False) -> Any:
    reader = world.client("consumer", purpose, pairwise=pairwise)
    body = {"purpose": purpose, "identifiers": [{"type": "record", "value": f"crm:{who}"}]}
    answer = reader.post("/v1/profiles/lookup", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_couple_has_one_household_and_two_golden_ids(town: World) -> None:
    ana, benito = profile(town, "ana"), profile(town, "benito")
    assert ana["golden_id"] != benito["golden_id"]
    assert ana["household"] == benito["household"]
    assert ana["household"].startswith("h_")


def test_a_neighbour_has_none_and_a_purpose_that_is_not_told_sees_no_field(town: World) -> None:
    assert "household" not in profile(town, "carla")
    assert "household" not in profile(town, "ana", purpose="service")


def test_two_pairwise_clients_cannot_join_their_data_by_household(town: World) -> None:
    shown = {profile(town, "ana", pairwise=True)["household"] for _ in range(2)}
    shown.add(profile(town, "ana")["household"])
    assert len(shown) == 3


def test_a_pairwise_client_sees_that_two_people_live_together(town: World) -> None:
    reader = town.client("consumer", "personalization", pairwise=True)
    bodies = [
        {"purpose": "personalization", "identifiers": [{"type": "record", "value": f"crm:{who}"}]}
        for who in ("ana", "benito")
    ]
    ana, benito = (reader.post("/v1/profiles/lookup", json=body).json()["household"] for body in bodies)
    assert ana == benito
    assert ana.startswith("ph_")


def test_stewards_see_which_records_say_so(town: World) -> None:
    steward = town.client("steward")
    shown = steward.get(f"/v1/golden-ids/{town.golden_id('crm', 'ana')}").json()["members"]
    assert {member["household"] for member in shown} == {profile(town, "ana")["household"]}
    alone = steward.get(f"/v1/golden-ids/{town.golden_id('crm', 'carla')}").json()["members"]
    assert {member["household"] for member in alone} == {None}


def test_the_id_is_the_same_after_another_run(world: World) -> None:
    before = profile(world, "ana")["household"]
    assert world.link()["households"] == 1
    assert profile(world, "ana")["household"] == before


LEAVING = {
    "withdraws the purpose": {"purpose": "personalization", "state": "withdrawn"},
    "withdraws linking": {"purpose": "identity_linking", "state": "withdrawn"},
}


@pytest.mark.parametrize("said", LEAVING.values(), ids=LEAVING)
def test_nobody_is_shown_to_live_with_somebody_who(world: World, said: dict[str, str]) -> None:
    subject = {"record": {"channel": "crm", "source_id": "benito"}}
    answer = world.client("ingest").post("/v1/consents", json={"subject": subject, **said})
    assert answer.status_code == 201, answer.text
    assert "household" not in profile(world, "ana")
    world.link()
    assert "household" not in profile(world, "ana")


def test_who_is_deleted_leaves_the_household_at_once(world: World) -> None:
    records = {"records": [{"channel": "crm", "source_id": "benito"}]}
    assert world.client("ingest").post("/v1/records/delete", json=records).status_code == 200
    assert "household" not in profile(world, "ana")


def test_who_moves_is_in_no_household_until_the_next_run(world: World) -> None:
    moved = row("crm", "benito", "Benito", **HOME | {"last_name": "Garay", "house_number": "9"})
    attributes = {name: value for name, value in moved.items() if name not in {"channel", "source_id"}}
    consents = [{"purpose": purpose, "state": "granted"} for purpose in GRANTS]
    world.send({"channel": "crm", "source_id": "benito", "attributes": attributes, "consents": consents})
    assert "household" not in profile(world, "ana")
    world.link()
    assert "household" not in profile(world, "benito")
