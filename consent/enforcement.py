"""The only door through which a person's plaintext leaves for an answer.

`Door.reveal` does, always in this order:

1. find the person and read the records, still sealed, with every consent event that could matter;
2. decide: what may this purpose see, by policy and by consent;
3. write the access-log entry, granted or not, and wait until it is on disk: if that fails, nothing is
   opened and AccessLogError is raised;
4. only then open the permitted fields of the records in the view, let the best values survive, answer.

An answer may be kept and given again in place of 1, 2 and 4, never of 3, while it would be the same
(`consent.kept_answers`).

Whoever asks for somebody unknown, erased, restricted or not permitted causes the same work: the same
queries, a decision and one log entry. Why nothing is answered is in `Withheld.why`, for those who may
know; consumers must not be told.
"""

from collections.abc import Awaitable, Hashable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from functools import cache
from typing import Final, Protocol

from consent.access_log import AccessEntry, AccessLog
from consent.answers import Answer, Profile, RevealRequest, Scattered, Withheld
from consent.cases import REVEALED, Case, Decided, OfOnePurpose, entry_of, ground, number_of, settled_until
from consent.decisions import Decision
from consent.gathered_reads import GatheredReads, Noted
from consent.households import Households
from consent.kept_answers import Kept, KeptAnswers, Outcomes, Recalled
from consent.lookup import Found, Identifier, Lookup
from consent.people import NOBODY, People, Person
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

    def destroyed(self, key_ids: Sequence[int]) -> AbstractSet[int]:
        """Return those of the keys that were destroyed."""
        ...


