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

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from consent.access_log import AccessEntry, AccessLog
from consent.decisions import Decision
from consent.households import Households
from consent.lookup import Found, Identifier, Lookup, enters
from consent.people import NOBODY, People, Person
from consent.permission import Permission, permission
from consent.purposes import Purpose, Purposes
from consent.record_contents import field_names
from consent.request_purposes import is_sale
from consent.requests import Approved
from consent.sealed_records import OpenedRecord
from consent.vault import SOURCE_ID, TRAITS
from identity.attributes import MULTI_VALUED, STANDARD
from identity.database import Database
from identity.store import GoldenView, MembershipReader
from identity.survivorship import Candidate
from identity.views import APART

REVEALED: Final = "revealed"
DISCLOSED: Final = "disclosed"
"""What the access log says of an answer to the person concerned."""


class FieldOpener(Protocol):
    """Opens sealed fields of live records (`consent.sealed_records.SealedRecords`)."""

    def open_fields(self, record_nos: Sequence[int], names: Sequence[str]) -> Mapping[int, OpenedRecord]:
        """Return the opened records by number; those whose key is destroyed are left out."""
        ...


@dataclass(frozen=True, slots=True)
class RevealRequest:
    """Who asks for whom, and why. Exactly one of `golden_id` and `identifiers` is given.

    `opted_out`: the person's browser says so at this very moment (Global Privacy Control).
    """

    purpose: str
    client: str
    golden_id: str | None = None
    identifiers: tuple[Identifier, ...] = ()
    opted_out: bool = False


@dataclass(frozen=True, slots=True)
class Profile:
    """What one purpose may see of one person. `requested_id` is set where the ID asked for was merged."""

    golden_no: int
    golden_id: str
    requested_id: str | None
    purpose: str
    as_of: int  # ms since the epoch, UTC
    confidence: float  # of the least sure record of the view
    attributes: Mapping[str, str | list[str]] = field(repr=False)
    traits: Mapping[str, str] = field(repr=False)
    withheld: Mapping[str, str]
    channels: tuple[str, ...]
    records: int
    household: str | None = None  # only for purposes that are shown one (consent.households)


