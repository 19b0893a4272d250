"""The only door through which a person's plaintext leaves for an answer.

`Door.reveal` does, always in this order:

1. find the person and read the records, still sealed, with every consent event that could matter;
2. decide: what may this purpose see, by policy and by consent;
3. write the access-log entry, granted or not, and wait until it is on disk: if that fails, nothing is
   opened and AccessLogError is raised;
4. only then open the permitted fields of the records in the view, let the best values survive, answer.

Whoever asks for somebody unknown, erased, restricted or not permitted causes the same work: the same
queries, a decision and one log entry. Why nothing is answered is in `Withheld.why`, for those who may
know; consumers must not be told.
"""

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Final, Protocol

from consent.access_log import AccessEntry, AccessLog
from consent.answers import Answer, Profile, RevealRequest, Scattered, Withheld
from consent.gathered_reads import GatheredReads, Noted
from consent.households import Households
from consent.lookup import Found, Identifier, Lookup, enters
from consent.people import NOBODY, People, Person
from consent.permission import Permission, permission
from consent.profile_assembly import Permitted, attributes_of, traits_of
from consent.purposes import Purpose, Purposes
from consent.record_contents import OpenedRecord, field_names
from consent.request_purposes import is_sale
from consent.requests import Approved
from consent.stored_contents import StoredContent
from consent.vault import SOURCE_ID, TRAITS
from identity.attributes import STANDARD
from identity.database import Database
from identity.statements import Reading
from identity.store import GoldenView, MembershipReader
from identity.views import APART

REVEALED: Final = "revealed"
DISCLOSED: Final = "disclosed"
"""What the access log says of an answer to the person concerned."""


class FieldOpener(Protocol):
    """Opens sealed fields of live records (`consent.sealed_records.SealedRecords`)."""

    def open_fields(self, record_nos: Sequence[int], names: Sequence[str]) -> Mapping[int, OpenedRecord]:
        """Return the opened records by number; those whose key is destroyed are left out."""
        ...

    def open_contents(
        self, contents: Sequence[StoredContent], names: Sequence[str]
    ) -> Mapping[int, OpenedRecord]:
        """Do the same with what was read before, by key id."""
        ...


@dataclass(frozen=True, slots=True)
class _Case:
    """Everything known of a request before anything is opened."""

    why: str
    person: Person
    permission: Permission
    view: GoldenView | None

    @property
    def allowed(self) -> bool:
        return self.why == REVEALED


@dataclass(frozen=True, slots=True)
class Decided:
    """A request that is decided: what the log must say before `answer` is given, or else `case` opened."""

    request: RevealRequest
    entry: AccessEntry
    case: _Case
    answer: Scattered | Withheld | None = None
    merged: bool = False

    @property
    def named(self) -> tuple[int, ...]:
        """The golden numbers that the answer names."""
        if isinstance(self.answer, Scattered):
            return self.answer.golden_nos
        return () if self.answer or self.case.view is None else (self.case.view.golden_no,)


@dataclass(frozen=True, slots=True)
class _People:
    """Whom several requests for one purpose ask for, and what was decided of them.

    Each person is decided once, however often asked for. Else whoever repeats one golden ID a thousand times
    could tell by the time whether somebody stands behind it, and how much that person ever said.
    """

    purpose: Purpose
    by_golden: Mapping[int, Person]
    permissions: dict[int, Permission] = field(default_factory=dict)
    by_id: dict[int, _Case] = field(default_factory=dict)  # of golden numbers that were asked for by ID
    successors: dict[int, list[_Case]] = field(default_factory=dict)  # of split golden numbers

    def permission(self, golden_no: int) -> Permission:
        if golden_no not in self.permissions:
            person = self.by_golden[golden_no]
            self.permissions[golden_no] = permission(person.members, person.evidence, self.purpose)
        return self.permissions[golden_no]


def _nothing(_golden_nos: Sequence[int]) -> None:
    """Note nothing."""


