"""Which golden IDs a newcomer may join: the guard of a run, for one record that arrives. Pure.

A record that fits two people must not quietly make them one. The candidates that already share a golden ID
count as one cluster; between clusters the same evidence decides as in a run (`identity.contradictions`).
What is refused is left to a steward and to the next run.
"""

import math
from collections.abc import Iterable, Mapping

from identity.contradictions import Evidence, Merging

_TOGETHER = float("inf")
_APART = -1.0
_HAIR = 1e-9  # bits: a link exactly at the threshold counts


def admitted(
    newcomer: int, above: Mapping[int, float], golden_nos: Mapping[int, int], evidence: Evidence
) -> set[int]:
    """Return those of the linked records `above` (record -> weight above the threshold) that it may join.

    `golden_nos` is the golden ID of every record in `evidence` but the newcomer, where it has one.
    """
    ends = list(zip(evidence.record_a.tolist(), evidence.record_b.tolist(), strict=True))
    numbers = sorted({newcomer, *above, *(number for pair in ends for number in pair)})
    place = {number: position for position, number in enumerate(numbers)}
    merging = Merging(len(numbers))
    silent = [0.0] * evidence.bits.shape[1]
    said = dict(zip(ends, evidence.bits.tolist(), strict=True))
    for number in above:
        said.setdefault((min(newcomer, number), max(newcomer, number)), silent)
    for (one, other), bits in said.items():
        merging.add(place[one], place[other], _link(newcomer, above, golden_nos, one, other), bits)
    labels = merging.labels()
    return {number for number in above if labels[place[number]] == labels[place[newcomer]]}


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


def _link(
    newcomer: int, above: Mapping[int, float], golden_nos: Mapping[int, int], one: int, other: int
) -> float:
    if newcomer in {one, other}:
        found = above.get(other if one == newcomer else one)
        return _APART if found is None else found + _HAIR
    together = one in golden_nos and golden_nos[one] == golden_nos.get(other)
    return _TOGETHER if together else _APART
