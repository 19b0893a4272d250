"""Online: the weight of one record against its candidates, with the batch's model.

The model's own conditions and parameters, without an engine (`identity.compiled_conditions`): a few
microseconds a pair. Term frequencies come from outside (keyed hashes of common values); a value that is not
among them counts as an average rare one.
"""

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cache
from itertools import combinations
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from identity.comparable import COLUMNS, LIST_COLUMNS, VALUE_COLUMNS, Comparable, Values
from identity.comparison import SEVERAL
from identity.contacts import LISTS, OWNED
from identity.contradictions import Evidence
from identity.model import FittedComparison, FittedLevel, Model
from identity.placeholder_dates import NOBODYS_DATE

if TYPE_CHECKING:
    import pyarrow as pa

Frequency = Callable[[str, str], float | None]
"""(column, value) -> the term frequency exported by `linking.score`, or None for any other value."""

_BELONGING: Final = (*LISTS, *OWNED)


class OnlineScorer:
    """Scores pairs with a trained model. Safe to share between threads; keeps no record."""

    def __init__(self, model: Model, frequency: Frequency, counted: Collection[str] | None = None) -> None:
        """With `counted`, `frequency` says None of every value of any other column."""
        from identity.compiled_conditions import compiled  # noqa: PLC0415 - parses SQL: slow to load

        self.model = model
        self._frequency = frequency
        self._seen: dict[int, tuple[Comparable, Values]] | None = None
        several = {column: SEVERAL.get(column) for column in _BELONGING}
        self._belonging = [
            (column, _PLACES[column], other, _PLACES[other] if other else 0)
            for column, other in several.items()
            if counted is None or column in counted or other in counted
        ]
        self._dated = counted is None or NOBODYS_DATE in counted
        self._columns = model.frequency_columns()
        self._levels = compiled(model.comparisons)
        self._terms = [_terms(model, item) for item in model.comparisons]
        self._bits = [
            [*(math.log2(level.m / level.u) for level in item.levels), 0.0] for item in model.comparisons
        ]

    def remembering(self) -> "OnlineScorer":
        """Return a scorer that works out each value and record once: for one arrival, then to be dropped."""
        other = OnlineScorer.__new__(OnlineScorer)
        vars(other).update(vars(self) | {"_frequency": cache(self._frequency), "_seen": {}})
        return other

    def score(self, record: Comparable, candidates: Sequence[Comparable]) -> list[float]:
        """Return the match weight, in bits, of `record` with each candidate, in their order."""
        newcomer = self._prepared(record)
        return [self._weight(newcomer, self._prepared(candidate)) for candidate in candidates]

    def evidence(
        self,
        record_nos: Sequence[int],
        records: Sequence[Comparable],
        owner: Mapping[int, int] | None = None,
    ) -> Evidence:
        """Return what every two of these records say of each other, in bits, as a run's guard sees it.

        Without those that have one `owner`, a golden ID: nothing parts them.
        """
        prepared = sorted(zip(record_nos, map(self._prepared, records), strict=True), key=itemgetter(0))
        ends: list[tuple[int, int]] = []
        found: list[list[float]] = []
        for (one, ours), (other, theirs) in combinations(prepared, 2):
            if owner is None or owner.get(one, -one) != owner.get(other, -other):
                ends.append((one, other))
                # a missing value, -1, says nothing: the last place of the row
                levels = self._levels(ours, theirs)
                found.append([bits[level] for bits, level in zip(self._bits, levels, strict=True)])
        columns = np.array(ends, dtype=np.int64).reshape(-1, 2)
        bits = np.array(found, dtype=np.float32).reshape(len(found), len(self._bits))
        return Evidence(columns[:, 0], columns[:, 1], bits)

    def table(self, records: Sequence[Comparable]) -> "pa.Table":
        """Return the records as the scores see them, with their term frequencies: for explanations."""
        import pyarrow as pa  # noqa: PLC0415 - slow to load, and only explanations need it

        rows = []
        for position, record in enumerate(records):
            row = dict(zip(VALUE_COLUMNS, self._prepared(record), strict=True))
            frequencies = {f"tf_{column}": self._share(column, row[column]) for column in self._columns}
            rows.append({**row, **frequencies, "position": position})
        return pa.Table.from_pylist(rows, schema=_schema(self._columns))

    def _weight(self, one: Values, other: Values) -> float:
        """Return -log2(2 ** -unrelated + 2 ** -household): `identity.model` has the formula."""
        unrelated, household = self.model.prior, 0.0
        for terms, level in zip(self._terms, self._levels(one, other), strict=True):
            bits, against, rare = terms[level]
            unrelated += bits
            household += against
            if rare is not None:
                rarity = rare.bits(self._common(rare.column, one, other))
                unrelated += rarity
                household += rarity if rare.in_household else 0.0
        if self.model.household_prior is None:
            return round(unrelated, 6)
        household += self.model.household_prior
        low, apart = min(unrelated, household), abs(unrelated - household)
        return round(low - math.log2(1 + 2.0**-apart), 6)

    def _common(self, column: str, one: Values, other: Values) -> float | None:
        """Return the term frequency of the more common of the two values."""
        place = _PLACES[column]
        ours, theirs = one[place], other[place]
        share = self._share(column, ours)
        also = share if ours == theirs else self._share(column, theirs)
        return also if share is None else share if also is None else max(share, also)

    def _share(self, column: str, value: str | None) -> float | None:
        if value is None:
            return None
        found = self._frequency(column, value)
        return self.model.rare_frequencies[column] if found is None else found

    def _prepared(self, record: Comparable) -> Values:
        if self._seen is None:
            return self._own(record)
        known = self._seen.get(id(record))  # which is kept beside it, so that no other gets its number
        if known is None:
            known = self._seen[id(record)] = (record, self._own(record))
        return known[1]

    def _own(self, record: Comparable) -> Values:
        """Leave out what belongs to nobody, and say which contacts are several people's."""
        frequency = self._frequency
        row: list[Any] = list(map(record.columns.get, VALUE_COLUMNS))
        for column, place, several, several_place in self._belonging:
            if row[place] is None:
                continue
            own = [value for value in record.values(column) if frequency(column, value) is None]
            row[place] = _held(column, own)
            if several is not None:
                row[several_place] = _held(
                    column, [value for value in own if frequency(several, value) is not None]
                )
        if self._dated and (born := record.text("birth_date")) and frequency(NOBODYS_DATE, born) is not None:
            row[_PLACES["birth_date"]] = None
        return tuple(row)


