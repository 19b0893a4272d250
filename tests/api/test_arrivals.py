"""Records that arrive at once share their commits, and each gets what it would get by itself."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, Event
from typing import Any

import pytest

from api.arrivals import MOST_TOGETHER, Arrived
from api.incoming import incoming
from api.schemas import RecordIn
from consent.incoming import IncomingRecord
from consent.records import WriteResult
from identity.errors import StaleScoresError
from tests.world import World, a_copied_world, record, row

TOWN = ("Ana", "Bea", "Carl", "Dora", "Emil", "Fritz")


def made(world: World) -> None:
    world.ingest(*(row(channel, name, name) for name in TOWN for channel in ("crm", "web")))
    world.link()


@pytest.fixture
def town(tmp_path: Path) -> Iterator[World]:
    with a_copied_world(tmp_path, made) as world:
        yield world


def arriving(channel: str, source_id: str, person: str) -> IncomingRecord:
    return incoming(RecordIn.model_validate(record(channel, source_id, person)))


@pytest.fixture
def held(town: World, monkeypatch: pytest.MonkeyPatch) -> tuple[list[int], Callable[[], None]]:
    """Hold up the first turn until it is let go; how many records each turn had."""
    turns: list[int] = []
    begun, go_on = Event(), Event()
    write = town.services.writer.write

    def held_up(records: Sequence[IncomingRecord], **said: Any) -> list[WriteResult]:
        turns.append(len(records))
        if len(turns) == 1:
            begun.set()
            assert go_on.wait(20)
        return write(records, **said)

    monkeypatch.setattr(town.services.writer, "write", held_up)
    return turns, go_on.set


def sent(town: World, pool: ThreadPoolExecutor, *records: IncomingRecord) -> list[Any]:
    """Send each record from a thread of its own, in this order."""
    futures = []
    for each in records:
        futures.append(pool.submit(town.services.arrivals.receive, [each]))
        waited = Event()
        waited.wait(0.05)  # so that it waits for its turn before the next one comes
    return futures


def test_who_comes_while_another_is_at_work_is_stored_in_one_turn(
    town: World, held: tuple[list[int], Callable[[], None]]
) -> None:
    turns, let_go = held
    people = [*TOWN[:4], "Zoe"]
    with ThreadPoolExecutor(len(people)) as pool:
        records = [arriving("pos", f"new-{name}", name) for name in people]
        futures = sent(town, pool, *records)
        let_go()
        found: list[Arrived] = [future.result(20)[0] for future in futures]
    assert turns == [1, 4]
    assert [each.written.status for each in found] == ["created"] * 5
    assert [each.decision for each in found] == ["attached"] * 4 + ["new"]
    for name, each in zip(people[:4], found, strict=False):
        (known,) = town.send(record("crm", name, name))
        assert known["golden_id"] == each.golden_id


def test_two_new_records_of_one_person_in_one_turn_end_with_one_golden_id(
    town: World, held: tuple[list[int], Callable[[], None]]
) -> None:
    turns, let_go = held
    with ThreadPoolExecutor(3) as pool:
        futures = sent(
            town, pool, arriving("pos", "first", "Ana"), arriving("crm", "n1", "Nora"),
            arriving("web", "n2", "Nora"),
        )  # fmt: skip
        let_go()
        _, one, other = (future.result(20)[0] for future in futures)
    assert turns == [1, 2]
    assert one.golden_id == other.golden_id
    assert {one.decision, other.decision} == {"attached"}


def test_the_same_record_twice_in_one_turn_is_created_and_then_unchanged(
    town: World, held: tuple[list[int], Callable[[], None]]
) -> None:
    _, let_go = held
    again = arriving("pos", "again", "Bea")
    with ThreadPoolExecutor(3) as pool:
        futures = sent(town, pool, arriving("pos", "first", "Ana"), again, again)
        let_go()
        _, one, other = (future.result(20)[0] for future in futures)
    assert [one.written.status, other.written.status] == ["created", "unchanged"]
    assert one.golden_id == other.golden_id


def test_what_fails_is_told_to_everybody_of_that_turn_and_the_next_one_goes_on(
    town: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = town.services.writer.write
    refusals = iter([OSError("no disk")])

    def refusing(records: Sequence[IncomingRecord], **said: Any) -> list[WriteResult]:
        for error in refusals:
            raise error
        return write(records, **said)

    monkeypatch.setattr(town.services.writer, "write", refusing)
    with pytest.raises(OSError, match="no disk"):
        town.services.arrivals.receive([arriving("pos", "1", "Ana")])
    (found,) = town.services.arrivals.receive([arriving("pos", "1", "Ana")])
    assert found.decision == "attached"


def test_a_record_that_breaks_something_fails_alone(
    town: World, held: tuple[list[int], Callable[[], None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, let_go = held
    write = town.services.writer.write

    def breaking(records: Sequence[IncomingRecord], **said: Any) -> list[WriteResult]:
        if any(each.source_id == "odd" for each in records):
            raise KeyError("a fault of ours")
        return write(records, **said)

    monkeypatch.setattr(town.services.writer, "write", breaking)
    names = {"first": "Ana", "even": "Bea", "odd": "Carl", "last": "Dora"}
    with ThreadPoolExecutor(4) as pool:
        futures = sent(town, pool, *(arriving("pos", key, name) for key, name in names.items()))
        let_go()
        with pytest.raises(KeyError):
            futures[2].result(20)
        decided = [futures[at].result(20)[0].decision for at in (0, 1, 3)]
    assert decided == ["attached"] * 3


def test_a_record_that_keeps_changing_fails_alone(town: World, monkeypatch: pytest.MonkeyPatch) -> None:
    resolve_all = town.services.resolver.resolve_all

    def stale(record_nos: Sequence[int], now: int) -> dict[int, Any]:
        found = dict(resolve_all(record_nos, now))
        found[max(found)] = StaleScoresError("it keeps changing")
        return found

    monkeypatch.setattr(town.services.resolver, "resolve_all", stale)
    one, other = arriving("pos", "1", "Ana"), arriving("pos", "2", "Bea")
    found = town.services.arrivals._received([one, other])
    assert isinstance(found[0], Arrived)
    assert isinstance(found[1], StaleScoresError)
    with pytest.raises(StaleScoresError):
        town.services.arrivals.receive([arriving("pos", "3", "Carl")])


def test_many_threads_at_once_all_get_their_own_answers(town: World) -> None:
    barrier = Barrier(12)

    def arrive(number: int) -> list[Arrived]:
        barrier.wait(20)
        names = [TOWN[(number + at) % len(TOWN)] for at in range(3)]
        records = [arriving("pos", f"{number}-{at}", name) for at, name in enumerate(names)]
        return town.services.arrivals.receive(records)

    known = {name: town.send(record("crm", name, name))[0]["golden_id"] for name in TOWN}
    with ThreadPoolExecutor(12) as pool:
        for number, found in enumerate(pool.map(arrive, range(12))):
            wanted = [known[TOWN[(number + at) % len(TOWN)]] for at in range(3)]
            assert [each.golden_id for each in found] == wanted


def test_a_turn_holds_a_bounded_number_of_records(
    town: World, held: tuple[list[int], Callable[[], None]]
) -> None:
    turns, let_go = held
    with ThreadPoolExecutor(4) as pool:
        futures = sent(town, pool, arriving("pos", "first", "Ana"))
        for part in range(3):
            many = [arriving("pos", f"{part}-{at}", "Bea") for at in range(MOST_TOGETHER // 2)]
            futures.append(pool.submit(town.services.arrivals.receive, many))
            Event().wait(0.05)
        let_go()
        assert [len(future.result(60)) for future in futures] == [1, *[MOST_TOGETHER // 2] * 3]
    assert turns == [1, MOST_TOGETHER, MOST_TOGETHER // 2]
