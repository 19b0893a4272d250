"""A person's records as decisions and the door need them, read from both stores.

Opens nothing but, where the policy states an age of consent, what the records say of their person's birth.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from sqlalchemy import Connection

from consent.birth_facts import BirthFacts
from consent.events import RECORD, Subject
from consent.key_store import KeyRow, KeyStore
from consent.linking_permission import EventSource
from consent.packed_tokens import kind_of, unpack_tokens
from consent.permission import Evidence, Member
from consent.purposes import CONTACT_ATTRIBUTES
from identity.database import Database
from identity.statements import Statement, slices
from identity.store import MembershipReader
from identity.views import APART, after_a_loss

# Statements run on a list that is never empty, so that an unknown person costs what a known one does.
NOBODY: Final = -1
_NO_TOKEN: Final = bytes(32)

_ATTEMPTS: Final = 3

_SELECT: Final = """
    SELECT record_no, channel, key_id, verified, linking_until,
        EXISTS (
            SELECT 1 FROM holds h
            WHERE h.record_no = records.record_no AND h.kind = 'doubt' AND h.lifted_at IS NULL
        ) AS doubtful, {sealed}
    FROM records WHERE record_no IN :record_nos ORDER BY record_no
"""
_RECORDS, _RECORDS_SEALED = (Statement(_SELECT.format(sealed=sealed)) for sealed in ("NULL", "sealed"))
_LEDGER_TIME = Statement("SELECT value FROM counters WHERE name = 'ledger_time'")


@dataclass(frozen=True, slots=True)
class Person:
    """Some records read in one snapshot, with every consent event of theirs and of their contact points."""

    members: tuple[Member, ...]
    evidence: Evidence
    addresses: frozenset[tuple[int, str, bytes]] = field(repr=False)  # record, email or phone, token
    contacts: Mapping[bytes, int] = field(repr=False)  # token -> contact point, of those spoken of before
    lapsed: frozenset[int] = frozenset()  # records whose permission to be linked has run out


class People:
    """Reads persons by golden number or by record numbers."""

    def __init__(
        self,
        *,
        db: Database,
        keys: Database,
        key_store: KeyStore,
        memberships: MembershipReader,
        events: EventSource,
        births: BirthFacts | None = None,
    ) -> None:
        self._db, self._keys, self._births = db, keys, births
        self._key_store, self._memberships, self._events = key_store, memberships, events

    def of_golden(self, golden_no: int | None, now: int) -> Person:
        """Return the records of an active golden number; without records if there is none such."""

        def confidences(conn: Connection) -> dict[int, float]:
            members = self._memberships.members(conn, NOBODY if golden_no is None else golden_no)
            return {member.record_no: member.confidence for member in members}

        return self._read_whole(confidences, now, golden_no=golden_no)

    def of_records(self, record_nos: Sequence[int], now: int, *, also: Collection[Subject] = ()) -> Person:
        """Return these records, each taken by itself: as sure of its membership as a singleton.

        The evidence holds the events of `also` too.
        """
        return self._read_whole(lambda _: dict.fromkeys(record_nos, 1.0), now, also=also)

    def _read_whole(
        self,
        confidences: Callable[[Connection], Mapping[int, float]],
        now: int,
        *,
        golden_no: int | None = None,
        also: Collection[Subject] = (),
    ) -> Person:
        """Read until no record was replaced under way; what then has no key is gone for good."""
        for attempt in range(_ATTEMPTS):
            with self._db.read() as conn:
                published = confidences(conn)
                person = self._read(conn, published, now, also)
                whole = len(person.members) == len(published)
                if golden_no is not None and (not whole or (person.lapsed and len(published) > 1)):
                    person = self._without_the_lost(conn, golden_no, person)
            if whole or attempt == _ATTEMPTS - 1:
                break
        return person

    def _read(
        self, conn: Connection, confidences: Mapping[int, float], now: int, also: Collection[Subject]
    ) -> Person:
        """Read records, keys and events; leave out the records that have no key.

        The key store's snapshot is the later one, so a key that is missing there was replaced or destroyed
        since. Going on without a record that was only replaced could overlook a denial on its contacts.
        """
        rows = [
            row
            for part in slices(sorted(confidences) or [NOBODY])
            for row in (_RECORDS_SEALED if self._births else _RECORDS).rows(conn, record_nos=part)
        ]
        with self._keys.read() as keys_conn:
            keys = self._key_store.fetch(keys_conn, [row[2] for row in rows] or [NOBODY])
            carried = {key_id: _addresses(key) for key_id, key in keys.items()}
            addresses = frozenset(
                (keys[key_id].record_no, *address) for key_id, found in carried.items() for address in found
            )
            tokens = [token for *_, token in addresses]
            contacts = self._key_store.evidence.find_contacts(keys_conn, tokens or [_NO_TOKEN])
        members = tuple(
            Member(
                record_no=record_no,
                channel=channel,
                confidence=confidences[record_no],
                verified=frozenset(verified.split(",")) - {""},
                contacts=frozenset(contacts[token] for _, token in carried[key_id] if token in contacts),
                held=bool(doubtful),
                born=self._births.of_record(record_no, keys[key_id], sealed) if self._births else None,
            )
            for record_no, channel, key_id, verified, _, doubtful, sealed in rows
            if key_id in keys
        )
        ledger_time = _ledger_time(conn)
        clock = max(now, ledger_time)  # as expiry is judged: a clock set back revives nothing
        lapsed = frozenset(row[0] for row in rows if row[4] is not None and row[4] <= clock)
        subjects = {*also, *(subject for member in members for subject in member.subjects)}
        events = self._events.events_for(conn, sorted(subjects) or [Subject(RECORD, NOBODY)])
        return Person(members, Evidence(tuple(events), now, ledger_time), addresses, contacts, lapsed)

    def _without_the_lost(self, conn: Connection, golden_no: int, person: Person) -> Person:
        """Judge anew, from the stored links, how surely the records that are left belong to the person.

        Lost are the records whose key is destroyed, and those that may no longer be linked: these are alone
        from now on. A record that only a lost one joined is in no view, before the golden ID is resolved
        again; what it says against a purpose counts until then. If none is left the anchor stands alone.
        """
        view = self._memberships.view(conn, golden_no)
        anchor = NOBODY if view is None or view.anchor_no is None else view.anchor_no
        left = {
            each.record_no: each.confidence for each in person.members if each.record_no not in person.lapsed
        }
        confidences = {anchor: 1.0}
        if left:
            links = self._memberships.links(conn, list(left))
            scored = [(link.record_a, link.record_b, link.weight) for link in links]
            verified = [each.record_no for each in person.members if each.verified]
            confidences = after_a_loss(left, scored, anchor, verified)
        members = (
            replace(each, confidence=confidences.get(each.record_no, APART)) for each in person.members
        )
        return replace(person, members=tuple(members))


def _addresses(key: KeyRow) -> list[tuple[str, bytes]]:
    """Return kind and token of the contact points that a record carries."""
    tokens = ((kind_of(code), token) for code, token in unpack_tokens(key.tokens))
    return [(kind, token) for kind, token in tokens if kind in CONTACT_ATTRIBUTES]


def _ledger_time(conn: Connection) -> int:
    rows = _LEDGER_TIME.rows(conn)
    return int(rows[0][0]) if rows else 0
