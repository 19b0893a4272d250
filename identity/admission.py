"""Which golden IDs a newcomer may join: the guard of a run, for records that arrive. Pure.

A record that fits two people must not quietly make them one. The candidates that already share a golden ID
count as one cluster; between clusters the same evidence decides as in a run (`identity.contradictions`).
What is refused is left to a steward and to the next run.
"""

import math
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from itertools import combinations
from typing import Final

import numpy as np

from identity.contradictions import PRICE, Evidence, Merging
from identity.judgements import Pair

INSEPARABLE: Final = math.inf
"""Bits of a link that no contradiction outweighs: the two are of one golden ID already."""

_APART = -1.0
_HAIR = 1e-9  # bits: a link exactly at the threshold counts


def admitted(
    newcomer: int, above: Mapping[int, float], golden_nos: Mapping[int, int], evidence: Evidence
) -> set[int]:
    """Return those of the linked records `above` (record -> weight above the threshold) that it may join.

    `golden_nos` is the golden ID of every record in `evidence` but the newcomer, where it has one. What two
    records of one golden ID say of each other does not count, and may be left out.
    """
    ends = list(zip(evidence.record_a.tolist(), evidence.record_b.tolist(), strict=True))
    owner = {number: golden_nos.get(number, -number) for pair in ends for number in pair}
    owner[newcomer] = -newcomer
    if _unopposed(above, golden_nos, [owner[one] != owner[other] for one, other in ends], evidence):
        return set(above)
    links = {pair: INSEPARABLE for pair in combinations(sorted(owner), 2) if owner[pair[0]] == owner[pair[1]]}
    links |= {(min(newcomer, number), max(newcomer, number)): bits for number, bits in above.items()}
    label = guarded(links, evidence)
    return {number for number in above if label[number] == label[newcomer]}


def _unopposed(
    above: Mapping[int, float], golden_nos: Mapping[int, int], between: list[bool], evidence: Evidence
) -> bool:
    """Whether no merge with the newcomer can be refused, whatever the order: see `contradictions.bound`.

    `between` says of each pair of `evidence` whether it is of two clusters.
    """
    best: dict[int, float] = {}
    for number, bits in above.items():
        person = golden_nos.get(number, -number)
        best[person] = max(bits, best.get(person, bits))
    said = [bits for bits, counts in zip(evidence.bits.tolist(), between, strict=True) if counts]
    worst: float = sum(min(0.0, *column) for column in zip(*said, strict=True))
    records = len({*evidence.record_a.tolist(), *evidence.record_b.tolist(), *above}) + 1
    return min(best.values(), default=0.0) + PRICE * worst * math.sqrt(max(records // 2, 1)) > 0


def guarded(links: Mapping[Pair, float], evidence: Evidence) -> dict[int, int]:
    """Return a label for the cluster of each record in `links` or `evidence`, as the guard of a run merges.

    `links` are pairs (a < b) with their weight above the threshold, or INSEPARABLE.
    """
    ends = list(zip(evidence.record_a.tolist(), evidence.record_b.tolist(), strict=True))
    numbers = sorted({number for pair in (*links, *ends) for number in pair})
    place = {number: position for position, number in enumerate(numbers)}
    merging = Merging(len(numbers))
    silent = [0.0] * evidence.bits.shape[1]
    said = dict.fromkeys(links, silent) | dict(zip(ends, evidence.bits.tolist(), strict=True))
    for pair, bits in said.items():
        link = links[pair] + _HAIR if pair in links else _APART
        merging.add(place[pair[0]], place[pair[1]], link, bits)
    return dict(zip(numbers, merging.labels(), strict=True))


def ordered(evidence: Evidence) -> Evidence:
    """Return the same evidence in the order of its first records, as `heard` needs it."""
    if bool(np.all(evidence.record_a[1:] >= evidence.record_a[:-1])):  # as a run leaves it: no copy
        return evidence
    order = np.argsort(evidence.record_a, kind="stable")
    return Evidence(evidence.record_a[order], evidence.record_b[order], evidence.bits[order])


def heard(evidence: Evidence, record_nos: Iterable[int]) -> Evidence:
    """Return what a few records say of each other; `evidence` is ordered, and may be a whole run's."""
    numbers = np.array(sorted(record_nos), dtype=np.int64)
    starts = np.searchsorted(evidence.record_a, numbers)
    ends = np.searchsorted(evidence.record_a, numbers, side="right")
    spans = [np.arange(start, end) for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]
    rows = np.concatenate([np.empty(0, dtype=np.int64), *spans])
    rows = rows[np.isin(evidence.record_b[rows], numbers)]
    return Evidence(evidence.record_a[rows], evidence.record_b[rows], evidence.bits[rows])


def one_of_each_source(
    above: Mapping[int, float],
    golden_nos: Mapping[int, int],
    holds: Mapping[int, AbstractSet[str]],
    own: AbstractSet[str],
) -> set[int]:
    """Return those of the linked records `above` whose golden IDs together hold no source twice.

    `holds` names for each linked record the sources without duplicates of which its golden ID (or it alone)
    holds records, `own` the newcomer's. The strongest link comes first; a newcomer displaces nobody.
    """
    taken, welcome = set(own), set[int]()
    chosen: dict[int, bool] = {}
    for number in sorted(above, key=lambda each: (-above[each], each)):
        person = golden_nos.get(number, -number)
        if person not in chosen:
            chosen[person] = taken.isdisjoint(holds[number])
            taken |= holds[number] if chosen[person] else set()
        if chosen[person]:
            welcome.add(number)
    return welcome


def spread(people: Iterable[Iterable[int]], weights: Mapping[int, float], limit: int) -> list[int]:
    """Return up to `limit` records of these people, in turn from each, the ones of most weight first.

    So nobody is unheard because somebody else has many records.
    """
    turns = [
        (turn, -weights.get(number, -math.inf), number)
        for records in people
        for turn, number in enumerate(sorted(records, key=lambda no: (-weights.get(no, -math.inf), no)))
    ]
    return [number for _, _, number in sorted(turns)[:limit]]
