"""One run over everything: score, cluster, assign golden IDs, publish, while the service goes on.

1. take the lease; remove what a crashed run left staged; note the change sequence
2. work out the proposal: who is one person, and which golden ID is whose (`identity.proposal`)
3. stop here if a publishing gate closes (`identity.gates`), unless forced
4. stage the difference to the published state
5. resolve again whoever was touched since step 1, until nobody is left; the last look is taken inside the
   transaction that switches, where nobody else can write; if too much keeps changing, the run fails here
6. switch, in that same small transaction; then remove what no reader can see any more

A crash at any point leaves the previous state serving, and so does a gate. A dry run takes no lease, stops
after the proposal and writes nothing at all; so does a comparison with another model.
"""

import json
import resource
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from identity import model_store, review_queue
from identity.catching_up import CatchingUp, Changes
from identity.clustering import Clusters
from identity.database import Database
from identity.difference import difference
from identity.errors import RunStoppedError
from identity.gates import sentence
from identity.golden_state import NONE
from identity.household_store import load_households
from identity.households import plan
from identity.leases import Clock, Lease
from identity.model import Model
from identity.model_comparison import Merge, compare
from identity.model_store import version_of
from identity.outcome import Compared, RunOutcome
from identity.proposal import Proposal, Proposer, Scorer
from identity.publishing import Hook, Publisher
from identity.records import RecordFacts, RecordReader
from identity.scoring import Scores

__all__ = ["Rerun", "RunOutcome"]

Progress = Callable[[str], None]
Report = Callable[[RunOutcome, Scores | None, Clusters], None]
Risk = Callable[[Sequence[Merge]], Mapping[str, Any]]
"""What would be disclosed if these merges were wrong: counts. The privacy side knows; identity does not."""

