"""Suppression entries in the key store: found by their first 8 bytes, compared in full, never deleted.

An entry that is released or has lapsed is emptied in place, as the keys are (consent/key_tables.py). In the
token index entries have numbers of their own, far above those of keys. Functions run in the caller's
transaction of the key store.
"""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from sqlalchemy import Connection

from consent.blind_indexes import BlindIndex
from consent.token_index import TokenIndex
from identity.statements import Reading, Statement, slices

_ABOVE: Final = 2**62  # numbers of entries in the token index: keys count up from 1, contacts down from -1

_ANY: Final = Statement("SELECT 1 FROM suppressions WHERE released_at IS NULL LIMIT 1")
_MARK: Final = Statement("SELECT value FROM key_counters WHERE name = 'suppression_no'")
_NEXT: Final = Statement(
    "UPDATE key_counters SET value = value + :n WHERE name = 'suppression_no' RETURNING value"
)
_INSERT: Final = Statement("""
    INSERT INTO suppressions (suppression_no, entry, named, erased_at, until)
    VALUES (:suppression_no, :entry, :named, :erased_at, :until)
""")
_FETCH: Final = Statement("""
    SELECT suppression_no, entry, named, erased_at, until FROM suppressions
    WHERE suppression_no IN :numbers AND released_at IS NULL
""")
_LAPSED: Final = Statement("""
    SELECT suppression_no FROM suppressions WHERE until <= :now AND released_at IS NULL
""")
_BLANK: Final = Statement("""
    UPDATE suppressions SET entry = :empty, released_at = :now
    WHERE suppression_no = :suppression_no AND released_at IS NULL
""")


class Suppressed(NamedTuple):
    """One entry: who fits it must not come in again before `until`. Times in ms since the epoch, UTC."""

    number: int
    entry: bytes
    named: bool  # counts only together with a first name or birth date: the identifier is a household's
    erased_at: int
    until: int

    def __repr__(self) -> str:
        return f"<suppression {self.number}>"


class SuppressionStore:
    """Entries by their 32 bytes."""

    def __init__(self, index: TokenIndex) -> None:
        self._index = index

    def any(self, conn: Reading) -> bool:
        """Whether anybody is suppressed at all."""
        return bool(_ANY.rows(conn))

    def mark(self, conn: Reading) -> int:
        """Return a number that grows with every entry added."""
        rows = _MARK.rows(conn)
        return int(rows[0][0]) if rows else 0

    def add(self, conn: Connection, entries: Iterable[tuple[bytes, bool]], erased_at: int, until: int) -> int:
        """Add (entry, named) pairs; return how many of all are there now.

        One that is there already comes to count for as much as either says: alone where one of them does, and
        until the later time. It gets a new number, by which `mark` tells arrivals under way.
        """
        wanted = dict(entries)
        known = self.find(conn, wanted)
        rows: list[tuple[bytes, bool, int, int]] = []
        outdone = []
        for entry, named in wanted.items():
            hit = known.get(entry)
            row = (entry, named, erased_at, until)
            if hit is not None:
                row = (entry, named and hit.named, max(erased_at, hit.erased_at), max(until, hit.until))
                if row == hit[1:]:
                    continue
                outdone.append(hit.number)
            rows.append(row)
        self.release(conn, outdone, erased_at)
        if rows:
            first = int(_NEXT.rows(conn, n=len(rows))[0][0]) - len(rows) + 1
            _INSERT.many(
                conn,
                [(first + at, entry, int(named), *times) for at, (entry, named, *times) in enumerate(rows)],
            )
            prefixes = [BlindIndex.prefix(row[0]) for row in rows]
            self._index.add(conn, prefixes, range(_ABOVE + first, _ABOVE + first + len(rows)))
        return len(wanted)

    def find(self, conn: Reading, entries: Iterable[bytes]) -> dict[bytes, Suppressed]:
        """Return the entries that stand, by their bytes."""
        prefixes = {entry: BlindIndex.prefix(entry) for entry in entries}
        found = self._index.find(conn, prefixes.values()) if prefixes else {}
        numbers = {number - _ABOVE for many in found.values() for number in many if number > _ABOVE}
        standing = {
            row[1]: Suppressed(row[0], row[1], bool(row[2]), row[3], row[4])
            for part in slices(sorted(numbers))
            for row in _FETCH.rows(conn, numbers=part)
        }
        return {entry: standing[entry] for entry in prefixes if entry in standing}

    def release(self, conn: Connection, numbers: Sequence[int], now: int) -> None:
        """Empty entries; what remains of each row says when it was added and when released."""
        rows = [row for part in slices(sorted(set(numbers))) for row in _FETCH.rows(conn, numbers=part)]
        if rows:
            self._index.remove(
                conn, [BlindIndex.prefix(row[1]) for row in rows], [_ABOVE + row[0] for row in rows]
            )
            _BLANK.many(conn, [(b"", now, row[0]) for row in rows])

    def lapsed(self, conn: Connection, now: int) -> list[int]:
        """Return the entries whose time is over."""
        return [number for (number,) in _LAPSED.rows(conn, now=now)]
