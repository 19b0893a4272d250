"""The stored answer to "may this record be linked?", kept beside each record so that a run can select by it.

It is a projection: `consent.decisions.may_link` over the events of the record and of its contact points,
recomputed in the transaction of every event that could change it. A change bumps the change sequence, so
that a run under way resolves the record again before it publishes.
"""

from collections.abc import Iterable, Sequence
from typing import Protocol

from sqlalchemy import Connection

from consent.decisions import may_link
from consent.events import ConsentEvent, Subject
from consent.permission import Member
from consent.purposes import IDENTITY_LINKING, Purposes
from identity.statements import Reading, Statement, slices

_LINKING = Statement("""
    SELECT record_no, linking, linking_until FROM records WHERE record_no IN :record_nos
""")
_NEXT_SEQUENCE = Statement("""
    UPDATE counters SET value = value + 1 WHERE name = 'change_sequence' RETURNING value
""")
_SET_LINKING = Statement("""
    UPDATE records SET linking = :linking, linking_until = :until, change_sequence = :sequence
    WHERE record_no = :record_no
""")


class EventSource(Protocol):
    """What this module needs of the ledger."""

    def events_for(
        self, conn: Reading, subjects: Iterable[Subject], purpose: str | None = None
    ) -> Sequence[ConsentEvent]:
        """Return the events of these subjects, in the order of the ledger.

        With `purpose` only those that could matter to it: its own, and restrictions of any.
        """
        ...


class LinkingPermission:
    """Recomputes the projection of records."""

    def __init__(self, events: EventSource, purposes: Purposes) -> None:
        self._events, self._purpose = events, purposes[IDENTITY_LINKING]

    def concerns(self, purpose: str, state: str) -> bool:
        """Whether such an event may change what may be linked: a restriction of any purpose does."""
        return purpose == self._purpose.name or state == "restricted"

    def project(self, conn: Connection, members: Sequence[Member], now: int) -> list[int]:
        """Bring the projection of `members` up to date in the caller's write transaction.

        Returns the records that could be linked before and now cannot: the caller detaches them.
        """
        before = {
            record_no: (linking, until)
            for part in slices([member.record_no for member in members])
            for record_no, linking, until in _LINKING.rows(conn, record_nos=part)
        }
        changed = {}
        for member in members:
            events = self._events.events_for(conn, sorted(member.subjects))
            linking, until = may_link(events, self._purpose, now)
            if before.get(member.record_no, (linking, until)) != (linking, until):
                changed[member.record_no] = (linking, until)
        if changed:
            sequence = int(_NEXT_SEQUENCE.rows(conn)[0][0])
            _SET_LINKING.many(
                conn, [(int(linking), until, sequence, no) for no, (linking, until) in changed.items()]
            )
        return [no for no, (linking, _) in changed.items() if before[no][0] and not linking]
