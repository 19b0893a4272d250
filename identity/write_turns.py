"""Whose turn it is to write to an SQLite store: taken soon after it is free.

SQLite's own busy handler sleeps 1, 2, 5, 10, 15, 20, 25 ms and so on between its attempts, so workers that
write all the time mostly sleep: two of them took fewer records a second than one. Here threads of a process
queue, and whoever is first in the queue asks for the lock of the file every few hundred microseconds, a
little more slowly the longer another process keeps it.
"""

import math
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any, Final

from identity.errors import StoreBusyError

_SOONEST: Final = 0.0002  # s between two attempts at first
_LATEST: Final = 0.005


class WriteTurns:
    """The turns of one process at one store. Threads wait for each other, not for a timer."""

    def __init__(self, patience_ms: int) -> None:
        self._patience = patience_ms / 1000
        self._lock = Lock()

    @contextmanager
    def taken(self) -> Iterator[float]:
        """Be the only thread of this process that writes; yields until when `begin_write` may wait, in turn.

        That is a time of `time.monotonic`. Raises StoreBusyError as `begin_write` would.
        """
        until = time.monotonic() + self._patience
        if not self._lock.acquire(timeout=self._patience):
            raise StoreBusyError("another thread holds the write lock; try again")
        try:
            yield until
        finally:
            self._lock.release()


def begin_write(driver: Any, until: float = math.inf) -> None:
    """Begin a write transaction of SQLite's, waiting for the lock as long as `busy_timeout` allows.

    And no longer than `until`, a time of `time.monotonic`: who queued for a turn has waited already. Raises
    SQLite's OperationalError, SQLITE_BUSY where another process did not let go.
    """
    (patience_ms,) = driver.execute("PRAGMA busy_timeout").fetchone()
    driver.execute("PRAGMA busy_timeout=0")
    until, pause = min(until, time.monotonic() + patience_ms / 1000), _SOONEST
    try:
        while not _begun(driver, last=time.monotonic() >= until):
            time.sleep(pause)
            pause = min(pause * 1.2, _LATEST)
    finally:
        driver.execute(f"PRAGMA busy_timeout={int(patience_ms)}")


def _begun(driver: Any, *, last: bool) -> bool:
    try:
        driver.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError as error:
        if last or error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
            raise
        return False
    return True
