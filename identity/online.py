"""Golden IDs between two runs: a record arrives, changes, or leaves. Effective when the call returns.

Each call is one write transaction at the published version, so calls are in one order and what they say is
visible at once. Clusters and golden IDs come from the same code as a run's; only the scores come from
elsewhere (`identity.matching`), computed before the transaction and checked in it.
"""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final, Literal

from sqlalchemy import Connection

from identity import judgement_store, review_queue, unresolved
from identity.admission import admitted, one_of_each_source
from identity.arriving import ANY, Arrival, Judged, ScoredCandidate, unrelated
from identity.database import Database
from identity.errors import StaleScoresError
from identity.household_store import leave_households
from identity.judgements import Judgement
from identity.records import GoldenId, RecordFact, RecordFacts
from identity.resolution import joined, pairs_of, resolve, touching
from identity.review_queue import Doubt, cause
from identity.rows import apply_small
from identity.small_steps import small_step
from identity.snapshot import Scope, load_nearby
from identity.source_store import declared
from identity.store import MembershipReader

Decision = Literal["new", "attached", "review"]


@dataclass(frozen=True, slots=True)
class Resolution:
    """Where a record ended up. `linked`: it may be linked; if not it stays alone."""

    golden_no: int
    golden_id: GoldenId
    decision: Decision
    linked: bool


_NOBODY: Final[frozenset[int]] = frozenset()

Attached = dict[int, Resolution | StaleScoresError]
"""By record number what became of it; an error where it has to be opened and scored again."""


