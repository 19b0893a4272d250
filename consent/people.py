"""A person's records as decisions and the door need them, read from both stores.

Opens nothing but, where the policy states an age of consent, what the records say of their person's birth.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from consent.birth_facts import BirthFacts
from consent.events import CONTACT, RECORD, ConsentEvent, Subject
from consent.key_store import KeyRow, KeyStore
from consent.linking_permission import EventSource
from consent.packed_tokens import kind_code, kind_of, tokens_of_kinds
from consent.permission import Evidence, Member
from consent.purposes import CONTACT_ATTRIBUTES
from consent.stored_contents import StoredContent, identifiers
from identity.database import Database
from identity.statements import Reading, Statement, slices
from identity.store import MembershipReader
from identity.tables import FOREVER
from identity.views import APART, after_a_loss

# Statements run on a list that is never empty, so that an unknown person costs what a known one does.
NOBODY: Final = -1
_NO_TOKEN: Final = bytes(32)

_ATTEMPTS: Final = 3
_CONTACT_KINDS: Final = frozenset(kind_code(kind) for kind in CONTACT_ATTRIBUTES)

_RECORDS = Statement("""
    SELECT key_id, linking_until,
        EXISTS (
            SELECT 1 FROM holds h
            WHERE h.record_no = records.record_no AND h.kind = 'doubt' AND h.lifted_at IS NULL
        ) AS doubtful, record_no, channel, observed_at, verified, sealed
    FROM records WHERE record_no IN :record_nos ORDER BY record_no
