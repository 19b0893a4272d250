"""What happened while a run was at work, resolved again at the version that the run is about to publish.

Touched is every record that changed in content or permission since the run began or that a steward judged
since, every golden ID that an online write changed, and every record that had changed before and was resolved
since: it may have other links although nobody has another golden ID. Around each of them the staged rows are
dropped, and the people concerned are clustered again from scored pairs: the run's for records that are as the
run saw them, the online path's for those that changed (it scored their new content; one that it never saw
stays alone). A changed record joins no two clusters that the run's guard holds apart: what the guard learnt
of the unchanged ones decides about its links.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
from sqlalchemy import Connection

from identity import judgement_store, unresolved
from identity.admission import INSEPARABLE, guarded, heard, ordered
from identity.clustering import Pairs
from identity.contradictions import Evidence
from identity.database import Database
from identity.errors import WritersTooBusyError
from identity.household_store import leave_households
from identity.leases import Clock, Lease
from identity.publishing import Publisher
from identity.records import RecordFacts, RecordReader
from identity.resolution import joined, resolve, touching
from identity.rows import unstage
from identity.snapshot import Scope, load_scope
from identity.statements import Statement
from identity.store import MembershipReader

IN_THE_SWITCH: Final = 8
"""Records that may still be resolved inside the switching transaction; about 1 ms each."""

MOST_LOOKS: Final = 50
"""Looks after which up to AT_LAST records are resolved in the switch: a run must end."""

AT_LAST: Final = 100
"""Records: if more change during every look, nobody can publish without shutting the writers out. Then the
run fails, and the last good state goes on serving."""

Touched = tuple[Literal["record", "golden ID"], int]

_MARK: Final = Statement("SELECT value FROM counters WHERE name = 'change_seq'")

_ONLINE_CHANGES: Final = Statement("""
    SELECT seq, golden_no, details FROM changes WHERE version = :version AND seq > :seq ORDER BY seq
