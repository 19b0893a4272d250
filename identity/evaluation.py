"""How good are the golden IDs against the truth? Pairwise and B-cubed, by contingency counts. Pure.

Pairwise: of all pairs of records that share a golden ID, how many share a person (precision); of all
pairs that share a person, how many share a golden ID (recall). B-cubed: the same, averaged over
records instead of pairs, so that large entities don't drown small ones (Bagga and Baldwin, 1998).
"""

from collections.abc import Hashable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

Key = TypeVar("Key", bound=Hashable)
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Score:
    """Precision, recall and their harmonic mean, from 0 to 1; 1.0 where there is nothing to get wrong."""

    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, slots=True)
class Metrics:
    """The result over the records that are both in the truth and in the memberships."""

    pairwise: Score
    bcubed: Score
    records: int
    golden_ids: int
    true_entities: int

    def as_dict(self) -> dict[str, Any]:
        """Return the metrics in the contract's JSON form."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Cells:
    """The contingency table: `count` records of person `person` have golden ID `golden` (both numbered)."""

    golden: Ints
    person: Ints
    count: Ints

    @property
    def golden_sizes(self) -> Ints:
        """Return how many records each golden ID has."""
        return totals(self.golden, self.count)

    @property
    def person_sizes(self) -> Ints:
        """Return how many records each person has."""
        return totals(self.person, self.count)


@dataclass(frozen=True, slots=True)
class Sums:
    """The sums that the scores are ratios of, a row for each part that the records were divided into.

    Pairs that are right (`both`), that share a golden ID (`found`), that share a person (`true`); B-cubed's
    `precision` and `recall` summed over records; `records`.
    """

    both: Ints
    found: Ints
    true: Ints
    precision: Floats
    recall: Floats
    records: Ints


def evaluate(memberships: Mapping[Key, Hashable], truth: Mapping[Key, Hashable]) -> Metrics:
    """Compare record -> golden ID with record -> person, over the records that both know."""
    return metrics_of(contingency(memberships, truth))


def contingency(memberships: Mapping[Key, Hashable], truth: Mapping[Key, Hashable]) -> Cells:
    """Count the records of each golden ID and person, over the records that both know."""
    found = [
        (golden_id, person)
        for record, person in truth.items()
        if (golden_id := memberships.get(record)) is not None
    ]
    return cells_of(numbered([golden_id for golden_id, _ in found]), numbered([who for _, who in found]))[0]


def cells_of(golden: Ints, person: Ints) -> tuple[Cells, Ints]:
    """Return the contingency table of records by the numbers of both, and the position of each in it."""
    people = int(person.max(initial=0)) + 1
    found, cell, count = np.unique(golden * people + person, return_inverse=True, return_counts=True)
    return Cells(found // people, found % people, count.astype(np.int64)), cell.astype(np.int64)


def metrics_of(cells: Cells) -> Metrics:
    """Return the metrics of a contingency table."""
    people = len(cells.person_sizes)
    sums = sums_of(cells, np.zeros(people, dtype=np.int64))
    both, found, true, precision, recall, records = (
        float(part.sum())
        for part in (sums.both, sums.found, sums.true, sums.precision, sums.recall, sums.records)
    )
    return Metrics(
        pairwise=score(ratio(both, found), ratio(both, true)),
        bcubed=score(ratio(precision, records), ratio(recall, records)),
        records=int(records),
        golden_ids=len(cells.golden_sizes),
        true_entities=people,
    )


def sums_of(cells: Cells, part: Ints) -> Sums:
    """Return the sums of each part; `part` numbers each person's, and no golden ID may lie in two parts."""
    found, people = cells.golden_sizes, cells.person_sizes
    count, of_cell = cells.count, part[cells.person]
    of_golden = np.zeros(len(found), dtype=np.int64)
    of_golden[cells.golden] = of_cell
    return Sums(
        both=totals(of_cell, pairs(count)),
        found=totals(of_golden, pairs(found)),
        true=totals(part, pairs(people)),
        precision=np.bincount(of_cell, count * count / found[cells.golden]).astype(np.float64),
        recall=np.bincount(of_cell, count * count / people[cells.person]).astype(np.float64),
        records=totals(part, people),
    )


def numbered(labels: list[Any]) -> Ints:
    """Return a number for each label, equal for equal labels, from 0 in the order of first appearance."""
    numbers: dict[Any, int] = {}
    return np.array([numbers.setdefault(label, len(numbers)) for label in labels], dtype=np.int64)


def totals(of: Ints, values: Ints, size: int = 0) -> Ints:
    """Return the sum of `values` for each number in `of`; exact below 2**53."""
    return np.bincount(of, values, size).astype(np.int64)


def pairs(sizes: Ints) -> Ints:
    """Return how many pairs groups of these sizes have."""
    return sizes * (sizes - 1) // 2


def ratio(part: float, whole: float) -> float:
    """Return part / whole; 1.0 where there is nothing to get wrong."""
    return part / whole if whole else 1.0


def score(precision: float, recall: float) -> Score:
    """Return the two and their harmonic mean."""
    total = precision + recall
    return Score(precision, recall, 2 * precision * recall / total if total else 0.0)
