"""What PostgreSQL needs of a connection, how its failures are told apart, and removing deleted rows.

A writer takes one advisory lock for the length of its transaction, so that READ COMMITTED is enough: every
statement after it sees all that was committed, and nobody else writes. The lock is named after the schema
too, so that homes which share a database do not wait for each other.
"""

import time
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import URL, Connection, Engine, event, text
from sqlalchemy.exc import DBAPIError, OperationalError

from identity.errors import IdentityError, StoreBusyError, StoreFullError, StoreUnreachableError

LOCK: Final = text("SELECT pg_advisory_xact_lock(:id, hashtext(coalesce(current_schema(), '')))")

_DISK_FULL: Final = "53100"
_BUSY: Final = {"55P03": "lock_not_available", "40P01": "deadlock_detected"}
_CANCELED: Final = "57014"  # by the server's statement_timeout, or its administrator
_UNREACHABLE: Final = {
    "53300": "too_many_connections", "57P01": "admin_shutdown", "57P02": "crash_shutdown",
    "57P03": "cannot_connect_now", "57P04": "database_dropped", "57P05": "idle_session_timeout",
    "25P03": "idle_in_transaction_session_timeout", "25P04": "transaction_timeout",
}  # fmt: skip
_CONNECTION_EXCEPTIONS: Final = "08"  # a class of states
_REFUSED: Final = {
    "42501": "grant the role USAGE and CREATE on the schema, and all on its tables",
    "3F000": "make the schema that its search_path names",
    "25006": "it takes no writes: name the primary, not a standby",
}
_ENCODING: Final = "UTF8"

# An acknowledged write must outlive a crash of the server, whatever the server's default is.
_DURABLE: Final = """
    SELECT set_config('synchronous_commit', 'on', false)
    WHERE current_setting('synchronous_commit') = 'off'
"""
_MARK: Final = "SELECT CAST(CAST(pg_current_xact_id() AS xid) AS text)"
# Snapshots that were taken before the marked transaction: to them what it deleted is still there.
_OLDER_SNAPSHOTS: Final = text("""
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
      AND age(backend_xmin) > age(CAST(:mark AS xid))
""")


def discipline(engine: Engine, *, lock_timeout_ms: int) -> None:
    """Set up every new connection: waiting for locks, durable commits, text.

    PostgreSQL's text has no NUL, and somebody may ask for a golden ID that has one: its symbol stands for it.
    A database that cannot hold every letter is refused with StoreUnreachableError.
    """
    from psycopg.types.string import StrDumperUnknown  # noqa: PLC0415 - an extra, installed where it is used

    class TextDumper(StrDumperUnknown):
        def dump(self, obj: str) -> Any:
            return super().dump(obj.replace("\0", "\N{SYMBOL FOR NULL}") if "\0" in obj else obj)

    # Before SQLAlchemy's own first look at the server, which bytes in the place of text would break.
    @event.listens_for(engine, "connect", insert=True)
    def _connect(dbapi_connection: Any, _record: Any) -> None:
        encoding = dbapi_connection.info.parameter_status("server_encoding")
        if encoding != _ENCODING:
            remedy = f"make one with ENCODING '{_ENCODING}'"
            raise StoreUnreachableError(f"the database{_named(engine.url)} is of {encoding}: {remedy}")
        dbapi_connection.adapters.register_dumper(str, TextDumper)
        with dbapi_connection.cursor() as cursor:
            cursor.execute(f"SET client_encoding = {_ENCODING}")  # PGCLIENTENCODING may say another
            cursor.execute(f"SET lock_timeout = {int(lock_timeout_ms)}")
            cursor.execute(_DURABLE)
        dbapi_connection.commit()


def failure(error: DBAPIError, url: URL) -> IdentityError | None:
    """Return what an error of the store at `url` means to a caller; None where it is a fault of ours."""
    state: str | None = getattr(error.orig, "sqlstate", None)
    if state == _DISK_FULL:
        return StoreFullError(
            "the disk is full: free some space and repeat; what was committed before stands"
        )
    if state in _BUSY:
        return StoreBusyError("another process held the write lock for too long; try again")
    if state == _CANCELED:
        return StoreBusyError("the database ended a statement that took longer than it allows; try again")
    if remedy := _REFUSED.get(state or ""):
        # The first line alone: those after it quote the statement.
        return StoreUnreachableError(f"the database{_named(url)} refuses: {_first_line(error)}: {remedy}")
    if _is_lost(error, state):
        return StoreUnreachableError(f"the database{_named(url)} does not answer: {_reason(error)}")
    return None


def _named(url: URL) -> str:
    """Return database, host and role as far as the URL says them; never its password."""

    def said(before: str, value: Any) -> str:
        return f" {before}{', '.join(value) if isinstance(value, tuple) else value}" if value else ""

    host = f"{url.host}:{url.port}" if url.host and url.port else url.host or url.query.get("host")
    return said("", url.database) + said("at ", host) + said("as ", url.username or url.query.get("user"))


def _reason(error: DBAPIError) -> str:
    """Return the last line of what the driver says that is not indented, as hints of libpq are."""
    lines = [line for line in str(error.orig).splitlines() if line == line.strip() != ""]
    return lines[-1].removeprefix("- ") if lines else "no reason given"


def _first_line(error: DBAPIError) -> str:
    return str(error.orig).splitlines()[0]


def _is_lost(error: DBAPIError, state: str | None) -> bool:
    """Whether there is no connection: where none was made or it broke, the driver knows of no state."""
    if state is None:
        return error.connection_invalidated or isinstance(error, OperationalError)
    return state in _UNREACHABLE or state.startswith(_CONNECTION_EXCEPTIONS)


def vacuum(engine: Engine, tables: Sequence[str], deadline_s: float) -> bool:
    """Remove the dead rows of `tables`; False if a reader who may see them does not end in time."""
    with engine.connect() as connected:
        conn = connected.execution_options(isolation_level="AUTOCOMMIT")
        mark = conn.exec_driver_sql(_MARK).scalar_one()
        if not _readers_ended(conn, mark, deadline_s):
            return False
        try:
            # TRUNCATE would lock readers out for a moment, and only gives space back.
            conn.exec_driver_sql(f"VACUUM (TRUNCATE FALSE) {', '.join(tables)}")
        except OperationalError as error:
            if getattr(error.orig, "sqlstate", None) in _BUSY:
                return False
            raise
    return True


def _readers_ended(conn: Connection, mark: str, deadline_s: float) -> bool:
    end = time.monotonic() + deadline_s
    while conn.execute(_OLDER_SNAPSHOTS, {"mark": mark}).scalar_one():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True
