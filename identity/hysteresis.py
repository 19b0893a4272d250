"""A small margin towards the previous decision: a slightly other model churns no golden IDs. Pure.

The run's clusters are the proposal. Where they and the published golden IDs disagree about records that
have not changed since, the disputed parts are looked at with the threshold raised and lowered by MARGIN:
parts that were apart are joined only if they would be, by a pair of theirs, at threshold + MARGIN, and parts
that were together stay so if they would be at threshold - MARGIN. Guards count as they do in the run. New
and changed records know no earlier decision: for their pairs the threshold is what it is.

Invariants, each a property test:

- The same input again changes nothing: what is kept or joined here is kept or joined again.
- Without an earlier decision the proposal stands, and so it does wherever there is no dispute.
- A pair decides against the proposal only within MARGIN bits of the threshold.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from identity.clustering import Clusters, Pairs
from identity.components import components
from identity.distinct import distinct
from identity.golden_events import Ints
from identity.golden_state import NONE, lookup

MARGIN: Final = 1.0
"""Bits: odds twice as good or as bad. See docs/linkage.md for the churn it saves."""

Mask = npt.NDArray[np.bool_]
Again = Callable[[Ints, Pairs, float], Clusters]
"""Cluster some records by their pairs from a threshold on, with the run's guards and judgements."""


@dataclass(frozen=True, slots=True)
class Held:
    """How many changes were held back: parts left apart, and parts left together."""

    apart: int = 0
    together: int = 0


def settled(
    clusters: Clusters,
    pairs: Pairs,
    threshold: float,
    known: tuple[Ints, Ints],
    again: Again,
    *,
    exempt: Ints | None = None,
) -> tuple[Clusters, Held]:
    """Return the clusters after hysteresis. `known`: unchanged records, ascending, and their golden numbers.

    The proposal stands around records in `exempt` (a steward has judged them), and where `again`, asked to
    cluster a held group, does not come to that group.
    """
    was = lookup(clusters.record_nos, *known)
    component = _disputes(clusters.label, was)
    if exempt is not None:
        ruled = component[np.isin(clusters.record_nos, exempt)]
        component[np.isin(component, ruled)] = NONE
    disputed = np.flatnonzero(component != NONE)
    if not len(disputed):
        return clusters, Held()
    group = clusters.label.copy()
    group[disputed] = _regrouped(
        clusters.record_nos[disputed], (clusters.label[disputed], was[disputed]), pairs, threshold, again
    )
    moved = np.flatnonzero(_differs(clusters.label, group, disputed))
    if not len(moved):
        return clusters, Held()
    inside = _inside(pairs, clusters.record_nos[moved], group[moved])
    decided = again(clusters.record_nos[moved], inside, threshold - MARGIN)
    refused = distinct(component[moved[decided.label != group[moved]]])
    stands = np.isin(component[moved], refused)
    kept = moved[~stands]
    group[np.isin(component, refused)] = clusters.label[np.isin(component, refused)]
    return _merged(clusters, decided, kept, ~stands), _held(clusters.label, group, kept)


