"""What a consumer gets to see, and what it cannot tell apart."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api.test_changes import two_people
from tests.world import World, a_copied_world, record, row

PURPOSE = "personalization"


def read(http: httpx.Client, golden_id: str, purpose: str = PURPOSE) -> httpx.Response:
    return http.get(f"/v1/profiles/{golden_id}", params={"purpose": purpose})


def look_up(http: httpx.Client, *identifiers: tuple[str, str], purpose: str = PURPOSE) -> httpx.Response:
    named = [{"type": kind, "value": value} for kind, value in identifiers]
    return http.post("/v1/profiles/lookup", json={"purpose": purpose, "identifiers": named})


def say(world: World, state: str, *, purpose: str = PURPOSE, **subject: Any) -> None:
    body = {"subject": subject, "purpose": purpose, "state": state}
    assert world.client("officer").post("/v1/consents", json=body).status_code == 201


def test_a_profile_holds_what_the_purpose_includes_and_names_what_it_withholds(world: World) -> None:
    (sent,) = world.send(record("crm", "1", "Ana", traits={"shoe_size": "38"}))
    profile = read(world.client("consumer", PURPOSE), sent["golden_id"]).json()
    assert profile["attributes"]["first_name"] == "Ana"
    assert profile["attributes"]["email"] == ["ana@example.com"]
    assert "birth_date" not in profile["attributes"]
    assert profile["withheld"]["birth_date"] == "purpose personalization does not include birth_date"
    assert profile["traits"] == {}
    assert (profile["channels"], profile["records"], profile["confidence"]) == (["crm"], 1, 1.0)
    assert profile["as_of"].endswith("Z")
    assert "requested_id" not in profile


def test_a_lookup_finds_the_one_person_whom_all_identifiers_fit(world: World) -> None:
    world.send(record("crm", "1", "Ana"), record("crm", "2", "Bea"))
    http = world.client("consumer", PURPOSE)
    assert look_up(http, ("email", "ANA@example.com")).json()["attributes"]["first_name"] == "Ana"
    assert look_up(http, ("record", "crm:2")).json()["attributes"]["first_name"] == "Bea"
    assert look_up(http, ("email", "ana@example.com"), ("record", "crm:2")).status_code == 404


def test_a_shared_identifier_finds_nobody_unless_another_decides(world: World) -> None:
    household = {"phone": "+34911000111"}
    world.ingest(row("crm", "1", "Ana", **household), row("crm", "2", "Bea", **household))
    world.link()
    http = world.client("consumer", PURPOSE)
    assert look_up(http, ("phone", "+34911000111")).status_code == 404
    both = look_up(http, ("phone", "+34911000111"), ("email", "bea@example.com"))
    assert both.json()["attributes"]["first_name"] == "Bea"


def test_unknown_restricted_withdrawn_and_never_permitted_people_look_the_same(world: World) -> None:
    withdrawn, restricted = world.send(record("crm", "1", "Ana"), record("crm", "2", "Bea"))
    never = record("crm", "3", "Eva") | {"consents": []}
    (silent,) = world.send(never)
    say(world, "withdrawn", golden_id=withdrawn["golden_id"])
    say(world, "restricted", golden_id=restricted["golden_id"])
    http = world.client("consumer")
    answers = [
        read(http, golden_id)
        for golden_id in (
            withdrawn["golden_id"], restricted["golden_id"], silent["golden_id"],
            "g_" + "a" * 26, "not even an id",
        )
    ]  # fmt: skip
    answers += [look_up(http, ("record", "crm:1")), look_up(http, ("email", "nobody@example.com"))]
    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.content for answer in answers}) == 1
    unstable = {"date", "x-request-id"}
    shapes = [{k: v for k, v in answer.headers.items() if k not in unstable} for answer in answers]
    assert all(shape == shapes[0] for shape in shapes)


def test_every_read_is_one_entry_in_the_access_log_found_or_not(world: World) -> None:
    (sent,) = world.send(record("crm", "1", "Ana"))
    http = world.client("consumer", PURPOSE)
    before = log_lines(world)
    read(http, sent["golden_id"])
    read(http, "g_" + "b" * 26)
    look_up(http, ("email", "nobody@example.com"))
    assert log_lines(world) - before == 3


def log_lines(world: World) -> int:
    entries = [line for file in world.settings.access_log_dir.rglob("*") if file.is_file()
               for line in file.read_bytes().splitlines()]  # fmt: skip
    return sum(b'"decision"' in line for line in entries)


def test_without_an_access_log_no_data_leaves(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    (sent,) = world.send(record("crm", "1", "Ana"))
    folder = world.settings.access_log_dir
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    folder.write_text("a file in the place of the folder")
    answer = read(world.client("consumer", PURPOSE), sent["golden_id"])
    assert answer.status_code == 503
    assert "Ana" not in answer.text


def test_a_withdrawal_is_effective_on_the_next_read(world: World) -> None:
    (sent,) = world.send(record("crm", "1", "Ana"))
    http = world.client("consumer", PURPOSE)
    assert read(http, sent["golden_id"]).status_code == 200
    say(world, "withdrawn", record={"channel": "crm", "source_id": "1"})
    assert read(http, sent["golden_id"]).status_code == 404


def test_a_purpose_outside_the_token_is_refused_before_anyone_is_looked_up(world: World) -> None:
    http = world.client("consumer", "analytics")
    before = log_lines(world)
    for golden_id in ("g_" + "c" * 26, "x"):
        assert read(http, golden_id).status_code == 403
    assert look_up(http, ("email", "nobody@example.com")).status_code == 403
    assert log_lines(world) == before


def test_a_request_names_exactly_one_purpose(world: World) -> None:
    http = world.client("consumer")
    assert http.get("/v1/profiles/x").status_code == 422
    assert http.get("/v1/profiles/x?purpose=personalization&purpose=analytics").status_code == 422


@pytest.fixture
def two(tmp_path: Path) -> Iterator[World]:
    """A settled world with a record of Ana and two of Anabel."""
    with a_copied_world(tmp_path, two_people) as world:
        yield world


def two_become_one(world: World) -> tuple[str, str]:
    """Two golden IDs, of which the first is merged into the second."""
    merged, survivor = world.golden_id("crm", "1"), world.golden_id("web", "1")
    assert merged != survivor
    world.ingest(row("crm", "1", "Anabel"))
    world.link()
    assert world.golden_id("crm", "1") == survivor
    return merged, survivor


def test_a_merged_id_answers_as_its_survivor(two: World) -> None:
    merged, survivor = two_become_one(two)
    profile = read(two.client("consumer", PURPOSE), merged).json()
    assert (profile["golden_id"], profile["requested_id"]) == (survivor, merged)
    assert profile["records"] == 3


def test_a_merged_id_tells_nothing_where_its_survivor_may_not_be_read(two: World) -> None:
    merged, survivor = two_become_one(two)
    say(two, "withdrawn", golden_id=survivor)
    answer = read(two.client("consumer", PURPOSE), merged)
    assert answer.status_code == 404
    assert survivor not in answer.text


def three_people(world: World) -> None:
    """Ana, Berta and Carlota have two records each, among a town."""
    world.settle()
    others = [
        row(channel, "x", name) for name in ("Berta", "Carlota") for channel in (f"{name}1", f"{name}2")
    ]
    world.ingest(row("crm", "1", "Ana"), row("crm", "2", "Ana"), *others)
    world.link()


@pytest.fixture
def three(tmp_path: Path) -> Iterator[World]:
    with a_copied_world(tmp_path, three_people) as world:
        yield world


def one_becomes_two(world: World) -> tuple[str, set[str]]:
    """A golden ID of `three_people` whose two records went to two other golden IDs."""
    split = world.golden_id("crm", "1")
    assert world.golden_id("crm", "2") == split
    world.ingest(row("crm", "1", "Berta"), row("crm", "2", "Carlota"))
    world.link()
    successors = {world.golden_id("crm", "1"), world.golden_id("crm", "2")}
    assert split not in successors
    assert len(successors) == 2
    return split, successors


def test_a_split_id_lists_its_successors_where_all_may_be_read(three: World) -> None:
    split, successors = one_becomes_two(three)
    answer = read(three.client("consumer", PURPOSE), split)
    assert answer.status_code == 409
    assert set(answer.json()["successors"]) == successors
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_split_id_tells_nothing_where_one_successor_may_not_be_read(three: World) -> None:
    split, successors = one_becomes_two(three)
    say(three, "withdrawn", golden_id=min(successors))
    assert read(three.client("consumer", PURPOSE), split).status_code == 404


def test_pairwise_clients_cannot_join_their_data_by_golden_id(world: World) -> None:
    (sent,) = world.send(record("crm", "1", "Ana"))
    one, other = (world.client("consumer", PURPOSE, pairwise=True) for _ in range(2))
    first, second = (look_up(http, ("record", "crm:1")).json()["golden_id"] for http in (one, other))
    assert len({first, second, sent["golden_id"]}) == 3
    assert read(one, first).json()["golden_id"] == first
    assert read(one, second).status_code == 404
    assert read(one, sent["golden_id"]).status_code == 404


@pytest.mark.parametrize("value", ["p_", "p_aaaa", "p_" + "a" * 68, "p_ñ", "g_x", ""])
def test_what_is_no_pairwise_id_is_nobody(world: World, value: str) -> None:
    names = world.services.names
    caller = world.services.tokens.read(
        world.client("consumer", pairwise=True).headers["Authorization"].split()[1]
    )
    assert names.meant(caller, value) == ""


def test_a_steward_is_told_that_an_identifier_is_shared_and_reads_nobody(world: World) -> None:
    shared = {"phone": "+34600100200"}
    for number, name in enumerate(("Ana", "Bea", "Carla")):
        sent = record("crm", str(number), name)
        sent["attributes"] |= shared
        world.send(sent)
    steward = world.client("steward")
    answer = look_up(steward, ("phone", shared["phone"]))
    assert answer.status_code == 409
    assert (answer.json()["type"], answer.json()["people"]) == ("urn:aurea:problem:shared-identifier", 3)
    assert "600100200" not in answer.text
    assert "g_" not in answer.text
    alone = look_up(steward, ("record", "crm:1"), ("phone", shared["phone"]))
    nobody = look_up(steward, ("email", "nobody@example.com"))
    assert (alone.status_code, alone.content) == (nobody.status_code, nobody.content)
    assert alone.status_code == 403
    assert look_up(world.client("consumer", PURPOSE), ("phone", shared["phone"])).status_code == 404
