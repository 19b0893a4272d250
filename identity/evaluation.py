"""How good are the golden IDs against the truth? Pairwise and B-cubed, by contingency counts. Pure.

Pairwise: of all pairs of records that share a golden ID, how many share a person (precision); of all
pairs that share a person, how many share a golden ID (recall). B-cubed: the same, averaged over
records instead of pairs, so that large entities don't drown small ones (Bagga and Baldwin, 1998).
"""

from collections import Counter
from collections.abc import Hashable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

Key = TypeVar("Key", bound=Hashable)


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


def evaluate(memberships: Mapping[Key, Hashable], truth: Mapping[Key, Hashable]) -> Metrics:
    """Compare record -> golden ID with record -> person, over the records that both know."""
    cells = Counter(
        (memberships[record], person) for record, person in truth.items() if record in memberships
    )
    found: Counter[Hashable] = Counter()
    true: Counter[Hashable] = Counter()
    for (golden_id, person), count in cells.items():
        found[golden_id] += count
        true[person] += count
    records = sum(cells.values())
    both = _pairs(cells)
    pairwise = _score(_ratio(both, _pairs(found)), _ratio(both, _pairs(true)))
    precision = sum(count * count / found[golden_id] for (golden_id, _), count in cells.items())
    recall = sum(count * count / true[person] for (_, person), count in cells.items())
    bcubed = _score(_ratio(precision, records), _ratio(recall, records))
    return Metrics(pairwise, bcubed, records, len(found), len(true))


def _pairs(sizes: Counter[Any]) -> int:
    return sum(size * (size - 1) // 2 for size in sizes.values())


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 1.0


def _score(precision: float, recall: float) -> Score:
    total = precision + recall
    return Score(precision, recall, 2 * precision * recall / total if total else 0.0)