def _disputes(label: Ints, was: Ints) -> Ints:
    """Return for each record which clusters and golden IDs disagree around it, as a number; NONE if none."""
    found = np.full(len(label), NONE, dtype=np.int64)
    known = was != NONE
    labels, row = np.unique(label, return_inverse=True)
    goldens, column = np.unique(was[known], return_inverse=True)
    cells = distinct(row[known].astype(np.int64) * max(len(goldens), 1) + column)
    if len(cells) == len(goldens) == len(distinct(row[known])):
        return found  # every golden ID has one cluster and every cluster at most one golden ID
    size = len(labels) + len(goldens)
    part = components(size, cells // len(goldens), len(labels) + cells % len(goldens))
    clusters_in = np.bincount(part[: len(labels)], minlength=size)
    goldens_in = np.bincount(part[len(labels) :], minlength=size)
    of_record = part[: len(labels)][row]
    several = (clusters_in[of_record] > 1) | (goldens_in[of_record] > 1)
    found[several] = of_record[several]
    return found


def _regrouped(
    numbers: Ints, decisions: tuple[Ints, Ints], pairs: Pairs, threshold: float, again: Again
) -> Ints:
    """Return the groups of disputed records, named by their smallest one, by the rules of the module.

    `decisions`: the cluster proposed for each, and the golden number it has (NONE: no earlier decision).
    """
    label, before = decisions
    left, right, weight = _among(pairs, numbers)
    same_label = label[left] == label[right]
    decided = (before[left] != NONE) & (before[right] != NONE)
    same_before = decided & (before[left] == before[right])
    sure = _together(again, numbers, _inside(pairs, numbers, label), threshold + MARGIN)
    fair = _together(again, numbers, _inside(pairs, numbers, before), threshold - MARGIN)
    joins = same_label & ~decided & (weight >= threshold)
    joins |= same_label & (sure[left] == sure[right]) & (weight >= threshold + MARGIN)
    joins |= same_before & (fair[left] == fair[right]) & (weight >= threshold - MARGIN)
    agreed = _chains(label, before)  # both decisions have these together
    rows = np.concatenate([left[joins], agreed[0]])
    columns = np.concatenate([right[joins], agreed[1]])
    part = components(len(numbers), rows, columns)
    _, first = np.unique(part, return_index=True)  # record numbers ascend
    smallest: Ints = numbers[first][part]
    return smallest


def _together(again: Again, numbers: Ints, pairs: Pairs, threshold: float) -> Ints:
    """Return who is together with whom at another threshold, guards included."""
    found: Ints = again(numbers, pairs, threshold).label
    return found


def _chains(label: Ints, before: Ints) -> tuple[Ints, Ints]:
    """Link each record to the next with the same cluster and the same golden ID."""
    known = np.flatnonzero(before != NONE)
    order = known[np.lexsort((before[known], label[known]))]
    next_alike = (label[order][1:] == label[order][:-1]) & (before[order][1:] == before[order][:-1])
    return order[:-1][next_alike], order[1:][next_alike]


def _among(pairs: Pairs, numbers: Ints) -> tuple[Ints, Ints, npt.NDArray[np.float64]]:
    """Return positions in `numbers` (ascending) and weights of the pairs with both ends there."""
    positions = np.arange(len(numbers), dtype=np.int64)
    left, right = lookup(pairs.record_a, numbers, positions), lookup(pairs.record_b, numbers, positions)
    both = (left != NONE) & (right != NONE)
    return left[both], right[both], pairs.weight[both]


def _differs(label: Ints, group: Ints, disputed: Ints) -> Mask:
    """Mark the records of every group that is no cluster of the proposal as it stands."""
    mask = np.zeros(len(label), dtype=bool)
    _, by_label, label_sizes = np.unique(label[disputed], return_inverse=True, return_counts=True)
    _, by_group, group_sizes = np.unique(group[disputed], return_inverse=True, return_counts=True)
    cells, cell, sizes = np.unique(
        by_group.astype(np.int64) * len(label_sizes) + by_label, return_inverse=True, return_counts=True
    )
    whole = (sizes == label_sizes[cells % len(label_sizes)]) & (
        sizes == group_sizes[cells // len(label_sizes)]
    )
    mask[disputed] = ~whole[cell]
    return mask


def _inside(pairs: Pairs, record_nos: Ints, group: Ints) -> Pairs:
    """Return the pairs with both ends in one group; `group` NONE: in none."""
    left, right = (lookup(ends, record_nos, group) for ends in (pairs.record_a, pairs.record_b))
    return pairs.where((left != NONE) & (left == right))


def _merged(clusters: Clusters, decided: Clusters, kept: Ints, chosen: Mask) -> Clusters:
    """Return `clusters` with the rows and links of the records at `kept` taken from `decided`."""
    columns = {name: getattr(clusters, name).copy() for name in ("label", "anchor", "confidence")}
    for name, column in columns.items():
        column[kept] = getattr(decided, name)[chosen]
    replaced = clusters.record_nos[kept]
    old = clusters.links.where(~np.isin(clusters.links.record_a, replaced))
    old = old.where(~np.isin(old.record_b, replaced))
    new = decided.links.where(np.isin(decided.links.record_a, replaced))
    left = np.concatenate([old.record_a, new.record_a])
    right = np.concatenate([old.record_b, new.record_b])
    weight = np.concatenate([old.weight, new.weight])
    order = np.lexsort((right, left, -weight))
    links = Pairs(left[order], right[order], weight[order])
    return replace(clusters, links=links, **columns)


def _held(label: Ints, group: Ints, kept: Ints) -> Held:
    """Count what was held back: one for each part beyond the first."""
    labels, groups = label[kept], group[kept]
    cells = len(np.unique(np.stack([labels, groups]), axis=1).T)
    return Held(apart=cells - len(distinct(labels)), together=cells - len(distinct(groups)))