""")


@dataclass(slots=True)
class Changes:
    """The records that changed since a change sequence; each look reads on from where the last one ended."""

    reader: RecordReader
    sequence: int
    found: set[int] = field(default_factory=set)

    def look(self) -> set[int]:
        """Return all that changed by now; inside a write transaction, until it ends."""
        sequence = self.reader.sequence()  # first: what changes after it is found by the next look
        self.found |= self.reader.changed_since(self.sequence)
        self.sequence = sequence
        return self.found


@dataclass(slots=True)
class CatchingUp:
    """Follows the store from the moment a run begins. `met` counts what was resolved again."""

    db: Database
    reader: RecordReader
    facts: RecordFacts
    clock: Clock
    version: int  # published, and until the switch it stays so: only the lease's holder publishes
    sequence: int  # of the run's snapshot: records changed after it were not scored as they are now
    seen_sequence: int
    seen_feed: int
    seen_judgement: int
    looks: int = 0
    met: int = 0
    done: set[Touched] = field(default_factory=set)  # resolved since the last look
    evidence: Evidence | None = None  # of the run, ordered
    threshold: float = 0.0  # of the run's model, in bits
    waiting: set[int] = field(default_factory=set)  # changed before the run began, not resolved since

    @classmethod
    def begin(cls, db: Database, reader: RecordReader, facts: RecordFacts, clock: Clock) -> "CatchingUp":
        """Note where the store is, before anything of it is read."""
        sequence = reader.sequence()
        with db.read() as conn:
            mark, version = int(_MARK.rows(conn)[0][0]), MembershipReader().version(conn)
            judgement, waiting = judgement_store.mark(conn), unresolved.everybody(conn)
        return cls(db, reader, facts, clock, version, sequence, sequence, mark, judgement, waiting=waiting)

    def learn(self, pairs: Pairs, threshold: float) -> None:
        """Take over what the run's guard knows; without it links decide."""
        self.evidence = None if pairs.evidence is None else ordered(pairs.evidence)
        self.threshold = threshold

    def run(self, publisher: Publisher, lease: Lease) -> None:
        """Resolve again until hardly anybody is left, in small transactions."""
        while self.looks < MOST_LOOKS:
            with self.db.read() as conn:
                touched = self._touched(conn) or []
            publisher.in_batches("catch up", iter(touched), self._resolve, lease, first=IN_THE_SWITCH)
            if len(touched) <= IN_THE_SWITCH:
                return

    def finish(self, conn: Connection) -> bool:
        """Resolve the last few inside the switching transaction; False if they are too many for it.

        Raises WritersTooBusyError where they still are after MOST_LOOKS looks.
        """
        last = self.looks >= MOST_LOOKS
        touched = self._touched(conn, limit=AT_LAST if last else IN_THE_SWITCH)
        if touched is None and last:
            raise WritersTooBusyError(
                f"records change faster than they can be caught up with: more than {AT_LAST} during each of "
                f"{self.looks} looks. Nothing was published; run again when less arrives"
            )
        if touched is None:
            return False
        self._resolve(conn, touched)
        return True

    def settle(self, publisher: Publisher) -> None:
        """Once the run is published, note no more as unresolved whom it resolved."""
        publisher.in_batches(
            "settle", iter(sorted(self.waiting)),
            lambda conn, batch: unresolved.settle_unchanged(conn, batch, self.sequence), None,
        )  # fmt: skip

    def _touched(self, conn: Connection, *, limit: int | None = None) -> list[Touched] | None:
        """Return what was touched since the last look; None, and no look taken, if beyond `limit`."""
        sequence = self.reader.sequence()  # first: what changes after it is found by the next look
        touched: set[Touched] = {
            ("record", number) for number in self.reader.changed_since(self.seen_sequence)
        }
        feed = self.seen_feed
        for seq, golden_no, details in _ONLINE_CHANGES.rows(conn, version=self.version, seq=self.seen_feed):
            feed = seq
            touched.add(("golden ID", golden_no))
            touched.update(_named(json.loads(details)))
        judgement = self.seen_judgement
        for number, *pair in judgement_store.since(conn, self.seen_judgement):
            judgement = max(judgement, number)
            touched.update(("record", record_no) for record_no in pair)
        waiting = unresolved.among(conn, self.waiting)
        touched.update(("record", record_no) for record_no in self.waiting - waiting)
        if limit is not None and len(touched) > limit:
            return None
        self.seen_sequence, self.seen_feed, self.seen_judgement = sequence, feed, judgement
        self.waiting = waiting
        self.looks += 1
        self.done = set()
        return sorted(touched)

    def _resolve(self, conn: Connection, touched: list[Touched]) -> None:
        """Resolve some of what was touched, with all that it is tied to, at the version to be published."""
        staged, now = self.version + 1, self.clock()
        touched = [item for item in touched if item not in self.done]  # an earlier one's scope held it
        scope = Scope(
            {number for kind, number in touched if kind == "record"},
            {number for kind, number in touched if kind == "golden ID"},
        )
        scope.grow(conn, [self.version, staged])
        if not scope.record_nos and not scope.golden_nos:
            return
        published = load_scope(conn, self.version, scope)
        of_run = load_scope(conn, staged, scope)
        facts = self.facts.facts(conn, scope.record_nos, now)
        changed = {number for number, fact in facts.items() if fact.change_sequence > self.sequence}
        fresh = self._admitted(touching(published.scored, changed), of_run.links, changed)
        pairs = joined(touching(of_run.scored, changed, wanted=False), fresh)
        unstage(conn, staged, scope.record_nos, scope.golden_nos)
        resolve(conn, published, facts, pairs, version=staged, now=now, staged=True)
        leave_households(conn, changed | (scope.record_nos - facts.keys()), staged)
        self.met += len(touched)
        self.done |= {("record", number) for number in scope.record_nos}
        self.done |= {("golden ID", number) for number in scope.golden_nos}

    def _admitted(self, fresh: Pairs, of_run: Pairs, changed: set[int]) -> Pairs:
        """Return the `fresh` links of `changed` records that the guard allows beside those `of_run`."""
        if self.evidence is None or not len(fresh):
            return fresh
        scored = touching(of_run.where(np.isfinite(of_run.weight)), changed, wanted=False)
        links = dict.fromkeys(_ends(scored), INSEPARABLE)
        links |= dict(zip(_ends(fresh), (fresh.weight - self.threshold).tolist(), strict=True))
        unchanged = {number for pair in links for number in pair} - changed
        label = guarded(links, heard(self.evidence, unchanged))
        return fresh.where(np.array([label[one] == label[other] for one, other in _ends(fresh)]))


def _ends(pairs: Pairs) -> list[tuple[int, int]]:
    return list(zip(pairs.record_a.tolist(), pairs.record_b.tolist(), strict=True))


def _named(details: dict[str, list[int]]) -> Iterator[Touched]:
    """Yield what the details of a change name (see `identity.difference.details`)."""
    for key, numbers in details.items():
        kind: Literal["record", "golden ID"] = "golden ID" if key in {"to", "into"} else "record"
        for number in numbers:
            yield kind, number
