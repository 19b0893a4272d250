"""Consent that runs out soon, to be asked for again before it does.

A grant lasts as long as its purpose says (`lasts_days`). Listed is what a purpose may do now and, if nobody
says anything, may not do any more within some days: by golden ID, purpose and event, without a value. Whoever
denied is never listed: asking again until somebody gives in makes no free consent (GDPR 4(11), 7(4)).
"""

from dataclasses import dataclass, replace
from typing import Final

from consent.events import CONTACT, RECORD, RENEWAL_DAYS, ConsentEvent, Subject
from consent.key_store import KeyStore
from consent.people import People, Person
from consent.permission import permission
from consent.purposes import Purpose, Purposes
from identity.database import Database
from identity.records import GoldenId
from identity.statements import Statement
from identity.store import MembershipReader

DAY_MS: Final = 86_400_000

_ENDING: Final = Statement("""
    SELECT idx, subject_kind, subject_no, purpose, expires_at FROM ledger
    WHERE state = 'granted' AND expires_at > :now AND expires_at <= :until AND idx > :after
    ORDER BY idx LIMIT :count
""")


@dataclass(frozen=True, slots=True)
class Renewal:
    """One purpose that a person's permission for ends: with the grant of this event, at this time (ms)."""

    golden_id: GoldenId
    purpose: str
    event: int
    expires_at: int


def renews(event: ConsentEvent, earlier: ConsentEvent | None) -> bool:
    """Whether a grant renews the `earlier` one of its subject and purpose, which was about to end (pure)."""
    if event.state != "granted" or earlier is None or earlier.state != "granted":
        return False
    return earlier.expires_at is not None and earlier.expires_at <= event.recorded_at + RENEWAL_DAYS * DAY_MS


class Renewals:
    """Finds what is to be asked again. Opens nothing."""

    def __init__(
        self,
        *,
        db: Database,
        keys: Database,
        key_store: KeyStore,
        memberships: MembershipReader,
        people: People,
        purposes: Purposes,
    ) -> None:
        self._db, self._keys, self._key_store = db, keys, key_store
        self._memberships, self._people, self._purposes = memberships, people, purposes

    def page(self, days: int, after: int, limit: int, now: int) -> tuple[list[Renewal], int | None]:
        """Return what ends within `days` by the grants after ledger index `after`, of at most `limit` grants.

        And the index to go on after, None at the end.
        """
        until = now + days * DAY_MS
        with self._db.read() as conn:
            rows = _ENDING.rows(conn, now=now, until=until, after=after, count=limit + 1)
        found = []
        for index, kind, number, name, expires_at in rows[:limit]:
            if name in self._purposes:
                for golden_no in self._people_of(Subject(kind, number)):
                    golden_id = self._ending(golden_no, Subject(kind, number), name, index, now)
                    if golden_id is not None:
                        found.append(Renewal(golden_id, name, index, expires_at))
        return found, rows[limit - 1][0] if len(rows) > limit else None

    def _people_of(self, subject: Subject) -> list[int]:
        """Return the golden numbers of the records that a statement concerns."""
        if subject.kind == RECORD:
            record_nos = [subject.no]
        else:
            with self._keys.read() as conn:
                tokens = self._key_store.evidence.tokens_of(conn, [subject.no]).values()
                carried = self._key_store.find_many(conn, tokens)
            record_nos = sorted({row.record_no for rows in carried.values() for row in rows})
        with self._db.read() as conn:
            return sorted(set(self._memberships.goldens_of(conn, record_nos).values()))

    def _ending(self, golden_no: int, subject: Subject, name: str, index: int, now: int) -> GoldenId | None:
        """Return the golden ID if it is permitted now, and by this event's end no longer."""
        person, purpose = self._people.of_golden(golden_no, now), self._purposes[name]
        said = [each for each in person.evidence.events if each.purpose == name and each.subject == subject]
        event = said[-1] if said else None
        if event is None or event.index != index or event.expires_at is None:
            return None  # something later was said
        if not _allowed(person, purpose, subject, now) or _allowed(
            person, purpose, subject, event.expires_at
        ):
            return None
        with self._db.read() as conn:
            view = self._memberships.view(conn, golden_no)
        return None if view is None else view.golden_id


def _allowed(person: Person, purpose: Purpose, subject: Subject, at: int) -> bool:
    """Whether the purpose is permitted at a time (ms); where it binds to addresses, for this one."""
    found = permission(person.members, replace(person.evidence, now=at), purpose)
    if purpose.binds == "contact" and subject.kind == CONTACT:
        return found.contacts is not None and subject.no in found.contacts
    return found.decision.allowed
