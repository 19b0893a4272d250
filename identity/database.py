"""One relational store behind SQLAlchemy Core: SQLite embedded, PostgreSQL when one machine is outgrown.

Readers see one snapshot and never wait. Writers are serialised: `BEGIN IMMEDIATE` on SQLite, one
transaction-scoped advisory lock on PostgreSQL, so that counters, the ledger's index and the change
sequence need no retry loops and behave alike on both. What only PostgreSQL needs is in `identity.postgresql`.
"""

import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from identity import postgresql
from identity.errors import IdentityError, StoreBusyError, StoreDamagedError
from identity.log_copying import LogCopying
from identity.read_snapshots import ReadSnapshot, ReadSnapshots
from identity.store_failures import failure_of
from identity.write_turns import WriteTurns, begin_write

BUSY_TIMEOUT_MS = 30_000
AUTOCHECKPOINT_PAGES = 1_000  # SQLite's default, 4 MB
_UNTIL = "aurea_write_until"  # of a write transaction on SQLite: how long it may wait to begin


class Database:
    """A store with `read()` and `write()` transactions."""

    def __init__(self, engine: Engine, *, lock_id: int) -> None:
        self.engine = engine
        self._lock_id = lock_id
        self._snapshots = ReadSnapshots(engine, self._named)
        self._copying = LogCopying(self.checkpoint)
        self._turns = WriteTurns(BUSY_TIMEOUT_MS)
        self.damaged = False  # found by whoever read or wrote; the process is then not ready

    @property
    def is_sqlite(self) -> bool:
        """Whether this is the embedded store."""
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One consistent snapshot; rolled back at the end."""
        with self._failures_named(), self.engine.connect() as connected:
            if self.is_sqlite:
                yield connected
            else:
                yield connected.execution_options(isolation_level="REPEATABLE READ")

    def snapshot(self, *, single: bool = False) -> AbstractContextManager[ReadSnapshot]:
        """One consistent snapshot on the driver: for paths where `read()` costs more than its statements.

        `single`: of one statement, which needs no transaction around it.
        """
        return self._snapshots.open(single=single)

    def commits(self) -> int | None:
        """Return how many commits were counted, modulo 2^31, whatever process they were of; None: not known.

        Kept by SQLite in the store's own header (https://sqlite.org/pragma.html#pragma_user_version), so it
        goes with the transaction. PostgreSQL has nothing that is as cheap.
        """
        if not self.is_sqlite:
            return None
        with self.snapshot(single=True) as snapshot:
            return int(snapshot.rows("PRAGMA user_version", ())[0][0])

    @contextmanager
    def write(self, *, checkpoint: bool = True, counted: bool = True) -> Iterator[Connection]:
        """Be the only writer of this store until the block ends; commits, or rolls back on an exception.

        `counted=False`: what it writes nobody is answered from (limits, who was told what), so that `commits`
        need not tell of it. Nothing is lost by forgetting to say so, but time.
        `checkpoint=False` keeps SQLite from copying its log into the store inside this commit, while the
        lock is held: bulk writers call `checkpoint()` between their transactions instead.
        """
        turn = self._turns.taken() if self.is_sqlite else nullcontext()
        with self._failures_named(), turn as until, self.engine.connect() as connected:
            options = {"isolation_level": "READ COMMITTED"} if until is None else {_UNTIL: until}
            conn = connected.execution_options(**options)
            transaction = conn.begin()
            if self.is_sqlite and not checkpoint:
                conn.exec_driver_sql("PRAGMA wal_autocheckpoint=0")
            try:
                with transaction:
                    if not self.is_sqlite:
                        conn.execute(postgresql.LOCK, {"id": self._lock_id})
                    before = _changes(conn) if self.is_sqlite and counted else None
                    yield conn
                    if before is not None and _changes(conn) != before:
                        _count(_driver(conn))
            finally:
                if self.is_sqlite and not checkpoint:
                    _driver(conn).execute(f"PRAGMA wal_autocheckpoint={AUTOCHECKPOINT_PAGES}")
        if self.is_sqlite and checkpoint:
            self._copying.committed()

    def is_writable(self) -> bool:
        """Whether a write could begin now, or only has to wait for another. Waits for nobody itself."""
        if self.damaged:
            return False
        if not self.is_sqlite:
            with self.snapshot(single=True) as snapshot:
                return snapshot.rows("SHOW transaction_read_only", ()) == [("off",)]  # a standby's is on
        raw = self.engine.raw_connection()
        try:
            cursor = raw.cursor()
            timeout = cursor.execute("PRAGMA busy_timeout").fetchone()[0]
            cursor.execute("PRAGMA busy_timeout=0")
            try:
                cursor.execute("BEGIN IMMEDIATE")
                cursor.execute("PRAGMA user_version=0")  # of a read-only store, BEGIN alone succeeds
            except sqlite3.OperationalError as error:
                return error.sqlite_errorcode == sqlite3.SQLITE_BUSY
            finally:
                raw.rollback()
                cursor.execute(f"PRAGMA busy_timeout={int(timeout)}")
        finally:
            raw.close()
        return True

    def checkpoint(self) -> None:
        """Copy SQLite's log into the store as far as readers allow; holds nobody up. PostgreSQL: nothing."""
        if self.is_sqlite:
            with self._failures_named(), self.engine.connect() as conn:
                _driver(conn).execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def truncate_log(self, deadline_s: float, tables: Sequence[str] = ()) -> bool:
        """Copy SQLite's log into the store and empty it; False if a reader prevents it until the deadline.

        On PostgreSQL the dead rows of `tables` are removed instead, which its own log, copies of that and
        free space of pages outlive.
        """
        if not self.is_sqlite:
            with self._failures_named():
                return not tables or postgresql.vacuum(self.engine, tables, deadline_s)
        with self._failures_named():
            return self._truncated(time.monotonic() + deadline_s)

    def _truncated(self, deadline: float) -> bool:
        raw = self.engine.raw_connection()  # a checkpoint cannot run inside a transaction
        try:
            cursor = raw.cursor()
            timeout = cursor.execute("PRAGMA busy_timeout").fetchone()[0]
            # While it waits for readers a checkpoint keeps writers out, so it waits briefly and often.
            cursor.execute("PRAGMA busy_timeout=50")
            try:
                while cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
                    if time.monotonic() > deadline:
                        return False
                    time.sleep(0.02)
            finally:
                cursor.execute(f"PRAGMA busy_timeout={int(timeout)}")
        finally:
            raw.close()
        return True

    @contextmanager
    def _failures_named(self) -> Iterator[None]:
        """Turn what the driver reports, and a caller can act upon, into errors of this package."""
        try:
            yield
        except PoolTimeoutError as error:
            raise StoreBusyError("every connection to the store is in use; try again") from error
        except (DBAPIError, sqlite3.Error) as error:
            named = self._named(error)
            if named is None:
                raise
            raise named from error

    def _named(self, error: DBAPIError | sqlite3.Error) -> IdentityError | None:
        named = failure_of(error)
        if named is None and isinstance(error, DBAPIError) and not self.is_sqlite:
            named = postgresql.failure(error, self.engine.url)
        self.damaged = self.damaged or isinstance(named, StoreDamagedError)
        return named

    def close(self) -> None:
        """Close every pooled connection (SQLite then checkpoints its write-ahead log)."""
        self._copying.wait()
        self._snapshots.close()
        self.engine.dispose()


