"""The reads that wait on an event loop, answered together: one snapshot, one write of the access log.

Much of what a read does several could share: the statements, the transactions around them,
the wait for the disk. So a read that comes joins those that came in the same turn of the loop, and the more
there are, the more they share. Each is decided, logged and answered as if it had come alone.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

from consent.answers import Answer, RevealRequest
from consent.errors import AccessLogError

if TYPE_CHECKING:
    from consent.enforcement import Door

MOST_TOGETHER: Final = 32
"""Requests answered in one go, for which the loop is held up some milliseconds."""

PART: Final = 16
"""Different requests of one caller that are read and decided on in one go, with those that are equal to them
or whose answer is kept up to MOST_AT_ONCE. A longer list is asked in such parts, one after the other, and no
more than two of all callers' at a time (one decides while another waits for the disk): between them whoever
asks for one person is answered.
"""

MOST_AT_ONCE: Final = 128

SWEEP_SECONDS: Final = 1.0
"""How long what the door keeps may outlive a change of the stores where nobody asks for anything."""

Noted = Callable[[Sequence[int]], Awaitable[None] | None]
"""Told whose golden numbers an answer will name, once the log says so; what it returns must be done before
anything is opened. Earlier it would let the change feed tell of people of whom the log says nothing. Where it
returns something, they were not noted before; then what was committed meanwhile is decided on again."""


@dataclass(slots=True)
class _Read:
    """Requests for one purpose that one caller sent, and whoever waits for the answers."""

    requests: Sequence[RevealRequest]
    now: int
    noted: Noted
    done: asyncio.Future[list[Answer]]


@dataclass(slots=True)
class _Turn:
    """What waits on one event loop."""

    by_purpose: dict[str, list[_Read]] = field(default_factory=dict)
    parts: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(2))  # of long lists
    sweeping: bool = False  # it is seen to


class GatheredReads:
    """Gathers the reads of each event loop by purpose. Safe for several loops in several threads."""

    def __init__(self, door: "Door") -> None:
        self._door = door
        self._turns: WeakKeyDictionary[asyncio.AbstractEventLoop, _Turn] = WeakKeyDictionary()
        self._answering: set[asyncio.Task[None]] = set()  # a loop itself does not keep its tasks

    async def answers(self, requests: Sequence[RevealRequest], now: int, noted: Noted) -> list[Answer]:
        """Answer requests for one purpose, in their order. Raises as `Door.reveal`."""
        loop = asyncio.get_running_loop()
        turn = self._turns.setdefault(loop, _Turn())
        if len(requests) <= PART:
            return await self._joining(loop, turn, _Read(requests, now, noted, loop.create_future()))
        found: list[Answer] = []
        while len(found) < len(requests):
            async with turn.parts:
                part = self._part(requests, len(found), now)
                found += await self._joining(loop, turn, _Read(part, now, noted, loop.create_future()))
        return found

    def _part(self, requests: Sequence[RevealRequest], at: int, now: int) -> Sequence[RevealRequest]:
        """Cut the next part of a list. In one part a person is decided on once, however often asked for."""
        different: set[RevealRequest] = set()
        end = at
        most = requests[at : at + MOST_AT_ONCE]
        for request, kept in zip(most, self._door.are_kept(most, now), strict=True):
            if not kept and request not in different:
                if len(different) == PART:
                    break
                different.add(request)
            end += 1
        return requests[at:end]

    async def _joining(self, loop: asyncio.AbstractEventLoop, turn: _Turn, read: _Read) -> list[Answer]:
        """Ask together with the others of this turn."""
        purpose = read.requests[0].purpose
        if purpose in turn.by_purpose:
            turn.by_purpose[purpose].append(read)
        else:
            turn.by_purpose[purpose] = [read]
            loop.call_soon(self._begin, loop, turn, purpose)
        return await read.done

    def _begin(self, loop: asyncio.AbstractEventLoop, turn: _Turn, purpose: str) -> None:
        for together in _parts(turn.by_purpose.pop(purpose)):
            task = loop.create_task(self._answer(together))
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)

    async def _answer(self, reads: Sequence[_Read]) -> None:
        try:
            found = await self._found(reads)
        except Exception as error:  # noqa: BLE001 - handed on to whom it concerns
            if len(reads) == 1 or isinstance(error, AccessLogError):  # which is everybody's
                for read in reads:
                    if not read.done.done():
                        read.done.set_exception(error)
                return
            for read in reads:  # one must not fail for another; what is logged twice was opened once at most
                await self._answer([read])
            return
        except BaseException:  # the service stops
            for read in reads:
                read.done.cancel()
            raise
        for read, answers in zip(reads, found, strict=True):
            if not read.done.done():  # or its caller has gone
                read.done.set_result(answers)

    async def _found(self, reads: Sequence[_Read]) -> list[list[Answer]]:
        now = max(read.now for read in reads)
        outcomes = self._door.decided_or_kept([request for read in reads for request in read.requests], now)
        each = iter(outcomes.of_requests)
        of_reads = [list(islice(each, len(read.requests))) for read in reads]
        await self._door.logged([outcome.entry for outcome in outcomes.of_requests])
        others = [
            told
            for read, mine in zip(reads, of_reads, strict=True)
            if (told := read.noted([no for each in mine for no in each.named])) is not None
        ]
        if others:
            await asyncio.gather(*others)
            if self._door.overtaken(outcomes):  # of what came before it was noted, no feed tells this caller
                return await self._found(reads)
        self._sweep_soon()
        answers = iter(self._door.given(outcomes))
        return [list(islice(answers, len(mine))) for mine in of_reads]

    def _sweep_soon(self) -> None:
        """See in a while to what the door keeps, until it keeps nothing."""
        loop = asyncio.get_running_loop()
        turn = self._turns[loop]
        if not turn.sweeping:
            turn.sweeping = True
            loop.call_later(SWEEP_SECONDS, self._sweep, turn)

    def _sweep(self, turn: _Turn) -> None:
        turn.sweeping = False
        if self._door.sweep():
            self._sweep_soon()


def _parts(reads: Sequence[_Read]) -> list[list[_Read]]:
    """Cut into groups of at most MOST_TOGETHER requests."""
    parts: list[list[_Read]] = []
    room = 0
    for read in reads:
        if len(read.requests) > room:
            parts.append([])
            room = MOST_TOGETHER
        parts[-1].append(read)
        room -= len(read.requests)
    return parts
