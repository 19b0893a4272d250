"""Parquet, batch by batch. Texts, numbers, dates and lists read as they would in JSON."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from api.ingest.chunks import Malformed
from api.ingest.errors import InputFileError


@dataclass(frozen=True, slots=True)
class ParquetChunk:
    """Consecutive rows as Arrow holds them. Line numbers are row numbers, from 1."""

    first: int
    batch: pa.RecordBatch

    def __len__(self) -> int:
        return int(self.batch.num_rows)

    def rows(self) -> Iterator[tuple[int, Mapping[str, Any] | Malformed]]:
        """Yield each row with its number."""
        names = self.batch.schema.names
        columns = [_values(column) for column in self.batch.columns]
        for number, cells in enumerate(zip(*columns, strict=True), start=self.first):
            yield number, dict(zip(names, cells, strict=True))


class ParquetFile:
    """A Parquet file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            with pq.ParquetFile(path) as file:
                names = file.schema_arrow.names
                self._rows = file.metadata.num_rows
        except (pa.ArrowException, OSError) as error:
            raise InputFileError(f"{path.name}: is no readable Parquet file") from error
        if len(set(names)) < len(names):
            raise InputFileError(f"{path.name}: two columns have one name")
        self.order = tuple(names)
        self.columns = frozenset(names)

    def seek_columns(self, wanted: frozenset[str]) -> None:
        """Nothing to look for: the schema names every column."""

    def chunks(self, size: int) -> Iterator[tuple[ParquetChunk, float]]:
        """Yield the rows in order."""
        first = 1
        # Without pre-buffering, memory is one row group's pages and not the file.
        with pq.ParquetFile(self._path, pre_buffer=False) as file:
            try:
                for batch in file.iter_batches(batch_size=size):
                    yield ParquetChunk(first, batch), (first + batch.num_rows) / max(self._rows, 1)
                    first += batch.num_rows
            except pa.ArrowException as error:
                name = self._path.name
                raise InputFileError(f"{name}: is damaged after row {first - 1}") from error


def _values(column: pa.Array) -> list[Any]:
    if pa.types.is_timestamp(column.type):
        # Nanoseconds do not fit Python's datetime; a time zone is kept as an offset.
        column = column.cast(pa.timestamp("us", column.type.tz), safe=False)
    try:
        values: list[Any] = column.to_pylist()
    except UnicodeDecodeError:
        # Some text is no UTF-8: as bytes, so that validation rejects those rows alone.
        values = column.cast(pa.large_binary()).to_pylist()
    return values
