"""Online: the weight of one record against its candidates, with the batch's model.

The same conditions and parameters run in a small locked engine of its own. Term frequencies come from
outside (keyed hashes of common values); a value that is not among them counts as an average rare one.
"""

import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Final, Self

import numpy as np
import pyarrow as pa

from identity.comparable import COLUMNS, LIST_COLUMNS, Comparable
from identity.comparison import SEVERAL
from identity.contacts import LISTS, OWNED
from identity.contradictions import Evidence, evidence_of
from identity.engine import open_engine
from identity.model import Model
from identity.placeholder_dates import NOBODYS_DATE
from identity.scoring_sql import pair_levels_sql, pair_weights_sql

Frequency = Callable[[str, str], float | None]
"""(column, value) -> the term frequency exported by `linking.score`, or None for any other value."""

_BELONGING: Final = (*LISTS, *OWNED)


class OnlineScorer:
    """Scores pairs with a trained model. Safe to share between threads; holds records during a call only."""

    def __init__(self, model: Model, frequency: Frequency) -> None:
        self.model = model
        self._frequency = frequency
        self._columns = model.frequency_columns()
        self._sql = pair_weights_sql(model, "newcomer", "candidates")
        self._levels_sql = pair_levels_sql(model, "together", "together")
        self._schema = _schema(self._columns)
        self._engine = open_engine(threads=1, memory_limit="256MB")
        self._lock = threading.Lock()

    def score(self, record: Comparable, candidates: Sequence[Comparable]) -> list[float]:
        """Return the match weight, in bits, of `record` with each candidate, in their order."""
        if not candidates:
            return []
        newcomer = self.table([record])
        others = self.table(candidates)
        with self._lock:
            self._engine.register("newcomer", newcomer)
            self._engine.register("candidates", others)
            try:
                return [float(weight) for _, weight in self._engine.execute(self._sql).fetchall()]
            finally:
                self._engine.unregister("newcomer")
                self._engine.unregister("candidates")

    def evidence(self, record_nos: Sequence[int], records: Sequence[Comparable]) -> Evidence:
        """Return what every two of these records say of each other, in bits, as a run's guard sees it."""
        order = np.argsort(np.asarray(record_nos, dtype=np.int64))
        numbers = np.asarray(record_nos, dtype=np.int64)[order]
        table = self.table([records[place] for place in order.tolist()])
        with self._lock:
            self._engine.register("together", table)
            try:
                rows = self._engine.execute(self._levels_sql).fetchall()
            finally:
                self._engine.unregister("together")
        found = np.array(rows, dtype=np.int64).reshape(-1, 2 + len(self.model.comparisons))
        levels = [found[:, 2 + place] for place in range(len(self.model.comparisons))]
        return evidence_of(self.model, numbers[found[:, 0]], numbers[found[:, 1]], levels)

    def close(self) -> None:
        """Close the engine."""
        self._engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def table(self, records: Sequence[Comparable]) -> pa.Table:
        """Return the records as the scores see them: without values of nobody's own, with frequencies."""
        rows = [{**self._compared(record), "position": position} for position, record in enumerate(records)]
        return pa.Table.from_pylist(rows, schema=self._schema)

    def _compared(self, record: Comparable) -> dict[str, object]:
        """Return the record's columns without values that belong to nobody, and its term frequencies."""
        row: dict[str, object] = dict(record.columns)
        for column in _BELONGING:
            own = [value for value in record.values(column) if self._frequency(column, value) is None]
            if column in row:
                row[column] = (own if column in LIST_COLUMNS else own[0]) if own else None
            if column in SEVERAL:
                shared = [value for value in own if self._frequency(SEVERAL[column], value) is not None]
                row[SEVERAL[column]] = (shared if column in LISTS else shared[0]) if shared else None
        if (born := record.text("birth_date")) and self._frequency(NOBODYS_DATE, born) is not None:
            row["birth_date"] = None
        for column in self._columns:
            if value := record.text(column):
                found = self._frequency(column, value)
                row[f"tf_{column}"] = self.model.rare_frequencies[column] if found is None else found
        return row


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
