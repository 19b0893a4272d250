"""The write side of golden IDs: make a difference visible at once, without ever holding others up.

A run's rows carry version + 1, which nobody reads. What a crash leaves behind, step by step:

1. `stage` writes rows in transactions of at most LOCK_MS, pausing as long after each. A crash leaves rows
   of a version that was never published: the previous state keeps serving, and the next start removes
   them (`recover`) before it stages anything of its own under the same number.
2. `switch` increments `published_version` and ends the run, in one small transaction: all or nothing.
3. `compact` removes rows that no version from the published one on can see. A crash leaves some.

Online writes go on meanwhile, at the published version. They know nothing of staged rows; where they
touched the same people, `identity.rerun` unstages and resolves these again before the switch.
"""

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Final, TypeVar

from sqlalchemy import Connection

from identity.database import Database
from identity.difference import Difference
from identity.household_store import (
    DELETE_NAME,
    EMPTY_NAMES,
    HOUSEHOLD_MEMBERS,
    STAGED_NAMES,
    household_steps,
    reserve,
)
from identity.households import Plan
from identity.leases import Clock, Lease
from identity.rows import changes, count_up, steps, write_changes
from identity.statements import Statement
from identity.store import MembershipReader
from identity.versioned import VERSIONED

LOCK_MS: Final = 20.0
"""Longest a bulk writer may hold the write lock (privacy.md section 8)."""

AIM_MS: Final = 8.0
"""What the rows of a batch may take. The rest is left for the commit, which waits for the disk (0.3 ms when
idle, 8 ms beside others) however few rows it has: sizing by it would make batches small and the whole slow.
"""

MOST_MS: Final = 14.0
"""What rows and commit may take together: rows scattered over the table make the commit write many pages."""

FIRST_BATCH: Final = 200
LARGEST_BATCH: Final = 8_000

CHECKPOINT_EVERY: Final = 25
"""Transactions between two checkpoints, made while pausing: about 4 MB of log."""

T = TypeVar("T")

Hook = Callable[[str], None]

_SWITCH: Final = Statement("""
    UPDATE counters SET value = :version WHERE name = 'published_version' AND value = :version - 1
""")

_STAGED_NAMES: Final = Statement(
    "SELECT golden_id, golden_no FROM golden_ids WHERE created_version > :version"
)
_DELETE_NAME: Final = Statement("DELETE FROM golden_names WHERE golden_id = :golden_id")
_DELETE_GOLDEN: Final = Statement("DELETE FROM golden_ids WHERE golden_no = :golden_no")
_STAGED_LINEAGE: Final = Statement("""
    SELECT golden_no, other_no, version FROM lineage WHERE version > :version
""")
_DELETE_LINEAGE: Final = Statement("""
    DELETE FROM lineage WHERE golden_no = :golden_no AND other_no = :other_no AND version = :version
""")
_STAGED_CHANGES: Final = Statement("SELECT version, seq FROM changes WHERE version > :version")
_DELETE_CHANGE: Final = Statement("DELETE FROM changes WHERE version = :version AND seq = :seq")


def _proceed(_step: str) -> None:
    """Do nothing: the hook of production."""


