"""One durable write for everybody who waits on an event loop: what a disk does 500 times a second.

Whoever comes while a write is under way waits for the next one, which then holds all of them. The writing
itself happens in a thread, so that the loop goes on answering.

Where beginning a write is dear, the next one also waits a moment for those who were just answered: callers
that ask again at once would otherwise fall into two groups that take turns, and pay for twice as many writes.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar
from weakref import WeakKeyDictionary

Item = TypeVar("Item")

_BUSY_S: Final = 0.0001  # a turn of an idle loop takes less
_LONGEST_S: Final = 0.02
_IDLE_S: Final = 0.001  # what a client on this machine takes from an answer to its next request, and more


@dataclass(slots=True)
class _Waiting(Generic[Item]):
    """What the next write of one event loop takes, and who waits for it."""

    items: list[Item] = field(default_factory=list)
    futures: list[asyncio.Future[None]] = field(default_factory=list)
    writer: asyncio.Task[None] | None = None  # a loop itself does not keep its tasks


class GroupCommit(Generic[Item]):
    """Gathers items of many tasks for `write`, which returns once all it was given are durable."""

    def __init__(self, write: Callable[[Sequence[Item]], None], *, regather_s: float = 0.0) -> None:
        """After a write for several, each of them may keep the next waiting for `regather_s` at most."""
        self._write = write
        self._regather_s = regather_s
        self._waiting: WeakKeyDictionary[asyncio.AbstractEventLoop, _Waiting[Item]] = WeakKeyDictionary()

    async def committed(self, items: Sequence[Item]) -> None:
        """Return once `items` are durable. Raises what `write` raised for the group that held them."""
        loop = asyncio.get_running_loop()
        waiting = self._waiting.setdefault(loop, _Waiting())
        done: asyncio.Future[None] = loop.create_future()
        waiting.items.extend(items)
        waiting.futures.append(done)
        if waiting.writer is None:
            waiting.writer = loop.create_task(self._write_all(loop, waiting))
        await done

    async def _write_all(self, loop: asyncio.AbstractEventLoop, waiting: _Waiting[Item]) -> None:
        """Write until nobody waits."""
        try:
            while waiting.futures:
                items, futures = waiting.items, waiting.futures
                waiting.items, waiting.futures = [], []
                failed: BaseException | None = None
                try:
                    await loop.run_in_executor(None, self._write, items)
                except Exception as error:  # noqa: BLE001 - handed on to everybody it concerns
                    failed = error
                except BaseException:
                    for future in futures:  # the service stops: nobody may take their items for written
                        future.cancel()
                    raise
                for future in futures:
                    if not future.done():
                        future.set_result(None) if failed is None else future.set_exception(failed)
                if self._regather_s and len(futures) + len(waiting.futures) > 1:
                    await self._regathered(waiting, len(futures))
        finally:
            waiting.writer = None

    async def _regathered(self, waiting: _Waiting[Item], answered: int) -> None:
        """Return once as many more wait, or the loop has had nothing to do for a while, or it took too long.

        Of a busy loop nobody can tell whether it is with them: that alone must keep nobody waiting.
        """
        now = time.perf_counter()
        most = len(waiting.futures) + answered
        until, latest = now + _IDLE_S, now + min(answered * self._regather_s, _LONGEST_S)
        while len(waiting.futures) < most and now < min(until, latest):
            before = now
            await asyncio.sleep(0)
            now = time.perf_counter()
            if now - before > _BUSY_S:  # it answered, or took in what was sent
                until = now + _IDLE_S
