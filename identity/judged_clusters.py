"""Clusters as scores, judgements and declared sources make them together. Pure and deterministic.

The scores are clustered first, guards and all; what people say is laid over the links of that. A `same`
joins two records as a link of infinite weight (confidence 1). A `different` keeps two records in different
clusters, and so does a source that is declared to hold no duplicates, for every two of its records that no
`same` joins: links are taken strongest first, and one that would bring such a pair together is left out, so a
cluster parts at its weakest seam. What is overridden is kept beside the links: both together are the links
that the scores alone make, so undoing a judgement restores what was, from stored numbers and at once.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from identity.clustering import Clusters, Integers, Pairs, cluster
from identity.judgements import Judged
from identity.sources import NO_SOURCES, Sources

JUDGED_WEIGHT: Final = np.inf
"""Bits of a link that a steward vouches for: a confidence of exactly 1."""


@dataclass(frozen=True, slots=True, eq=False)
class JudgedClusters:
    """Clusters, and the scored links that people's word overrides: the scores alone would have kept them.

    `alone` is the label that the scores alone give to each record of the clusters.
    """

    clusters: Clusters
    overridden: Pairs
    alone: Integers


def cluster_judged(
    record_nos: npt.ArrayLike,
    pairs: Pairs,
    threshold: float,
    verified: npt.ArrayLike,
    judged: Judged,
    *,
    sources: Sources = NO_SOURCES,
) -> JudgedClusters:
    """Return the clusters of `record_nos`; as `identity.clustering.cluster`, and what people say holds.

    `judged` names pairs of `record_nos` that may be joined, and is satisfiable (`identity.judgements`).
    `sources` holds those of `record_nos` whose channel is declared to hold no duplicates.
    """
    alone = cluster(record_nos, pairs, threshold, verified)
    ruled = np.union1d(_labels(alone, judged.records()), sources.crowded(alone.record_nos, alone.label))
    if not len(ruled):
        return JudgedClusters(alone, _none(), alone.label)
    concerned = np.isin(alone.label, ruled)
    numbers = alone.record_nos[concerned]
    inside = np.isin(alone.links.record_a, numbers)  # and so is the other end: links stay in a cluster
    links = alone.links.where(inside)
    again = cluster(numbers, _obeying(numbers, links, judged, sources), threshold, verified)
    label, anchor, confidence = alone.label.copy(), alone.anchor.copy(), alone.confidence.copy()
    label[concerned], anchor[concerned], confidence[concerned] = again.label, again.anchor, again.confidence
    kept = _joined(alone.links.where(~inside), again.links)
    found = Clusters(alone.record_nos, label, anchor, confidence, kept)
    return JudgedClusters(found, _without(links, again.links), alone.label)


def _obeying(numbers: Integers, links: Pairs, judged: Judged, sources: Sources) -> Pairs:
    """Return `links` and a link of infinite weight for each `same`, without those that may not join."""
    vouched = np.full(len(judged.same_a), JUDGED_WEIGHT)
    every = _joined(Pairs(judged.same_a, judged.same_b, vouched), links)
    part = _parts(numbers, every, judged, sources.among(numbers))
    left, right = np.searchsorted(numbers, every.record_a), np.searchsorted(numbers, every.record_b)
    return every.where(part[left] == part[right])


def _labels(clusters: Clusters, record_nos: Integers) -> Integers:
    labels: Integers = clusters.label[np.searchsorted(clusters.record_nos, record_nos)]
    return labels


def _joined(one: Pairs, other: Pairs) -> Pairs:
    return Pairs(
        np.concatenate([one.record_a, other.record_a]),
        np.concatenate([one.record_b, other.record_b]),
        np.concatenate([one.weight, other.weight]),
    )


def _parts(numbers: Integers, links: Pairs, judged: Judged, sources: Sources) -> Integers:
    """Return the part that each of these few records is in: Kruskal's order, strongest links first."""
    order = np.lexsort((links.record_b, links.record_a, -links.weight))
    parts = _Parts(numbers.tolist())
    for one, other in zip(judged.different_a.tolist(), judged.different_b.tolist(), strict=True):
        parts.keep_apart(one, other)
    for number, source in zip(sources.record_nos.tolist(), sources.source.tolist(), strict=True):
        parts.of_source(number, source)
    ends = links.record_a[order].tolist(), links.record_b[order].tolist()
    for one, other, vouched in zip(*ends, np.isinf(links.weight[order]).tolist(), strict=True):
        parts.join(one, other, vouched=vouched)
    return np.searchsorted(numbers, np.array([parts.root(number) for number in numbers.tolist()]))


class _Parts:
    """Disjoint sets of records: some pairs may never meet, and those of one source only if vouched for."""

    def __init__(self, numbers: list[int]) -> None:
        self._parent = {number: number for number in numbers}
        self._apart: dict[int, set[int]] = {}  # root -> roots it may not meet
        self._sources: dict[int, set[int]] = {}  # root -> sources without duplicates that it holds

    def root(self, number: int) -> int:
        while self._parent[number] != number:
            self._parent[number] = self._parent[self._parent[number]]
            number = self._parent[number]
        return number

    def keep_apart(self, one: int, other: int) -> None:
        self._apart.setdefault(one, set()).add(other)
        self._apart.setdefault(other, set()).add(one)

    def of_source(self, number: int, source: int) -> None:
        self._sources[number] = {source}

    def join(self, one: int, other: int, *, vouched: bool) -> None:
        one, other = sorted((self.root(one), self.root(other)))
        if one == other or other in self._apart.get(one, ()):
            return
        theirs = self._sources.get(other, set())
        if not vouched and theirs & self._sources.get(one, set()):
            return
        self._parent[other] = one
        if theirs:
            self._sources.setdefault(one, set()).update(theirs)
        for enemy in self._apart.pop(other, set()):
            self._apart[enemy].discard(other)
            self.keep_apart(one, enemy)


def _without(links: Pairs, others: Pairs) -> Pairs:
    """Return the links that `others` does not hold with a scored weight."""
    span = 1 + max(links.record_b.max(initial=0), others.record_b.max(initial=0))
    scored = others.where(np.isfinite(others.weight))
    mine, theirs = links.record_a * span + links.record_b, scored.record_a * span + scored.record_b
    return links.where(~np.isin(mine, theirs))


def _none() -> Pairs:
    none = np.empty(0, dtype=np.int64)
    return Pairs(none, none, np.empty(0, dtype=np.float64))