class _Rarity(NamedTuple):
    """What a value of `column` adds to a weight for being rarer than the level's values in general."""

    column: str
    rare: float  # log2 of u
    own: float  # the share of records of a value that are its person's own
    least: float
    in_household: bool

    def bits(self, share: float | None) -> float:
        others = self.least if share is None else max(share - self.own, self.least)
        return self.rare - math.log2(others)


_Term = tuple[float, float, _Rarity | None]
"""What a level of one comparison adds, in bits: against strangers, against a household, by its value."""


def _terms(model: Model, item: FittedComparison) -> list[_Term]:
    """Return the terms of all levels; the last place, -1, is of a missing value, which says nothing."""
    return [*(_term(model, item, level) for level in item.levels), (0.0, 0.0, None)]


def _term(model: Model, item: FittedComparison, level: FittedLevel) -> _Term:
    unrelated, household = math.log2(level.m / level.u), math.log2(level.m / level.h)
    if level.frequency is None:
        return unrelated, household, None
    own = model.repeated() * item.repeats(level.frequency) / model.records
    in_household = item.kind != "household"  # see identity.scoring_sql
    rarity = _Rarity(level.frequency, math.log2(level.u), own, 1 / model.records, in_household)
    return unrelated, household, rarity


def _held(column: str, values: Iterable[str]) -> str | tuple[str, ...] | None:
    kept = tuple(values)
    if not kept:
        return None
    return kept if column in LIST_COLUMNS else kept[0]


_PLACES: Final[Mapping[str, int]] = {name: place for place, name in enumerate(VALUE_COLUMNS)}


def _schema(frequency_columns: Sequence[str]) -> "pa.Schema":
    import pyarrow as pa  # noqa: PLC0415 - slow to load, and only explanations need it

    fields = [
        pa.field(name, pa.list_(pa.string()) if name in LIST_COLUMNS else pa.string()) for name in COLUMNS
    ]
    fields += [
        pa.field(several, pa.list_(pa.string()) if column in LISTS else pa.string())
        for column, several in SEVERAL.items()
    ]
    fields += [pa.field(f"tf_{name}", pa.float64()) for name in frequency_columns]
    return pa.schema([pa.field("position", pa.int32()), *fields])