@dataclass(frozen=True, slots=True)
class Scattered:
    """The ID asked for was split, and this purpose may read every successor."""

    requested_id: str
    golden_nos: tuple[int, ...]
    successors: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Withheld:
    """Nothing is answered. `why` and `decision` are for those who may know, never for a consumer."""

    why: str  # unknown, erased, shared, entry, not_permitted, opted_out
    decision: Decision


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

    def reveal(self, request: RevealRequest, now: int) -> Profile | Scattered | Withheld:
        """Answer `request` as of `now` (ms since the epoch).

        Raises UnknownPurposeError, and AccessLogError if the log cannot be written.
        """
        purpose = self._purposes[request.purpose]
        found = self._lookup.find(request.identifiers) if request.identifiers else None
        requested = self._view(request, found)
        refused = request.opted_out and is_sale(purpose)
        if found is None and requested is not None and requested.final.status == "split" and not refused:
            return self._scattered(requested, purpose, request, now)
        case = self._case(requested, found, purpose, now)
        if refused:
            case = replace(case, why="opted_out")
        self._log(request, purpose, case, now)
        if not case.allowed or case.view is None:
            return Withheld(case.why, case.permission.decision)
        merged = requested is not None and found is None and requested.golden_no != case.view.golden_no
        return self._profile(case, case.view, request.golden_id if merged else None, purpose, now)

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

    def _view(self, request: RevealRequest, found: Found | None) -> GoldenView | None:
        with self._db.read() as conn:
            if found is None:
                return self._memberships.resolve(conn, request.golden_id or "")
            return self._memberships.view(conn, NOBODY if found.golden_no is None else found.golden_no)

    def _case(self, requested: GoldenView | None, found: Found | None, purpose: Purpose, now: int) -> _Case:
        view = None if requested is None else requested.final
        person = self._people.of_golden(None if view is None else view.golden_no, now)
        granted = permission(person.members, person.evidence, purpose)
        why = _why(view, found, granted, purpose)
        if why == REVEALED and not self._leads_into_view(requested, found, person, purpose):
            why = "entry"
        return _Case(why, person, granted, view)

    def _leads_into_view(
        self, requested: GoldenView | None, found: Found | None, person: Person, purpose: Purpose
    ) -> bool:
        """Whether a merged ID may answer as its survivor: all its records must be sure enough for `purpose`.

        And one of them must be left: the ID of somebody who is erased answers as nobody else. Else whoever
        holds the ID of one person could be shown another, on a merge too doubtful to rely on.
        """
        if found is not None or requested is None or requested.redirect is None:
            return True
        with self._db.read() as conn:
            former = set(self._memberships.former_members(conn, requested.golden_no))
        sure = (member.confidence for member in person.members if member.record_no in former)
        return min(sure, default=APART) >= purpose.minimum_confidence

    def _scattered(
        self, requested: GoldenView, purpose: Purpose, request: RevealRequest, now: int
    ) -> Scattered | Withheld:
        """Name the successors of a split ID where every one of them may be read, and open nothing."""
        split = requested.final
        with self._db.read() as conn:
            views = [self._memberships.resolve(conn, successor) for successor in split.successors]
        cases = [self._case(view, None, purpose, now) for view in views]
        refused = next((case for case in cases if not case.allowed), None)
        if refused is not None or not cases:
            case = refused or self._case(None, None, purpose, now)
            self._log(request, purpose, case, now)
            return Withheld(case.why, case.permission.decision)
        entry = AccessEntry(now, request.client, purpose.name, "split", (), split.golden_no, ())
        self._access_log.append(entry)
        finals = {case.view.golden_no: case.view.golden_id for case in cases if case.view is not None}
        return Scattered(requested.golden_id, tuple(finals), tuple(finals.values()))

    def _log(self, request: RevealRequest, purpose: Purpose, case: _Case, now: int) -> None:
        """Return once the access is on disk. Raises AccessLogError: then nothing may be opened."""
        entry = AccessEntry(
            time=now,
            client=request.client,
            purpose=purpose.name,
            decision=case.why,
            attributes=purpose.disclosed if case.allowed else (),
            golden_no=None if case.view is None else case.view.golden_no,
            record_nos=tuple(member.record_no for member in case.permission.view) if case.allowed else (),
        )
        self._access_log.append(entry)

    def _profile(
        self, case: _Case, view: GoldenView, requested_id: str | None, purpose: Purpose, now: int
    ) -> Profile | Withheld:
        seen = {member.record_no: member for member in case.permission.view}
        names = field_names(purpose.attributes, purpose.traits)
        opened = self._opener.open_fields(sorted(seen), names)
        if not opened:  # every key was destroyed since the decision
            return Withheld("erased", case.permission.decision)
        permitted = self._permitted(case, purpose)
        attributes, traits = _candidates(opened.values(), permitted)
        best = self._purposes.survivorship.ranked
        shown = {
            name: best(name, attributes[name], form=self._lookup.form(name))
            for name in purpose.attributes
            if name in attributes
        }
        return Profile(
            golden_no=view.golden_no,
            golden_id=view.golden_id,
            requested_id=requested_id,
            purpose=purpose.name,
            as_of=now,
            confidence=min(seen[no].confidence for no in opened),
            attributes={
                name: values if name in MULTI_VALUED else values[0]
                for name, values in shown.items()
                if values
            },
            traits={name: best(name, traits[name])[0] for name in purpose.traits if name in traits},
            withheld=self._purposes.withheld(purpose),
            channels=tuple(sorted({record.channel for record in opened.values()})),
            records=len(opened),
            household=self._households.shown(case.person, case.permission, purpose, now),
        )

    def _permitted(self, case: _Case, purpose: Purpose) -> Callable[[str, str], bool]:
        """Return whether a value may be shown: an address only if its own contact point is permitted."""
        permission = case.permission
        if permission.contacts is None:
            return lambda _name, _value: True
        tokens = {token for token, no in case.person.contacts.items() if no in permission.contacts}

        def permitted(name: str, value: str) -> bool:
            if name not in purpose.contact_attributes:
                return True
            return self._lookup.token(Identifier(name, value)) in tokens

        return permitted


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


def _candidates(
    records: Iterable[OpenedRecord], permitted: Callable[[str, str], bool]
) -> tuple[dict[str, list[Candidate]], dict[str, list[Candidate]]]:
    """Return the candidates of every attribute and of every trait."""
    attributes: dict[str, list[Candidate]] = {}
    traits: dict[str, list[Candidate]] = {}
    for record in records:
        for name, values in record.attributes.items():
            for value in values:
                if value and permitted(name, value):
                    candidate = Candidate(value, record.record_no, record.channel, record.observed_at)
                    attributes.setdefault(name, []).append(candidate)
        for name, value in record.traits.items():
            if value:
                candidate = Candidate(value, record.record_no, record.channel, record.observed_at)
                traits.setdefault(name, []).append(candidate)
    return attributes, traits
