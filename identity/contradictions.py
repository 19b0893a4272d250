"""What the records of one possible cluster say against each other: the evidence of the guard. Pure.

Clustering by links alone is as good as its worst link: one borrowed telephone makes a father and his son one
person. The guard asks of every merge what the two clusters' records say about each other, attribute by
attribute, and lets contradictions outweigh the link. The price of a contradiction is the fitted model's own
(log2 m / u of the level that the pair is at), so that nothing is a veto and nothing is set by hand for
one kind of data. What it gains is measured in docs/linkage.md.
"""

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from typing import Final

import numpy as np
import numpy.typing as npt

from identity.distinct import distinct
from identity.model import Model

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

PRICE: Final = 0.5
"""Share of a mean contradiction that counts: one person's records contradict each other too, by error."""

MOST_COMPARED: Final = 100
"""Records of a possible cluster up to which every pair is compared."""

SPREAD: Final = MOST_COMPARED // 2
"""Pairs a record of a larger one, spread over all of it: as many as in one of MOST_COMPARED records."""

MOST_SPREAD: Final = 5_000_000  # pairs of one component: beyond 100,000 records there are fewer a record

_GOLDEN_RATIO: Final = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True, slots=True)
class Evidence:
    """Pairs of records that links tie together, and what each comparison says of them.

    `bits[i, k]` is log2(m / u) of the level that pair i is at in comparison k, 0.0 where a value is missing.
    """

    record_a: Integers
    record_b: Integers
    bits: npt.NDArray[np.float32]


def evidence_of(
    model: Model, record_a: Integers, record_b: Integers, levels: Sequence[npt.NDArray[np.integer]]
) -> Evidence:
    """Return the evidence of pairs by their levels: one column a comparison, -1 where a value is missing."""
    columns = []
    for item, level in zip(model.comparisons, levels, strict=True):
        # a missing value says nothing: the last place of the row
        bits = np.array([*(math.log2(each.m / each.u) for each in item.levels), 0.0], dtype=np.float32)
        columns.append(bits[level])
    return Evidence(record_a, record_b, np.stack(columns, axis=1))


def all_pairs(nodes: Integers, component: Integers) -> tuple[Integers, Integers]:
    """Return every pair (a < b) of `nodes` in one component of 3 to MOST_COMPARED nodes.

    A pair alone needs no second look: what contradicts is in its weight.
    """
    order = np.lexsort((nodes, component))
    sizes = np.bincount(component)
    first = np.cumsum(sizes) - sizes
    left, right = [], []
    for size in range(3, min(int(sizes.max(initial=0)), MOST_COMPARED) + 1):
        starts = first[sizes == size]
        if len(starts):
            one, other = np.triu_indices(size, 1)
            left.append((starts[:, None] + one).ravel())
            right.append((starts[:, None] + other).ravel())
    if not left:
        none = np.zeros(0, dtype=np.int64)
        return none, none
    return nodes[order[np.concatenate(left)]], nodes[order[np.concatenate(right)]]


