"""Where the golden IDs are right and wrong: by channel, by size, and how sure the figures are. Pure.

The intervals are percentile bootstraps over true people: whole people are drawn again, with all their
records, because the records of one person are right or wrong together (Binette et al., 2022, on entity
clusters as the unit that is sampled). People who share a golden ID are drawn together, because one mistake
concerns them all. Draws that add the same to every sum are made by one multinomial draw of how often each
kind comes, which is the same draw and makes a million people cheap.
"""

import math
from collections import Counter
from collections.abc import Callable, Hashable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, TypeVar

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

from identity.evaluation import (
    Cells,
    Floats,
    Ints,
    Metrics,
    Score,
    contingency,
    metrics_of,
    numbered,
    pairs,
    ratio,
    score,
    sums_of,
    totals,
)

Key = TypeVar("Key", bound=Hashable)

SIZES: Final = ((1, 1), (2, 2), (3, 3), (4, 5), (6, 10), (11, 20), (21, 50), (51, None))
"""The ranges of sizes that reports count in, both ends included; None: no upper end."""

LEVEL: Final = 0.95
REPLICATES: Final = 500  # the ends of an interval then vary by about a tenth of its width from seed to seed
_DRAWN_AT_ONCE: Final = 2_000_000  # whole numbers of one draw held in memory


@dataclass(frozen=True, slots=True)
class Mistakes:
    """What went wrong, counted in people: `mixed` golden IDs hold records of several (`mixed_people`) people.

    `split_people` have records under several golden IDs.
    """

    mixed: int
    mixed_people: int
    split_people: int


@dataclass(frozen=True, slots=True)
class GroupScore:
    """The scores of a channel's records: pairs that have one of them, and B-cubed averaged over them."""

    records: int
    pairwise: Score
    bcubed: Score


@dataclass(frozen=True, slots=True)
class GoldenSize:
    """Golden IDs of one size: are the records they join one person's? `pairwise`, `bcubed`: precision."""

    golden_ids: int
    records: int
    mixed: int
    pairwise: float
    bcubed: float


@dataclass(frozen=True, slots=True)
class PersonSize:
    """People of one number of records: were their records joined? `pairwise`, `bcubed`: recall."""

    people: int
    records: int
    split: int
    pairwise: float
    bcubed: float


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval, both ends from 0 to 1."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class ScoreInterval:
    """The intervals of a score's three figures."""

    precision: Interval
    recall: Interval
    f1: Interval


@dataclass(frozen=True, slots=True)
class Detail:
    """Everything `aurea evaluate` says. Sizes are counted over the records that are in both files."""

    metrics: Metrics
    mistakes: Mistakes
    pairwise_interval: ScoreInterval
    bcubed_interval: ScoreInterval
    by_channel: dict[str, GroupScore]
    by_golden_size: dict[str, GoldenSize]
    by_person_size: dict[str, PersonSize]

    def as_dict(self) -> dict[str, Any]:
        """Return the contract's keys and, beside them, the rest."""
        found = asdict(self)
        intervals = {name: found.pop(f"{name}_interval") for name in ("pairwise", "bcubed")}
        return {**found.pop("metrics"), **found, "intervals": {"level": LEVEL, **intervals}}


def evaluate_in_detail(
    memberships: Mapping[Key, Hashable],
    truth: Mapping[Key, Hashable],
    channel_of: Callable[[Key], str],
    *,
    seed: int = 1,
) -> Detail:
    """Compare record -> golden ID with record -> person; `seed` is of the intervals' draws."""
    cells = contingency(memberships, truth)
    pairwise, bcubed = intervals(cells, seed=seed)
    return Detail(
        metrics=metrics_of(cells),
        mistakes=mistakes(cells),
        pairwise_interval=pairwise,
        bcubed_interval=bcubed,
        by_channel=by_group(memberships, truth, channel_of),
        by_golden_size=by_golden_size(cells),
        by_person_size=by_person_size(cells),
    )


def mistakes(cells: Cells) -> Mistakes:
    """Count the golden IDs that mix people, and the people who are split."""
    is_mixed = np.bincount(cells.golden) > 1
    is_split = np.bincount(cells.person) > 1
    in_mixed = np.unique(cells.person[is_mixed[cells.golden]])
    return Mistakes(int(is_mixed.sum()), len(in_mixed), int(is_split.sum()))


def by_group(
    memberships: Mapping[Key, Hashable], truth: Mapping[Key, Hashable], group_of: Callable[[Key], str]
) -> dict[str, GroupScore]:
    """Return the scores of each group of records, by the group's name."""
    counted = Counter(
        (memberships[record], person, group_of(record))
        for record, person in truth.items()
        if record in memberships
    )
    golden, person = numbered([key[0] for key in counted]), numbered([key[1] for key in counted])
    cell = numbered([key[:2] for key in counted])
    groups = np.array([key[2] for key in counted], dtype=object)
    count = np.fromiter(counted.values(), dtype=np.int64, count=len(counted))
    return {
        name: _group_score(groups == name, count, cell, golden, person)
        for name in sorted({key[2] for key in counted})
    }


