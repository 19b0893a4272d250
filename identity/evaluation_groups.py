"""Where the golden IDs are right and wrong: by channel and by size, each with its intervals. Pure.

Every figure of a group is a ratio of two sums over parts, and a part is a group's share of some people whom
golden IDs connect. The figures are the ratios over all parts, their intervals those of parts drawn again
(`identity.resampling`).
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from identity.evaluation import Cells, Floats, Ints, Score, pairs, ratio, score, totals
from identity.resampling import DECIMALS, Interval, ScoreInterval, draws, score_interval, share_interval

SIZES: Final = ((1, 1), (2, 2), (3, 3), (4, 5), (6, 10), (11, 20), (21, 50), (51, None))
"""The ranges of sizes that reports count in, both ends included; None: no upper end."""


@dataclass(frozen=True, slots=True)
class GroupIntervals:
    """How sure a channel's scores are."""

    pairwise: ScoreInterval
    bcubed: ScoreInterval


@dataclass(frozen=True, slots=True)
class SizeIntervals:
    """How sure the two figures of a size are."""

    pairwise: Interval
    bcubed: Interval


@dataclass(frozen=True, slots=True)
class GroupScore:
    """The scores of a channel's records: pairs that have one of them, and B-cubed averaged over them."""

    records: int
    pairwise: Score
    bcubed: Score
    intervals: GroupIntervals


@dataclass(frozen=True, slots=True)
class GoldenSize:
    """Golden IDs of one size: are the records they join one person's? `pairwise`, `bcubed`: precision."""

    golden_ids: int
    records: int
    mixed: int
    pairwise: float
    bcubed: float
    intervals: SizeIntervals


@dataclass(frozen=True, slots=True)
class PersonSize:
    """People of one number of records: were their records joined? `pairwise`, `bcubed`: recall."""

    people: int
    records: int
    split: int
    pairwise: float
    bcubed: float
    intervals: SizeIntervals


@dataclass(frozen=True, slots=True)
class Grouped:
    """How many records of a cell are of a group: positions in the cells, numbers of `names`, counts."""

    cell: Ints
    group: Ints
    count: Ints
    names: Sequence[str]


def by_group(cells: Cells, grouped: Grouped, part: Ints, *, seed: int) -> dict[str, GroupScore]:
    """Return the scores of each group of records, by the group's name.

    `part` numbers each person's part; no golden ID may lie in two (`identity.resampling.sharing`).
    """
    sums = _group_sums(cells, grouped, part)
    return {
        name: _group_score(sums[start:end, 1:], seed)
        for name, start, end in _slices(sums[:, 0], grouped.names)
    }


