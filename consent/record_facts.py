"""What golden IDs need to know about records, read in the transaction that decides about them."""

from collections.abc import Iterable
from typing import Final

from sqlalchemy import Connection

from identity.records import RecordFact
from identity.statements import Reading, Statement, slices

KNOWN: Final = 1
VERIFIED: Final = 2

_FACTS = Statement("""
    SELECT record_no, linking, linking_until, verified, change_sequence, channel
    FROM records
    WHERE record_no IN :record_nos
""")

_VERIFIED = Statement("SELECT record_no FROM records WHERE verified <> ''")


class StoredFacts:
    """Implements `identity.records.RecordFacts` over the `records` table."""

    def facts(self, conn: Reading, record_nos: Iterable[int], now: int) -> dict[int, RecordFact]:
        """Return the facts of those of `record_nos` that are live; a lapsed permission is none."""
        found = {}
        for part in slices(sorted(set(record_nos))):
            for record_no, linking, until, verified, sequence, channel in _FACTS.rows(conn, record_nos=part):
                linkable = bool(linking) and (until is None or until > now)
                found[record_no] = RecordFact(linkable, VERIFIED if verified else KNOWN, sequence, channel)
        return found

    def standings(self, conn: Connection) -> dict[int, int]:
        """Return the standing of every record that holds a verified identifier."""
        return {row[0]: VERIFIED for row in _VERIFIED.rows(conn)}
