"""Old state + new clusters -> stable golden IDs. Pure: numbers in, numbers out.

Invariants, each a property test:

- Every live record has exactly one active golden ID; a golden ID that ended has none.
- The same clusters again change nothing and emit nothing; a component that nothing touched keeps its IDs.
- The IDs kept are those of the maximum-weight one-to-one assignment (`identity.assignment`), ties to the
  older ID. Row order and cluster labels do not matter: clusters are numbered by their smallest record.
- Golden numbers ascend with age. New ones are handed out in cluster order from `next_golden_no`.
- Redirects point at active IDs as long as a former record lives, so they are one step and acyclic.
- Replaying the events over the old state gives the new one.

What becomes of an active ID that no cluster got: its live records are all in one cluster: `merged` into
that one's ID; in several: `split`, with those IDs as successors; it has none left: `erased` (a tombstone).
Its records are remembered while it is merged. A merged ID comes back (`reactivated`) for a cluster that
got no active ID if more than half of that cluster's records, and more than half of its own former records
that live, are in both. Otherwise it redirects to where more than half of its former records are; if there
is no such place, it is `split` as well. `split` and `erased` are final.
"""

import numpy as np

from identity.assignment import Ints, assign
from identity.golden_state import NONE, Assignment, State, empty_state, lookup, pair, places
from identity.golden_transition import Transition

__all__ = ["Assignment", "State", "assign_golden_ids", "empty_state", "record_weights"]


def assign_golden_ids(
    previous: State, record_nos: Ints, labels: Ints, weights: Ints | None = None
) -> Assignment:
    """Give every cluster of live records its golden ID.

    `labels[i]` is the cluster of `record_nos[i]`; any integers, any order. `weights` (at least 1, default
    1) say how much each record counts when clusters compete for an old ID: records that a steward locked
    far above verified ones, those far above known ones, those above anonymous ones (`record_weights`).
    """
    order = np.argsort(record_nos, kind="stable")
    records = record_nos[order]
    cluster = _canonical(labels[order])
    weight = np.ones(len(records), dtype=np.int64) if weights is None else weights[order]
    old = lookup(records, previous.record_nos, previous.golden_nos)
    count = int(cluster.max()) + 1 if len(cluster) else 0

    owner = _keep(old, cluster, weight, count)
    reactivated = _reactivate(previous, records, cluster, owner)
    fresh = np.flatnonzero(owner == NONE)
    owner[fresh] = previous.next_golden_no + np.arange(len(fresh), dtype=np.int64)
    golden = owner[cluster] if count else np.empty(0, dtype=np.int64)
    return Transition(previous, records, golden, old, owner[fresh], reactivated).assignment()


def record_weights(standing: Ints) -> Ints:
    """Overlap weights from the standing of records: 0 anonymous, 1 known, 2 verified, 3 steward lock.

    A step of 64: one record outweighs 63 of the class below. Sums stay exact in the solver (2**53) for
    components of 100,000 records.
    """
    weights: Ints = np.left_shift(np.int64(1), 6 * standing.astype(np.int64))
    return weights


def _canonical(labels: Ints) -> Ints:
    """Renumber labels of records in ascending order: cluster 0 holds the smallest record, and so on."""
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    ranks: Ints = rank[inverse]
    return ranks


def _keep(old: Ints, cluster: Ints, weight: Ints, count: int) -> Ints:
    """Return each cluster's old golden number by maximum overlap, NONE where it gets none."""
    owner = np.full(count, NONE, dtype=np.int64)
    known = old != NONE
    if not known.any():
        return owner
    edge, inverse = np.unique(pair(old[known], cluster[known], count), return_inverse=True)
    overlap = np.zeros(len(edge), dtype=np.int64)
    np.add.at(overlap, inverse, weight[known])
    rows, columns = assign(edge // count, edge % count, overlap)
    owner[columns] = rows
    return owner


def _reactivate(previous: State, records: Ints, cluster: Ints, owner: Ints) -> Ints:
    """Give clusters without an ID the merged ID that they are the majority of; fills `owner`."""
    place = places(records, previous.former_records)
    live = place != NONE
    merged: Ints = previous.former_goldens[live]
    home = cluster[place[live]]
    if not len(merged):
        return merged
    names, merged_index, merged_size = np.unique(merged, return_inverse=True, return_counts=True)
    edge, shared = np.unique(pair(merged_index, home, len(owner)), return_counts=True)
    row, column = edge // len(owner), edge % len(owner)
    size = np.bincount(cluster, minlength=len(owner))
    right = (owner[column] == NONE) & (2 * shared > size[column]) & (2 * shared > merged_size[row])
    row, column, shared = row[right], column[right], shared[right]
    order = np.lexsort((row, -shared, column))  # the larger share, then the older ID
    column, first = np.unique(column[order], return_index=True)
    owner[column] = names[row[order][first]]
    return np.sort(owner[column])
