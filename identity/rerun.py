"""One run over everything: score, cluster, assign golden IDs, publish, while the service goes on.

1. take the lease; remove what a crashed run left staged; note the change sequence
2. open the permitted records, score them, cluster them; records that may not be linked stay alone
3. assign golden IDs against the published state, and stage the difference
4. resolve again whoever was touched since step 1, until nobody is left; the last look is taken inside the
   transaction that switches, where nobody else can write
5. switch, in that same small transaction; then remove what no reader can see any more

A crash at any point leaves the previous state serving. A dry run takes no lease, stops after the
assignment and writes nothing at all.
"""

import json
import resource
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from itertools import chain
from typing import Final, Protocol

import numpy as np

from identity import model_store
from identity.catching_up import CatchingUp
from identity.clustering import Clusters, cluster
from identity.database import Database
from identity.difference import Snapshot, difference
from identity.errors import NoModelError
from identity.golden_events import GONE, MERGED, REACTIVATED, SPLIT, UPDATED, Ints
from identity.golden_ids import Assignment, assign_golden_ids, record_weights
from identity.golden_state import NONE, lookup
from identity.leases import Clock, Lease
from identity.model import Model
from identity.model_store import version_of
from identity.publishing import Hook, Publisher
from identity.records import OpenedBatch, RecordFacts, RecordReader
from identity.resolution import VERIFIED, no_pairs
from identity.scoring import Scores
from identity.snapshot import load_all
from identity.store import MembershipReader

KNOWN: Final = 1  # the standing of a record about which nothing special is known


class Scorer(Protocol):
    """What turns opened records into scored pairs: `identity.scoring.EngineScorer`."""

    def __call__(self, batches: Iterable[OpenedBatch], model: Model | None) -> Scores:
        """Score with `model`, or with one trained on these records. May raise NoModelError."""
        ...


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """What a run did, or (`dry_run`) would do; counts, seconds, megabytes and milliseconds.

    `unchanged`: golden IDs without any event. `records`: live ones, of which `linkable` may be linked.
    """

    run_id: str
    dry_run: bool
    records: int
    linkable: int
    golden_ids: int
    created: int
    reactivated: int
    updated: int
    merged: int
    split: int
    gone: int
    unchanged: int
    touched_meanwhile: int
    trained: bool
    model_version: str | None
    uncompared: tuple[str, ...]  # what the records hold by now and the stored model does not compare
    seconds: float
    peak_rss_mb: int
    longest_lock_ms: float


Progress = Callable[[str], None]
Report = Callable[[RunOutcome, Scores | None, Clusters], None]


def _silent(_step: str) -> None:
    """Report no progress."""


@dataclass(frozen=True, slots=True)
class Rerun:
    """Everything a run works with. `scorer` and `report` are the parts that see more than numbers."""

    db: Database
    reader: RecordReader
    facts: RecordFacts
    scorer: Scorer
    clock: Clock
    progress: Progress = _silent
    report: Report | None = None
    hook: Hook = _silent

    def run(self, *, dry_run: bool = False, retrain: bool = False) -> RunOutcome:
        """Link everything. Raises RunInProgressError, RunLostError, StoreBusyError."""
        started = time.perf_counter()
        if dry_run:
            resolved = self._resolve(retrain=retrain, reserve=None)
            return self._told(_outcome(resolved, "dry_run", started), resolved)
        lease = Lease.acquire(self.db, self.clock)
        publisher = Publisher(self.db, self.clock, hook=self.hook)
        with lease.kept():
            publisher.recover(lease)
            self._forget_old_models(publisher, lease)
            catching_up = CatchingUp.begin(self.db, self.reader, self.facts, self.clock)
            resolved = self._resolve(
                retrain=retrain, reserve=lambda count: publisher.reserve_golden_nos(lease, count)
            )
            outcome = self._publish(lease, publisher, resolved, catching_up, started)
        self.progress("tidying up")
        publisher.compact()
        return self._told(outcome, resolved)

    def _resolve(self, *, retrain: bool, reserve: Callable[[int], int] | None) -> "_Resolved":
        """Do everything up to the difference; writes nothing but the reservation of golden numbers."""
        with self.db.read() as conn:
            stored = None if retrain else model_store.load_current(conn)
        self.progress("opening and scoring")
        opened = _Opened(self.reader)
        scores = opened.scored(self.scorer, None if stored is None else stored[1])
        self.progress("clustering")
        with self.db.read() as conn:
            standing = self.facts.standings(conn)
        verified = [number for number, rank in standing.items() if rank >= VERIFIED]
        pairs, threshold = no_pairs(), np.inf
        if scores is not None:
            pairs, threshold = scores.scored.pairs, scores.scored.model.threshold
        clusters = cluster(opened.record_nos(), pairs, threshold, verified)
        self.progress("assigning golden IDs")
        with self.db.read() as conn:
            before = load_all(conn, MembershipReader().version(conn))
        if reserve is not None:
            most = len(np.unique(clusters.label))
            before = replace(before, state=replace(before.state, next_golden_no=reserve(most)))
        weights = record_weights(_ranks(clusters.record_nos, standing))
        assignment = assign_golden_ids(before.state, clusters.record_nos, clusters.label, weights)
        trained = scores is not None and scores.scored.report.trained
        return _Resolved(len(opened.linkable), scores, trained, clusters, before, assignment)

    def _publish(
        self,
        lease: Lease,
        publisher: Publisher,
        resolved: "_Resolved",
        catching_up: CatchingUp,
        started: float,
    ) -> RunOutcome:
        self.progress("publishing")
        version = catching_up.version + 1
        if resolved.scores is not None and resolved.trained:
            self._save_model(lease, publisher, resolved.scores)
        rows = difference(resolved.before, resolved.assignment, resolved.clusters)
        publisher.stage(lease, rows, version)
        outcome = _outcome(resolved, lease.run_id, started)  # counted before anybody has to wait for it
        while True:
            catching_up.run(publisher, lease)
            with publisher.locked("switch") as conn:
                lease.check(conn)
                if catching_up.finish(conn):
                    outcome = replace(
                        outcome,
                        dry_run=False,
                        touched_meanwhile=catching_up.met,
                        seconds=_since(started),
                        longest_lock_ms=round(publisher.longest_ms, 1),
                    )
                    publisher.switch(conn, version)
                    lease.finish(
                        conn, "published", version=version, sequence=catching_up.sequence,
                        model_version=outcome.model_version, summary=json.dumps(asdict(outcome)),
                    )  # fmt: skip
                    return outcome

    def _save_model(self, lease: Lease, publisher: Publisher, scores: Scores) -> None:
        model = scores.scored.model
        with publisher.locked("model") as conn:
            lease.check(conn)
            model_store.save(conn, model, self.clock())
        name = version_of(model)
        rows = ((name, *row) for row in sorted(scores.frequencies))
        publisher.in_batches("model", rows, model_store.save_frequencies, lease)

    def _forget_old_models(self, publisher: Publisher, lease: Lease) -> None:
        """Delete the frequencies of every model but the current one; only the lease's holder adds any."""
        with self.db.read() as conn:
            current = model_store.current_version(conn)
            old = model_store.superseded_frequencies(conn, current or "")
        publisher.in_batches("recover", iter(old), model_store.delete_frequencies, lease)

    def _told(self, outcome: RunOutcome, resolved: "_Resolved") -> RunOutcome:
        if self.report is not None:
            self.report(outcome, resolved.scores, resolved.clusters)
        return outcome