Forget = Callable[[str], None]
"""Told a run's ID once its frequencies are stored: deletes those of values that nobody has any more."""


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
    risk: Risk | None = None
    forget: Forget = _silent

    def run(self, *, dry_run: bool = False, retrain: bool = False, force: str | None = None) -> RunOutcome:
        """Link everything; `force` is the reason to publish although a gate closes.

        Raises RunInProgressError, RunLostError, StoreBusyError, WritersTooBusyError, and RunStoppedError
        where a gate closed: then nothing was published.
        """
        started = time.perf_counter()
        proposer = self._proposer()
        if dry_run:
            proposal = proposer.propose(None if retrain else self._stored_model())
            outcome = _outcome(proposal, "dry_run", started, forced=force)
            return self._told(replace(outcome, risk=self._risk(proposal), **proposal.later()), proposal)
        lease = Lease.acquire(self.db, self.clock)
        publisher = Publisher(self.db, self.clock, hook=self.hook)
        with lease.kept():
            publisher.recover(lease)
            self._forget_old_models(publisher, lease)
            catching_up = CatchingUp.begin(self.db, self.reader, self.facts, self.clock)
            proposal = proposer.propose(
                None if retrain else self._stored_model(),
                reserve=lambda count: publisher.reserve_golden_nos(lease, count),
            )
            outcome = _outcome(proposal, lease.run_id, started, forced=force)
            if outcome.gates and force is None:
                self._stop(lease, replace(outcome, **proposal.later()))
            outcome = self._publish(lease, publisher, proposal, catching_up, outcome=outcome, started=started)
        self.progress("tidying up")
        catching_up.settle(publisher)
        self._review(publisher, proposal, catching_up)
        publisher.compact()
        return self._told(outcome, proposal)

    def compare(self, model: Model) -> Compared:
        """Say what `model` would make of the published golden IDs; publishes nothing.

        The margin towards the previous decision is left out, so that the models alone are compared.
        """
        started = time.perf_counter()
        proposal = self._proposer().propose(model, settle=False)
        was, label = proposal.published(), proposal.clusters.label
        known = was != NONE
        change = compare(was[known], label[known])
        with self.db.read() as conn:
            published = model_store.current_version(conn)
        figures = proposal.figures() | proposal.later()
        return Compared(
            model_version=version_of(model),
            published_model=published,
            records=len(was),
            golden_ids=change.golden_ids,
            kept=change.kept,
            merged=change.merged,
            split=change.split,
            created=len(set(label[~known].tolist()) - set(label[known].tolist())),
            disagreeing_pairs=change.disagreements,
            drift=figures["drift"],
            canaries=figures["canaries"],
            risk=self._risk(proposal),
            seconds=_since(started),
        )

    def _proposer(self) -> Proposer:
        return Proposer(self.db, self.reader, self.facts, self.scorer, self.progress)

    def _stored_model(self) -> Model | None:
        with self.db.read() as conn:
            stored = model_store.load_current(conn)
        return None if stored is None else stored[2]

    def _risk(self, proposal: Proposal) -> Mapping[str, Any] | None:
        if self.risk is None:
            return None
        self.progress("weighing what wrong merges would disclose")
        return self.risk(proposal.merges())

    def _stop(self, lease: Lease, outcome: RunOutcome) -> None:
        """End the run without publishing: the row keeps what it would have done, and why it may not."""
        with self.db.write() as conn:
            lease.finish(conn, "failed", summary=json.dumps(asdict(replace(outcome, dry_run=False))))
        raise RunStoppedError(sentence(outcome.gates))

    def _publish(
        self,
        lease: Lease,
        publisher: Publisher,
        proposal: Proposal,
        catching_up: CatchingUp,
        *,
        outcome: RunOutcome,
        started: float,
    ) -> RunOutcome:
        self.progress("publishing")
        catching_up.learn(proposal.pairs, proposal.threshold)
        version = catching_up.version + 1
        if proposal.scores is not None:
            self._save_model(lease, publisher, proposal.scores, outcome.run_id)
        rows = difference(proposal.before, proposal.assignment, proposal.found)
        publisher.stage(lease, rows, version)
        outcome = replace(outcome, **proposal.later())
        with self.db.read() as conn:
            settled = load_households(conn, catching_up.version)
        publisher.stage_households(lease, plan(settled, proposal.households()), version)
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

    def _review(self, publisher: Publisher, proposal: Proposal, catching_up: CatchingUp) -> None:
        """Ask stewards what the published run could not decide."""
        review_queue.refresh(
            self.db,
            publisher,
            proposal.doubts(),
            changed=Changes(self.reader, catching_up.sequence).look,
            model_version=proposal.model_version,
            now=self.clock(),
        )

    def _save_model(self, lease: Lease, publisher: Publisher, scores: Scores, run_id: str) -> None:
        with publisher.locked("model") as conn:
            lease.check(conn)
            model_store.save(conn, scores.scored.model, self.clock())
        rows = ((run_id, *row) for row in sorted(scores.frequencies))
        publisher.in_batches("model", rows, model_store.save_frequencies, lease)
        self.forget(run_id)

    def _forget_old_models(self, publisher: Publisher, lease: Lease) -> None:
        """Delete the frequencies of every run but the current one; only the lease's holder adds any."""
        with self.db.read() as conn:
            current = model_store.current_run(conn)
            old = model_store.superseded_frequencies(conn, current or "")
        publisher.in_batches("recover", iter(old), model_store.delete_frequencies, lease)

    def _told(self, outcome: RunOutcome, proposal: Proposal) -> RunOutcome:
        if self.report is not None:
            self.report(outcome, proposal.scores, proposal.clusters)
        return outcome


def _since(started: float) -> float:
    return round(time.perf_counter() - started, 3)


def _outcome(proposal: Proposal, run_id: str, started: float, *, forced: str | None) -> RunOutcome:
    return RunOutcome(
        run_id=run_id,
        dry_run=True,
        touched_meanwhile=0,
        forced=forced,
        risk=None,
        seconds=_since(started),
        peak_rss_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        longest_lock_ms=0.0,
        households=0,
        canaries=None,
        **proposal.figures(),
    )
