"""How surely each record of one golden ID belongs to it: what a purpose's minimum is held against. Pure.

A path of links is as sure as its weakest link, and a record's confidence is that of its surest path to the
anchor. So the records at or above a minimum are those that links at least as sure connect to the anchor:
the view of a higher minimum lies inside that of a lower one, and all views of a golden ID hold its anchor.

Publishing computes these confidences for everybody at once (`identity.clustering`) and stores them. Here
they are computed again for one person, from the stored links, where a record was lost and its golden ID is
not yet resolved anew: what hung on that record alone is seen no more, at once.
"""

from collections.abc import Collection, Iterable, Mapping
from heapq import heappop, heappush
from typing import Final

import numpy as np

from identity.hysteresis import MARGIN
from identity.model import MATCH_THRESHOLD

WEAKEST: Final = MATCH_THRESHOLD - MARGIN
"""Bits of the weakest link that a run joins two records by, or keeps them together by."""

APART: Final = -1.0
"""The confidence of a record that nothing joins to the anchor: below every minimum."""

Scored = tuple[int, int, float]  # two record numbers and the match weight in bits


def confidences(links: Iterable[Scored], anchor: int, threshold: float = WEAKEST) -> dict[int, float]:
    """Map each record that links of at least `threshold` bits join to `anchor` -> its confidence.

    A probability to 6 decimals, 1 / (1 + 2 ** -bits) of the weakest link on the surest path, as published;
    1.0 for the anchor itself.
    """
    beside: dict[int, list[tuple[int, float]]] = {}
    for one, other, weight in links:
        if weight >= threshold:
            beside.setdefault(one, []).append((other, weight))
            beside.setdefault(other, []).append((one, weight))
    weakest: dict[int, float] = {}
    open_ends = [(-np.inf, anchor)]  # the surest first: when a record comes up, no surer path to it is left
    while open_ends:
        bits, record_no = heappop(open_ends)
        if record_no in weakest:
            continue
        weakest[record_no] = -bits
        for other, weight in beside.get(record_no, ()):
            if other not in weakest:
                heappush(open_ends, (max(bits, -weight), other))
    sure = np.round(1.0 / (1.0 + np.exp2(-np.array(list(weakest.values())))), 6)
    return dict(zip(weakest, sure.tolist(), strict=True))


def after_a_loss(
    left: Mapping[int, float],
    links: Iterable[Scored],
    anchor: int | None,
    verified: Collection[int] = (),
    threshold: float = WEAKEST,
) -> dict[int, float]:
    """Map each record that is left of a golden ID -> its confidence without the lost ones.

    `left` has the confidence that each was published with, and none gets a higher one: a loss shows nobody
    more. Records that nothing joins any more are APART. If the anchor itself was lost, the records left
    choose another as the contract says: one in `verified`, else of most links, else of the smallest number.
    `links` may hold others than those between the records left.
    """
    remaining = [link for link in links if link[0] in left and link[1] in left and link[2] >= threshold]
    if anchor not in left:
        anchor = _anchor(left, remaining, verified)
    joined = {} if anchor is None else confidences(remaining, anchor, threshold)
    return {no: min(published, joined.get(no, APART)) for no, published in left.items()}


def _anchor(left: Collection[int], links: Iterable[Scored], verified: Collection[int]) -> int | None:
    degree = dict.fromkeys(left, 0)
    for one, other, _ in links:
        degree[one] += 1
        degree[other] += 1
    return min(left, key=lambda no: (no not in verified, -degree[no], no), default=None)