def spread_pairs(nodes: Integers, component: Integers) -> tuple[Integers, Integers]:
    """Return pairs (a < b) of `nodes` in components of more than MOST_COMPARED, SPREAD a record.

    Each record is paired with others all around the ring of its component's record numbers. The steps follow
    the golden ratio, so that no period in the numbers (a father's record, a son's, a father's) hides anybody.
    """
    order = np.lexsort((nodes, component))
    sizes = np.bincount(component)
    first = np.cumsum(sizes) - sizes
    left, right = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)]
    for large in np.flatnonzero(sizes > MOST_COMPARED).tolist():
        members, count = np.sort(nodes[order[first[large] : first[large] + sizes[large]]]), int(sizes[large])
        one = np.repeat(np.arange(count), len(steps := _steps(count)))
        other = (one + np.tile(steps, count)) % count
        ends = distinct(np.minimum(one, other) * count + np.maximum(one, other))
        left.append(members[ends // count])
        right.append(members[ends % count])
    return np.concatenate(left), np.concatenate(right)


def _steps(count: int) -> Integers:
    """Return how far on the ring of `count` records the partners of a record are: 1 to half the ring."""
    half = count // 2
    if half <= SPREAD:
        return np.arange(1, half + 1, dtype=np.int64)
    places = np.arange(1, max(1, min(SPREAD, MOST_SPREAD // count)) + 1) * _GOLDEN_RATIO % 1
    return distinct(1 + np.floor(places * half).astype(np.int64))


def bound(bottleneck: Floats, worst: Floats, sizes: Integers) -> Floats:
    """Return the least that any merge inside a component can score: above 0 the guard can't refuse one.

    `bottleneck` is the weakest link of the component's spanning tree above the threshold, `worst[i, k]`
    the strongest contradiction in comparison k between any two of its records.
    """
    found: Floats = bottleneck + PRICE * worst.sum(axis=1) * np.sqrt(np.maximum(sizes // 2, 1))
    return found


def cost(total: float, count: float, independent: int) -> float:
    """Return the bits that a comparison costs the merge of two clusters, `total` of its bits being below 0.

    `count` pairs of records, one from each, could be compared, of which at most `independent` are so.
    """
    return PRICE * total / count * math.sqrt(min(count, independent))


Between = tuple[float, list[complex], float]
"""Of two clusters: the strongest link; of each comparison the sum of its bits and, as imaginary part, their
number (one addition for both); and what a merge scores."""


class Merging:
    """One component's records, merged best first as long as a merge scores above 0.

    A merge scores the strongest link between the two clusters (bits above the threshold) plus the `cost` of
    every comparison that on the whole speaks against.
    """

    def __init__(self, count: int) -> None:
        self._between: list[dict[int, Between]] = [{} for _ in range(count)]
        self._size = [1] * count
        self._into = list(range(count))
        self._grown: set[int] = set()  # clusters of at least two records

    def add(self, one: int, other: int, link: float, bits: list[float]) -> None:
        """Add a pair: its weight above the threshold (negative: no link) and its bits."""
        found = (link, [complex(bit, 1) if bit else 0j for bit in bits], link)
        self._between[one][other] = found
        self._between[other][one] = found

    def labels(self) -> list[int]:
        """Merge, and return for each record the record that stands for its cluster."""
        heap = [
            (-found[2], one, other)
            for one, others in enumerate(self._between)
            for other, found in others.items()
            if one < other and found[2] > 0
        ]
        heapify(heap)
        while heap:
            score, one, other = heappop(heap)
            found = self._between[one].get(other)
            if found is not None and found[2] == -score:
                self._merge(one, other, heap)
        return [self._root(node) for node in range(len(self._into))]

    def _root(self, node: int) -> int:
        while self._into[node] != node:
            self._into[node] = node = self._into[self._into[node]]
        return node

    def _merge(self, one: int, other: int, heap: list[tuple[float, int, int]]) -> None:
        """Merge two clusters, and push what each merge with the result now scores."""
        between = self._between
        if len(between[other]) > len(
            between[one]
        ):  # the fewer neighbours move: all merges together stay cheap
            one, other = other, one
        moved, before = between[other], self._size[one]
        self._into[other] = one
        self._size[one] += self._size[other]
        self._grown.add(one)
        self._grown.discard(other)
        del between[one][other], moved[one]
        between[other] = {}
        for node, theirs in moved.items():
            del between[node][other]
            ours = between[one].get(node)
            between[one][node] = theirs if ours is None else _joined(ours, theirs)
        for node in moved.keys() | self._larger(one, before):
            link, bits, _ = between[one][node]
            score = self._score(one, node, link, bits)
            between[one][node] = between[node][one] = (link, bits, score)
            if score > 0:
                heappush(heap, (-score, min(one, node), max(one, node)))

    def _larger(self, one: int, before: int) -> set[int]:
        """Return the neighbours larger than `one` was: with them more pairs are independent now."""
        ours = self._between[one]
        few, many = (self._grown, ours) if len(self._grown) < len(ours) else (ours, self._grown)
        return {node for node in few if node in many and self._size[node] > before}

    def _score(self, one: int, other: int, link: float, bits: list[complex]) -> float:
        if link <= 0:
            return link
        independent = min(self._size[one], self._size[other])
        return link + sum(cost(each.real, each.imag, independent) for each in bits if each.real < 0)


def _joined(ours: Between, theirs: Between) -> Between:
    return max(ours[0], theirs[0]), list(map(operator.add, ours[1], theirs[1])), 0.0