def _driver(conn: Connection) -> Any:
    """Return the driver's own connection: pragmas on it begin no transaction."""
    return conn.connection.dbapi_connection


def _changes(conn: Connection) -> tuple[int, int]:
    """Return what is another value once a row or a table was changed on this connection."""
    driver = _driver(conn)
    (schema,) = driver.execute("PRAGMA schema_version").fetchone()
    return int(driver.total_changes), int(schema)


def _count(driver: Any) -> None:
    """Count the commit that is about to be."""
    (commits,) = driver.execute("PRAGMA user_version").fetchone()
    driver.execute(f"PRAGMA user_version={(int(commits) + 1) % 2**31}")


def open_database(
    url: str, *, secure_delete: bool = False, lock_id: int = 1, cache_mb: int = 64, create: bool = True
) -> Database:
    """Open the store at `url` (an SQLAlchemy URL). Tables are made by migrations, not here.

    `secure_delete` overwrites deleted content with zeros (SQLite only). `lock_id` tells the stores'
    advisory locks apart when one PostgreSQL server holds several. `create=False`: SQLite makes no empty file
    where there is none, now or at any later connection; reads and writes raise StoreUnreachableError.
    """
    # An error's text must not quote bound values. The connection used last is used first: its cache is warm.
    lifo = {"pool_use_lifo": True} if make_url(url).database not in {None, "", ":memory:"} else {}
    engine = create_engine(url, hide_parameters=True, **lifo)
    if engine.dialect.name == "sqlite":
        _discipline_sqlite(engine, secure_delete=secure_delete, cache_mb=cache_mb)
        if not create:
            _require_file(engine)
    else:
        postgresql.discipline(engine, lock_timeout_ms=BUSY_TIMEOUT_MS)
    return Database(engine, lock_id=lock_id)


def _require_file(engine: Engine) -> None:
    @event.listens_for(engine, "do_connect")
    def _existing(_dialect: Any, _record: Any, arguments: list[Any], named: dict[str, Any]) -> None:
        if not named.get("uri") and arguments[0] != ":memory:":
            arguments[0], named["uri"] = f"file:{quote(os.fsencode(arguments[0]))}?mode=rw", True


def _discipline_sqlite(engine: Engine, *, secure_delete: bool, cache_mb: int) -> None:
    pragmas = [
        f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}",
        "PRAGMA journal_mode=WAL",
        "PRAGMA synchronous=FULL",
        "PRAGMA foreign_keys=ON",
        "PRAGMA temp_store=MEMORY",  # a sorter that spilled to disk would leave bytes behind
        f"PRAGMA cache_size=-{cache_mb * 1024}",
        f"PRAGMA secure_delete={'ON' if secure_delete else 'OFF'}",
    ]

    @event.listens_for(engine, "connect")
    def _connect(dbapi_connection: Any, _record: Any) -> None:
        dbapi_connection.isolation_level = None  # the driver must not begin transactions of its own
        cursor = dbapi_connection.cursor()
        for pragma in pragmas:
            cursor.execute(pragma)
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(conn: Connection) -> None:
        until = conn.get_execution_options().get(_UNTIL)
        # On the driver: 10 us instead of 50. What it raises, `_failures_named` names as well.
        if until is not None:
            begin_write(_driver(conn), until)
        else:
            _driver(conn).execute("BEGIN")
