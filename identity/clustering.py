"""Scored pairs -> clusters, each record with its confidence. Pure and deterministic; no labels, no I/O.

A cluster is a connected component of the links at or above the threshold, parted where the records'
contradictions outweigh the links (`identity.contradictions`). The confidence of a record is the weakest
link on its best path to the cluster's anchor: the best path is the one whose weakest link is strongest,
and all best paths lie in the maximum spanning tree, so one tree gives them all.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from identity.components import components
from identity.contradictions import MOST_COMPARED, Evidence, all_pairs, spread_pairs
from identity.distinct import distinct
from identity.guard import Links, part

BEST_LINKS: Final = 20
"""Links kept a record, for explanation and for repair after a record leaves."""

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Pairs:
    """Scored pairs of records: numbers with a < b, and the match weight in bits (log2 of the odds).

    `evidence` is what the records of possible clusters say against each other; None: links alone decide.
    """

    record_a: Integers
    record_b: Integers
    weight: Floats
    evidence: Evidence | None = None

    def __len__(self) -> int:
        return len(self.weight)

    def where(self, mask: npt.NDArray[np.bool_]) -> "Pairs":
        """Return the pairs that `mask` picks."""
        return Pairs(self.record_a[mask], self.record_b[mask], self.weight[mask], self.evidence)


@dataclass(frozen=True, slots=True)
class Clusters:
    """One row a record, ascending by record number; `label` is the smallest record number of its cluster.

    `confidence` is a probability rounded to 6 decimals, 1.0 for a singleton; `anchor` the record it is
    measured from. `links` holds the spanning tree and the best links of each record.
    """

    record_nos: Integers
    label: Integers
    anchor: Integers
    confidence: Floats
    links: Pairs


def cluster(
    record_nos: npt.ArrayLike, pairs: Pairs, threshold: float, verified: npt.ArrayLike | None = None
) -> Clusters:
    """Return the clusters of `record_nos` that the pairs with weight >= `threshold` connect, guarded.

    `verified` numbers the records with a verified identifier: they anchor before others; then comes
    the record with most links, then the smallest number. Raises ValueError for a pair of unknown records.
    """
    nodes: Integers = distinct(record_nos)
    links = _canonical(pairs.where(pairs.weight >= threshold))
    left, right = _positions(nodes, links.record_a), _positions(nodes, links.record_b)
    count = len(nodes)
    component = components(count, left, right)
    if pairs.evidence is not None:
        tree = _spanning_tree(left, right, count)
        guarded = Links(left, right, links.weight - threshold, tree)
        component = part(nodes, component, guarded, pairs.evidence)
        inside = component[left] == component[right]
        links, left, right = links.where(inside), left[inside], right[inside]
    first = _smallest_of(component, nodes)
    degree = np.bincount(left, minlength=count) + np.bincount(right, minlength=count)
    is_verified = np.isin(nodes, np.asarray(verified if verified is not None else [], dtype=np.int64))
    anchors = _anchors(component, nodes, degree, is_verified)
    in_tree = _spanning_tree(left, right, count)
    bottleneck = _bottlenecks(left[in_tree], right[in_tree], links.weight[in_tree], anchors, count)
    confidence = np.round(1.0 / (1.0 + np.exp2(-bottleneck)), 6)
    kept = in_tree | _among_best(left, right, links.weight, count)
    return Clusters(nodes, first[component], nodes[anchors[component]], confidence, links.where(kept))


@dataclass(frozen=True, slots=True)
class Tied:
    """Pairs of records that the guard has to know of, scored or not; each once.

    These are all pairs that links tie together. Of a tie of more than MOST_COMPARED records they are the
    scored pairs and a spread over all of it; `large` are the records of such ties.
    """

    record_a: Integers
    record_b: Integers
    large: Integers


def tied(pairs: Pairs, threshold: float) -> Tied:
    """Return what the links of `pairs` tie together."""
    links = pairs.where(pairs.weight >= threshold)
    nodes = distinct(np.concatenate([links.record_a, links.record_b]))
    component = components(
        len(nodes), *(np.searchsorted(nodes, end) for end in (links.record_a, links.record_b))
    )
    record_a, record_b = all_pairs(nodes, component)
    large = (np.bincount(component, minlength=1) > MOST_COMPARED)[component]
    if large.any():
        more_a, more_b = _of_large(pairs, nodes[large], component[large])
        record_a, record_b = np.concatenate([record_a, more_a]), np.concatenate([record_b, more_b])
    return Tied(record_a, record_b, nodes[large])


def _of_large(pairs: Pairs, nodes: Integers, component: Integers) -> tuple[Integers, Integers]:
    """Return the scored pairs inside the components, and the spread over each."""
    scored = pairs.where(np.isin(pairs.record_a, nodes) & np.isin(pairs.record_b, nodes))
    left, right = np.searchsorted(nodes, scored.record_a), np.searchsorted(nodes, scored.record_b)
    inside = component[left] == component[right]
    spread_left, spread_right = (np.searchsorted(nodes, ends) for ends in spread_pairs(nodes, component))
    both = distinct(
        np.concatenate([left[inside], spread_left]) * len(nodes)
        + np.concatenate([right[inside], spread_right])
    )
    return nodes[both // len(nodes)], nodes[both % len(nodes)]


def _canonical(pairs: Pairs) -> Pairs:
    """Return each pair once, the strongest first, ties by record numbers: no result depends on row order."""
    low, high = np.minimum(pairs.record_a, pairs.record_b), np.maximum(pairs.record_a, pairs.record_b)
    order = np.lexsort((-pairs.weight, high, low))
    low, high, weight = low[order], high[order], pairs.weight[order]
    unique = np.ones(len(low), dtype=bool)
    unique[1:] = (low[1:] != low[:-1]) | (high[1:] != high[:-1])
    low, high, weight = low[unique], high[unique], weight[unique]
    order = np.argsort(-weight, kind="stable")
    return Pairs(low[order], high[order], weight[order], pairs.evidence)


def _positions(nodes: Integers, numbers: Integers) -> Integers:
    found = np.searchsorted(nodes, numbers)
    if len(numbers) and (not len(nodes) or np.any(nodes[np.minimum(found, len(nodes) - 1)] != numbers)):
        raise ValueError("a pair names a record that is not among the records")
    return found


def _smallest_of(component: Integers, nodes: Integers) -> Integers:
    """Return the smallest record number of each component; nodes are ascending, so the first seen."""
    _, first = np.unique(component, return_index=True)
    return nodes[first]


def _anchors(
    component: Integers, nodes: Integers, degree: Integers, verified: npt.NDArray[np.bool_]
) -> Integers:
    order = np.lexsort((nodes, -degree, ~verified, component))
    _, first = np.unique(component[order], return_index=True)
    return order[first]


def _spanning_tree(left: Integers, right: Integers, count: int) -> npt.NDArray[np.bool_]:
    """Return which links form the maximum spanning tree; links come strongest first.

    The tree of minimum ranks is the tree of maximum weights, with ties decided by the order.
    """
    from scipy.sparse import csgraph, csr_array  # noqa: PLC0415 - slow to load, and most commands do without

    mask = np.zeros(len(left), dtype=bool)
    ranks = np.arange(1, len(left) + 1, dtype=np.float64)
    tree = csgraph.minimum_spanning_tree(csr_array((ranks, (left, right)), shape=(count, count)))
    mask[tree.data.astype(np.int64) - 1] = True
    return mask


def _bottlenecks(left: Integers, right: Integers, weight: Floats, anchors: Integers, count: int) -> Floats:
    """Return the weakest link between each record and its anchor along the tree; infinite for anchors."""
    from scipy.sparse import csgraph, csr_array  # noqa: PLC0415 - as above

    root = count  # one more node above all anchors makes the forest one tree
    rows = np.concatenate((left, np.full(len(anchors), root)))
    columns = np.concatenate((right, anchors))
    tree = csr_array((np.ones(len(rows), dtype=np.int8), (rows, columns)), shape=(count + 1, count + 1))
    _, parent = csgraph.breadth_first_order(tree, root, directed=False)
    parent = parent.astype(np.int64)
    parent[root] = root
    weakest = np.full(count + 1, np.inf)
    child = np.where(parent[left] == right, left, right)
    weakest[child] = weight
    while np.any(parent != root):  # pointer doubling: log2(depth) rounds
        weakest = np.minimum(weakest, weakest[parent])
        parent = parent[parent]
    return weakest[:count]


def _among_best(left: Integers, right: Integers, weight: Floats, count: int) -> npt.NDArray[np.bool_]:
    """Return which links are among the BEST_LINKS strongest of either end; links come strongest first."""
    ends = np.concatenate((left, right))
    link = np.concatenate((np.arange(len(left)), np.arange(len(left))))
    order = np.lexsort((link, ends))
    starts = np.searchsorted(ends[order], np.arange(count))
    position = np.arange(len(order)) - starts[ends[order]]
    mask = np.zeros(len(weight), dtype=bool)
    mask[link[order[position < BEST_LINKS]]] = True
    return mask
