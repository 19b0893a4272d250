"""One step of golden IDs around a few records, in plain Python: what a record that arrives changes. Pure.

The columns of a run (`clustering`, `golden_ids`, `difference`) cost milliseconds, however few the records.
What an arrival touches is mostly simple: nobody leaves, nothing was merged or judged, and no two golden IDs
meet. Then the same step is worked out here in a tenth of the time; anything else is left to the columns. A
property test holds the two equal, row by row.
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Final

import numpy as np

from identity.clustering import BEST_LINKS, Floats, Integers, Pairs
from identity.difference import Snapshot
from identity.golden_state import NONE, State
from identity.records import RecordFact

VERIFIED: Final = 2  # RecordFact.standing from which a record may anchor before others
MOST_RECORDS: Final = 200
"""Beyond that columns are as fast."""

Scored = tuple[int, int, float]
Pair = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Nearby:
    """The stored state around a few records, as rows in any order."""

    next_golden_no: int
    members: Sequence[tuple[int, int, float]] = ()  # golden_no, record_no, confidence
    formers: Sequence[Pair] = ()  # golden_no, record_no
    anchors: Sequence[Pair] = ()  # golden_no, record_no: active golden IDs
    merged: Sequence[Pair] = ()  # golden_no, redirect_no
    links: Sequence[Scored] = ()  # record_no < other_no; a steward's have infinite weight
    overridden: Sequence[Scored] = ()

    def snapshot(self) -> Snapshot:
        """Return the same as columns."""
        golden_nos, record_nos, confidence = _table(sorted(self.members, key=lambda row: row[1]), 3)
        merged, formers = _table(sorted(self.merged), 2), _table(sorted(self.formers), 2)
        anchors = _table(sorted(self.anchors), 2)
        state = State(
            _ints(record_nos), _ints(golden_nos), _ints(merged[0]), _ints(merged[1]),
            _ints(formers[0]), _ints(formers[1]), self.next_golden_no,
        )  # fmt: skip
        return Snapshot(
            state, confidence, _ints(anchors[0]), _ints(anchors[1]),
            _pairs(self.links), _pairs(self.overridden),
        )  # fmt: skip


def _table(rows: Sequence[Any], width: int) -> list[Floats]:
    table = np.array(rows, dtype=np.float64).reshape(len(rows), width)
    return [table[:, column] for column in range(width)]


def _ints(column: Floats) -> Integers:
    return column.astype(np.int64)


def _pairs(rows: Sequence[Scored]) -> Pairs:
    left, right, weight = _table(sorted(rows), 3)
    return Pairs(_ints(left), _ints(right), weight)


@dataclass(slots=True)
class SmallStep:
    """What `identity.difference.Difference` says, as rows, and the golden number of every record after it.

    There are no more kinds of change: a golden ID is born or has new members, and nothing else.
    """

    owner: dict[int, int] = field(default_factory=dict)  # record_no -> golden_no
    births: list[Pair] = field(default_factory=list)  # golden_no, anchor_no
    anchors: list[Pair] = field(default_factory=list)  # golden_no, anchor_no: of those that had another
    memberships: list[Pair] = field(default_factory=list)  # record_no, golden_no
    left_members: list[Pair] = field(default_factory=list)  # golden_no, record_no: rows to close
    members: list[tuple[int, int, float]] = field(default_factory=list)
    left_links: list[Pair] = field(default_factory=list)  # each pair in both directions, as in `links`
    links: list[Scored] = field(default_factory=list)
    events: list[tuple[str, int, str]] = field(default_factory=list)  # type, golden_no, JSON of details


def small_step(
    nearby: Nearby,
    facts: Mapping[int, RecordFact],
    fresh: AbstractSet[int],
    links: Iterable[Scored],
    *,
    unique: Collection[str] = (),
) -> SmallStep | None:
    """Cluster the live records in `facts`; None where it takes the columns.

    Of `fresh` records only `links` count, nothing stored. `unique` channels hold no duplicates. Nobody has
    judged any of these records.
    """
    old = {record_no: golden_no for golden_no, record_no, _ in nearby.members}
    if (
        len(facts) > MOST_RECORDS
        or nearby.merged
        or nearby.formers
        or nearby.overridden
        or not old.keys() <= facts.keys()
        or any(weight == math.inf for _, _, weight in nearby.links)
    ):
        return None
    stored = (link for link in nearby.links if link[0] not in fresh and link[1] not in fresh)
    scored = ((one, other, round(weight, 6)) for one, other, weight in links)
    forest = _Forest(facts, chain(stored, scored))
    clusters = forest.clusters()
    if _crowded(clusters, facts, unique):
        return None
    owners = _owners(clusters, old, nearby.next_golden_no)
    return None if owners is None else _step(nearby, facts, forest, dict(zip(owners, clusters, strict=True)))


class _Forest:
    """The maximum spanning forest of the links between records that may be linked."""

    def __init__(self, facts: Mapping[int, RecordFact], links: Iterable[Scored]) -> None:
        self._root = {record_no: record_no for record_no in sorted(facts)}
        linkable = {record_no for record_no, fact in facts.items() if fact.linkable}
        best: dict[Pair, float] = {}
        for one, other, weight in links:
            if one in linkable and other in linkable:
                pair = (one, other) if one < other else (other, one)
                if pair not in best or best[pair] < weight:
                    best[pair] = weight
        self.degree = dict.fromkeys(self._root, 0)
        self.near: dict[int, list[tuple[int, float]]] = {}  # along the tree
        self.kept: dict[Pair, float] = {}  # the tree and the best links of each record
        for (one, other), weight in sorted(best.items(), key=lambda item: (-item[1], item[0])):
            left, right = self.root(one), self.root(other)
            if left != right:
                self._root[max(left, right)] = min(left, right)
                self.near.setdefault(one, []).append((other, weight))
                self.near.setdefault(other, []).append((one, weight))
            if left != right or self.degree[one] < BEST_LINKS or self.degree[other] < BEST_LINKS:
                self.kept[one, other] = weight
            self.degree[one] += 1
            self.degree[other] += 1

    def root(self, number: int) -> int:
        """Return the smallest record of the cluster so far."""
        while self._root[number] != number:
            number = self._root[number]
        return number

    def clusters(self) -> list[list[int]]:
        """Return the clusters by their smallest record, each ascending."""
        found: dict[int, list[int]] = {}
        for number in self._root:
            found.setdefault(self.root(number), []).append(number)
        return list(found.values())

    def weakest(self, anchor: int) -> dict[int, float]:
        """Return the weakest link between the anchor and each record of its cluster."""
        found = {anchor: math.inf}
        waiting = [anchor]
        while waiting:
            number = waiting.pop()
            for other, weight in self.near.get(number, ()):
                if other not in found:
                    found[other] = min(found[number], weight)
                    waiting.append(other)
        return found


def _crowded(
    clusters: Iterable[Iterable[int]], facts: Mapping[int, RecordFact], unique: Collection[str]
) -> bool:
    """Whether two records of one `unique` channel are in one cluster."""
    if not unique:
        return False
    for cluster in clusters:
        held = [
            facts[number].channel
            for number in cluster
            if facts[number].linkable and facts[number].channel in unique
        ]
        if len(held) != len(set(held)):
            return True
    return False


def _owners(
    clusters: Sequence[Iterable[int]], old: Mapping[int, int], next_golden_no: int
) -> list[int] | None:
    """Return the golden number of each cluster; None where golden IDs meet or part."""
    owners: list[int] = []
    taken: set[int] = set()
    for cluster in clusters:
        had = {old[number] for number in cluster if number in old}
        if len(had) > 1 or had & taken:
            return None
        taken |= had
        owners.append(had.pop() if had else NONE)
    fresh = iter(range(next_golden_no, next_golden_no + len(owners)))
    return [next(fresh) if owner == NONE else owner for owner in owners]


def _step(
    nearby: Nearby,
    facts: Mapping[int, RecordFact],
    forest: _Forest,
    people: Mapping[int, Sequence[int]],
) -> SmallStep:
    """Return what changes; `people` are the clusters by the golden number that each of them has now."""
    step = SmallStep()
    before = {(golden_no, record_no): share for golden_no, record_no, share in nearby.members}
    anchored = dict(nearby.anchors)
    weakest: dict[int, float] = {}
    for golden_no, cluster in people.items():
        anchor = min(cluster, key=lambda no: (facts[no].standing < VERIFIED, -forest.degree[no], no))
        weakest |= forest.weakest(anchor)
        step.owner.update(dict.fromkeys(cluster, golden_no))
        joined = [number for number in cluster if (golden_no, number) not in before]
        step.memberships += [(number, golden_no) for number in joined]
        if len(joined) == len(cluster):
            step.births.append((golden_no, anchor))
            step.events.append(("created", golden_no, f'{{"records": {joined}}}'))
            continue
        if anchored.get(golden_no, NONE) != anchor:
            step.anchors.append((golden_no, anchor))
        if joined:
            step.events.append(("updated", golden_no, f'{{"joined": {joined}, "left": [], "to": []}}'))
    for number, share in _confidence(weakest).items():
        key = (step.owner[number], number)
        if before.get(key) != share:
            step.members.append((*key, share))
            if key in before:
                step.left_members.append(key)
    _links(step, nearby.links, forest.kept)
    for rows in (step.anchors, step.memberships, step.left_members, step.members):
        rows.sort()
    step.events.sort(key=lambda event: (event[0], event[1]))  # the created ones first
    return step


def _confidence(weakest: Mapping[int, float]) -> dict[int, float]:
    """Return probabilities to 6 decimals, computed as `identity.clustering` does, to the last bit."""
    bits = np.array(list(weakest.values()), dtype=np.float64)
    shares: list[float] = np.round(1.0 / (1.0 + np.exp2(-bits)), 6).tolist()
    return dict(zip(weakest, shares, strict=True))


def _links(step: SmallStep, stored: Iterable[Scored], kept: Mapping[Pair, float]) -> None:
    before = {(one, other): weight for one, other, weight in stored}
    gone = [pair for pair, weight in before.items() if kept.get(pair) != weight]
    made = [(*pair, weight) for pair, weight in kept.items() if before.get(pair) != weight]
    step.left_links = sorted([*gone, *((other, one) for one, other in gone)])
    step.links = sorted([*made, *((other, one, weight) for one, other, weight in made)])
