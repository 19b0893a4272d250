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
from identity.sources import NO_SOURCES, Sources

MOST_DOUBTS: Final = 20_000
"""Questions kept of one run, the strongest first: more than a team of stewards answers between two runs."""


@dataclass(frozen=True, slots=True, eq=False)
class Doubts:
    """The pairs to ask about, strongest first. `left_out`: doubtful pairs weaker than all that is asked."""

    pairs: Pairs
    guarded: npt.NDArray[np.bool_]
    left_out: int


def doubts(
    clusters: Clusters,
    pairs: Pairs,
    threshold: float,
    judged: Judged,
    sources: Sources = NO_SOURCES,
    *,
    limit: int = MOST_DOUBTS,
) -> Doubts:
    """Return what to ask about `pairs` (all at or above the review threshold) after they were clustered.

    Two clusters that a judgement keeps apart raise no question; nor do two that hold records of one of
    `sources`.
    """
    left, right = _labels(clusters, pairs.record_a), _labels(clusters, pairs.record_b)
    apart = left != right
    asked = Pairs(pairs.record_a[apart], pairs.record_b[apart], pairs.weight[apart])
    between = _between(clusters, left[apart], right[apart])
    if len(judged.different_a):
        ends = _labels(clusters, judged.different_a), _labels(clusters, judged.different_b)
        undecided = ~np.isin(between, _between(clusters, *ends))
        asked, between = asked.where(undecided), between[undecided]
    if len(sources):
        ends = _labels(clusters, asked.record_a), _labels(clusters, asked.record_b)
        undecided = ~sources.both_hold(clusters.record_nos, clusters.label, *ends)
        asked, between = asked.where(undecided), between[undecided]
    chosen = _strongest(asked, between, limit)
    found = Pairs(asked.record_a[chosen], asked.record_b[chosen], asked.weight[chosen])
    weakest = found.weight[-1] if len(found) else np.inf
    left_out = int((asked.weight < weakest).sum()) if len(found) == limit else 0
    return Doubts(found, found.weight >= threshold, left_out)


def _strongest(asked: Pairs, between: Integers, limit: int) -> Integers:
    """Return where the strongest pair of each two clusters is, for the `limit` strongest of them.

    Few of the strongest pairs are looked at first: a run on a million records leaves millions doubtful.
    """
    size = 4 * limit
    while True:
        if size < len(asked):
            least = -np.partition(-asked.weight, size)[size]
            top = np.flatnonzero(asked.weight >= least)
        else:
            top = np.arange(len(asked))
        order = top[np.lexsort((asked.record_b[top], asked.record_a[top], -asked.weight[top]))]
        _, first = np.unique(between[order], return_index=True)
        if len(first) >= limit or len(top) == len(asked):
            return order[np.sort(first)[:limit]]
        size *= 4


def _between(clusters: Clusters, left: Integers, right: Integers) -> Integers:
    """Return one number for each two clusters, whichever comes first."""
    span = 1 + int(clusters.record_nos.max(initial=0))
    return np.minimum(left, right) * span + np.maximum(left, right)


def _labels(clusters: Clusters, record_nos: Integers) -> Integers:
    """Return the labels of these records. Numbers are dense, so a table beats a search ten times over."""
    table = np.zeros(1 + int(clusters.record_nos.max(initial=0)), dtype=np.int64)
    table[clusters.record_nos] = clusters.label
    labels: Integers = table[record_nos]
    return labels
