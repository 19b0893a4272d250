"""A group commit: durable before anybody hears of it, few writes for many, failing for all it concerns."""

import asyncio
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from consent.access_log import AccessEntry, AccessLog
from consent.access_log_reading import entries, verify
from consent.errors import AccessLogError
from consent.group_commit import GroupCommit


def entry(number: int) -> AccessEntry:
    return AccessEntry(1_790_000_000_000 + number, "c_1", "service", "revealed", ("email",), 7, (1,))


def test_who_comes_during_a_write_shares_the_next_one() -> None:
    written: list[list[int]] = []
    first_may_end = threading.Event()

    def write(items: Sequence[int]) -> None:
        if not written:
            assert first_may_end.wait(10)
        written.append(list(items))

    async def run() -> None:
        group = GroupCommit[int](write)
        first = asyncio.create_task(group.committed([0]))
        await asyncio.sleep(0.01)  # the first write is under way
        others = [asyncio.create_task(group.committed([number])) for number in range(1, 20)]
        await asyncio.sleep(0.01)
        assert not any(task.done() for task in (first, *others))
        first_may_end.set()
        await asyncio.gather(first, *others)

    asyncio.run(run())
    assert written == [[0], list(range(1, 20))]


async def asked_again_and_again(group: GroupCommit[int], callers: int, times: int) -> None:
    async def caller(number: int) -> None:
        for _ in range(times):
            await group.committed([number])
            await asyncio.sleep(0)

    first = asyncio.create_task(caller(0))
    await asyncio.sleep(0)  # its write is under way when the others come
    await asyncio.gather(first, *(asyncio.create_task(caller(number)) for number in range(1, callers)))


def test_callers_that_ask_again_at_once_share_every_write_where_it_waits_for_them() -> None:
    sizes: list[int] = []
    group = GroupCommit[int](lambda items: sizes.append(len(items)), regather_s=0.5)
    asyncio.run(asked_again_and_again(group, callers=8, times=5))
    assert sizes == [1, 8, 8, 8, 8, 7]


def test_a_loop_that_is_busy_with_others_keeps_nobody_waiting() -> None:
    """Three were answered, two of them come no more, and the loop never has nothing to do."""

    async def run() -> None:
        group = GroupCommit[int](lambda _: time.sleep(0.01), regather_s=0.02)

        def work() -> None:
            time.sleep(0.0005)  # what a loop does for them

        async def others() -> None:
            while True:
                work()
                await asyncio.sleep(0)

        busy = asyncio.create_task(others())
        await asyncio.gather(*(group.committed([number]) for number in range(3)))
        await asyncio.wait_for(group.committed([3]), 5)
        busy.cancel()

    asyncio.run(run())


def test_a_caller_alone_waits_for_nobody() -> None:
    async def run() -> float:
        group = GroupCommit[int](lambda _: None, regather_s=5)
        began = time.monotonic()
        for number in range(3):
            await group.committed([number])
        return time.monotonic() - began

    assert asyncio.run(run()) < 4


def test_a_failed_write_fails_for_everybody_it_held_and_for_nobody_else() -> None:
    def write(items: Sequence[int]) -> None:
        if 1 in items:
            raise AccessLogError("no")

    async def run() -> list[object]:
        group = GroupCommit[int](write)
        first = asyncio.create_task(group.committed([0]))
        await asyncio.sleep(0)
        pair = [asyncio.create_task(group.committed([number])) for number in (1, 2)]
        held = await asyncio.gather(first, *pair, return_exceptions=True)
        return [*held, await group.committed([3])]

    first, one, two, last = asyncio.run(run())
    assert (first, last) == (None, None)
    assert isinstance(one, AccessLogError)
    assert isinstance(two, AccessLogError)


def test_access_log_entries_of_one_loop_are_on_disk_when_their_waiters_go_on(tmp_path: Path) -> None:
    log = AccessLog(tmp_path)

    async def one(number: int) -> bool:
        await log.appended([entry(number)])
        return entry(number) in list(entries(tmp_path))

    async def run() -> list[bool]:
        return await asyncio.gather(*(one(number) for number in range(40)))

    assert asyncio.run(run()) == [True] * 40
    log.close()
    report = verify(tmp_path)
    assert (report.entries, report.problems) == (40, ())


def test_a_log_that_cannot_be_written_lets_no_waiter_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fdatasync", broken)
    log = AccessLog(tmp_path)

    async def run() -> list[object]:
        waiting = (log.appended([entry(number)]) for number in range(5))
        return await asyncio.gather(*waiting, return_exceptions=True)

    assert [type(outcome) for outcome in asyncio.run(run())] == [AccessLogError] * 5
