"""Which scored pairs a run leaves to a steward: one question for every two clusters. Pure and deterministic.

A pair is doubtful if its weight lies at or above the review threshold and its records are in different
clusters: below the match threshold it is `uncertain`, above it a guard refused the link (`guarded`). Of all
such pairs between two clusters only the strongest is asked about, because one answer decides for both.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from identity.clustering import Clusters, Integers, Pairs
from identity.judgements import Judged

MOST_DOUBTS: Final = 20_000
"""Questions kept of one run, the strongest first: more than a team of stewards answers between two runs."""


@dataclass(frozen=True, slots=True, eq=False)
class Doubts:
    """The pairs to ask about, strongest first, and how many more the run found beyond the limit."""

    pairs: Pairs
    guarded: npt.NDArray[np.bool_]
    left_out: int


def doubts(
    clusters: Clusters, pairs: Pairs, threshold: float, judged: Judged, *, limit: int = MOST_DOUBTS
) -> Doubts:
    """Return what to ask about `pairs` (all at or above the review threshold) after they were clustered.

    Two clusters that a judgement keeps apart raise no question.
    """
    left, right = _labels(clusters, pairs.record_a), _labels(clusters, pairs.record_b)
    low, high = np.minimum(left, right), np.maximum(left, right)
    settled = _labels(clusters, judged.different_a), _labels(clusters, judged.different_b)
    span = 1 + int(clusters.record_nos.max(initial=0))
    between = low * span + high
    decided = np.minimum(*settled) * span + np.maximum(*settled)
    open_ = (low != high) & ~np.isin(between, decided)
    asked, between = pairs.where(open_), between[open_]
    order = np.lexsort((asked.record_b, asked.record_a, -asked.weight))
    _, first = np.unique(between[order], return_index=True)
    chosen = order[np.sort(first)]
    kept = chosen[:limit]
    found = Pairs(asked.record_a[kept], asked.record_b[kept], asked.weight[kept])
    return Doubts(found, found.weight >= threshold, len(chosen) - len(kept))


def _labels(clusters: Clusters, record_nos: Integers) -> Integers:
    labels: Integers = clusters.label[np.searchsorted(clusters.record_nos, record_nos)]
    return labels