_GONE: Final = Withheld("erased", Decision(False, "unknown", ()))
"""Of a kept answer that was decided on, and whose records' keys were destroyed before it was given."""


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
        kept: KeptAnswers,
    ) -> None:
        self._db, self._memberships = db, memberships
        self._people, self._lookup = people, lookup
        self._opener, self._purposes, self._access_log = opener, purposes, access_log
        self._households = Households(db=db, memberships=memberships, people=people)
        self._withheld = cache(purposes.withheld)
        self._kept = kept
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
            finals = {number_of(None if view is None else view.final.golden_no) for view in views}
            read = self._people.of_goldens(
                conn, sorted(finals), now, births=purpose.age_matters, purpose=purpose.name
            )
        people = OfOnePurpose(purpose, read)
        return [
            self._decide(request, found, view, people, now=now)
            for request, found, view in zip(requests, founds, views, strict=True)
        ]

    def _decide(
        self,
        request: RevealRequest,
        found: Found | None,
        requested: GoldenView | None,
        people: OfOnePurpose,
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
        entry = entry_of(request, purpose, case, now)
        if not case.allowed or case.view is None:
            return Decided(request, entry, case, Withheld(case.why, case.permission.decision))
        merged = requested is not None and found is None and requested.golden_no != case.view.golden_no
        return Decided(request, entry, case, merged=merged)

    def decided_or_kept(self, requests: Sequence[RevealRequest], now: int) -> Outcomes:
        """Do as `decided`, but for what is kept from before and would be decided alike."""
        state = self._kept.state()  # before anything is read
        found = [self._kept.find(state, request, now) for request in requests]
        new = [request for request, kept in zip(requests, found, strict=True) if kept is None]
        decided = iter(self.decided(new, now) if new else ())
        return Outcomes(
            state,
            now,
            [
                next(decided) if kept is None else Recalled(request, kept, now)
                for request, kept in zip(requests, found, strict=True)
            ],
        )

    def overtaken(self, outcomes: Outcomes) -> bool:
        """Whether anything was committed since they were decided, as far as that can be told."""
        return self._kept.state() != outcomes.state

    def are_kept(self, requests: Iterable[RevealRequest], now: int) -> list[bool]:
        """Whether an answer is kept for each, as it seems at this moment."""
        if not self._kept.keeps:
            return [False for _ in requests]
        state = self._kept.state()
        return [self._kept.find(state, request, now) is not None for request in requests]

    def sweep(self) -> bool:
        """Drop what may not be told any more, or was kept long enough; return whether anything is left."""
        return self._kept.sweep()

    def logged(self, entries: Sequence[AccessEntry]) -> Awaitable[None]:
        """Return what ends once the log says on disk what will be opened."""
        return self._access_log.appended(entries)

    def given(self, outcomes: Outcomes) -> list[Answer]:
        """Open what the log says will be, or give it as it was kept: called once the log is on disk."""
        decided = [each for each in outcomes.of_requests if isinstance(each, Decided)]
        answers = iter(self.answers(decided, outcomes.now, outcomes.state) if decided else ())
        recalled = [each for each in outcomes.of_requests if isinstance(each, Recalled)]
        gone = self._gone(recalled, outcomes.state) if recalled else ()
        return [
            next(answers)
            if isinstance(each, Decided)
            else _GONE
            if gone and not gone.isdisjoint(each.kept.key_ids)
            else each.profile
            for each in outcomes.of_requests
        ]

    def _gone(self, recalled: Sequence[Recalled], state: Hashable) -> AbstractSet[int]:
        """Return which keys of the answers were destroyed since `state`: what they opened is not given."""
        if self._kept.state() == state:
            return frozenset()
        return self._opener.destroyed([key_id for each in recalled for key_id in each.kept.key_ids])

    def answers(self, decided: Sequence[Decided], now: int, state: Hashable = None) -> list[Answer]:
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
        answers = [each.answer or self._profile(each, opened, purpose, now) for each in decided]
        if state is not None:
            for each, answer in zip(decided, answers, strict=True):
                if isinstance(answer, Profile):
                    self._keep(each, answer, purpose, state)
        return answers

    def _keep(self, decided: Decided, profile: Profile, purpose: Purpose, state: Hashable) -> None:
        person, now = decided.case.person, profile.as_of
        key_ids = tuple(
            person.contents[member.record_no].key.key_id for member in decided.case.permission.view
        )
        until = settled_until(person, purpose, now)
        self._kept.keep(state, decided.request, Kept(profile, decided.entry, key_ids, until))

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

    def _case(self, requested: GoldenView | None, found: Found | None, people: OfOnePurpose) -> Case:
        asked_for = number_of(None if requested is None else requested.golden_no)
        if found is None and asked_for in people.by_id:
            return people.by_id[asked_for]
        view = None if requested is None else requested.final
        number = number_of(None if view is None else view.golden_no)
        person, granted, purpose = people.by_golden[number], people.permission(number), people.purpose
        why = ground(view, found, granted, purpose)
        if why == REVEALED and not self._leads_into_view(requested, found, person, purpose):
            why = "entry"
        case = Case(why, person, granted, view)
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

    def _scattered(
        self, requested: GoldenView, people: OfOnePurpose, request: RevealRequest, now: int
    ) -> Decided:
        """Name the successors of a split ID where every one of them may be read, and open nothing."""
        split, purpose = requested.final, people.purpose
        if split.golden_no not in people.successors:
            people.successors[split.golden_no] = self._successors(split, purpose, now)
        cases = people.successors[split.golden_no]
        refused = next((case for case in cases if not case.allowed), None)
        if refused is not None:
            withheld = Withheld(refused.why, refused.permission.decision)
            return Decided(request, entry_of(request, purpose, refused, now), refused, withheld)
        entry = AccessEntry(now, request.client, purpose.name, "split", (), split.golden_no, ())
        after = {case.view.golden_no: case.view.golden_id for case in cases if case.view is not None}
        answer = Scattered(requested.golden_id, tuple(after), tuple(after.values()))
        return Decided(request, entry, cases[0], answer)

    def _successors(self, split: GoldenView, purpose: Purpose, now: int) -> list[Case]:
        """Decide on each successor of a split ID; on nobody where it has none."""
        with self._db.snapshot() as conn:
            views = [self._memberships.resolve(conn, each) for each in split.successors] or [None]
            finals = {number_of(None if view is None else view.final.golden_no) for view in views}
            read = self._people.of_goldens(
                conn, sorted(finals), now, births=purpose.age_matters, purpose=purpose.name
            )
        people = OfOnePurpose(purpose, read)
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

    def _permitted(self, case: Case, purpose: Purpose) -> Permitted | None:
        """Return whether a value may be shown: an address only if its own contact point is permitted."""
        contacts = case.permission.contacts
        if contacts is None:
            return None
        tokens = {token for token, no in case.person.contacts.items() if no in contacts}

        def permitted(name: str, value: str) -> bool:
            if name not in purpose.contact_attributes:
                return True
            return self._lookup.token(Identifier(name, value)) in tokens

        return permitted
