"""What a running service does every hour: finish what was left half done, merge the token index.

Any number of workers may try; one of a machine does it. Workers on several machines may do it at once,
which is harmless: each step is idempotent, and an index that is merged twice is merged.
"""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

import structlog

from api.observability import where

EVERY_SECONDS: Final = 3600.0


@contextmanager
def only_one(home: Path) -> Iterator[bool]:
    """Yield whether no other process of this machine is keeping house in `home`; none begins meanwhile."""
    descriptor = os.open(home, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)


@asynccontextmanager
async def kept(work: Callable[[], None], every: float) -> AsyncIterator[None]:
    """Do `work` in a thread every so many seconds, until the block ends; work under way is finished."""
    stop = asyncio.Event()
    task = asyncio.create_task(_repeat(work, every, stop))
    try:
        yield
    finally:
        stop.set()
        await task


async def _repeat(work: Callable[[], None], every: float, stop: asyncio.Event) -> None:
    while True:
        try:
            await asyncio.wait_for(stop.wait(), every)
        except TimeoutError:
            try:
                await asyncio.to_thread(work)
            except Exception as error:  # noqa: BLE001 - a busy store must not end it; the next hour tries again
                structlog.get_logger().warning(
                    "housekeeping_failed", error=type(error).__name__, at=where(error)
                )
        else:
            return
