"""What a record's own statements add to the ledger, and whether the record may then be linked.

An import repeats itself: the same file says the same thing every night. So a statement makes an event
only where it differs from what that source last said, for that record (or contact point) and purpose. A
statement made in person (`direct`, `verified`) is an act of its own and always makes one. Whether a
grant is effective is decided when it is used (consent.decisions): an imported one undoes no denial.
"""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from consent.decisions import may_link
from consent.events import DENIALS, IN_PERSON_METHODS, RECORD, ConsentEvent, Subject
from consent.incoming import IncomingConsent, IncomingRecord
from consent.purposes import IDENTITY_LINKING, Purpose, Purposes

REPEATABLE: Final = frozenset({"import", "api"})
CONTACT_KINDS: Final = ("email", "phone")


class Statement(NamedTuple):
    """One thing a record says: about itself, or about the contact point with `contact` as its token."""

    consent: IncomingConsent
    contact: bytes | None
    source: str
    given_at: int | None = None  # ms: when, where it was given in person; None means now


def statements(
    record: IncomingRecord, contacts: Sequence[tuple[str, bytes]], purposes: Purposes, *, source: str
) -> list[Statement]:
    """List what a record says, by the piece of evidence it attaches to (as `subjects.Named.targets` does).

    Where a purpose binds to addresses, a grant goes to the addresses the record carries and to nothing
    else; a denial goes to the record too, so that it follows the record to its next address. A
    restriction is about the record whatever the purpose.
    """
    said: list[Statement] = []
    for consent in record.consents:
        in_person = consent.state == "granted" and consent.method in IN_PERSON_METHODS
        given_at = record.observed_at if in_person else None
        kinds = purposes[consent.purpose].contact_attributes
        if consent.state != "restricted":
            addresses = (token for kind, token in contacts if kind in kinds)
            said += (Statement(consent, token, source, given_at) for token in addresses)
        if not kinds or (consent.state in DENIALS and not consent.only_after_grant):
            said.append(Statement(consent, None, source, given_at))
    return said


def is_news(statement: Statement, earlier: Iterable[ConsentEvent]) -> bool:
    """Whether `statement` makes an event, given the `earlier` events of its subject."""
    consent = statement.consent
    last: str | None = None
    for event in earlier:
        if event.purpose == consent.purpose and (consent.signal or event.source == statement.source):
            last = event.state
    if consent.only_after_grant:
        return last == "granted"
    return last != consent.state or consent.method not in REPEATABLE


def event_of(statement: Statement, subject: Subject, purposes: Purposes, now: int) -> ConsentEvent:
    """Return the event a statement makes, to be appended.

    A file says what holds when it arrives, not since when. A grant in person was given when the record was
    observed: one that waited in a queue must not undo what the person has denied since.
    """
    consent = statement.consent
    given_at = now if statement.given_at is None else min(statement.given_at, now)
    purpose = purposes[consent.purpose]
    return ConsentEvent(
        index=None,
        subject=subject,
        purpose=purpose.name,
        state=consent.state,
        method=consent.method,
        source=statement.source,
        notice=consent.notice,
        event_time=given_at,
        recorded_at=now,
        expires_at=purpose.expires_at(given_at) if consent.state == "granted" else None,
        evidence=consent.evidence,
    )


class LinkingRule:
    """Whether one record may be linked, and until when: `decisions.may_link` over what concerns it."""

    def __init__(self, purposes: Purposes) -> None:
        self._purpose: Purpose = purposes[IDENTITY_LINKING]
        self._known: dict[tuple[object, ...], tuple[bool, int | None]] = {}
        self._known_at = -1

    def __call__(self, events: Iterable[ConsentEvent], now: int) -> tuple[bool, int | None]:
        """Decide over the events of one record and of its contact points, in the order of the ledger."""
        return may_link([event for event in events if self.concerns(event)], self._purpose, now)

    def of_new(self, events: Sequence[ConsentEvent], now: int) -> tuple[bool, int | None]:
        """Decide for a record that arrives at `now` with these events, all of them about itself.

        Records that say the same get the same answer, so one decision serves a whole batch.
        """
        if now != self._known_at:
            self._known, self._known_at = {}, now
        said = tuple(
            (event.purpose, event.state, event.method, event.expires_at)
            for event in events
            if self.concerns(event)
        )
        if said not in self._known:
            self._known[said] = self(events, now)
        return self._known[said]

    def concerns(self, event: ConsentEvent) -> bool:
        """Whether the event may change what may be linked (a restriction of any purpose may)."""
        return event.purpose == self._purpose.name or event.state == "restricted"


def would_link(record: IncomingRecord, purposes: Purposes, now: int) -> bool:
    """Whether a new record that says this, of which nothing else is known, could be linked."""
    contacts = [(kind, kind.encode()) for kind in CONTACT_KINDS if record.attributes.get(kind)]
    said = statements(record, contacts, purposes, source=f"channel:{record.channel}")
    nobody = Subject(RECORD, 0)
    events = [event_of(each, nobody, purposes, now) for each in said if not each.consent.only_after_grant]
    return LinkingRule(purposes)(events, now)[0]
