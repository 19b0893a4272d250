"""Where a run's golden IDs hang by a thread: all bridges at once, and what the guard refused. Pure.

A bridge is a link that no other link stands in for, between parts of two records or more: were it wrong, two
people would be one. `identity.link_graph` finds those of one golden ID exactly; here a million records are
looked at in one go. Every link outside a search tree is given a random-looking number, combined (exclusive
or) at both of its ends; a link of the tree is a bridge exactly where nothing from outside reaches over it,
and there the numbers of the records below it cancel out. By chance they do so once in 2**64 links.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from identity.clustering import Clusters, Pairs
from identity.components import components
from identity.golden_events import Ints

SHOWN: Final = 20
"""Bridges that a report lists, the weakest first: more than anybody looks at after a run."""

_SMALLEST: Final = 4  # records of a golden ID that falls into two parts of two

Hashes = npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Bridge:
    """A golden number, a link of it in bits, and how many records lie on either side, the larger part first.

    `certain`: a steward has said that the two are one person; such a link has no weight.
    """

    golden_no: int
    records: tuple[int, int]
    weight: float | None
    parts: tuple[int, int]
    certain: bool


@dataclass(frozen=True, slots=True)
class Seams:
    """How many bridges there are, in how many golden IDs; the weakest of them; what the guard refused.

    `refused`: pairs of golden IDs that a link would have joined, had their records not contradicted it.
    """

    bridges: int
    golden_ids: int
    refused: int
    weakest: tuple[Bridge, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Forest:
    """A search tree over each golden ID, by position; `parent` of a root is itself."""

    parent: Ints
    depth: Ints
    root: Ints


def seams(clusters: Clusters, golden_nos: Ints, *, least: float, refused: int) -> Seams:
    """Return the bridges among the links of at least `least` bits.

    `golden_nos` has the golden number of each of `clusters.record_nos`.
    """
    links = clusters.links.where(clusters.links.weight >= least)
    sparse_enough = _might_have_one(clusters, links)
    links = links.where(sparse_enough[links.record_a])
    chosen = sparse_enough[clusters.record_nos]
    nodes, golden_of = clusters.record_nos[chosen], golden_nos[chosen]
    left, right = np.searchsorted(nodes, links.record_a), np.searchsorted(nodes, links.record_b)
    forest = _forest(left, right, len(nodes))
    below, crossed = _summed(forest, left, right)
    total = below[forest.root]
    smaller = np.minimum(below, total - below)
    is_bridge = (forest.parent != np.arange(len(nodes))) & (crossed == 0) & (smaller > 1)
    child = np.where(forest.parent[right] == left, right, left)
    in_tree = (forest.parent[right] == left) | (forest.parent[left] == right)
    of_link = np.flatnonzero(in_tree & is_bridge[child])
    order = np.lexsort((links.record_b[of_link], links.record_a[of_link], links.weight[of_link]))
    shown = of_link[order[:SHOWN]]
    return Seams(
        bridges=len(of_link),
        golden_ids=len(np.unique(golden_of[child[of_link]], return_counts=True)[0]),
        refused=refused,
        weakest=tuple(
            _bridge(links, int(at), int(golden_of[child[at]]), int(total[child[at]]), int(smaller[child[at]]))
            for at in shown
        ),
    )


def _bridge(links: Pairs, at: int, golden_no: int, total: int, smaller: int) -> Bridge:
    weight = float(links.weight[at])
    certain = not np.isfinite(weight)
    return Bridge(
        golden_no,
        (int(links.record_a[at]), int(links.record_b[at])),
        None if certain else weight,
        (total - smaller, smaller),
        certain,
    )


def _might_have_one(clusters: Clusters, links: Pairs) -> npt.NDArray[np.bool_]:
    """Return, by record number, whether the record's cluster has few enough links for a bridge.

    Two parts of n records in all, joined by one link, have most links if the smaller part has two records:
    one for these, one for every pair of the others, and the bridge.
    """
    last = int(clusters.record_nos.max(initial=0))
    label_of = np.zeros(last + 1, dtype=np.int64)  # numbers are dense: a table beats a search
    label_of[clusters.record_nos] = clusters.label
    size = np.bincount(clusters.label, minlength=last + 1)
    count = np.bincount(label_of[links.record_a], minlength=last + 1)
    possible = (size >= _SMALLEST) & (count <= (size - 2) * (size - 3) // 2 + 2)
    found: npt.NDArray[np.bool_] = possible[label_of]
    return found


def _forest(left: Ints, right: Ints, count: int) -> _Forest:
    """Search breadth first from one record of each connected part."""
    from scipy.sparse import csgraph, csr_array  # noqa: PLC0415 - slow to load, and most commands do without

    _, roots = np.unique(components(count, left, right), return_index=True)
    rows = np.concatenate([left, np.full(len(roots), count)])  # one more node above all roots
    columns = np.concatenate([right, roots])
    tree = csr_array((np.ones(len(rows), dtype=np.int8), (rows, columns)), shape=(count + 1, count + 1))
    _, parent = csgraph.breadth_first_order(tree, count, directed=False)
    parent = parent[:count].astype(np.int64)
    parent[roots] = roots
    jump, depth = parent, (parent != np.arange(count)).astype(np.int64)
    while np.any(jump != jump[jump]):  # pointer doubling: log2(depth) rounds
        depth, jump = depth + depth[jump], jump[jump]
    return _Forest(parent, depth, jump)


def _summed(forest: _Forest, left: Ints, right: Ints) -> tuple[Ints, Hashes]:
    """Return, for every position, how many records lie below it and what the numbers of its links come to."""
    count = len(forest.parent)
    outside = (forest.parent[right] != left) & (forest.parent[left] != right)
    numbers = _scattered(np.arange(int(outside.sum()), dtype=np.uint64))
    crossed = np.zeros(count, dtype=np.uint64)
    for ends in (left[outside], right[outside]):
        np.bitwise_xor.at(crossed, ends, numbers)
    below = np.ones(count, dtype=np.int64)
    order = np.argsort(-forest.depth, kind="stable")
    depths = -forest.depth[order]
    for depth in range(int(forest.depth.max(initial=0)), 0, -1):
        level = order[np.searchsorted(depths, -depth) : np.searchsorted(depths, -depth, side="right")]
        np.bitwise_xor.at(crossed, forest.parent[level], crossed[level])
        np.add.at(below, forest.parent[level], below[level])
    return below, crossed


def _scattered(numbers: Hashes) -> Hashes:
    """Return well-mixed 64-bit numbers, another for each (the finaliser of SplitMix64; Steele, 2014)."""
    mixed = (numbers + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    found: Hashes = mixed ^ (mixed >> np.uint64(31))
    return found
