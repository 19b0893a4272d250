"""Online: the weight of one record against its candidates, with the batch's model.

The model's own conditions and parameters, without an engine (`identity.compiled_conditions`): a few
microseconds a pair. Term frequencies come from outside (keyed hashes of common values); a value that is not
among them counts as an average rare one.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Final

import numpy as np
import pyarrow as pa

from identity.comparable import COLUMNS, LIST_COLUMNS, Comparable
from identity.comparison import SEVERAL
from identity.compiled_conditions import VALUE_COLUMNS, Values, compiled
from identity.contacts import LISTS, OWNED
from identity.contradictions import Evidence, evidence_of
from identity.model import FittedComparison, Model
from identity.placeholder_dates import NOBODYS_DATE

Frequency = Callable[[str, str], float | None]
"""(column, value) -> the term frequency exported by `linking.score`, or None for any other value."""

_BELONGING: Final = (*LISTS, *OWNED)


class OnlineScorer:
    """Scores pairs with a trained model. Safe to share between threads; keeps no record."""

    def __init__(self, model: Model, frequency: Frequency) -> None:
        self.model = model
        self._frequency = frequency
        self._columns = model.frequency_columns()
        self._schema = _schema(self._columns)
        self._levels = compiled(model.comparisons)
        self._terms = [_Term.of(model, item) for item in model.comparisons]

    def score(self, record: Comparable, candidates: Sequence[Comparable]) -> list[float]:
        """Return the match weight, in bits, of `record` with each candidate, in their order."""
        newcomer = self._prepared(record)
        return [self._weight(newcomer, self._prepared(candidate)) for candidate in candidates]

    def evidence(self, record_nos: Sequence[int], records: Sequence[Comparable]) -> Evidence:
        """Return what every two of these records say of each other, in bits, as a run's guard sees it."""
        order = np.argsort(np.asarray(record_nos, dtype=np.int64))
        numbers = np.asarray(record_nos, dtype=np.int64)[order]
        prepared = [self._prepared(records[place]) for place in order.tolist()]
        pairs = list(combinations(range(len(prepared)), 2))
        found = np.array(
            [self._levels(prepared[one], prepared[other]) for one, other in pairs], dtype=np.int64
        ).reshape(len(pairs), len(self.model.comparisons))
        ends = np.array(pairs, dtype=np.int64).reshape(-1, 2)
        levels = [found[:, place] for place in range(len(self.model.comparisons))]
        return evidence_of(self.model, numbers[ends[:, 0]], numbers[ends[:, 1]], levels)

    def table(self, records: Sequence[Comparable]) -> pa.Table:
        """Return the records as the scores see them, with their term frequencies: for explanations."""
        rows = []
        for position, record in enumerate(records):
            row = dict(zip(VALUE_COLUMNS, self._prepared(record), strict=True))
            frequencies = {f"tf_{column}": self._share(column, row[column]) for column in self._columns}
            rows.append({**row, **frequencies, "position": position})
        return pa.Table.from_pylist(rows, schema=self._schema)

    def _weight(self, one: Values, other: Values) -> float:
        """Return -log2(2 ** -unrelated + 2 ** -household): `identity.model` has the formula."""
        model, household = self.model, 0.0
        unrelated = model.prior
        against_household = model.household_prior is not None
        for term, level in zip(self._terms, self._levels(one, other), strict=True):
            if level >= 0:
                unrelated += term.unrelated[level]
                household += term.household[level]
                column = term.frequencies[level]
                if column is not None:
                    rarity = term.rarity(level, self._common(column, one, other))
                    unrelated += rarity
                    household += rarity if term.rare_in_household else 0.0
        if not against_household:
            return round(unrelated, 6)
        household += model.household_prior or 0.0
        low, apart = min(unrelated, household), abs(unrelated - household)
        return round(low - math.log2(1 + 2.0**-apart), 6)

    def _common(self, column: str, one: Values, other: Values) -> float | None:
        """Return the term frequency of the more common of the two values."""
        place = _PLACES[column]
        shares = [self._share(column, each[place]) for each in (one, other)]
        return max((share for share in shares if share is not None), default=None)

    def _share(self, column: str, value: str | None) -> float | None:
        if value is None:
            return None
        found = self._frequency(column, value)
        return self.model.rare_frequencies[column] if found is None else found

    def _prepared(self, record: Comparable) -> Values:
        """Leave out what belongs to nobody, and say which contacts are several people's."""
        row: dict[str, Any] = dict(record.columns)
        for column in _BELONGING:
            if column not in row:
                continue
            own = [value for value in record.values(column) if self._frequency(column, value) is None]
            row[column] = _held(column, own)
            if column in SEVERAL:
                shared = [value for value in own if self._frequency(SEVERAL[column], value) is not None]
                row[SEVERAL[column]] = _held(column, shared)
        if (born := record.text("birth_date")) and self._frequency(NOBODYS_DATE, born) is not None:
            row["birth_date"] = None
        get = row.get
        return tuple([get(name) for name in VALUE_COLUMNS])


@dataclass(frozen=True, slots=True)
class _Term:
    """What each level of one comparison adds to a weight, in bits."""

    unrelated: Sequence[float]
    household: Sequence[float]
    frequencies: Sequence[str | None]
    rare: Sequence[float]  # log2 of u
    own: Sequence[float]  # the share of records of a value that are its person's own
    least: float
    rare_in_household: bool

    @classmethod
    def of(cls, model: Model, item: FittedComparison) -> "_Term":
        return cls(
            unrelated=[math.log2(level.m / level.u) for level in item.levels],
            household=[math.log2(level.m / level.h) for level in item.levels],
            frequencies=[level.frequency for level in item.levels],
            rare=[math.log2(level.u) for level in item.levels],
            own=[
                model.repeated() * item.repeats(level.frequency) / model.records if level.frequency else 0.0
                for level in item.levels
            ],
            least=1 / model.records,
            rare_in_household=item.kind != "household",  # see identity.scoring_sql
        )

    def rarity(self, level: int, share: float | None) -> float:
        """Return what a value's being rarer than the level's values in general adds."""
        others = self.least if share is None else max(share - self.own[level], self.least)
        return self.rare[level] - math.log2(others)


def _held(column: str, values: Iterable[str]) -> str | tuple[str, ...] | None:
    kept = tuple(values)
    if not kept:
        return None
    return kept if column in LIST_COLUMNS else kept[0]


_PLACES: Final[Mapping[str, int]] = {name: place for place, name in enumerate(VALUE_COLUMNS)}


def _schema(frequency_columns: Sequence[str]) -> pa.Schema:
    fields = [
        pa.field(name, pa.list_(pa.string()) if name in LIST_COLUMNS else pa.string()) for name in COLUMNS
    ]
    fields += [
        pa.field(several, pa.list_(pa.string()) if column in LISTS else pa.string())
        for column, several in SEVERAL.items()
    ]
    fields += [pa.field(f"tf_{name}", pa.float64()) for name in frequency_columns]
    return pa.schema([pa.field("position", pa.int32()), *fields])
