"""The change feed: what happened to golden IDs, as each caller may see it."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from api.auth import Caller
from identity.records import RecordKey
from tests.world import World, a_copied_world, record, row

PURPOSE = "personalization"


def feed(http: Any, after: str | None = None, limit: int = 1000) -> dict[str, Any]:
    params = {"limit": limit} | ({} if after is None else {"after": after})
    answer = http.get("/v1/changes", params=params)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def two_people(world: World) -> None:
    """Ana has a record, Anabel two."""
    world.settle()
    world.ingest(row("crm", "1", "Ana"), row("web", "1", "Anabel"), row("web", "2", "Anabel"))
    world.link()


@pytest.fixture
def town(tmp_path: Path) -> Iterator[World]:
    with a_copied_world(tmp_path, two_people) as world:
        yield world


def merge(world: World, reader: Any, *, told: tuple[str, ...]) -> tuple[str, str]:
    """Merge Ana into Anabel, after `reader` was told the golden IDs of the records in `told`."""
    merged, survivor = world.golden_id("crm", "1"), world.golden_id("web", "1")
    for key in told:
        asked = {"purpose": PURPOSE, "identifiers": [{"type": "record", "value": key}]}
        assert reader.post("/v1/profiles/lookup", json=asked).status_code == 200
    world.ingest(row("crm", "1", "Anabel"))
    world.link()
    return merged, survivor


def test_a_consumer_hears_of_ids_it_was_told_and_of_no_others(town: World) -> None:
    reader = town.client("consumer", PURPOSE)
    merged, survivor = merge(town, reader, told=("crm:1", "web:1"))
    changes = feed(reader)["changes"]
    assert {(each["type"], each["golden_id"]) for each in changes} == {
        ("merged", merged), ("updated", survivor),
    }  # fmt: skip
    assert next(each["into"] for each in changes if each["type"] == "merged") == survivor
    assert feed(town.client("consumer", PURPOSE))["changes"] == []


def test_a_consumer_is_not_told_a_survivor_it_never_read(town: World) -> None:
    reader = town.client("consumer", PURPOSE)
    merged, survivor = merge(town, reader, told=("crm:1",))
    (change,) = feed(reader)["changes"]
    assert (change["type"], change["golden_id"]) == ("merged", merged)
    assert survivor not in str(change)
    assert "records" not in change


def test_pairwise_ids_are_used_in_the_feed_too(town: World) -> None:
    reader = town.client("consumer", PURPOSE, pairwise=True)
    merged, survivor = merge(town, reader, told=("crm:1", "web:1"))
    text = str(feed(reader))
    assert merged not in text
    assert survivor not in text


def test_others_see_everything_in_commit_order_page_by_page(world: World) -> None:
    world.send(*(record("crm", str(number), name) for number, name in enumerate(("Ana", "Bea", "Eva"))))
    http = world.client("auditor")
    everything = feed(http)
    assert [each["type"] for each in everything["changes"]] == ["created"] * 3
    pages, cursor = [], None
    while (page := feed(http, cursor, limit=2))["changes"]:
        pages += page["changes"]
        cursor = page["next"]
    assert pages == everything["changes"]
    assert feed(http, cursor)["next"] == cursor


def test_the_removal_of_a_record_is_told_as_gone(world: World) -> None:
    world.send(record("crm", "1", "Ana"))
    reader = world.client("consumer", PURPOSE)
    asked = {"purpose": PURPOSE, "identifiers": [{"type": "record", "value": "crm:1"}]}
    golden_id = reader.post("/v1/profiles/lookup", json=asked).json()["golden_id"]
    cursor = feed(reader)["next"]
    key = {"records": [{"channel": "crm", "source_id": "1"}]}
    world.client("ingest").post("/v1/records/delete", json=key)
    (change,) = feed(reader, cursor)["changes"]
    assert (change["type"], change["golden_id"]) == ("gone", golden_id)


def test_what_happens_while_an_id_is_disclosed_for_the_first_time_is_in_the_answer_or_the_feed(
    town: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, services = town.client("consumer", PURPOSE), town.services
    merged, survivor = town.golden_id("crm", "1"), town.golden_id("web", "1")
    pair = tuple(services.writer.find(RecordKey(*key)) or 0 for key in (("crm", "1"), ("web", "1")))
    new, cursors = services.disclosures._new, list[str]()

    def merging(caller: Caller, golden_nos: Iterable[int]) -> list[tuple[str, int]]:
        """Decided and logged, not noted yet: now they become one person, and the caller polls its feed."""
        if not cursors:
            services.judge.decide(pair, "same", author="s", reason="r", now=town.clock())
            with services.db.read() as conn:
                cursors.append(services.changes.after(conn, caller, None, 1000)[1])
        return new(caller, golden_nos)

    monkeypatch.setattr(services.disclosures, "_new", merging)
    answer = reader.get(f"/v1/profiles/{merged}", params={"purpose": PURPOSE}).json()
    later = feed(reader, cursors[0])["changes"]
    now = town.golden_id("crm", "1")
    assert now in {merged, survivor}
    assert answer["records"] == 3
    assert answer["golden_id"] == now
    assert later == []


def test_a_cursor_that_was_never_given_is_refused(world: World) -> None:
    http = world.client("auditor")
    for cursor in ("x", "1", "-1.0", "1.2.3", "9" * 30 + ".1"):
        assert http.get("/v1/changes", params={"after": cursor}).status_code == 422


def test_two_pairwise_clients_share_no_cursor_and_no_id(town: World) -> None:
    """What is common to both would join their people: each value of one feed is unknown to the other."""
    readers = [town.client("consumer", PURPOSE, pairwise=True) for _ in range(2)]
    merge(town, readers[0], told=("crm:1", "web:1"))
    asked = {"purpose": PURPOSE, "identifiers": [{"type": "record", "value": "web:1"}]}
    assert readers[1].post("/v1/profiles/lookup", json=asked).status_code == 200
    first, second = (feed(reader) for reader in readers)
    assert {each["golden_id"] for each in first["changes"]}
    assert {each["golden_id"] for each in second["changes"]}
    assert not values_of(first) & values_of(second)
    nothing = [feed(town.client("consumer", PURPOSE, pairwise=True), limit=1)["next"] for _ in range(2)]
    assert nothing[0] != nothing[1]
    for reader, foreign in zip(readers, (second, first), strict=True):
        assert reader.get("/v1/changes", params={"after": foreign["next"]}).status_code == 422
        assert reader.get("/v1/changes", params={"after": "0.0"}).status_code == 422


def values_of(page: dict[str, Any]) -> set[str]:
    """Every cursor and ID in a page."""
    found = {page["next"]}
    for change in page["changes"]:
        for name, value in change.items():
            if name != "type":
                found |= set(value) if isinstance(value, list) else {value}
    return found


def test_a_pairwise_client_pages_by_its_own_cursors(town: World) -> None:
    reader = town.client("consumer", PURPOSE, pairwise=True)
    merge(town, reader, told=("crm:1", "web:1"))
    everything = feed(reader)["changes"]
    pages: list[Any] = []
    cursor, page = None, feed(reader, limit=1)
    while page["next"] != cursor:
        pages += page["changes"]
        cursor = page["next"]
        page = feed(reader, cursor, limit=1)
    assert len(everything) == 2
    assert pages == everything
    assert feed(reader, everything[0]["cursor"])["changes"] == everything[1:]
