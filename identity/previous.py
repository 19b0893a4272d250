"""What a run starts from: the last published run, and the records that have not changed since."""

from dataclasses import dataclass, replace

import numpy as np
from sqlalchemy import Connection

from identity.clustering import Clusters, Pairs
from identity.gates import NEAR, Figures, Step, closed, drift, histogram
from identity.golden_events import Ints
from identity.golden_state import NONE, State, lookup
from identity.hysteresis import Again, Held, settled
from identity.judged_clusters import JudgedClusters
from identity.model_comparison import compare
from identity.past_runs import LastRun, last_run
from identity.records import RecordReader


@dataclass(frozen=True, slots=True, eq=False)
class Previous:
    """The last run that compared anything, and the records, ascending, that are as it saw them.

    `golden_nos`: whose they are by now. Before the first run there are none.
    """

    run: LastRun | None
    record_nos: Ints
    golden_nos: Ints

    @classmethod
    def read(cls, conn: Connection, state: State, reader: RecordReader) -> "Previous":
        """Find out what of the published `state` the last run has decided."""
        run = last_run(conn)
        if run is None:
            none = np.empty(0, dtype=np.int64)
            return cls(None, none, none)
        changed = np.fromiter(reader.changed_since(run.sequence), dtype=np.int64)
        same = ~np.isin(state.record_nos, changed)
        return cls(run, state.record_nos[same], state.golden_nos[same])

    def settle(
        self, found: JudgedClusters, pairs: Pairs, threshold: float, exempt: Ints, again: Again
    ) -> tuple[JudgedClusters, Held]:
        """Return the clusters after hysteresis; around records in `exempt` they are left as they are."""
        if self.run is None:
            return found, Held()
        clusters, held = settled(
            found.clusters, pairs, threshold, (self.record_nos, self.golden_nos), again, exempt=exempt
        )
        return replace(found, clusters=clusters, overridden=_undisturbed(found, clusters)), held

    def step(self, clusters: Clusters, pairs: Pairs, threshold: float) -> Step:
        """Return what this run, with its match threshold in bits, does to the unchanged records."""
        was = lookup(clusters.record_nos, self.record_nos, self.golden_nos)
        same = was != NONE
        mine = pairs
        if not same.all():
            known = clusters.record_nos[same]
            mine = pairs.where(np.isin(pairs.record_a, known) & np.isin(pairs.record_b, known))
        return Step(
            unchanged=int(same.sum()),
            fresh=int((~same).sum()),
            change=compare(was[same], clusters.label[same]),
            figures=figures_of(clusters, mine, threshold),
        )

    def verdict(self, step: Step) -> tuple[tuple[str, ...], float | None]:
        """Return which gates this step closes and why, and the drift of the match weights."""
        if self.run is None:
            return (), None
        moved = None if self.run.figures is None else drift(self.run.figures, step.figures)
        return tuple(closed(self.run.figures, step)), moved


def _undisturbed(found: JudgedClusters, clusters: Clusters) -> Pairs:
    """Return what is overridden without what the margin made pointless: links of clusters that it changed."""
    was, now = found.clusters.label, clusters.label
    changed = np.unique(np.concatenate([was[was != now], now[was != now]]))
    if not len(changed):
        return found.overridden
    moved = clusters.record_nos[np.isin(was, changed) | np.isin(now, changed)]
    links = found.overridden
    return links.where(~(np.isin(links.record_a, moved) | np.isin(links.record_b, moved)))


def figures_of(clusters: Clusters, pairs: Pairs, threshold: float) -> Figures:
    """Return what the next run is judged by."""
    _, sizes = np.unique(clusters.label, return_counts=True)
    counted = pairs.weight[pairs.weight >= threshold - NEAR]
    return Figures(int(sizes.max(initial=0)), histogram(counted), threshold - NEAR)
