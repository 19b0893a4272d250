"""What a run proposes, before anything is published: scored, clustered, settled, golden IDs assigned.

1. open the permitted records and score them; records that may not be linked stay alone
2. cluster them, as scores and judgements make them together
3. where these clusters and the published golden IDs disagree by a hair, stay with the published ones
4. assign golden IDs against the published state

Nothing is written but the reservation of golden numbers.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple, Protocol

import numpy as np

from identity.bridges import Seams, seams
from identity.clustering import Clusters, Pairs
from identity.database import Database
from identity.difference import Snapshot
from identity.distinct import distinct
from identity.doubts import Doubts, doubts
from identity.errors import NoModelError
from identity.gates import Step
from identity.golden_events import Ints
from identity.golden_ids import Assignment, assign_golden_ids, record_weights
from identity.golden_state import NONE, lookup
from identity.households import Group, group
from identity.hysteresis import MARGIN, Held
from identity.judged_clusters import JudgedClusters, cluster_judged
from identity.judgement_store import all_judged
from identity.judgements import Judged
from identity.model import Model
from identity.model_comparison import Merge, merges
from identity.model_store import version_of
from identity.notices import notices
from identity.outcome import assigned
from identity.past_runs import last_run
from identity.previous import Previous, figures_of
from identity.records import OpenedBatch, RecordFacts, RecordReader
from identity.resolution import no_pairs
from identity.scoring import Scores
from identity.small_steps import VERIFIED
from identity.snapshot import load_all
from identity.source_store import declared
from identity.sources import SourceFigures, Sources, sentences
from identity.store import MembershipReader

KNOWN: Final = 1  # the standing of a record about which nothing special is known


class Scorer(Protocol):
    """What turns opened records into scored pairs: `identity.scoring.EngineScorer`."""

    def __call__(self, batches: Iterable[OpenedBatch], model: Model | None) -> Scores:
        """Score with `model`, or with one trained on these records. May raise NoModelError."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Proposal:
    """A run's result before it is published. `pairs` are all that were scored, `threshold` in bits."""

    linkable: int
    scores: Scores | None  # None: nothing could be compared
    pairs: Pairs
    threshold: float
    found: JudgedClusters
    held: Held
    judged: Judged
    sources: Sources
    before: Snapshot
    previous: Previous
    assignment: Assignment

    @property
    def clusters(self) -> Clusters:
        """The clusters that will be golden IDs."""
        return self.found.clusters

    @property
    def trained(self) -> bool:
        """Whether the model was trained for this run."""
        return self.scores is not None and self.scores.scored.report.trained

    @property
    def model_version(self) -> str | None:
        """The name of the model that scored."""
        return None if self.scores is None else version_of(self.scores.scored.model)

    def doubts(self) -> Doubts:
        """Return what is left to a steward."""
        return doubts(self.clusters, self.pairs, self.threshold, self.judged, self.sources)

    def seams(self) -> Seams:
        """Return where golden IDs hang together by one link, and how often the guard refused one."""
        strong = self.pairs.where(self.pairs.weight >= self.threshold)
        refused = doubts(
            self.clusters, strong, self.threshold, self.judged, self.sources, limit=max(len(strong), 1)
        )
        state = self.assignment.state
        golden_nos = lookup(self.clusters.record_nos, state.record_nos, state.golden_nos)
        least = self.threshold - MARGIN  # hysteresis keeps people together by links as weak as that
        return seams(self.clusters, golden_nos, least=least, refused=len(refused.pairs))

    def households(self) -> Group:
        """Return who lives together, of these people; made after them and no evidence for them."""
        found = None if self.scores is None else self.scores.households
        return group(found or no_pairs(), self.clusters.record_nos, self.clusters.label)

    def step(self) -> Step:
        """Return what this run does to the records that have not changed since the last one."""
        return self.previous.step(self.clusters, self.pairs, self._match_threshold)

    def merges(self) -> list[Merge]:
        """Return which published golden IDs would become one, by their records."""
        was = self.published()
        live = was != NONE
        return merges(self.clusters.record_nos[live], was[live], self.clusters.label[live])

    def published(self) -> Ints:
        """Return the published golden number of each record, NONE if it has none."""
        state = self.before.state
        return lookup(self.clusters.record_nos, state.record_nos, state.golden_nos)

    def figures(self) -> dict[str, Any]:
        """Return what the outcome of the run says of the proposal itself."""
        gates, drift = self.previous.verdict(self.step())
        scored = None if self.scores is None else self.scores.scored
        return {
            **assigned(self.assignment),
            "linkable": self.linkable,
            "trained": self.trained,
            "model_version": self.model_version,
            "uncompared": () if scored is None else scored.report.uncompared,
            "held": self.held,
            "sources": self._source_figures(),
            "notices": self._notices(),
            "gates": gates,
            "drift": drift,
            "seams": None if scored is None else self.seams(),
            "figures": None
            if scored is None
            else figures_of(self.clusters, self.pairs, self._match_threshold),
        }

    def later(self) -> dict[str, Any]:
        """Return what the outcome says besides, once the scorer has found it: it may be waited for."""
        return {
            "households": len(distinct(self.households().label)),
            "canaries": None if self.scores is None else self.scores.canaries,
        }

    def _source_figures(self) -> tuple[SourceFigures, ...]:
        found = self.clusters
        return self.sources.figures(found.record_nos, self.found.alone, found.label)

    def _notices(self) -> tuple[str, ...]:
        declared = sentences(self._source_figures())
        if self.scores is None:
            return tuple(declared)
        scored = self.scores.scored
        found = notices(scored.report.profile, scored.report.blocking, scored.model, self.clusters)
        return (*(notice.text for notice in found if notice.costs), *declared)

    @property
    def _match_threshold(self) -> float:
        return 0.0 if self.scores is None else self.threshold


