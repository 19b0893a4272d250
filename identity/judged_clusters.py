"""Clusters as scores and judgements make them together. Pure and deterministic.

A `same` joins two records as a link of infinite weight (confidence 1). A `different` keeps two records in
different clusters: links are taken strongest first, and one that would bring such a pair together is left
out, so a cluster parts at its weakest seam. What the judgements override is kept beside the links: with
both, the clusters that the scores alone make are known, and undoing a judgement restores them.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from identity.clustering import Clusters, Integers, Pairs, cluster
from identity.judgements import Judged

JUDGED_WEIGHT: Final = np.inf
"""Bits of a link that a steward vouches for: a confidence of exactly 1."""


@dataclass(frozen=True, slots=True, eq=False)
class JudgedClusters:
    """Clusters, and the scored links that judgements override: the scores alone would have kept them."""

    clusters: Clusters
    overridden: Pairs


def cluster_judged(
    record_nos: npt.ArrayLike, pairs: Pairs, threshold: float, verified: npt.ArrayLike, judged: Judged
) -> JudgedClusters:
    """Return the clusters of `record_nos`; as `identity.clustering.cluster`, and what `judged` says holds.

    `judged` names pairs of `record_nos` that may be joined, and is satisfiable (`identity.judgements`).
    """
    nodes: Integers = np.unique(np.asarray(record_nos, dtype=np.int64))
    if not len(judged):
        return JudgedClusters(cluster(nodes, pairs, threshold, verified), _none())
    clusters = _obeying(nodes, _vouched(pairs, judged), threshold, verified, judged)
    touched = np.unique(clusters.label[np.isin(clusters.record_nos, judged.records())])
    concerned = clusters.record_nos[np.isin(clusters.label, touched)]
    inside = np.isin(pairs.record_a, concerned) & np.isin(pairs.record_b, concerned)
    unjudged = cluster(concerned, pairs.where(inside), threshold, verified)
    return JudgedClusters(clusters, _without(unjudged.links, clusters.links))


def _vouched(pairs: Pairs, judged: Judged) -> Pairs:
    """Return the pairs with a link of infinite weight for each `same`."""
    return replace(
        pairs,
        record_a=np.concatenate([judged.same_a, pairs.record_a]),
        record_b=np.concatenate([judged.same_b, pairs.record_b]),
        weight=np.concatenate([np.full(len(judged.same_a), JUDGED_WEIGHT), pairs.weight]),
    )


def _obeying(
    nodes: Integers, pairs: Pairs, threshold: float, verified: npt.ArrayLike, judged: Judged
) -> Clusters:
    """Cluster, part what holds two records that are different, and cluster again until nothing does.

    Once or twice, as a rule: what is parted can meet again only through records that a guard kept out.
    """
    while True:
        clusters = cluster(nodes, pairs, threshold, verified)
        one, other = (_labels(clusters, ends) for ends in (judged.different_a, judged.different_b))
        violated = np.unique(one[one == other])
        if not len(violated):
            return clusters
        numbers = nodes[np.isin(clusters.label, violated)]
        both = np.isin(pairs.record_a, numbers) & np.isin(pairs.record_b, numbers)
        left, right = _labels(clusters, pairs.record_a), _labels(clusters, pairs.record_b)
        inside = both & (left == right)
        part = _parts(numbers, pairs.where(inside & (pairs.weight >= threshold)), judged)
        crosses = np.zeros(len(pairs), dtype=bool)
        crosses[inside] = (
            part[np.searchsorted(numbers, pairs.record_a[inside])]
            != part[np.searchsorted(numbers, pairs.record_b[inside])]
        )
        pairs = pairs.where(~crosses)


def _labels(clusters: Clusters, record_nos: Integers) -> Integers:
    labels: Integers = clusters.label[np.searchsorted(clusters.record_nos, record_nos)]
    return labels


def _parts(numbers: Integers, links: Pairs, judged: Judged) -> Integers:
    """Return the part that each of these few records is in: Kruskal's order, strongest links first."""
    order = np.lexsort((links.record_b, links.record_a, -links.weight))
    parts = _Parts(numbers.tolist())
    for one, other in zip(judged.different_a.tolist(), judged.different_b.tolist(), strict=True):
        parts.keep_apart(one, other)
    for one, other in zip(links.record_a[order].tolist(), links.record_b[order].tolist(), strict=True):
        parts.join(one, other)
    return np.searchsorted(numbers, np.array([parts.root(number) for number in numbers.tolist()]))


class _Parts:
    """Disjoint sets of records, some pairs of which may never meet."""

    def __init__(self, numbers: list[int]) -> None:
        self._parent = {number: number for number in numbers}
        self._apart: dict[int, set[int]] = {}  # root -> roots it may not meet

    def root(self, number: int) -> int:
        while self._parent[number] != number:
            self._parent[number] = self._parent[self._parent[number]]
            number = self._parent[number]
        return number

    def keep_apart(self, one: int, other: int) -> None:
        self._apart.setdefault(one, set()).add(other)
        self._apart.setdefault(other, set()).add(one)

    def join(self, one: int, other: int) -> None:
        one, other = sorted((self.root(one), self.root(other)))
        if one == other or other in self._apart.get(one, ()):
            return
        self._parent[other] = one
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
