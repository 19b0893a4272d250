"""What has to be written to turn the stored state into the new one: rows, in columns. Pure.

Every part is sorted as its table is, so that bulk writes go through each B-tree once, in order.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from identity.clustering import Pairs
from identity.golden_events import GONE, KINDS, MERGED, SPLIT, Events, Ints
from identity.golden_state import NONE, Assignment, State, lookup
from identity.judged_clusters import JudgedClusters

Floats = npt.NDArray[np.float64]

STATUS = {MERGED: "merged", SPLIT: "split", GONE: "erased"}


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """The stored state at one version: `confidence` is aligned with `state.record_nos`."""

    state: State
    confidence: Floats
    anchor_goldens: Ints  # active golden IDs, ascending
    anchor_records: Ints
    links: Pairs  # record_a < record_b, ascending; a steward's have infinite weight
    overridden: Pairs  # scored pairs that judgements keep from being links

    @property
    def scored(self) -> Pairs:
        """What the scores alone have to say: links that are not a steward's, and those overridden."""
        own, other = self.links.where(np.isfinite(self.links.weight)), self.overridden
        return Pairs(
            np.concatenate([own.record_a, other.record_a]),
            np.concatenate([own.record_b, other.record_b]),
            np.concatenate([own.weight, other.weight]),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Rows of one versioned table to close and to open; equal-length columns, in key order."""

    closed: tuple[Ints, ...]
    opened: tuple[npt.NDArray[np.generic], ...]

    def __len__(self) -> int:
        return len(self.closed[0]) + len(self.opened[0])


@dataclass(frozen=True, slots=True, eq=False)
class Difference:
    """All rows of one step. `states` lists (golden_no, status, redirect_no or NONE, anchor_no or NONE)."""

    births: tuple[Ints, Ints]  # golden_no, anchor_no
    states: list[tuple[int, str, int | None, int | None]]
    lineage: list[tuple[int, int, str]]
    memberships: Rows  # record_no | record_no, golden_no
    members: Rows  # golden_no, record_no | golden_no, record_no, confidence
    formers: Rows  # golden_no, record_no | the same
    links: Rows  # record_no, other_no | record_no, other_no, weight: each pair in both directions
    overridden: Rows  # the same
    events: Events

    def __len__(self) -> int:
        tables = (self.memberships, self.members, self.formers, self.links, self.overridden)
        return (
            len(self.births[0]) + len(self.states) + len(self.lineage) + len(self.events)
            + sum(len(rows) for rows in tables)
        )  # fmt: skip


def difference(before: Snapshot, assignment: Assignment, found: JudgedClusters) -> Difference:
    """Compare the stored state with the new one. `found` is what `assignment` was made from."""
    after, clusters = assignment.state, found.clusters
    golden_nos, first = np.unique(after.golden_nos, return_index=True)
    anchors = clusters.anchor[first]
    return Difference(
        births=(assignment.created, lookup(assignment.created, golden_nos, anchors)),
        states=_states(before, assignment, golden_nos, anchors),
        lineage=_lineage(assignment),
        memberships=_memberships(assignment),
        members=_members(before, assignment, clusters.confidence),
        formers=_formers(before.state, after),
        links=_links(before.links, clusters.links),
        overridden=_links(before.overridden, found.overridden),
        events=assignment.events,
    )


def _states(
    before: Snapshot, assignment: Assignment, golden_nos: Ints, anchors: Ints
) -> list[tuple[int, str, int | None, int | None]]:
    after = assignment.state
    known = lookup(golden_nos, before.anchor_goldens, before.anchor_records)
    born = np.isin(golden_nos, assignment.created)
    changed = (known != anchors) & ~born  # a reactivated one had no anchor
    rows: list[tuple[int, str, int | None, int | None]] = [
        (golden_no, "active", None, anchor)
        for golden_no, anchor in zip(golden_nos[changed].tolist(), anchors[changed].tolist(), strict=True)
    ]
    targets = lookup(assignment.redirected_nos, after.merged_nos, after.redirect_nos)
    rows += [
        (golden_no, "merged", target, None)
        for golden_no, target in zip(assignment.redirected_nos.tolist(), targets.tolist(), strict=True)
    ]
    rows += [
        (golden_no, STATUS[status], None, None)
        for golden_no, status in zip(
            assignment.ended_nos.tolist(), assignment.ended_status.tolist(), strict=True
        )
        if status != MERGED
    ]
    return sorted(rows)


def _lineage(assignment: Assignment) -> list[tuple[int, int, str]]:
    events = assignment.events
    relation = {MERGED: "merged_into", SPLIT: "split_into"}
    rows = []
    for index in np.flatnonzero((events.kinds == MERGED) | (events.kinds == SPLIT)).tolist():
        golden_no, how = int(events.golden_nos[index]), relation[int(events.kinds[index])]
        rows += [(golden_no, other, how) for other in events.others.row(index)]
    return sorted(rows)


def _memberships(assignment: Assignment) -> Rows:
    after = assignment.state
    moved = assignment.old_nos != after.golden_nos
    had = moved & (assignment.old_nos != NONE)
    closed = np.sort(np.concatenate([after.record_nos[had], assignment.departed_records]))
    return Rows((closed,), (after.record_nos[moved], after.golden_nos[moved]))


def _members(before: Snapshot, assignment: Assignment, confidence: Floats) -> Rows:
    after, old = assignment.state, assignment.old_nos
    place = lookup(
        after.record_nos, before.state.record_nos, np.arange(len(before.confidence), dtype=np.int64)
    )
    had = old != NONE
    same = had & (old == after.golden_nos)
    same[same] = before.confidence[place[same]] == confidence[same]
    out, into = had & ~same, ~same
    closed = _in_order(
        np.concatenate([old[out], assignment.departed_goldens]),
        np.concatenate([after.record_nos[out], assignment.departed_records]),
    )
    order = np.lexsort((after.record_nos[into], after.golden_nos[into]))
    opened = (after.golden_nos[into][order], after.record_nos[into][order], confidence[into][order])
    return Rows(closed, opened)


def _formers(before: State, after: State) -> Rows:
    span = 1 + max(before.former_records.max(initial=0), after.former_records.max(initial=0))
    old = before.former_goldens * span + before.former_records
    new = after.former_goldens * span + after.former_records
    gone, fresh = old[~np.isin(old, new)], new[~np.isin(new, old)]
    return Rows((gone // span, gone % span), (fresh // span, fresh % span))


def _links(before: Pairs, after: Pairs) -> Rows:
    span = 1 + max(before.record_b.max(initial=0), after.record_b.max(initial=0))
    old, new = before.record_a * span + before.record_b, after.record_a * span + after.record_b
    order = np.argsort(old)
    place = lookup(new, old[order], order)
    same = place != NONE
    same[same] = before.weight[place[same]] == after.weight[same]
    gone = before.where(~np.isin(old, new[same]))
    fresh = after.where(~same)
    closed = _in_order(*_both_ways(gone.record_a, gone.record_b))
    left, right = _both_ways(fresh.record_a, fresh.record_b)
    order = np.lexsort((right, left))
    return Rows(closed, (left[order], right[order], np.concatenate([fresh.weight, fresh.weight])[order]))


def _both_ways(left: Ints, right: Ints) -> tuple[Ints, Ints]:
    return np.concatenate([left, right]), np.concatenate([right, left])


def _in_order(left: Ints, right: Ints) -> tuple[Ints, Ints]:
    order = np.lexsort((right, left))
    return left[order], right[order]


def details(events: Events, index: int) -> str:
    """Return the JSON of one event's details: golden and record numbers only."""
    kind = KINDS[events.kinds[index]]
    if kind in {"created", "reactivated"}:
        return f'{{"records": {events.joined.row(index)}}}'
    if kind == "updated":
        joined, left, to = events.joined.row(index), events.left.row(index), events.others.row(index)
        return f'{{"joined": {joined}, "left": {left}, "to": {to}}}'
    if kind in {"merged", "split"}:
        return f'{{"into": {events.others.row(index)}}}'
    return "{}"
