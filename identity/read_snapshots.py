"""Read transactions on the driver's own connections, for paths where every microsecond counts.

A connection of SQLAlchemy's takes about 100 us to hand out and a statement through it 60 us more, several
times what SQLite needs to answer. A profile is read from both stores in a handful of statements, so it reads
here. Writing stays with `Database.write`, and what is read means the same: one consistent snapshot.
"""

import os
from collections import deque
from collections.abc import Iterator, Sequence
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


class ReadSnapshots:
    """Keeps connections between snapshots, as many as were ever open at once. Safe from many threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._mark = "?" if engine.dialect.paramstyle == "qmark" else "%s"
        self._idle: deque[Any] = deque()
        self._process = os.getpid()
        self._begin = _BEGIN[engine.dialect.name]
        self._driver_error: type[Exception] = engine.dialect.loaded_dbapi.Error

    @contextmanager
    def open(self, *, single: bool = False) -> Iterator[ReadSnapshot]:
        """Give one snapshot, or what each single statement sees.

        Raises SQLAlchemy's DBAPIError, whose text quotes no bound value.
        """
        connection = self._taken()
        sound = False
        try:
            if not single:
                connection.execute(self._begin)
            yield ReadSnapshot(connection, self._mark)
            if not single:
                connection.execute("ROLLBACK")
            sound = True
        except self._driver_error as error:
            raise DBAPIError.instance(
                None, None, error, self._driver_error, hide_parameters=True, dialect=self._engine.dialect
            ) from error
        finally:
            if sound or single or self._rolled_back(connection):
                self._idle.append(connection)
            else:
                connection.close()

    def close(self) -> None:
        """Close the connections that no snapshot uses."""
        while self._idle:
            self._idle.pop().close()

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

    def _rolled_back(self, connection: Any) -> bool:
        try:
            connection.execute("ROLLBACK")
        except self._driver_error:
            return False
        return True