class Publisher:
    """Writes in small transactions. `longest_ms` tells the longest that one held the lock.

    `hook` is called before every transaction with the name of the step: where tests stop or kill the
    process.
    """

    def __init__(self, db: Database, clock: Clock, *, hook: Hook = _proceed) -> None:
        self._db = db
        self._clock = clock
        self._hook = hook
        self._reader = MembershipReader()
        self._released = 0.0  # when the lock was let go, and how long it had been held
        self._held_ms = 0.0
        self._transactions = 0
        self.longest_ms = 0.0

    def stage(self, lease: Lease, difference: Difference, version: int) -> None:
        """Write everything of `difference` at the unpublished `version`. Raises RunLostError."""
        for statement, rows in steps(difference, version, staged=True):
            self.in_batches("stage", rows, statement.many, lease)
        feed = changes(difference.events, version, self._clock())
        self.in_batches("stage changes", feed, write_changes, lease)

    def stage_households(self, lease: Lease, plan: Plan, version: int) -> None:
        """Write the households of a run at the unpublished `version`. Raises RunLostError."""
        with self.locked("reserve households") as conn:
            lease.check(conn)
            reserve(conn, plan)
        for statement, rows in household_steps(plan, version):
            self.in_batches("stage households", rows, statement.many, lease)

    def reserve_golden_nos(self, lease: Lease, count: int) -> int:
        """Take `count` golden numbers, so that what a run creates can't meet what is created online."""
        with self.locked("reserve") as conn:
            lease.check(conn)
            return count_up(conn, "golden_no", count)

    def switch(self, conn: Connection, version: int) -> None:
        """Publish `version`, in the caller's transaction, which also ends the run."""
        if _SWITCH.run(conn, version=version) != 1:
            raise AssertionError("another run published although this one held the lease")

    def recover(self, lease: Lease) -> None:
        """Remove what runs that never published left staged; the holder of the lease may."""
        with self._db.read() as conn:
            version = self._reader.version(conn)
            for table in (*VERSIONED, HOUSEHOLD_MEMBERS):
                self._sweep(conn, table.staged, table.delete, version, lease)
                self._sweep(conn, table.ended, table.reopen, version, lease)
            self._sweep(conn, _STAGED_LINEAGE, _DELETE_LINEAGE, version, lease)
            self._sweep(conn, _STAGED_CHANGES, _DELETE_CHANGE, version, lease)
            self._sweep(conn, STAGED_NAMES, DELETE_NAME, version, lease)
            for rows in _STAGED_NAMES.chunks(conn, LARGEST_BATCH, version=version):
                names, numbers = ([(row[place],) for row in rows] for place in (0, 1))
                self.in_batches("recover", iter(names), _DELETE_NAME.many, lease)
                self.in_batches("recover", iter(numbers), _DELETE_GOLDEN.many, lease)

    def compact(self, lease: Lease | None = None) -> None:
        """Remove what no version from the published one on can see. A row may be there a while longer."""
        with self._db.read() as conn:
            version = self._reader.version(conn)
            for table in (*VERSIONED, HOUSEHOLD_MEMBERS):
                self._sweep(conn, table.superseded, table.delete, version, lease, step="compact")
        with self._db.read() as conn:
            self._sweep(conn, EMPTY_NAMES, DELETE_NAME, version, lease, step="compact")

    def _sweep(
        self,
        conn: Connection,
        scan: Statement,
        repair: Statement,
        version: int,
        lease: Lease | None,
        *,
        step: str = "recover",
    ) -> None:
        for rows in scan.chunks(conn, LARGEST_BATCH, version=version):
            self.in_batches(step, iter(rows), repair.many, lease)

    def in_batches(
        self,
        step: str,
        rows: Iterator[T],
        write: Callable[[Connection, list[T]], None],
        lease: Lease | None,
        *,
        first: int = FIRST_BATCH,
    ) -> None:
        """Write `rows` in transactions sized by how long the last one took to write its rows."""
        size = first
        while batch := list(islice(rows, size)):  # prepared while nobody has to wait for it
            with self.locked(step) as conn:
                if lease is not None:
                    lease.check(conn)
                began = time.perf_counter()
                write(conn, batch)
                took_ms = (time.perf_counter() - began) * 1000
            room = min(AIM_MS / max(took_ms, 0.001), MOST_MS / max(self._held_ms, 0.001))
            size = max(1, min(LARGEST_BATCH, int(size * min(2.0, max(0.5, room)))))

    @contextmanager
    def locked(self, step: str) -> Iterator[Connection]:
        """Open a write transaction after a pause as long as the last one held the lock."""
        self._transactions += 1
        if self._transactions % CHECKPOINT_EVERY == 0:
            self._db.checkpoint()
        pause = self._released + self._held_ms / 1000 - time.perf_counter()
        if pause > 0:
            time.sleep(pause)
        self._hook(step)
        began = None
        collects = gc.isenabled()
        gc.disable()  # a collection among a run's millions of objects can take longer than the batch
        try:
            with self._db.write(checkpoint=False) as conn:
                began = time.perf_counter()
                yield conn
        finally:
            if collects:
                gc.enable()
            self._released = time.perf_counter()
            if began is not None:
                self._held_ms = (self._released - began) * 1000
                self.longest_ms = max(self.longest_ms, self._held_ms)
