"""Marks of `aurea store migrate` in the stores: a copy that is incomplete, a store that has moved."""

from typing import Final

from sqlalchemy import Connection, inspect, text

from identity.database import Database

_UNDER_WAY: Final = "store_migration"
_MOVED: Final = "moved_counters"

_INCOMPLETE: Final = (
    "a store holds an incomplete copy: repeat `aurea store migrate` with --restart, or go on with the stores "
    "that it was copied from"
)
_ELSEWHERE: Final = (
    "the stores of this home have moved to PostgreSQL: set AUREA_DATABASE_URL and AUREA_KEYS_URL as "
    "`aurea store migrate` said"
)


def hindrance(database: Database) -> str | None:
    """Return why a store must not be used, whatever its schema, with the remedy; None if it may be."""
    with database.read() as conn:
        tables = inspect(conn)
        if tables.has_table(_UNDER_WAY):
            return _INCOMPLETE
        return _ELSEWHERE if tables.has_table(_MOVED) else None


def is_incomplete(database: Database) -> bool:
    """Whether a copy was begun here and not finished."""
    return hindrance(database) == _INCOMPLETE


def begin(conn: Connection) -> None:
    """Mark a target as incomplete."""
    conn.execute(text(f"CREATE TABLE {_UNDER_WAY} (since BIGINT NOT NULL)"))


def end(conn: Connection) -> None:
    """Say that a target is complete, or empty again."""
    conn.execute(text(f"DROP TABLE {_UNDER_WAY}"))


def leave(conn: Connection, counters: str) -> None:
    """Let nobody read or write a store any more that has moved, and least a process that has it open.

    Every read of a person and every write needs the counters, so without them either fails; a process that
    went on would answer as if nobody withdrew consent since, and acknowledge what is lost.
    """
    conn.execute(text(f"ALTER TABLE {counters} RENAME TO {_MOVED}"))
