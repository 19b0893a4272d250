"""Records that arrive at once share their commits, and each gets what it would get by itself."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, Event
from typing import Any

import pytest

from api.arrivals import MOST_TOGETHER, Arrived, _Call
from api.incoming import incoming
from api.resolution import MOST_AHEAD, Placement
from api.schemas import RecordIn
from consent.errors import VaultError
from consent.incoming import IncomingRecord
from consent.records import WriteResult
from identity.arriving import Arrival
from identity.comparable import Comparable
from identity.errors import StaleScoresError, StoreBusyError
from identity.matching import OnlineScorer
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
    assert [one.decision, other.decision] == ["new", "attached"]


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


def test_who_was_stored_and_not_resolved_is_resolved_when_it_is_sent_again(
    town: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve_all, errors = town.services.resolver.resolve_all, [ValueError("a fault"), StoreBusyError("busy")]

    def failing(record_nos: Sequence[int], now: int) -> Any:
        if errors:
            raise errors.pop()
        return resolve_all(record_nos, now)

    town.send(record("pos", "9", "Ana"))
    monkeypatch.setattr(town.services.resolver, "resolve_all", failing)
    with pytest.raises(StoreBusyError):
        town.services.arrivals.receive([arriving("pos", "9", "Bea")])
    (found,) = town.services.arrivals.receive([arriving("pos", "9", "Bea")])  # and once more by itself
    assert not errors
    assert (found.written.status, found.decision) == ("unchanged", "attached")
    assert found.golden_id == town.golden_id("crm", "Bea")
    assert town.services.arrivals.receive([arriving("pos", "9", "Bea")]) == [found]


def test_a_record_that_keeps_changing_fails_alone(town: World, monkeypatch: pytest.MonkeyPatch) -> None:
    judged = town.services.online._judged
    changing = set[int]()

    def stale(conn: Any, arrival: Arrival, *known: Any, **rest: Any) -> Any:
        if arrival.record_no in changing:
            raise StaleScoresError("it keeps changing")
        return judged(conn, arrival, *known, **rest)

    monkeypatch.setattr(town.services.online, "_judged", stale)
    (first,) = town.services.arrivals.receive([arriving("pos", "0", "Ana")])
    changing |= {(first.written.record_no or 0) + 2, (first.written.record_no or 0) + 3}  # numbers in a row
    one, other = arriving("pos", "1", "Ana"), arriving("pos", "2", "Bea")
    found = town.services.arrivals._received([one, other])
    assert isinstance(found[0], Arrived)
    assert isinstance(found[1], StaleScoresError)
    with pytest.raises(StaleScoresError):
        town.services.arrivals.receive([arriving("pos", "3", "Carl")])


def test_a_new_record_is_one_commit_in_each_store(town: World) -> None:
    services = town.services
    services.arrivals.receive([arriving("pos", "0", "Ana")])  # reserves numbers for those that follow
    before = services.db.commits() or 0, services.keys.commits() or 0
    (found,) = services.arrivals.receive([arriving("pos", "1", "Bea")])
    assert found.decision == "attached"
    if services.db.is_sqlite:  # which counts them
        assert (services.db.commits(), services.keys.commits()) == (before[0] + 1, before[1] + 1)


def test_who_comes_between_the_search_and_the_commit_is_found_all_the_same(
    town: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    services, ahead = town.services, town.services.resolver.ahead
    other: list[int] = []

    def then_another_comes(*searched: Any) -> Placement | None:
        placement = ahead(*searched)
        assert other or placement is not None, "it was looked for before it was stored"
        if not other:
            (written,) = services.writer.write([arriving("web", "n2", "Nora")], now=town.clock())
            other.append(written.record_no or 0)
            services.resolver.resolve(other[0], town.clock())
        return placement

    monkeypatch.setattr(services.resolver, "ahead", then_another_comes)
    (found,) = services.arrivals.receive([arriving("crm", "n1", "Nora")])
    (again,) = services.arrivals.receive([arriving("web", "n2", "Nora")])
    assert found.decision == "attached"
    assert again.golden_id == found.golden_id


def sent_by(channel: str, source_id: str, person: str, *granted: str) -> IncomingRecord:
    sent = record(channel, source_id, person)
    sent["consents"] = [{"purpose": purpose, "state": "granted"} for purpose in granted]
    return incoming(RecordIn.model_validate(sent))


def test_a_new_record_is_compared_with_what_another_of_its_turn_says_from_now_on(town: World) -> None:
    arrivals = town.services.arrivals
    (before,) = arrivals.receive([arriving("pos", "1", "Zoe")])
    changed, new = arrivals.receive([arriving("pos", "1", "Nora"), arriving("web", "2", "Zoe")])
    assert (changed.written.status, new.decision) == ("updated", "new")
    assert new.golden_id not in {before.golden_id, changed.golden_id}
    first, same, other = arrivals.receive(
        [arriving("pos", "3", "Olga"), arriving("pos", "3", "Petra"), arriving("web", "4", "Olga")]
    )
    assert [each.written.status for each in (first, same, other)] == ["created", "updated", "created"]
    assert other.decision == "new"
    assert other.golden_id != first.golden_id == same.golden_id


def test_a_new_record_finds_one_that_its_turn_permits_to_be_linked(town: World) -> None:
    arrivals = town.services.arrivals
    (alone,) = arrivals.receive([sent_by("pos", "1", "Zoe", "personalization")])
    assert not alone.written.linking
    allowed, new = arrivals.receive(
        [sent_by("pos", "1", "Zoe", "personalization", "identity_linking"), arriving("web", "2", "Zoe")]
    )
    assert (allowed.written.status, new.decision) == ("unchanged", "attached")
    assert new.golden_id == alone.golden_id


def test_a_large_request_is_looked_for_once_it_is_stored(
    town: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead, searched = town.services.resolver.ahead, []

    def seen(*batch: Any) -> Placement | None:
        searched.append(ahead(*batch))
        return searched[-1]

    monkeypatch.setattr(town.services.resolver, "ahead", seen)
    few = [arriving("pos", f"few-{at}", TOWN[at]) for at in range(3)]
    many = [arriving("pos", f"many-{at}", TOWN[at % 6]) for at in range(MOST_AHEAD + 1)]
    found = [*town.services.arrivals.receive(few), *town.services.arrivals.receive(many)]
    assert [each is None for each in searched] == [False, True]
    assert {each.decision for each in found} == {"attached"}


@pytest.mark.parametrize("error", [KeyError("a fault of ours"), VaultError("a neighbour is damaged")])
def test_what_breaks_the_search_does_not_keep_a_record_from_being_stored(
    town: World, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def broken(*_: Any) -> None:
        raise error

    monkeypatch.setattr(town.services.resolver, "ahead", broken)
    (found,) = town.services.arrivals.receive([arriving("pos", "1", "Bea")])
    assert found.decision == "attached"


def test_a_record_that_takes_its_permission_with_it_is_stored_stands_alone_and_is_compared_with_nobody(
    town: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    score, compared = OnlineScorer.score, set[str]()

    def seen(scorer: OnlineScorer, one: Comparable, others: Sequence[Comparable]) -> list[float]:
        compared.update(each.text("first_name") for each in (one, *others))
        return score(scorer, one, others)

    monkeypatch.setattr(OnlineScorer, "score", seen)
    sent = record("pos", "1", "Bea")
    sent["consents"] = [{"purpose": "identity_linking", "state": "objected"}]
    sent["attributes"]["first_name"] = "Beatrice"
    restricted = record("pos", "2", "Carl")
    restricted["consents"] = [{"purpose": "marketing_email", "state": "restricted"}]
    restricted["attributes"]["first_name"] = "Carlo"
    records = [incoming(RecordIn.model_validate(each)) for each in (sent, restricted)]
    found = town.services.arrivals.receive([*records, arriving("pos", "3", "Dora")])
    assert [each.decision for each in found] == ["new", "new", "attached"]
    assert [each.written.linking for each in found] == [False, False, True]
    assert "dora" in compared
    assert not compared & {"beatrice", "carlo"}


def test_tasks_of_an_event_loop_share_turns_and_threads_take_theirs(town: World) -> None:
    arrivals = town.services.arrivals
    wanted = {name: town.send(record("crm", name, name))[0]["golden_id"] for name in TOWN}

    async def all_at_once() -> list[list[Arrived]]:
        return await asyncio.gather(
            *(arrivals.received([arriving("pos", f"task-{at}", TOWN[at % 6])]) for at in range(24))
        )

    with ThreadPoolExecutor(6) as pool:
        of_threads = [
            pool.submit(arrivals.receive, [arriving("web", f"thread-{at}", TOWN[at % 6])]) for at in range(24)
        ]
        found = [*asyncio.run(all_at_once()), *(future.result(60) for future in of_threads)]
    for at, (each,) in enumerate(found):
        assert each.golden_id == wanted[TOWN[at % 6]]


def test_a_task_is_told_what_failed_and_the_next_is_answered(
    town: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusing(*_: Any, **__: Any) -> list[WriteResult]:
        raise OSError("no disk")

    with monkeypatch.context() as patched:
        patched.setattr(town.services.writer, "write", refusing)
        with pytest.raises(OSError, match="no disk"):
            asyncio.run(town.services.arrivals.received([arriving("pos", "1", "Ana")]))
    (found,) = asyncio.run(town.services.arrivals.received([arriving("pos", "1", "Ana")]))
    assert found.decision == "attached"
    assert asyncio.run(town.services.arrivals.received([])) == []


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


def test_what_ends_a_thread_leaves_nobody_without_a_turn(
    town: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, ends = town.services.writer.write, [SystemExit()]

    def ending(records: Sequence[IncomingRecord], **said: Any) -> list[WriteResult]:
        if ends:
            raise ends.pop()
        return write(records, **said)

    monkeypatch.setattr(town.services.writer, "write", ending)
    calls = [_Call([arriving("pos", str(number), "Zoe")]) for number in range(MOST_TOGETHER + 1)]
    with pytest.raises(SystemExit):
        town.services.arrivals._work(calls)
    assert [call.failed is None for call in calls] == [*[False] * MOST_TOGETHER, True]
    with ThreadPoolExecutor(1) as pool:
        (after,) = pool.submit(town.services.arrivals.receive, [arriving("pos", "0", "Zoe")]).result(20)
    assert after.golden_id == calls[-1].answers()[0].golden_id