""")
_LEDGER_TIME = Statement("SELECT value FROM counters WHERE name = 'ledger_time'")


@dataclass(frozen=True, slots=True)
class Person:
    """Some records read in one snapshot, with every consent event of theirs and of their contact points."""

    members: tuple[Member, ...]
    evidence: Evidence
    contacts: Mapping[bytes, int] = field(repr=False)  # token -> contact point, of those spoken of before
    lapsed: frozenset[int] = frozenset()  # records whose permission to be linked has run out
    contents: Mapping[int, StoredContent] = field(default_factory=dict, repr=False)  # by record
    linked_until: int = FOREVER  # when the next record's permission to be linked runs out (ms)

    @property
    def addresses(self) -> frozenset[tuple[int, str, bytes]]:
        """Return the contact points that the records carry: record, email or phone, token."""
        return frozenset(
            (number, *pair) for number, content in self.contents.items() for pair in _addresses(content.key)
        )


@dataclass(frozen=True, slots=True)
class _Records:
    """Any records with what belongs to each, of one snapshot: cut into persons afterwards."""

    members: Mapping[int, Member]  # those that have a key, ascending; their confidence is not known yet
    contents: Mapping[int, StoredContent]
    tokens: Mapping[int, Sequence[bytes]]  # of the contact points that each carries
    contacts: Mapping[bytes, int]
    events: Mapping[Subject, Sequence[ConsentEvent]]
    lapses: Mapping[int, int]  # when the permission to link a record runs out, or ran out, where it does
    now: int
    ledger_time: int

    def person(self, confidences: Mapping[int, float], also: Iterable[Subject] = ()) -> Person:
        """Return the person that these records are of."""
        members = tuple(
            _with_confidence(self.members[no], confidences[no])
            for no in sorted(confidences)
            if no in self.members
        )
        tokens = {token for each in members for token in self.tokens[each.record_no]}
        subjects = {Subject(RECORD, each.record_no) for each in members}
        for each in members:
            subjects.update([Subject(CONTACT, number) for number in each.contacts])
        subjects.update(also)
        events = [event for each in subjects for event in self.events.get(each, ())]
        events.sort(key=_index)
        clock = max(self.now, self.ledger_time)  # as expiry is judged: a clock set back revives nothing
        lapses = {no: self.lapses[no] for each in members if (no := each.record_no) in self.lapses}
        return Person(
            members=members,
            evidence=Evidence(tuple(events), self.now, self.ledger_time),
            contacts={token: self.contacts[token] for token in tokens if token in self.contacts},
            lapsed=frozenset(no for no, until in lapses.items() if until <= clock),
            contents={each.record_no: self.contents[each.record_no] for each in members},
            linked_until=min((until for until in lapses.values() if until > clock), default=FOREVER),
        )


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

    def of_golden(self, golden_no: int | None, now: int, *, births: bool = True) -> Person:
        """Return the records of an active golden number; without records if there is none such.

        `births`: whether the decision asks for anybody's age.
        """
        wanted = NOBODY if golden_no is None else golden_no
        with self._db.snapshot() as conn:
            return self.of_goldens(conn, [wanted], now, births=births)[wanted]

    def of_goldens(
        self,
        conn: Reading,
        golden_nos: Sequence[int],
        now: int,
        *,
        births: bool = True,
        purpose: str | None = None,
    ) -> dict[int, Person]:
        """Do the same for several, in the caller's snapshot, by golden number.

        With `purpose` the evidence holds only what could matter to it.
        """
        published = self._memberships.members_of(conn, golden_nos)
        record_nos = [no for of_one in published.values() for no in of_one]
        records = self._records(conn, record_nos, now, births=births, purpose=purpose)
        people = {}
        for golden_no in golden_nos:
            confidences = published.get(golden_no, {})
            person = records.person(confidences)
            if len(person.members) < len(confidences) or (person.lapsed and len(confidences) > 1):
                person = self._again(golden_no, now, births=births)
            people[golden_no] = person
        return people

    def of_records(self, record_nos: Sequence[int], now: int, *, also: Collection[Subject] = ()) -> Person:
        """Return these records, each taken by itself: as sure of its membership as a singleton.

        The evidence holds the events of `also` too.
        """
        for _ in range(_ATTEMPTS):
            with self._db.snapshot() as conn:
                person = self._records(conn, record_nos, now, also).person(
                    dict.fromkeys(record_nos, 1.0), also
                )
            if len(person.members) == len(set(record_nos)):
                break
        return person

    def _again(self, golden_no: int, now: int, *, births: bool) -> Person:
        """Read until no record was replaced under way; what then has no key is gone for good."""
        for _ in range(_ATTEMPTS):
            with self._db.snapshot() as conn:
                published = self._memberships.members_of(conn, [golden_no]).get(golden_no, {})
                person = self._records(conn, list(published), now, births=births).person(published)
                whole = len(person.members) == len(published)
                if not whole or (person.lapsed and len(published) > 1):
                    person = self._without_the_lost(conn, golden_no, person)
            if whole:
                break
        return person

    def _records(
        self,
        conn: Reading,
        record_nos: Sequence[int],
        now: int,
        also: Collection[Subject] = (),
        *,
        births: bool = True,
        purpose: str | None = None,
    ) -> _Records:
        """Read records, keys and events; leave out the records that have no key.

        The key store's snapshot is the later one, so a key that is missing there was replaced or destroyed
        since. Going on without a record that was only replaced could overlook a denial on its contacts.
        """
        parts = slices(sorted(record_nos) or [NOBODY])
        rows = [row for part in parts for row in _RECORDS.rows(conn, record_nos=part)]
        # Several snapshots of the key store: contact points that are newer than the keys do no harm.
        with self._keys.snapshot(single=True) as keys_conn:
            keys = self._key_store.fetch(keys_conn, [row[0] for row in rows] or [NOBODY])
            tokens = {key.record_no: [token for _, token in _addresses(key)] for key in keys.values()}
            every = {token for carried in tokens.values() for token in carried}
            contacts = self._key_store.evidence.find_contacts(keys_conn, every or [_NO_TOKEN])
        ledger_time = _ledger_time(conn)
        members: dict[int, Member] = {}
        contents: dict[int, StoredContent] = {}
        lapses = {}
        for key_id, linking_until, doubtful, record_no, channel, observed_at, verified, sealed in rows:
            if linking_until is not None:
                lapses[record_no] = linking_until
            if key_id not in keys:
                continue
            content = StoredContent(
                record_no=record_no,
                channel=channel,
                observed_at=observed_at,
                verified=verified,
                sealed=sealed,
                key=keys[key_id],
            )
            contents[record_no] = content
            members[record_no] = Member(
                record_no,
                channel,
                1.0,
                frozenset(identifiers(verified)),
                frozenset([contacts[token] for token in tokens[record_no] if token in contacts]),
                bool(doubtful),
                self._births.of_record(content) if self._births and births else None,
            )
        spoken_of = {Subject(RECORD, number) for number in members}
        spoken_of.update(Subject(CONTACT, number) for number in contacts.values())
        spoken_of.update(also)
        events: dict[Subject, list[ConsentEvent]] = {}
        for event in self._events.events_for(conn, spoken_of or [Subject(RECORD, NOBODY)], purpose):
            events.setdefault(event.subject, []).append(event)
        return _Records(members, contents, tokens, contacts, events, lapses, now, ledger_time)

    def _without_the_lost(self, conn: Reading, golden_no: int, person: Person) -> Person:
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


def _with_confidence(member: Member, confidence: float) -> Member:
    if confidence == member.confidence:
        return member
    return Member(
        member.record_no,
        member.channel,
        confidence,
        member.verified,
        member.contacts,
        member.held,
        member.born,
    )


def _addresses(key: KeyRow) -> list[tuple[str, bytes]]:
    """Return kind and token of the contact points that a record carries."""
    return [(kind_of(code), token) for code, token in tokens_of_kinds(key.tokens, _CONTACT_KINDS)]


def _index(event: ConsentEvent) -> int:
    return -1 if event.index is None else event.index


def _ledger_time(conn: Reading) -> int:
    rows = _LEDGER_TIME.rows(conn)
    return int(rows[0][0]) if rows else 0
