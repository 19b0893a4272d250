"""SQL run on the driver, where SQLAlchemy's own handling would cost more than the statement.

A statement that returns one row takes 100 us through `Connection.execute`, 60 through `exec_driver_sql` and
10 here. Values are always bound. Transactions stay SQLAlchemy's, so `Database.read()` and `Database.write()`
mean the same as everywhere, and errors are SQLAlchemy's too.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import count
from typing import Any, Final

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from identity.read_snapshots import ReadSnapshot

Reading = Connection | ReadSnapshot
"""What is read from: a transaction of `Database.read()` or `.write()`, or a snapshot on the driver."""

_NAME: Final = re.compile(r"(?<![:\w]):([a-z_]+)")

_CURSORS: Final = count()

LIST_LIMIT: Final = 500
"""Most values a caller should bind to one list: SQLite allows 32,766 in a statement."""


class Statement:
    """One SQL text with `:named` values, in the subset that SQLite and PostgreSQL share.

    A value that is a list is expanded to as many placeholders: `WHERE record_no IN :record_nos`.
    """

    def __init__(self, sql: str) -> None:
        self._parts = _NAME.split(sql)
        self._names = self._parts[1::2]
        self._texts: dict[tuple[str, tuple[int | None, ...]], str] = {}

    def rows(self, conn: Reading, **values: Any) -> list[Any]:
        """Run with `values` and return every row as a tuple."""
        if isinstance(conn, ReadSnapshot):
            return conn.rows(*self._bound(conn.mark, values))
        try:
            rows: list[Any] = self._run(conn, values).fetchall()
        except conn.dialect.loaded_dbapi.Error as error:
            raise _told(conn, error) from error
        return rows

    def run(self, conn: Connection, **values: Any) -> int:
        """Run with `values` and return how many rows it changed."""
        try:
            changed: int = self._run(conn, values).rowcount
        except conn.dialect.loaded_dbapi.Error as error:
            raise _told(conn, error) from error
        return changed

    def chunks(self, conn: Connection, size: int, **values: Any) -> Iterator[list[Any]]:
        """Run with `values` and yield the rows `size` at a time, never all of them at once."""
        try:
            # Closed by whoever stops early too: the server keeps what a named cursor has left to give.
            with closing(self._run(conn, values, fetching=size)) as cursor:
                while rows := cursor.fetchmany(size):
                    yield rows
        except conn.dialect.loaded_dbapi.Error as error:
            raise _told(conn, error) from error

    def many(self, conn: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
        """Run once per row; a row holds the values in the order in which the SQL names them."""
        if rows:
            text = self._text(_mark(conn), (None,) * len(self._names))
            try:
                _driver(conn).cursor().executemany(text, list(rows))
            except conn.dialect.loaded_dbapi.Error as error:
                raise _told(conn, error) from error

    def _run(self, conn: Connection, values: dict[str, Any], *, fetching: int | None = None) -> Any:
        driver = _driver(conn)
        if fetching is None or conn.dialect.name == "sqlite":  # whose driver fetches as it goes
            return driver.execute(*self._bound(_mark(conn), values))
        cursor = driver.cursor(name=f"chunks_{next(_CURSORS)}")  # the server's: the driver's own fetches all
        return cursor.execute(*self._bound(_mark(conn), values))

    def _bound(self, mark: str, values: dict[str, Any]) -> tuple[str, tuple[Any, ...]]:
        """Return the SQL and what it binds.

        Lists are lengthened to a power of two by repeating their last value, so that a driver meets few
        texts and prepares each once.
        """
        lengths: list[int | None] = []
        flat: list[Any] = []
        for name in self._names:
            value = values[name]
            if isinstance(value, list):
                length = 1 << (len(value) - 1).bit_length() if value else 0
                lengths.append(length)
                flat += value
                flat += value[-1:] * (length - len(value))
            else:
                lengths.append(None)
                flat.append(value)
        return self._text(mark, tuple(lengths)), tuple(flat)

    def _text(self, mark: str, lengths: tuple[int | None, ...]) -> str:
        text = self._texts.get((mark, lengths))
        if text is None:
            pieces = [self._parts[0]]
            for length, tail in zip(lengths, self._parts[2::2], strict=True):
                pieces += (mark if length is None else _list_of(mark, length), tail)
            text = self._texts[mark, lengths] = "".join(pieces)
        return text


def _list_of(mark: str, length: int) -> str:
    return f"({', '.join([mark] * length or ['NULL'])})"  # in an empty list there is nothing, as in NULL


def _driver(conn: Connection) -> Any:
    """Return the driver's connection, in the transaction that a first statement would have begun."""
    if not conn.in_transaction():
        conn.begin()
    return conn.connection.dbapi_connection


def _told(conn: Connection, error: Exception) -> Exception:
    """Return what SQLAlchemy raises for a driver's error; its text quotes no bound value."""
    return DBAPIError.instance(
        None, None, error, conn.dialect.loaded_dbapi.Error, hide_parameters=True, dialect=conn.dialect
    )


def _mark(conn: Connection) -> str:
    return "?" if conn.dialect.paramstyle == "qmark" else "%s"


def slices(values: Sequence[int], size: int = LIST_LIMIT) -> Iterator[list[int]]:
    """Cut `values` into lists short enough to bind, as plain integers."""
    for start in range(0, len(values), size):
        yield [int(value) for value in values[start : start + size]]