@dataclass(frozen=True, slots=True)
class Proposer:
    """Works out proposals over a store."""

    db: Database
    reader: RecordReader
    facts: RecordFacts
    scorer: Scorer
    progress: Callable[[str], None]

    def propose(
        self, model: Model | None, *, reserve: Callable[[int], int] | None = None, settle: bool = True
    ) -> Proposal:
        """Score with `model`, or with one trained now, and do everything up to the assignment.

        `reserve` takes as many golden numbers out of circulation. Without `settle` the model alone decides.
        """
        self.progress("opening and scoring")
        with self.db.read() as conn:
            unique, last = declared(conn), last_run(conn)
        once = frozenset() if last is None else last.declared
        with ThreadPoolExecutor(1) as aside:
            # once all are opened this interpreter is idle, while the engine compares
            reading: Future[_Stored] = Future()
            opened = _Opened(self.reader, unique | once, lambda: aside.submit(_into, reading, self._read))
            scores = opened.scored(self.scorer, model)
            stored = reading.result()
        self.progress("clustering")
        standing, before, previous = stored.standing, stored.before, stored.previous
        judged = stored.judged.among(opened.linkable)
        verified = [number for number, rank in standing.items() if rank >= VERIFIED]
        pairs, threshold = no_pairs(), np.inf
        if scores is not None:
            pairs, threshold = scores.scored.pairs, scores.scored.model.threshold
        sources = opened.sources().only(unique)
        live = distinct(np.concatenate([stored.live, np.array(opened.linkable, dtype=np.int64)]))
        found = cluster_judged(live, pairs, threshold, verified, judged, sources=sources)

        def again(record_nos: Ints, some: Pairs, least: float) -> Clusters:
            inside, mine = judged.among(record_nos), sources.among(record_nos)
            return cluster_judged(record_nos, some, least, verified, inside, sources=mine).clusters

        held = Held()
        if settle:
            moved = opened.sources().only(unique ^ once)  # declared, or no longer so, since the last run
            exempt = np.union1d(judged.records(), moved.record_nos)
            found, held = previous.settle(found, pairs, threshold, exempt, again)
        self.progress("assigning golden IDs")
        clusters = found.clusters
        if reserve is not None:
            most = len(distinct(clusters.label))
            before = replace(before, state=replace(before.state, next_golden_no=reserve(most)))
        weights = record_weights(_ranks(clusters.record_nos, standing))
        assignment = assign_golden_ids(before.state, clusters.record_nos, clusters.label, weights)
        return Proposal(
            len(opened.linkable), scores, pairs, threshold, found, held, judged, sources, before, previous,
            assignment,
        )  # fmt: skip

    def _read(self) -> "_Stored":
        live = np.fromiter((record_no for record_no, _ in self.reader.live()), dtype=np.int64)
        with self.db.read() as conn:
            before = load_all(conn, MembershipReader().version(conn))
            previous = Previous.read(conn, before.state, self.reader)
            return _Stored(live, self.facts.standings(conn), all_judged(conn), before, previous)


class _Stored(NamedTuple):
    """What a run starts from, all of it from after the change sequence that its catching up begins at.

    `live` are all live records: those that the scorer does not see stay alone.
    """

    live: Ints
    standing: Mapping[int, int]
    judged: Judged
    before: Snapshot
    previous: Previous


class _Opened:
    """The records of a run: those the scorer was given, and the live ones that may not be linked."""

    def __init__(
        self, reader: RecordReader, channels: frozenset[str], afterwards: Callable[[], object]
    ) -> None:
        """`afterwards` is called once, when all have been given to the scorer."""
        self._reader, self._channels, self._afterwards = reader, channels, afterwards
        self.linkable: list[int] = []
        self._marked: list[Sources] = []

    def scored(self, scorer: Scorer, model: Model | None) -> Scores | None:
        """Score what may be linked; None if nothing could be compared: everybody stays alone."""
        try:
            return scorer(self._batches(), model)
        except NoModelError:
            return None

    def sources(self) -> Sources:
        """Return the records of the channels that were asked for, of those that may be linked."""
        return Sources.joined(self._channels, self._marked)

    def _batches(self) -> Iterator[OpenedBatch]:
        for batch in self._reader.permitted():
            self.linkable.extend(batch.record_nos)
            if self._channels:
                self._marked.append(Sources.marked(self._channels, batch.record_nos, batch.channels))
            yield batch
        self._afterwards()


def _into(future: "Future[_Stored]", read: Callable[[], _Stored]) -> None:
    try:
        future.set_result(read())
    except BaseException as error:  # noqa: BLE001 - it is raised where the result is asked for
        future.set_exception(error)


def _ranks(record_nos: Ints, standing: Mapping[int, int]) -> Ints:
    ranks = np.full(len(record_nos), KNOWN, dtype=np.int64)
    if standing:
        numbers = np.array(sorted(standing), dtype=np.int64)
        found = lookup(record_nos, numbers, np.array([standing[int(n)] for n in numbers], dtype=np.int64))
        ranks = np.where(found == NONE, ranks, found)
    return ranks
