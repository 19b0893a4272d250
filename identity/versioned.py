"""Tables whose rows hold for a span of versions, and the statements that all of them share.

The SQL is put together from the constants below only; values are bound. See identity.tables for what a
span of versions means.
"""
# ruff: noqa: S608 - names are constants of this file, values are bound

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy.typing as npt
from sqlalchemy import Connection

from identity.difference import Rows
from identity.statements import Statement
from identity.tables import FOREVER

Row = tuple[Any, ...]
Step = tuple[Statement, Iterator[Row]]

CHUNK: Final = 20_000  # rows turned from columns into Python objects at a time


class VersionedTable:
    """One table with `valid_from` and `valid_to`, its other key columns and its values."""

    def __init__(self, name: str, keys: tuple[str, ...], values: tuple[str, ...]) -> None:
        self.name = name
        columns = (*keys, "valid_from", "valid_to", *values)
        key = " AND ".join(f"{column} = :{column}" for column in keys)
        whole = f"SELECT {', '.join(keys)}, valid_from FROM {name}"
        self.insert = Statement(f"""
            INSERT INTO {name} ({", ".join(columns)}) VALUES ({", ".join(f":{column}" for column in columns)})
        """)
        self.close = Statement(f"""
            UPDATE {name} SET valid_to = :version
            WHERE {key} AND valid_from < :version AND valid_to > :version
        """)
        self.delete = Statement(f"DELETE FROM {name} WHERE {key} AND valid_from = :version")
        # Only a row that ends where it was seen to end: an online write may have ended it meanwhile.
        self.reopen = Statement(f"""
            UPDATE {name} SET valid_to = {FOREVER}
            WHERE {key} AND valid_from = :version AND valid_to = :staged
        """)
        # What a run staged around some records or golden IDs (the first key column).
        self.unstage_rows = Statement(f"""
            DELETE FROM {name} WHERE {keys[0]} IN :nos AND valid_from = :version
        """)
        self.unstage_ends = Statement(f"""
            UPDATE {name} SET valid_to = {FOREVER} WHERE {keys[0]} IN :nos AND valid_to = :version
        """)
        # Whole-table scans, for recovery and compaction.
        self.staged = Statement(f"{whole} WHERE valid_from > :version")
        self.ended = Statement(f"""
            SELECT {", ".join(keys)}, valid_from, valid_to
            FROM {name}
            WHERE valid_to > :version AND valid_to < {FOREVER}
        """)
        self.superseded = Statement(f"{whole} WHERE valid_to <= :version")

    def write(self, rows: Rows, version: int) -> list[Step]:
        """Return the steps that make `rows` hold from `version` on, whatever held there before."""
        return [
            (self.close, ((version, *key, version, version) for key in tuples(rows.closed))),
            (self.delete, ((*key, version) for key in tuples(rows.closed))),
            (self.insert, self._opened(rows, version)),
        ]

    def put(
        self, conn: Connection, closed: Sequence[Row], opened: Sequence[tuple[Row, Row]], version: int
    ) -> None:
        """Do at once what `write` returns the steps of: keys to close, keys and values to open."""
        self.close.many(conn, [(version, *key, version, version) for key in closed])
        self.delete.many(conn, [(*key, version) for key in closed])
        self.insert.many(conn, [(*key, version, FOREVER, *values) for key, values in opened])

    def stage(self, rows: Rows, version: int) -> list[Step]:
        """Return the steps for a `version` at which nothing of this scope is written yet."""
        return [
            (self.close, ((version, *key, version, version) for key in tuples(rows.closed))),
            (self.insert, self._opened(rows, version)),
        ]

    def _opened(self, rows: Rows, version: int) -> Iterator[Row]:
        width = len(rows.closed)
        for row in tuples(rows.opened):
            yield (*row[:width], version, FOREVER, *row[width:])


def tuples(columns: tuple[npt.NDArray[Any], ...]) -> Iterator[Row]:
    """Yield the rows of equal-length columns as plain Python values, a chunk at a time."""
    for start in range(0, len(columns[0]), CHUNK):
        yield from zip(*(column[start : start + CHUNK].tolist() for column in columns), strict=True)


MEMBERSHIPS: Final = VersionedTable("memberships", ("record_no",), ("golden_no",))
MEMBERS: Final = VersionedTable("members", ("golden_no", "record_no"), ("confidence",))
FORMERS: Final = VersionedTable("former_members", ("golden_no", "record_no"), ())
LINKS: Final = VersionedTable("links", ("record_no", "other_no"), ("weight",))
OVERRIDDEN: Final = VersionedTable("overridden_links", ("record_no", "other_no"), ("weight",))
STATES: Final = VersionedTable("golden_states", ("golden_no",), ("status", "redirect_no", "anchor_no"))

VERSIONED: Final = (STATES, MEMBERSHIPS, MEMBERS, FORMERS, LINKS, OVERRIDDEN)
BY_RECORD: Final = (MEMBERSHIPS, LINKS, OVERRIDDEN)
BY_GOLDEN: Final = (STATES, MEMBERS, FORMERS)