@dataclass(frozen=True, slots=True, eq=False)
class _Resolved:
    """A run's result before it is published."""

    linkable: int
    scores: Scores | None
    trained: bool
    clusters: Clusters
    before: Snapshot
    assignment: Assignment


class _Opened:
    """The records of a run: those the scorer was given, and the live ones that may not be linked."""

    def __init__(self, reader: RecordReader) -> None:
        self._reader = reader
        self.linkable: list[int] = []

    def scored(self, scorer: Scorer, model: Model | None) -> Scores | None:
        """Score what may be linked; None if nothing could be compared: everybody stays alone."""
        try:
            return scorer(self._batches(), model)
        except NoModelError:
            return None

    def record_nos(self) -> Ints:
        """Return every live record: whoever the scorer saw, and the rest alone."""
        live = (record_no for record_no, _ in self._reader.live())
        return np.unique(np.fromiter(chain(self.linkable, live), dtype=np.int64))

    def _batches(self) -> Iterator[OpenedBatch]:
        for batch in self._reader.permitted():
            self.linkable.extend(batch.record_nos)
            yield batch


def _ranks(record_nos: Ints, standing: dict[int, int]) -> Ints:
    ranks = np.full(len(record_nos), KNOWN, dtype=np.int64)
    if standing:
        numbers = np.array(sorted(standing), dtype=np.int64)
        found = lookup(record_nos, numbers, np.array([standing[int(n)] for n in numbers], dtype=np.int64))
        ranks = np.where(found == NONE, ranks, found)
    return ranks


def _since(started: float) -> float:
    return round(time.perf_counter() - started, 3)


def _outcome(resolved: _Resolved, run_id: str, started: float) -> RunOutcome:
    assignment, events = resolved.assignment, resolved.assignment.events
    return RunOutcome(
        run_id=run_id,
        dry_run=True,
        records=len(assignment.state.record_nos),
        linkable=resolved.linkable,
        golden_ids=len(np.unique(assignment.state.golden_nos)),
        created=len(assignment.created),
        reactivated=events.count(REACTIVATED),
        updated=events.count(UPDATED),
        merged=int((assignment.ended_status == MERGED).sum()),
        split=int((assignment.ended_status == SPLIT).sum()),
        gone=int((assignment.ended_status == GONE).sum()),
        unchanged=assignment.unchanged,
        touched_meanwhile=0,
        trained=resolved.trained,
        model_version=None if resolved.scores is None else version_of(resolved.scores.scored.model),
        uncompared=() if resolved.scores is None else resolved.scores.scored.report.uncompared,
        seconds=_since(started),
        peak_rss_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        longest_lock_ms=0.0,
    )