def _group_sums(cells: Cells, grouped: Grouped, part: Ints) -> Floats:
    """Return a row for each group and part that meet: the group, and the six sums of `Sums`."""
    golden, person = cells.golden[grouped.cell], cells.person[grouped.cell]
    of_golden = np.zeros(len(cells.golden_sizes), dtype=np.int64)
    of_golden[cells.golden] = part[cells.person]
    span = int(part.max(initial=0)) + 1
    met, row = np.unique(grouped.group * span + part[person], return_inverse=True)
    right = cells.count[grouped.cell] * grouped.count
    columns = [
        *(
            _pairs_with(met, span, (grouped.group, numbers, grouped.count), sizes, parts)
            for numbers, sizes, parts in (
                (grouped.cell, cells.count, part[cells.person]),
                (golden, cells.golden_sizes, of_golden),
                (person, cells.person_sizes, part),
            )
        ),
        np.bincount(row, right / cells.golden_sizes[golden], len(met)),
        np.bincount(row, right / cells.person_sizes[person], len(met)),
        np.bincount(row, grouped.count, len(met)),
    ]
    return np.column_stack([met // span, *columns]).round(DECIMALS)


def _pairs_with(met: Ints, span: int, own: tuple[Ints, Ints, Ints], sizes: Ints, parts: Ints) -> Floats:
    """Return, for each group and part that meet, the pairs sharing a number that have a record of the group.

    `own`: groups, numbers and counts of their records; `sizes` and `parts` are of each number.
    """
    group, number, count = own
    met_here, row = np.unique(group * len(sizes) + number, return_inverse=True)
    mine, numbers = totals(row, count, len(met_here)), met_here % len(sizes)
    found = pairs(sizes[numbers]) - pairs(sizes[numbers] - mine)
    place = np.searchsorted(met, met_here // len(sizes) * span + parts[numbers])
    return np.bincount(place, found, len(met)).astype(np.float64)


def _slices(groups: Floats, names: Sequence[str]) -> Iterator[tuple[str, int, int]]:
    """Yield each group's name and where its rows begin and end, in the order of the names."""
    starts = np.searchsorted(groups, np.arange(len(names) + 1)).tolist()
    yield from sorted((name, start, end) for name, start, end in zip(names, starts, starts[1:], strict=False))


def _group_score(sums: Floats, seed: int) -> GroupScore:
    both, found, true, precision, recall, records = (math.fsum(column) for column in sums.T)
    drawn = draws(sums, seed=seed).T
    return GroupScore(
        int(records),
        score(ratio(both, found), ratio(both, true)),
        score(ratio(precision, records), ratio(recall, records)),
        GroupIntervals(
            score_interval((drawn[0], drawn[0]), (drawn[1], drawn[2])),
            score_interval((drawn[3], drawn[4]), (drawn[5], drawn[5])),
        ),
    )


def by_golden_size(cells: Cells, part: Ints, *, seed: int) -> dict[str, GoldenSize]:
    """Return how precise the golden IDs of each size are, by range of sizes; empty ranges left out.

    `part` as in `by_group`.
    """
    of_golden = np.zeros(len(cells.golden_sizes), dtype=np.int64)
    of_golden[cells.golden] = part[cells.person]
    return _by_size(cells, of_golden, seed)


def by_person_size(cells: Cells, part: Ints, *, seed: int) -> dict[str, PersonSize]:
    """Return how completely people of each number of records were found; empty ranges left out."""
    turned = _by_size(Cells(cells.person, cells.golden, cells.count), part, seed)
    return {
        name: PersonSize(
            found.golden_ids, found.records, found.mixed, found.pairwise, found.bcubed, found.intervals
        )
        for name, found in turned.items()
    }


def _by_size(cells: Cells, part: Ints, seed: int) -> dict[str, GoldenSize]:
    sizes = cells.golden_sizes
    both = totals(cells.golden, pairs(cells.count))
    right = np.bincount(cells.golden, cells.count**2 / sizes[cells.golden])
    mixed = np.bincount(cells.golden) > 1
    columns = np.column_stack([both, pairs(sizes), right, sizes]).round(DECIMALS)
    return {
        name: _size_figures(columns[mask], part[mask], int(mixed[mask].sum()), seed)
        for name, mask in in_ranges(sizes).items()
        if mask.any()
    }


def _size_figures(columns: Floats, part: Ints, mixed: int, seed: int) -> GoldenSize:
    both, found, right, records = (math.fsum(column) for column in columns.T)
    _, row = np.unique(part, return_inverse=True)
    drawn = draws(np.column_stack([np.bincount(row, column) for column in columns.T]), seed=seed).T
    return GoldenSize(
        golden_ids=len(columns),
        records=int(records),
        mixed=mixed,
        pairwise=ratio(both, found),
        bcubed=ratio(right, records),
        intervals=SizeIntervals(share_interval(drawn[0], drawn[1]), share_interval(drawn[2], drawn[3])),
    )


def in_ranges(sizes: Ints) -> dict[str, Any]:
    """Return which of `sizes` lie in each range of SIZES, by the range's name."""
    return {
        (f"{low}" if low == high else f"{low}-{high}" if high else f"{low} and more"): (sizes >= low)
        & (sizes <= (high or np.inf))
        for low, high in SIZES
    }
