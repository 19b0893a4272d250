"""Records that changed and wait to be resolved: noted with the change, gone with the resolution.

Only whoever resolves what it stores notes it. What a file or a correction changes waits for the next run, and
nobody is told before that it was resolved.
"""

from collections.abc import Iterable
from typing import Final

from sqlalchemy import Connection

from identity.statements import Reading, Statement, slices

_NOTE: Final = Statement("""
    INSERT INTO unresolved (record_no) VALUES (:record_no) ON CONFLICT (record_no) DO NOTHING
""")
_SETTLE: Final = Statement("DELETE FROM unresolved WHERE record_no IN :record_nos")
_SETTLE_UNCHANGED: Final = Statement("""
    DELETE FROM unresolved
    WHERE record_no IN :record_nos
      AND record_no NOT IN (
          SELECT record_no FROM records WHERE record_no IN :record_nos AND change_sequence > :sequence
      )
""")
_AMONG: Final = Statement("SELECT record_no FROM unresolved WHERE record_no IN :record_nos")
_ALL: Final = Statement("SELECT record_no FROM unresolved")


def note(conn: Connection, record_nos: Iterable[int]) -> None:
    """Note records, in the transaction that changes them."""
    _NOTE.many(conn, [(number,) for number in record_nos])


def settle(conn: Connection, record_nos: Iterable[int]) -> None:
    """Forget records, in the transaction that resolves or removes them."""
    for part in slices(sorted(record_nos)):
        _SETTLE.run(conn, record_nos=part)


def settle_unchanged(conn: Connection, record_nos: Iterable[int], sequence: int) -> None:
    """Forget those that have not changed since the change sequence `sequence`: a run resolved them."""
    for part in slices(sorted(record_nos)):
        _SETTLE_UNCHANGED.run(conn, record_nos=part, sequence=sequence)


def among(conn: Reading, record_nos: Iterable[int]) -> set[int]:
    """Return those of `record_nos` that wait."""
    return {no for part in slices(sorted(record_nos)) for (no,) in _AMONG.rows(conn, record_nos=part)}


def everybody(conn: Reading) -> set[int]:
    """Return who waits: the records under way, and those whose resolution failed since the last run."""
    return {record_no for (record_no,) in _ALL.rows(conn)}
