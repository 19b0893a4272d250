"""The table of sources that are declared to hold no duplicates."""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from identity.statements import Statement

_ALL: Final = Statement("SELECT channel, author, declared_at FROM declared_sources ORDER BY channel")
_CHANNELS: Final = Statement("SELECT channel FROM declared_sources")
_INSERT: Final = Statement("""
    INSERT INTO declared_sources (channel, author, declared_at) VALUES (:channel, :author, :now)
    ON CONFLICT (channel) DO NOTHING
""")
_DELETE: Final = Statement("DELETE FROM declared_sources WHERE channel = :channel")


@dataclass(frozen=True, slots=True)
class Declaration:
    """A channel that holds no two records of one person, and who said so."""

    channel: str
    author: str  # a client id, or "operator"
    declared_at: int  # ms since the epoch, UTC


def declare(conn: Connection, channel: str, *, author: str, now: int) -> bool:
    """Declare that `channel` holds no duplicates; False if it was declared already."""
    return _INSERT.run(conn, channel=channel, author=author, now=now) > 0


def withdraw(conn: Connection, channel: str) -> bool:
    """Take the declaration back; False if there was none."""
    return _DELETE.run(conn, channel=channel) > 0


def declarations(conn: Connection) -> list[Declaration]:
    """Return all declarations, by channel."""
    return [Declaration(*row) for row in _ALL.rows(conn)]


def declared(conn: Connection) -> frozenset[str]:
    """Return the channels that are declared to hold no duplicates."""
    return frozenset(row[0] for row in _CHANNELS.rows(conn))