def _group_score(mask: Any, count: Ints, cell: Ints, golden: Ints, person: Ints) -> GroupScore:
    both, found, true = (_pairs_with(mask, count, numbers) for numbers in (cell, golden, person))
    in_cell, in_golden, of_person = (totals(of, count)[of][mask] for of in (cell, golden, person))
    records = int(count[mask].sum())
    precision = math.fsum(count[mask] * in_cell / in_golden)  # exact, so in any order the same
    recall = math.fsum(count[mask] * in_cell / of_person)
    return GroupScore(
        records,
        score(ratio(both, found), ratio(both, true)),
        score(ratio(precision, records), ratio(recall, records)),
    )


def _pairs_with(mask: Any, count: Ints, numbers: Ints) -> int:
    """Return how many pairs that share a number have a record of the group."""
    sizes = totals(numbers, count)
    others = sizes - totals(numbers[mask], count[mask], len(sizes))
    return int((pairs(sizes) - pairs(others)).sum())


def by_golden_size(cells: Cells) -> dict[str, GoldenSize]:
    """Return how precise the golden IDs of each size are, by range of sizes; empty ranges left out."""
    sizes = cells.golden_sizes
    both = totals(cells.golden, pairs(cells.count))
    right = np.bincount(cells.golden, cells.count**2 / sizes[cells.golden])
    mixed = np.bincount(cells.golden) > 1
    return {
        name: GoldenSize(
            golden_ids=int(mask.sum()),
            records=int(sizes[mask].sum()),
            mixed=int(mixed[mask].sum()),
            pairwise=ratio(int(both[mask].sum()), int(pairs(sizes[mask]).sum())),
            bcubed=ratio(float(right[mask].sum()), int(sizes[mask].sum())),
        )
        for name, mask in in_ranges(sizes).items()
        if mask.any()
    }


def by_person_size(cells: Cells) -> dict[str, PersonSize]:
    """Return how completely people of each number of records were found; empty ranges left out."""
    turned = by_golden_size(Cells(cells.person, cells.golden, cells.count))
    return {
        name: PersonSize(found.golden_ids, found.records, found.mixed, found.pairwise, found.bcubed)
        for name, found in turned.items()
    }


def in_ranges(sizes: Ints) -> dict[str, Any]:
    """Return which of `sizes` lie in each range of SIZES, by the range's name."""
    return {
        (f"{low}" if low == high else f"{low}-{high}" if high else f"{low} and more"): (sizes >= low)
        & (sizes <= (high or np.inf))
        for low, high in SIZES
    }


def intervals(
    cells: Cells, *, seed: int, replicates: int = REPLICATES, level: float = LEVEL
) -> tuple[ScoreInterval, ScoreInterval]:
    """Return the bootstrap intervals of the pairwise and the B-cubed score; the same seed, the same ends.

    Where no error was seen an interval has no width: that says nothing of errors in people not seen.
    """
    drawn = _draws(cells, np.random.default_rng(seed), replicates)
    both, found, true, precision, recall, records = drawn.T
    ends = ((1 - level) / 2, (1 + level) / 2)
    pairwise = (_shares(both, found), _shares(both, true))
    bcubed = (_shares(precision, records), _shares(recall, records))
    return _score_interval(*pairwise, ends), _score_interval(*bcubed, ends)


def _draws(cells: Cells, generator: np.random.Generator, replicates: int) -> Floats:
    """Return, a row a replicate, the six sums over as many groups of people, drawn with replacement."""
    sums = sums_of(cells, _sharing(cells))
    rows = np.column_stack((sums.both, sums.found, sums.true, sums.precision, sums.recall, sums.records))
    kinds, people = np.unique(rows.round(9), axis=0, return_counts=True)  # equal in any order of adding
    if not len(kinds):
        return np.zeros((replicates, 6))
    at_once = max(1, _DRAWN_AT_ONCE // len(kinds))
    shares = people / people.sum()
    return np.concatenate(
        [
            generator.multinomial(people.sum(), shares, min(at_once, replicates - start)) @ kinds
            for start in range(0, replicates, at_once)
        ]
    )


def _sharing(cells: Cells) -> Ints:
    """Return a number for each person, equal for those whom shared golden IDs connect."""
    people = len(cells.person_sizes)
    nodes = people + len(cells.golden_sizes)
    edges = (np.ones(len(cells.count), dtype=np.int8), (cells.person, people + cells.golden))
    graph = sparse.csr_array(edges, shape=(nodes, nodes))
    _, component = csgraph.connected_components(graph, directed=False)
    return np.unique(component[:people], return_inverse=True)[1].astype(np.int64)


def _shares(part: Floats, whole: Floats) -> Floats:
    return np.divide(part, whole, out=np.ones_like(part), where=whole > 0)


def _score_interval(precision: Floats, recall: Floats, ends: tuple[float, float]) -> ScoreInterval:
    f1 = _shares(2 * precision * recall, precision + recall)
    low_high = (np.quantile(values, ends).round(6).tolist() for values in (precision, recall, f1))
    return ScoreInterval(*(Interval(low, high) for low, high in low_high))
