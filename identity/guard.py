"""Parting the components that contradict themselves: the guard over all components at once. Pure.

Most components can't be parted by any merge order, which a bound shows for all of them together; only the
doubtful rest is merged again, record by record (`identity.contradictions.Merging`).
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from identity.contradictions import Evidence, Merging, bound

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_HAIR = 1e-9  # bits: a link exactly at the threshold counts


class Links(NamedTuple):
    """Links as positions of their two records among the nodes, and their weight above the threshold."""

    left: Integers
    right: Integers
    above: Floats
    in_tree: Mask  # of the maximum spanning tree


class _Pairs(NamedTuple):
    """Pairs of positions with their evidence; `link` is below 0 where there is none."""

    left: Integers
    right: Integers
    link: Floats
    bits: npt.NDArray[np.float32]


def part(nodes: Integers, component: Integers, links: Links, evidence: Evidence) -> Integers:
    """Return the components, parted where the evidence outweighs the links; numbered from 0."""
    pairs = _within(nodes, component, evidence)
    doubtful = _doubtful(component, links, pairs)
    parted = component.astype(np.int64)
    if doubtful.any():
        concerned = doubtful[component[links.left]]
        disputed = _linked(
            _where(pairs, doubtful[component[pairs.left]]),
            Links(
                links.left[concerned],
                links.right[concerned],
                links.above[concerned],
                links.in_tree[concerned],
            ),
            len(nodes),
        )
        for members, stands in _settled(component, disputed, np.flatnonzero(doubtful[component])):
            parted[members] = len(nodes) + members[stands]
    return np.unique(parted, return_inverse=True)[1].astype(np.int64)


def _within(nodes: Integers, component: Integers, evidence: Evidence) -> _Pairs:
    """Return the pairs of evidence whose records are in one component."""
    last = max(len(nodes) - 1, 0)
    left = np.minimum(np.searchsorted(nodes, evidence.record_a), last)
    right = np.minimum(np.searchsorted(nodes, evidence.record_b), last)
    kept = (nodes[left] == evidence.record_a) & (nodes[right] == evidence.record_b)
    kept &= component[left] == component[right]
    none = np.full(int(kept.sum()), -1.0)
    return _Pairs(left[kept], right[kept], none, evidence.bits[kept])


def _where(pairs: _Pairs, chosen: Mask | Integers) -> _Pairs:
    return _Pairs(pairs.left[chosen], pairs.right[chosen], pairs.link[chosen], pairs.bits[chosen])


def _doubtful(component: Integers, links: Links, pairs: _Pairs) -> Mask:
    """Return, by component, whether some merge in it might be refused."""
    sizes = np.bincount(component)
    bottleneck = np.full(len(sizes), np.inf)
    tree = links.in_tree
    np.minimum.at(bottleneck, component[links.left[tree]], links.above[tree])
    worst = np.zeros((len(sizes), pairs.bits.shape[1]))
    where = component[pairs.left]
    order = np.argsort(where, kind="stable")
    starts = np.flatnonzero(np.diff(where[order], prepend=-1))
    if len(starts):
        worst[where[order[starts]]] = np.minimum(np.minimum.reduceat(pairs.bits[order], starts, axis=0), 0.0)
    found: Mask = (sizes > 2) & (bound(bottleneck, worst, sizes) <= 0)
    return found


def _linked(pairs: _Pairs, links: Links, count: int) -> _Pairs:
    """Return the pairs with the weights of their links; a link without evidence becomes a pair without."""
    known, wanted = pairs.left * count + pairs.right, links.left * count + links.right
    order = np.argsort(known, kind="stable")
    place = np.minimum(np.searchsorted(known, wanted, sorter=order), max(len(known) - 1, 0))
    found = known[order[place]] == wanted if len(known) else np.zeros(len(wanted), dtype=bool)
    link = pairs.link.copy()
    link[order[place[found]]] = links.above[found] + _HAIR
    alone = ~found
    return _Pairs(
        np.concatenate([pairs.left, links.left[alone]]),
        np.concatenate([pairs.right, links.right[alone]]),
        np.concatenate([link, links.above[alone] + _HAIR]),
        np.concatenate([pairs.bits, np.zeros((int(alone.sum()), pairs.bits.shape[1]), dtype=np.float32)]),
    )


def _settled(component: Integers, pairs: _Pairs, concerned: Integers) -> Iterator[tuple[Integers, Integers]]:
    """Yield each component's positions, and for each of them the place of the one that stands for it.

    `concerned` are the positions, ascending, of all records of the components that `pairs` are of.
    """
    order = np.lexsort((pairs.right, pairs.left, component[pairs.left]))
    pairs = _where(pairs, order)
    starts = np.flatnonzero(np.diff(component[pairs.left], prepend=-1))
    concerned = concerned[np.argsort(component[concerned], kind="stable")]
    parts = np.split(concerned, np.flatnonzero(np.diff(component[concerned])) + 1)
    place = np.zeros(len(component), dtype=np.int64)  # of each position among its component's
    for members in parts:
        place[members] = np.arange(len(members))
    left, right, links = place[pairs.left].tolist(), place[pairs.right].tolist(), pairs.link.tolist()
    for members, start, end in zip(parts, starts.tolist(), [*starts[1:].tolist(), len(order)], strict=True):
        said = pairs.bits[start:end]
        said = said[:, (said < 0).any(axis=0)]  # only what speaks against somewhere can cost anything
        merging = Merging(len(members))
        for at, bits in enumerate(said.tolist(), start):
            merging.add(left[at], right[at], links[at], bits)
        yield members, np.array(merging.labels(), dtype=np.int64)
