"""Records that arrive at the same time at several workers: one new person ends with one golden ID."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from threading import Barrier

import pytest

from api.incoming import incoming
from api.schemas import RecordIn
from api.services import Services, open_services
from identity.arriving import Arrival
from tests.world import World, record, row

TOWN = ("Ana", "Bea", "Carl", "Dora", "Emil", "Fritz", "Gina", "Hans")


@pytest.fixture
def workers(world: World) -> Iterator[list[Services]]:
    """Two workers with objects of their own over one home whose model is trained."""
    world.ingest(
        *(row(channel, str(no), name) for no, name in enumerate(TOWN) for channel in ("crm", "web", "pos"))
    )
    world.link()
    with ExitStack() as stack:
        both = [open_services(world.settings, world.clock) for _ in range(2)]
        for worker in both:
            stack.callback(worker.close)
        yield both


def stored(worker: Services, channel: str, source_id: str, person: str) -> int:
    sent = incoming(RecordIn.model_validate(record(channel, source_id, person)))
    (written,) = worker.writer.write([sent], now=worker.clock())
    assert written.record_no is not None
    return written.record_no


def golden_ids(worker: Services, *numbers: int) -> set[int]:
    with worker.db.read() as conn:
        found = worker.memberships.goldens_of(conn, list(numbers))
    assert found.keys() == set(numbers)
    return set(found.values())


def test_one_who_was_not_seen_yet_is_found_whoever_resolves_first(
    workers: list[Services], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first looked for candidates before the second was stored, which then resolves before it does."""
    one, other = workers
    first = stored(one, "crm", "n1", "Nora")
    looked = one.resolver._looked_for
    second: list[int] = []

    def then_the_other_comes(record_nos: Sequence[int]) -> list[Arrival]:
        found = looked(record_nos)
        if not second:
            second.append(stored(other, "web", "n2", "Nora"))
            other.resolver.resolve(second[0], other.clock())
        return found

    monkeypatch.setattr(one.resolver, "_looked_for", then_the_other_comes)
    one.resolver.resolve(first, one.clock())
    assert len(golden_ids(one, first, *second)) == 1


def test_both_may_resolve_at_any_moment(workers: list[Services]) -> None:
    for turn in range(15):
        barrier = Barrier(2)
        name = f"Name{turn}x{turn * 7919 % 997}"

        def arrive(worker: Services, channel: str, name: str = name, barrier: Barrier = barrier) -> int:
            barrier.wait(10)
            number = stored(worker, channel, name, name)
            worker.resolver.resolve(number, worker.clock())
            return number

        with ThreadPoolExecutor(2) as pool:
            numbers = list(pool.map(arrive, workers, ("crm", "web")))
        assert len(golden_ids(workers[0], *numbers)) == 1, turn


def test_both_may_store_and_resolve_in_one_commit_at_any_moment(workers: list[Services]) -> None:
    """Neither sees the other's record before its own commit: whoever commits second looks again."""
    for turn in range(20):
        barrier = Barrier(2)
        name = f"Name{turn}y{turn * 6841 % 997}"

        def arrive(worker: Services, channel: str, name: str = name, barrier: Barrier = barrier) -> str:
            sent = incoming(RecordIn.model_validate(record(channel, name, name)))
            barrier.wait(10)
            (found,) = worker.arrivals.receive([sent])
            assert found.golden_id is not None
            return found.golden_id

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(arrive, workers, ("crm", "web")))
        found = [
            arrive(one, channel, barrier=Barrier(1))
            for one, channel in zip(workers, ("crm", "web"), strict=True)
        ]
        assert len(set(found)) == 1, turn
