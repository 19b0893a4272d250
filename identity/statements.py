"""SQL run on the driver, where SQLAlchemy's own parameter handling would cost more than the statement.

Measured with 5,000-row batches of `memberships`: 2.6 us a row through `Connection.execute`, 1.0 us here
(benchmarks/publish.py). Values are always bound. Transactions stay SQLAlchemy's, so `Database.read()` and
`Database.write()` mean the same as everywhere.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from sqlalchemy import Connection

_NAME: Final = re.compile(r"(?<![:\w]):([a-z_]+)")

LIST_LIMIT: Final = 500
"""Most values a caller should bind to one list: SQLite allows 32,766 in a statement."""


class Statement:
    """One SQL text with `:named` values, in the subset that SQLite and PostgreSQL share.

    A value that is a list is expanded to as many placeholders: `WHERE record_no IN :record_nos`.
    """

    def __init__(self, sql: str) -> None:
        self._parts = _NAME.split(sql)
        self._names = self._parts[1::2]
        self._fixed: dict[str, str] = {}

    def rows(self, conn: Connection, **values: Any) -> list[Any]:
        """Run with `values` and return every row as a tuple."""
        result = self._run(conn, values)
        rows: list[Any] = result.cursor.fetchall()  # the driver's tuples, not SQLAlchemy's rows
        result.close()
        return rows

    def run(self, conn: Connection, **values: Any) -> int:
        """Run with `values` and return how many rows it changed."""
        changed: int = self._run(conn, values).rowcount
        return changed

    def chunks(self, conn: Connection, size: int, **values: Any) -> Iterator[list[Any]]:
        """Run with `values` and yield the rows `size` at a time, never all of them at once."""
        if conn.dialect.name != "sqlite":  # whose driver fetches as it goes; PostgreSQL's would fetch all
            for part in self._run(conn, values, yield_per=size).partitions():
                yield [tuple(row) for row in part]
            return
        result = self._run(conn, values)
        while rows := result.cursor.fetchmany(size):
            yield rows
        result.close()

    def many(self, conn: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
        """Run once per row; a row holds the values in the order in which the SQL names them."""
        if rows:
            conn.exec_driver_sql(self._text(conn), list(rows))

    def _run(self, conn: Connection, values: dict[str, Any], **options: Any) -> Any:
        if not any(isinstance(value, list) for value in values.values()):
            bound = tuple(values[name] for name in self._names)
            return conn.exec_driver_sql(self._text(conn), bound, execution_options=options)
        mark, pieces, flat = _mark(conn), [self._parts[0]], []
        for name, tail in zip(self._names, self._parts[2::2], strict=True):
            value = values[name]
            if isinstance(value, list):
                pieces.append("(" + ", ".join([mark] * len(value)) + ")")
                flat.extend(value)
            else:
                pieces.append(mark)
                flat.append(value)
            pieces.append(tail)
        return conn.exec_driver_sql("".join(pieces), tuple(flat), execution_options=options)

    def _text(self, conn: Connection) -> str:
        mark = _mark(conn)
        if mark not in self._fixed:
            pieces = [mark if place % 2 else part for place, part in enumerate(self._parts)]
            self._fixed[mark] = "".join(pieces)
        return self._fixed[mark]


def _mark(conn: Connection) -> str:
    return "?" if conn.dialect.paramstyle == "qmark" else "%s"


def slices(values: Sequence[int], size: int = LIST_LIMIT) -> Iterator[list[int]]:
    """Cut `values` into lists short enough to bind, as plain integers."""
    for start in range(0, len(values), size):
        yield [int(value) for value in values[start : start + size]]
