"""Read transactions on the driver's own connections, for paths where every microsecond counts.

A connection of SQLAlchemy's takes about 100 us to hand out and a statement through it 60 us more, several
times what SQLite needs to answer. A profile is read from both stores in a handful of statements, so it reads
here. Writing stays with `Database.write`, and what is read means the same: one consistent snapshot.
"""

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

_BEGIN: Final = {"sqlite": "BEGIN", "postgresql": "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"}


class ReadSnapshot:
    """One consistent, committed state of a store. `identity.statements.Statement` runs on it."""

    __slots__ = ("_connection", "mark")

    def __init__(self, connection: Any, mark: str) -> None:
        self._connection = connection
        self.mark = mark  # of a bound value: ? or %s

    def rows(self, sql: str, values: Sequence[Any]) -> list[Any]:
        """Run `sql` and return every row as a tuple."""
        rows: list[Any] = self._connection.execute(sql, values).fetchall()
        return rows


def _unnamed(_error: object) -> None:
    """Give no failure a name of ours."""


class ReadSnapshots:
    """Keeps connections between snapshots, as many as were ever open at once. Safe from many threads."""

    def __init__(self, engine: Engine, named: Callable[[Any], Exception | None] = _unnamed) -> None:
        self._engine, self._named = engine, named
        self._mark = "?" if engine.dialect.paramstyle == "qmark" else "%s"
        self._idle: deque[Any] = deque()
        self._process = os.getpid()
        self._begin = _BEGIN[engine.dialect.name]
        self._driver_error: type[Exception] = engine.dialect.loaded_dbapi.Error

    @contextmanager
    def open(self, *, single: bool = False) -> Iterator[ReadSnapshot]:
        """Give one snapshot, or what each single statement sees.

        Raises what `named` makes of SQLAlchemy's DBAPIError, else that one; its text quotes no bound value.
        """
        try:
            connection = self._taken()
        except self._driver_error as error:
            raise self._failure(error) from error
        sound = False
        try:
            if not single:
                connection.execute(self._begin)
            yield ReadSnapshot(connection, self._mark)
            if not single:
                connection.execute("ROLLBACK")
            sound = True
        except self._driver_error as error:
            raise self._failure(error) from error
        finally:
            if sound or self._is_sound(connection, single=single):
                self._idle.append(connection)
            else:  # a server that broke off broke off all of them
                connection.close()
                self.close()

    def close(self) -> None:
        """Close the connections that no snapshot uses."""
        while self._idle:
            self._idle.pop().close()

    def _failure(self, error: Exception) -> Exception:
        failed = DBAPIError.instance(
            None, None, error, self._driver_error, hide_parameters=True, dialect=self._engine.dialect
        )
        return self._named(failed) or failed

    def _taken(self) -> Any:
        if self._process != os.getpid():  # a forked child must not use its parent's connections
            self._idle, self._process = deque(), os.getpid()
        try:
            return self._idle.pop()
        except IndexError:
            return self._connected()

    def _connected(self) -> Any:
        pooled = self._engine.raw_connection()
        connection: Any = pooled.dbapi_connection
        pooled.detach()
        if self._engine.dialect.name == "postgresql":
            connection.autocommit = True  # or the driver would begin a transaction of its own
        return connection

    def _is_sound(self, connection: Any, *, single: bool) -> bool:
        """End the transaction of a snapshot that failed; False if the connection is of no use any more."""
        if single:
            return not getattr(connection, "closed", False)  # of psycopg's; SQLite's do not break off
        try:
            connection.execute("ROLLBACK")
        except self._driver_error:
            return False
        return True
