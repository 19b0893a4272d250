"""One linkage run at a time: the row of `runs` with status `running` is the lease.

A run renews its lease while it works (`Lease.kept`), and every transaction that writes for it first checks
that it still holds it (`Lease.check`), so a run that slept past its lease can write nothing. A lease of a
process that is gone from this very machine is taken over at once, any other when it has run out.
"""

import os
import platform
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy import Connection

from identity.database import Database
from identity.errors import IdentityError, RunInProgressError, RunLostError
from identity.statements import Statement

LEASE_MS: Final = 60_000
RENEW_SECONDS: Final = 15.0

Clock = Callable[[], int]

_RUNNING = Statement("SELECT run_id, holder, lease_until FROM runs WHERE status = 'running'")

_ABANDON = Statement("""
    UPDATE runs SET status = 'abandoned', finished_at = :now WHERE run_id = :run_id AND status = 'running'
""")

_BEGIN = Statement("""
    INSERT INTO runs (run_id, status, holder, started_at, lease_until)
    VALUES (:run_id, 'running', :holder, :now, :until)
""")

_RENEW = Statement("UPDATE runs SET lease_until = :until WHERE run_id = :run_id AND status = 'running'")

_CHECK = Statement("SELECT 1 FROM runs WHERE run_id = :run_id AND status = 'running'")

_FINISH = Statement("""
    UPDATE runs
    SET status = :status, finished_at = :now, version = :version, snapshot_sequence = :sequence,
        model_version = :model_version, summary = :summary
    WHERE run_id = :run_id AND status = 'running'
""")


class Lease:
    """The right to publish, held by one run."""

    def __init__(self, db: Database, run_id: str, clock: Clock) -> None:
        self.run_id = run_id
        self._db = db
        self._clock = clock

    @classmethod
    def acquire(cls, db: Database, clock: Clock) -> "Lease":
        """Begin a run. Raises RunInProgressError while another one holds the lease.

        What a dead run staged is still there: `publishing.recover` removes it before anything is staged.
        """
        run_id = f"run_{secrets.token_hex(8)}"
        with db.write() as conn:
            now = clock()
            for other, holder, until in _RUNNING.rows(conn):
                if not is_cut_off(holder, until, now):
                    raise RunInProgressError(
                        f"{other} by {holder} holds the lease for another {(until - now + 999) // 1000} s"
                    )
                _ABANDON.run(conn, run_id=other, now=now)
            _BEGIN.run(conn, run_id=run_id, holder=_holder(), now=now, until=now + LEASE_MS)
        return cls(db, run_id, clock)

    def check(self, conn: Connection) -> None:
        """Raise RunLostError unless this run still holds the lease; for use inside a write transaction."""
        if not _CHECK.rows(conn, run_id=self.run_id):
            raise RunLostError(f"{self.run_id} lost its lease; it published nothing")

    def renew(self) -> None:
        """Hold the lease for another LEASE_MS."""
        with self._db.write(counted=False) as conn:
            _RENEW.run(conn, run_id=self.run_id, until=self._clock() + LEASE_MS)

    def finish(
        self,
        conn: Connection,
        status: str,
        *,
        version: int | None = None,
        sequence: int | None = None,
        model_version: str | None = None,
        summary: str | None = None,
    ) -> None:
        """End the run as `published` or `failed`, in the caller's transaction."""
        self.check(conn)
        _FINISH.run(
            conn, run_id=self.run_id, status=status, now=self._clock(), version=version, sequence=sequence,
            model_version=model_version, summary=summary,
        )  # fmt: skip

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Renew in the background while the block runs; on an exception the run is marked failed."""
        done = threading.Event()
        keeper = threading.Thread(target=self._keep, args=(done,), name="lease", daemon=True)
        keeper.start()
        try:
            yield
        except BaseException:
            _stop(done, keeper)
            with self._db.write() as conn:
                if _CHECK.rows(conn, run_id=self.run_id):
                    self.finish(conn, "failed")
            raise
        _stop(done, keeper)

    def _keep(self, done: threading.Event) -> None:
        while not done.wait(RENEW_SECONDS):
            try:
                self.renew()
            except IdentityError:  # a busy store: the lease outlasts several attempts, and check() decides
                continue


def _stop(done: threading.Event, keeper: threading.Thread) -> None:
    done.set()
    keeper.join()


def _holder() -> str:
    return f"{platform.node()}/{os.getpid()}"


def is_cut_off(holder: str, until: int, now: int) -> bool:
    """Whether a run that counts as running is none: its lease ran out, or its process is gone from here."""
    return until <= now or _is_dead(holder)


def _is_dead(holder: str) -> bool:
    """Whether the holder ran on this machine and is no more. A number in use again only delays."""
    node, _, process = holder.rpartition("/")
    if node != platform.node() or not process.isdigit():
        return False
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
