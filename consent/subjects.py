"""Whom a consent statement names, and the evidence it attaches to.

People name a golden ID, a record or an address. Events attach to records and contact points only: a
statement about a golden ID is attached to each record that it has now, and follows those records
wherever later merges and splits take them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from consent.errors import RecordRejectedError, UnknownSubjectError
from consent.events import CONTACT, RECORD, Subject
from consent.key_store import KeyStore
from consent.lookup import Identifier, Lookup
from consent.people import People, Person
from consent.purposes import Purpose
from identity.database import Database
from identity.records import RecordKey
from identity.store import MembershipReader


@dataclass(frozen=True, slots=True)
class GoldenRef:
    """A golden ID; a merged one stands for its survivor."""

    golden_id: str


@dataclass(frozen=True, slots=True)
class RecordRef:
    """A source record."""

    key: RecordKey


@dataclass(frozen=True, slots=True)
class ContactRef:
    """An address: `email` or `phone`."""

    type: str
    value: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class RecordsRef:
    """Records by number: those that an officer approved for a request, each as surely the person's."""

    record_nos: tuple[int, ...]


SubjectRef = GoldenRef | RecordRef | ContactRef | RecordsRef


@dataclass(frozen=True, slots=True)
class Named:
    """What a reference stands for.

    For a golden ID or a record: the records. For a contact point: its token, its number once something
    was said about it, and as `person` every record that carries it.
    """

    person: Person
    token: bytes | None = field(default=None, repr=False)
    contact: Subject | None = None

    def tokens(self, purpose: Purpose, *, denial: bool) -> set[bytes]:
        """Return the addresses that a statement about `purpose` concerns: those it binds to."""
        if self.token is not None:
            return {self.token}
        concerned = self._records(purpose, denial=denial)
        return {
            token
            for record_no, kind, token in self.person.addresses
            if kind in purpose.contact_attributes and record_no in concerned
        }

    def targets(
        self, purpose: Purpose, contacts: Mapping[bytes, int], *, denial: bool
    ) -> tuple[Subject, ...]:
        """Return the evidence that a statement attaches to; `contacts` has the number of every address.

        Where the purpose binds to addresses, a grant goes to the addresses alone, so that it does not
        follow the record to its next address; a denial goes to the records too, so that it does.
        """
        tokens = self.tokens(purpose, denial=denial)
        addresses = tuple(Subject(CONTACT, contacts[token]) for token in sorted(tokens))
        records = tuple(Subject(RECORD, no) for no in self._records(purpose, denial=denial))
        if self.token is not None:
            return addresses
        if purpose.binds != "contact":
            return records
        return (*addresses, *records) if denial else addresses

    def _records(self, purpose: Purpose, *, denial: bool) -> list[int]:
        """Return the records that a statement is about.

        A grant about a golden ID is not given for the records that are too doubtful for its purpose: should
        they turn out to be somebody else's, that person has granted nothing.
        """
        members = self.person.members
        return [each.record_no for each in members if denial or each.confidence >= purpose.minimum_confidence]


class Subjects:
    """Resolves references."""

    def __init__(
        self,
        *,
        db: Database,
        keys: Database,
        key_store: KeyStore,
        memberships: MembershipReader,
        people: People,
        lookup: Lookup,
    ) -> None:
        self._db, self._keys, self._key_store = db, keys, key_store
        self._memberships, self._people, self._lookup = memberships, people, lookup

    def named(self, ref: SubjectRef, now: int) -> Named:
        """Return what `ref` stands for. Raises UnknownSubjectError."""
        if isinstance(ref, ContactRef):
            return self._contact(ref, now)
        if isinstance(ref, RecordsRef):
            person: Person | None = self._people.of_records(ref.record_nos, now)
        elif isinstance(ref, RecordRef):
            record_no = self._lookup.record(ref.key)
            person = None if record_no is None else self._people.of_records([record_no], now)
        else:
            with self._db.read() as conn:
                view = self._memberships.resolve(conn, ref.golden_id)
            person = None if view is None else self._people.of_golden(view.final.golden_no, now)
        if person is None or not person.members:
            raise UnknownSubjectError("there is no such golden ID or record")
        return Named(person)

    def carriers(self, named: Named, now: int) -> Person:
        """Return all records of the people of whom a record carries the address that is `named`.

        What any of them denies counts for it, as it does where one of these people's profile is read.
        """
        numbers = {member.record_no for member in named.person.members}
        with self._db.read() as conn:
            goldens = sorted(set(self._memberships.goldens_of(conn, sorted(numbers)).values()))
        for golden_no in goldens:
            person = self._people.of_golden(golden_no, now, births=False)
            numbers.update(member.record_no for member in person.members)
        also = () if named.contact is None else (named.contact,)
        return self._people.of_records(sorted(numbers), now, also=also)

    def numbers(self, ref: GoldenRef | RecordRef | RecordsRef, now: int) -> list[int]:
        """Return the numbers of the records that `ref` stands for. Raises UnknownSubjectError."""
        return [member.record_no for member in self.named(ref, now).person.members]

    def _contact(self, ref: ContactRef, now: int) -> Named:
        token = self._lookup.token(Identifier(ref.type, ref.value))
        if token is None:
            raise RecordRejectedError("contact", f"is no readable {ref.type}")
        with self._keys.read() as conn:
            contact_no = self._key_store.evidence.find_contacts(conn, [token]).get(token)
        contact = None if contact_no is None else Subject(CONTACT, contact_no)
        found = self._lookup.find([Identifier(ref.type, ref.value)])
        holders = sorted(no for match in found.matches for no in match.record_nos)
        also = () if contact is None else (contact,)
        return Named(self._people.of_records(holders, now, also=also), token, contact)
