"""How sure a figure is: percentile bootstraps over people. Pure; the same seed gives the same ends.

Whole people are drawn again, with all their records, because the records of one person are right or wrong
together (Binette et al., 2022, on entity clusters as the unit that is sampled); people who share a golden ID
are drawn together, because one mistake concerns them all. Draws that add the same to every sum are made by
one multinomial draw of how often each kind comes, which is the same draw and makes a million people cheap.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from identity.components import components
from identity.evaluation import Cells, Floats, Ints

LEVEL: Final = 0.95
REPLICATES: Final = 500  # the ends of an interval then vary by about a tenth of its width from seed to seed
_DRAWN_AT_ONCE: Final = 2_000_000  # whole numbers of one draw held in memory
DECIMALS: Final = 9
"""Of sums: those that differ by less were added in another order, and no order may change a figure."""


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


def sharing(cells: Cells) -> Ints:
    """Return a number for each person, from 0 on, equal for those whom shared golden IDs connect."""
    people = len(cells.person_sizes)
    nodes = people + len(cells.golden_sizes)
    component = components(nodes, cells.person, people + cells.golden)
    return np.unique(component[:people], return_inverse=True)[1].astype(np.int64)


def draws(rows: Floats, *, seed: int, replicates: int = REPLICATES) -> Floats:
    """Return, a row a replicate, the sums over as many of `rows`, drawn with replacement."""
    kinds, people = _kinds(rows)
    if not len(kinds):
        return np.zeros((replicates, rows.shape[1]))
    generator = np.random.default_rng(seed)
    at_once = max(1, _DRAWN_AT_ONCE // len(kinds))
    shares = people / people.sum()
    return np.concatenate(
        [
            generator.multinomial(people.sum(), shares, min(at_once, replicates - start)) @ kinds
            for start in range(0, replicates, at_once)
        ]
    )


def _kinds(rows: Floats) -> tuple[Floats, Ints]:
    """Return the distinct rows, sorted, and how often each comes."""
    rounded = rows.round(DECIMALS)
    ordered = rounded[np.lexsort(rounded.T[::-1])]
    first = np.ones(len(ordered), dtype=bool)
    first[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    starts = np.flatnonzero(first)
    return ordered[starts], np.diff(starts, append=len(ordered))


def share_interval(part: Floats, whole: Floats, level: float = LEVEL) -> Interval:
    """Return the interval of part / whole over their draws."""
    return _interval(_shares(part, whole), level)


def score_interval(
    right: tuple[Floats, Floats], whole: tuple[Floats, Floats], level: float = LEVEL
) -> ScoreInterval:
    """Return the intervals of a score: `right` over `whole`, first for precision and then for recall."""
    precision, recall = _shares(right[0], whole[0]), _shares(right[1], whole[1])
    f1 = _shares(2 * precision * recall, precision + recall)
    return ScoreInterval(*(_interval(values, level) for values in (precision, recall, f1)))


def _shares(part: Floats, whole: Floats) -> Floats:
    return np.divide(part, whole, out=np.ones_like(part), where=whole > 0)


def _interval(values: Floats, level: float) -> Interval:
    low, high = np.quantile(values, ((1 - level) / 2, (1 + level) / 2)).round(6).tolist()
    return Interval(low, high)