class Door:
    """Answers profile reads and lookups. Built once per process; safe from many threads."""

    def __init__(
        self,
        *,
        db: Database,
        memberships: MembershipReader,
        people: People,
        lookup: Lookup,
        opener: FieldOpener,
        purposes: Purposes,
        access_log: AccessLog,
    ) -> None:
        self._db, self._memberships = db, memberships
        self._people, self._lookup = people, lookup
        self._opener, self._purposes, self._access_log = opener, purposes, access_log
        self._households = Households(db=db, memberships=memberships, people=people)
        self._withheld = cache(purposes.withheld)
        self._together = GatheredReads(self)

    def reveal(self, request: RevealRequest, now: int) -> Answer:
        """Answer `request` as of `now` (ms since the epoch).

        Raises UnknownPurposeError, and AccessLogError if the log cannot be written.
        """
        return self.reveal_each([request], now)[0]

    def reveal_each(self, requests: Sequence[RevealRequest], now: int) -> list[Answer]:
        """Answer many requests for one purpose, each as `reveal` would, from one snapshot of the stores."""
        decided = self.decided(requests, now)
        self._access_log.append(*(each.entry for each in decided))
        return self.answers(decided, now)

    async def revealed(
        self, requests: Sequence[RevealRequest], now: int, noted: Noted = _nothing
    ) -> list[Answer]:
        """Do as `reveal_each` on an event loop, together with whoever else asks there at this moment.

        The loop is held up while stores are read, not by the log. `noted` is told whose golden numbers
        the answers will name once the log is written, and what it does is done before anything is opened.
        """
        return await self._together.answers(requests, now, noted)

    def decided(self, requests: Sequence[RevealRequest], now: int) -> list[Decided]:
        """Read and decide; nothing is opened."""
        purpose = self._purposes[requests[0].purpose]
        founds = self._found(requests)
        with self._db.snapshot() as conn:
            views = self._views(conn, requests, founds)
            finals = {_number(None if view is None else view.final.golden_no) for view in views}
            read = self._people.of_goldens(
                conn, sorted(finals), now, births=purpose.age_matters, purpose=purpose.name
            )
        people = _People(purpose, read)
        return [
            self._decide(request, found, view, people, now=now)
            for request, found, view in zip(requests, founds, views, strict=True)
        ]

    def _decide(
        self,
        request: RevealRequest,
        found: Found | None,
        requested: GoldenView | None,
        people: _People,
        *,
        now: int,
    ) -> Decided:
        purpose = people.purpose
        refused = request.opted_out and is_sale(purpose)
        if found is None and requested is not None and requested.final.status == "split" and not refused:
            return self._scattered(requested, people, request, now)
        case = self._case(requested, found, people)
        if refused:
            case = replace(case, why="opted_out")
        entry = _entry(request, purpose, case, now)
        if not case.allowed or case.view is None:
            return Decided(request, entry, case, Withheld(case.why, case.permission.decision))
        merged = requested is not None and found is None and requested.golden_no != case.view.golden_no
        return Decided(request, entry, case, merged=merged)

    def logged(self, decided: Sequence[Decided]) -> Awaitable[None]:
        """Return what ends once the log says on disk what will be opened."""
        return self._access_log.appended([each.entry for each in decided])

    def answers(self, decided: Sequence[Decided], now: int) -> list[Answer]:
        """Open what the log says will be. Nothing calls this before the log is on disk."""
        purpose = self._purposes[decided[0].request.purpose]
        wanted = [
            each.case.person.contents[member.record_no]
            for each in decided
            if each.answer is None
            for member in each.case.permission.view
        ]
        names = field_names(purpose.attributes, purpose.traits)
        opened = self._opener.open_contents(wanted, names) if wanted else {}
        return [each.answer or self._profile(each, opened, purpose, now) for each in decided]

    def sharing(self, request: RevealRequest, now: int) -> int:
        """Return how many people fit the identifiers of `request`: for stewards, and nothing is opened.

        Raises UnknownPurposeError, and AccessLogError if the log cannot be written.
        """
        purpose = self._purposes[request.purpose]
        found = self._lookup.find(request.identifiers)
        why = "shared" if found.shared else "unknown"
        self._access_log.append(AccessEntry(now, request.client, purpose.name, why, (), None, ()))
        return found.people

    def disclose(self, approved: Approved, client: str, now: int) -> Mapping[int, OpenedRecord]:
        """Open everything that the approved records of a verified request hold, for the person concerned.

        No purpose limits it, nor a consent: it is the person's own right. Under which request is in the log,
        whose entry is on disk before anything is opened. Raises AccessLogError if it cannot be written.
        """
        entry = AccessEntry(
            time=now,
            client=client,
            purpose=f"request:{approved.type}",
            decision=DISCLOSED,
            attributes=(*STANDARD, "traits"),
            golden_no=approved.golden_no,
            record_nos=approved.record_nos,
        )
        self._access_log.append(entry)
        return self._opener.open_fields(approved.record_nos, (*STANDARD, SOURCE_ID, TRAITS))

    def _found(self, requests: Sequence[RevealRequest]) -> list[Found | None]:
        sought = [request.identifiers for request in requests if request.identifiers]
        found = iter(self._lookup.find_each(sought) if sought else ())
        return [next(found) if request.identifiers else None for request in requests]

    def _views(
        self, conn: Reading, requests: Sequence[RevealRequest], founds: Sequence[Found | None]
    ) -> list[GoldenView | None]:
        keys = [
            request.golden_id or ""
            if found is None
            else NOBODY
            if found.golden_no is None
            else found.golden_no
            for request, found in zip(requests, founds, strict=True)
        ]
        views = self._memberships.views(
            conn,
            sorted({key for key in keys if isinstance(key, str)}),
            sorted({key for key in keys if isinstance(key, int)}),
        )
        return [views.get(key) for key in keys]

    def _case(self, requested: GoldenView | None, found: Found | None, people: _People) -> _Case:
        asked_for = _number(None if requested is None else requested.golden_no)
        if found is None and asked_for in people.by_id:
            return people.by_id[asked_for]
        view = None if requested is None else requested.final
        number = _number(None if view is None else view.golden_no)
        person, granted, purpose = people.by_golden[number], people.permission(number), people.purpose
        why = _why(view, found, granted, purpose)
        if why == REVEALED and not self._leads_into_view(requested, found, person, purpose):
            why = "entry"
        case = _Case(why, person, granted, view)
        if found is None:
            people.by_id[asked_for] = case
        return case

    def _leads_into_view(
        self, requested: GoldenView | None, found: Found | None, person: Person, purpose: Purpose
    ) -> bool:
        """Whether a merged ID may answer as its survivor: all its records must be sure enough for `purpose`.

        And one of them must be left: the ID of somebody who is erased answers as nobody else. Else whoever
        holds the ID of one person could be shown another, on a merge too doubtful to rely on.
        """
        if found is not None or requested is None or requested.redirect is None:
            return True
        with self._db.snapshot() as conn:
            former = set(self._memberships.former_members(conn, requested.golden_no))
        sure = (member.confidence for member in person.members if member.record_no in former)
        return min(sure, default=APART) >= purpose.minimum_confidence

    def _scattered(self, requested: GoldenView, people: _People, request: RevealRequest, now: int) -> Decided:
        """Name the successors of a split ID where every one of them may be read, and open nothing."""
        split, purpose = requested.final, people.purpose
        if split.golden_no not in people.successors:
            people.successors[split.golden_no] = self._successors(split, purpose, now)
        cases = people.successors[split.golden_no]
        refused = next((case for case in cases if not case.allowed), None)
        if refused is not None:
            withheld = Withheld(refused.why, refused.permission.decision)
            return Decided(request, _entry(request, purpose, refused, now), refused, withheld)
        entry = AccessEntry(now, request.client, purpose.name, "split", (), split.golden_no, ())
        after = {case.view.golden_no: case.view.golden_id for case in cases if case.view is not None}
        answer = Scattered(requested.golden_id, tuple(after), tuple(after.values()))
        return Decided(request, entry, cases[0], answer)

    def _successors(self, split: GoldenView, purpose: Purpose, now: int) -> list[_Case]:
        """Decide on each successor of a split ID; on nobody where it has none."""
        with self._db.snapshot() as conn:
            views = [self._memberships.resolve(conn, each) for each in split.successors] or [None]
            finals = {_number(None if view is None else view.final.golden_no) for view in views}
            read = self._people.of_goldens(
                conn, sorted(finals), now, births=purpose.age_matters, purpose=purpose.name
            )
        people = _People(purpose, read)
        return [self._case(view, None, people) for view in views]

    def _profile(
        self,
        decided: Decided,
        opened: Mapping[int, OpenedRecord],
        purpose: Purpose,
        now: int,
    ) -> Profile | Withheld:
        case = decided.case
        seen = {member.record_no: member for member in case.permission.view}
        keys = [case.person.contents[no].key.key_id for no in sorted(seen)]  # as decided: a record may change
        records = [opened[key_id] for key_id in keys if key_id in opened]
        if not records or case.view is None:  # every key was destroyed since the decision
            return Withheld("erased", case.permission.decision)
        survivorship = self._purposes.survivorship
        return Profile(
            golden_no=case.view.golden_no,
            golden_id=case.view.golden_id,
            requested_id=decided.request.golden_id if decided.merged else None,
            purpose=purpose.name,
            as_of=now,
            confidence=min(seen[record.record_no].confidence for record in records),
            attributes=attributes_of(
                records,
                purpose.attributes,
                survivorship,
                form=self._lookup.form,
                permitted=self._permitted(case, purpose),
            ),
            traits=traits_of(records, purpose.traits, survivorship),
            withheld=self._withheld(purpose),
            channels=tuple(sorted({record.channel for record in records})),
            records=len(records),
            household=self._households.shown(case.person, case.permission, purpose, now),
        )

    def _permitted(self, case: _Case, purpose: Purpose) -> Permitted | None:
        """Return whether a value may be shown: an address only if its own contact point is permitted."""
        permission = case.permission
        if permission.contacts is None:
            return None
        tokens = {token for token, no in case.person.contacts.items() if no in permission.contacts}

        def permitted(name: str, value: str) -> bool:
            if name not in purpose.contact_attributes:
                return True
            return self._lookup.token(Identifier(name, value)) in tokens

        return permitted


def _number(golden_no: int | None) -> int:
    return NOBODY if golden_no is None else golden_no


def _entry(request: RevealRequest, purpose: Purpose, case: _Case, now: int) -> AccessEntry:
    return AccessEntry(
        time=now,
        client=request.client,
        purpose=purpose.name,
        decision=case.why,
        attributes=purpose.disclosed if case.allowed else (),
        golden_no=None if case.view is None else case.view.golden_no,
        record_nos=tuple(member.record_no for member in case.permission.view) if case.allowed else (),
    )


def _why(view: GoldenView | None, found: Found | None, granted: Permission, purpose: Purpose) -> str:
    """Say `revealed`, or the first ground on which nothing is."""
    if view is None:
        return "shared" if found is not None and found.shared else "unknown"
    if view.status != "active":
        return "erased"
    if purpose.binds == "record" or not granted.decision.allowed or not granted.view:
        return "not_permitted"
    if found is not None and not enters(found.matches, granted.view, purpose):
        return "entry"
    return REVEALED
