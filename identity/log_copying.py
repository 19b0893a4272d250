"""Copying SQLite's write-ahead log into the store in the background, so that no commit waits for it.

SQLite copies its log inside the commit that makes it longer than 1,000 pages: 20 to 70 ms that one of thirty
arrivals waited for. A passive checkpoint holds up neither readers nor writers, so a thread of this process
makes one after every few commits, and little is left to do inside one. What is durable does not change: a
commit is on disk in the log, and copying it is repeated after a crash.
"""

from collections.abc import Callable
from contextlib import suppress
from threading import Lock, Thread
from typing import Final

from sqlalchemy.exc import DBAPIError

from identity.errors import IdentityError

COMMITS_AT_ONCE: Final = 16
"""About 500 pages of arriving records, half of what a commit would wait for."""


class LogCopying:
    """Counts commits and runs `checkpoint` in a thread of its own. Safe from many threads."""

    def __init__(self, checkpoint: Callable[[], None]) -> None:
        self._checkpoint = checkpoint
        self._lock = Lock()
        self._commits = 0
        self._thread: Thread | None = None

    def committed(self) -> None:
        """Note a commit; after some of them the log is copied, unless it is being copied already."""
        with self._lock:
            self._commits += 1
            if self._commits < COMMITS_AT_ONCE or (self._thread is not None and self._thread.is_alive()):
                return
            self._commits = 0
            self._thread = Thread(target=self._copy, name="aurea-log-copying", daemon=True)
            self._thread.start()

    def wait(self) -> None:
        """Return once nothing is being copied: before the connections are closed."""
        with self._lock:
            thread = self._thread
        if thread is not None:
            thread.join()

    def _copy(self) -> None:
        # A full disk or a damaged store shows in the next commit as well, where somebody is told.
        with suppress(DBAPIError, IdentityError):
            self._checkpoint()