class OnlineResolver:
    """Attaches and detaches records at the published version."""

    def __init__(self, db: Database, facts: RecordFacts) -> None:
        self._db = db
        self._facts = facts
        self._reader = MembershipReader()

    def attach(self, arrival: Arrival, now: int) -> Resolution:
        """Resolve a record.

        Raises StaleScoresError if it changed itself, if one arrived since that asks about it, or if `owners`
        changed: open and score it again.
        """
        with self._db.write() as conn:
            return self.attach_in(conn, arrival, now)

    def attach_in(self, conn: Connection, arrival: Arrival, now: int) -> Resolution:
        """Do as `attach`, inside the caller's write transaction; writes nothing where it raises."""
        found = self.attach_all_in(conn, [arrival], now)[arrival.record_no]
        if isinstance(found, StaleScoresError):
            raise found
        return found

    def attach_all(self, arrivals: Iterable[Arrival], now: int) -> Attached:
        """Resolve records one after the other in one transaction; with each, what `attach` does."""
        with self._db.write() as conn:
            return self.attach_all_in(conn, arrivals, now)

    def attach_all_in(self, conn: Connection, arrivals: Iterable[Arrival], now: int) -> Attached:
        """Do as `attach_all`, inside the caller's write transaction.

        Neighbours in the line that touch no record and no golden ID in common share their statements.
        """
        found: Attached = {}
        waiting = list(arrivals)
        owner = self._owners(conn, waiting)
        coming = {arrival.record_no for arrival in waiting} - owner.keys()
        for part in unrelated(waiting, owner):
            if found:  # those before may have changed what was read at first
                owner = self._owners(conn, part)
            coming -= {arrival.record_no for arrival in part}
            found |= self._attach_together(conn, part, owner, now, coming=coming)
        return found

    def _owners(self, conn: Connection, arrivals: Iterable[Arrival]) -> dict[int, int]:
        return self._reader.goldens_of(conn, sorted(set().union(*map(Arrival.touched, arrivals))))

    def _attach_together(
        self,
        conn: Connection,
        arrivals: Sequence[Arrival],
        owner: Mapping[int, int],
        now: int,
        *,
        coming: AbstractSet[int],
    ) -> Attached:
        """Resolve records that have nothing to do with each other; `owner` is of all that they touch.

        `coming` are new records whose turn comes later: nobody knew of them before.
        """
        facts = self._facts.facts(conn, set().union(*map(Arrival.touched, arrivals)), now)
        unique = declared(conn)
        found: Attached = {}
        judged: list[Judged] = []
        for arrival in arrivals:
            try:
                judged.append(self._judged(conn, arrival, facts, owner, unique=unique, now=now))
            except StaleScoresError as stale:  # raised before anything of this record is written
                found[arrival.record_no] = stale
        if not judged:
            return found
        # One that arrives at the same time may not have seen this one: it gets its golden ID here.
        fresh = set().union(*(each.fresh(owner) for each in judged))
        links = [link for each in judged for link in each.links()]
        resolved = self._resolve(conn, fresh, links, now, unique=unique, settled=fresh.isdisjoint(owner))
        numbers = [each.arrival.record_no for each in judged]
        review_queue.drop(conn, numbers)
        if not fresh.isdisjoint(owner):  # a note of who has none yet has it resolved once more
            unresolved.settle(conn, numbers)
        after = {**owner, **resolved.owner}
        decided = [
            (each, *self._decided(conn, each, resolved, after, coming=coming, unique=unique, now=now))
            for each in judged
        ]
        review_queue.add(conn, [doubt for *_, doubts in decided for doubt in doubts], now)
        born = resolved.names
        names = {**self._reader.names(conn, {no for _, no, *_ in decided} - born.keys()), **born}
        for each, golden_no, decision, _ in decided:
            record_no = each.arrival.record_no
            found[record_no] = Resolution(golden_no, names[golden_no], decision, each.own.linkable)
        return found

    def _judged(
        self,
        conn: Connection,
        arrival: Arrival,
        facts: Mapping[int, RecordFact],
        owner: Mapping[int, int],
        *,
        unique: AbstractSet[str],
        now: int,
    ) -> Judged:
        """Return which candidates count, and which of them it is joined with. Raises StaleScoresError."""
        record_no, threshold, evidence = arrival.record_no, arrival.threshold, arrival.evidence
        own = facts.get(record_no)
        if own is None or own.change_sequence > arrival.sequence:
            raise StaleScoresError("the record changed after it was scored")
        usable = [
            c
            for c in arrival.candidates
            if own.linkable and _counts(facts.get(c.record_no), arrival.sequence)
        ]
        if arrival.was not in {ANY, owner.get(record_no)}:
            raise StaleScoresError("another record was resolved with it after it was scored")
        owners, heard = arrival.owners, arrival.heard()
        if owners is not None and any(owner.get(no) != owners.get(no) for no in heard - {record_no}):
            raise StaleScoresError("golden IDs changed after their records were heard")
        strong = [c for c in usable if c.weight >= threshold]
        if unique and strong:
            strong = self._of_other_sources(conn, (record_no, own.channel), strong, unique, now)
        if evidence is not None and strong:
            above = {c.record_no: c.weight - threshold for c in strong}
            welcome = admitted(record_no, above, owner, evidence)
            strong = [c for c in strong if c.record_no in welcome]
        return Judged(arrival, own, usable, strong)

    def _decided(
        self,
        conn: Connection,
        judged: Judged,
        resolved: "_Resolved",
        owner: Mapping[int, int],
        *,
        coming: AbstractSet[int],
        unique: AbstractSet[str],
        now: int,
    ) -> tuple[int, Decision, list[Doubt]]:
        """Return the golden number of a resolved record, the decision, and what is left for a steward."""
        arrival = judged.arrival
        golden_no = resolved.owner[arrival.record_no]
        members = [number for number, theirs in resolved.owner.items() if theirs == golden_no]
        doubtful = self._doubtful(conn, members, judged.usable, owner, resolved.standing)
        if unique and doubtful:
            doubtful = self._undeclared(conn, members, doubtful, unique, now)
        doubts = [
            Doubt(
                arrival.record_no, c.record_no, c.weight, cause(c.weight, arrival.threshold),
                arrival.model_version,
            )
            for c in doubtful
        ]  # fmt: skip
        known = len(set(members) - coming) > 1  # others beside the record itself
        return golden_no, "attached" if known else "review" if doubtful else "new", doubts

    def detach(self, record_nos: Iterable[int], now: int) -> None:
        """Take records out of their golden IDs: deleted ones altogether, others to stand alone.

        What remains is clustered again from the stored links; lineage and changes are written.
        """
        with self._db.write() as conn:
            self.detach_in(conn, record_nos, now)

    def detach_in(self, conn: Connection, record_nos: Iterable[int], now: int) -> None:
        """Do as `detach`, inside the caller's write transaction (the one that deletes the records)."""
        leaving = set(record_nos)
        review_queue.drop(conn, leaving)
        self._resolve(conn, leaving, [], now)

    def resolve_in(self, conn: Connection, record_nos: Iterable[int], now: int) -> None:
        """Cluster again all that these records are tied to, from stored scores and judgements as they stand.

        Inside the caller's write transaction, which changed the judgements.
        """
        self._resolve(conn, set(), [], now, around=set(record_nos))

    def _doubtful(
        self,
        conn: Connection,
        members: Sequence[int],
        usable: Sequence[ScoredCandidate],
        owner: Mapping[int, int],
        standing: Iterable[Judgement],
    ) -> list[ScoredCandidate]:
        """Return the best candidate of every other golden ID that no judgement keeps apart from this one.

        `owner` is the golden ID of members and candidates, where they have one, `standing` what was judged.
        """
        if all(candidate.record_no in members for candidate in usable):
            return []
        apart = judgement_store.kept_apart(standing, members)
        if not apart <= owner.keys():
            owner = dict(owner) | self._reader.goldens_of(conn, sorted(apart))
        settled = {owner[number] for number in (*apart, *members) if number in owner}
        best: dict[int, ScoredCandidate] = {}
        for candidate in sorted(usable, key=lambda c: (-c.weight, c.record_no)):
            golden_no = owner.get(candidate.record_no, -candidate.record_no)  # none yet: a golden ID to be
            best.setdefault(golden_no, candidate)
        return [candidate for golden_no, candidate in best.items() if golden_no not in settled]

    def _of_other_sources(
        self,
        conn: Connection,
        newcomer: tuple[int, str],
        strong: Sequence[ScoredCandidate],
        unique: AbstractSet[str],
        now: int,
    ) -> list[ScoredCandidate]:
        """Return the candidates that may be joined although no two records of a `unique` channel may be."""
        record_no, channel = newcomer
        above = {c.record_no: c.weight for c in strong}
        golden_nos = self._reader.goldens_of(conn, sorted(above))
        holds = self._holds(conn, above, unique, now, but=record_no)
        welcome = one_of_each_source(above, golden_nos, holds, unique & {channel})
        return [c for c in strong if c.record_no in welcome]

    def _undeclared(
        self,
        conn: Connection,
        members: Sequence[int],
        doubtful: Sequence[ScoredCandidate],
        unique: AbstractSet[str],
        now: int,
    ) -> list[ScoredCandidate]:
        """Leave out those whose golden ID holds a record of a `unique` channel that this one holds, too."""
        facts = self._facts.facts(conn, members, now).values()
        mine = {fact.channel for fact in facts} & unique
        holds = self._holds(conn, [c.record_no for c in doubtful], unique, now)
        return [c for c in doubtful if mine.isdisjoint(holds[c.record_no])]

    def _holds(
        self,
        conn: Connection,
        record_nos: Iterable[int],
        unique: AbstractSet[str],
        now: int,
        *,
        but: int | None = None,
    ) -> dict[int, AbstractSet[str]]:
        """Return of which `unique` channels the golden ID of each record (or it alone) holds records.

        The record `but` does not count.
        """
        found: dict[int, AbstractSet[str]] = {}
        owner = self._reader.goldens_of(conn, record_nos := sorted(record_nos))
        for golden_no in sorted(set(owner.values())):
            members = [member.record_no for member in self._reader.members(conn, golden_no)]
            facts = self._facts.facts(conn, set(members) - {but}, now).values()
            held = {fact.channel for fact in facts} & unique
            found |= {number: held for number in record_nos if owner.get(number) == golden_no}
        alone = self._facts.facts(conn, [number for number in record_nos if number not in owner], now)
        return found | {number: unique & {fact.channel} for number, fact in alone.items()}

    def _resolve(
        self,
        conn: Connection,
        fresh: set[int],
        links: list[tuple[int, int, float]],
        now: int,
        *,
        around: AbstractSet[int] = _NOBODY,
        unique: AbstractSet[str] | None = None,
        settled: bool = False,
    ) -> "_Resolved":
        """Cluster all that the records are tied to; of `fresh` ones only `links` count, nothing stored.

        `unique` are the declared sources, if they are known already; `settled`: no `fresh` record has had a
        golden ID yet, so that it is in no household either.
        """
        version = self._reader.version(conn)
        scope = Scope(fresh | around | {number for link in links for number in link[:2]})
        scope.grow(conn, [version])
        nearby = load_nearby(conn, version, scope)
        live = self._facts.facts(conn, scope.record_nos, now)
        judgement_store.forget(conn, fresh - live.keys())  # after the scope grew by them
        resolved = {record_no for _, record_no, _ in nearby.members} | fresh
        facts = {record_no: fact for record_no, fact in live.items() if record_no in resolved}
        unique = declared(conn) if unique is None else unique
        step = None if scope.standing else small_step(nearby, facts, fresh, links, unique=unique)
        if step is not None:
            names = apply_small(conn, step, version, now)
            found = _Resolved(step.owner, names, ())
        else:
            before = nearby.snapshot()
            pairs = joined(touching(before.scored, fresh, wanted=False), pairs_of(links))
            after = resolve(conn, before, facts, pairs, version=version, now=now).state
            owner = dict(zip(after.record_nos.tolist(), after.golden_nos.tolist(), strict=True))
            found = _Resolved(owner, {}, tuple(scope.standing.values()))
        if not settled:
            leave_households(conn, fresh, version)
        return found


@dataclass(frozen=True, slots=True)
class _Resolved:
    """The golden number of every record that was clustered, and the names of the golden IDs born."""

    owner: Mapping[int, int]
    names: Mapping[int, GoldenId]
    standing: Sequence[Judgement]


def _counts(fact: RecordFact | None, sequence: int) -> bool:
    return fact is not None and fact.linkable and fact.change_sequence <= sequence
