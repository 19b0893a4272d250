"""What a reader of input files is: chunks of rows, streaming.

A chunk travels to a worker process as it was read; the worker turns it into rows (`rows()`). So the main
process does as little for a row as its format allows.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

CHUNK_ROWS: Final = 500  # about 12 ms of writing: under the 20 ms that a writer may hold the lock


@dataclass(frozen=True, slots=True)
class Malformed:
    """A row that could not be read at all, and why. `column` is empty: the row as a whole is at fault."""

    reason: str


class Chunk(Protocol):
    """Some consecutive rows, cheap to send to another process."""

    def __len__(self) -> int:
        """How many rows, malformed ones included."""
        ...

    def rows(self) -> Iterator[tuple[int, Mapping[str, Any] | Malformed]]:
        """Each row with its line number (row number in Parquet), from 1; the header of a CSV is line 1."""
        ...


class Reader(Protocol):
    """An open input file."""

    @property
    def columns(self) -> frozenset[str]:
        """The names the file has. JSON Lines: those found in any line, once `seek_columns` looked."""
        ...

    @property
    def order(self) -> tuple[str, ...]:
        """Attribute and trait columns in the order values are kept; JSON Lines: all standard names."""
        ...

    def seek_columns(self, wanted: frozenset[str]) -> None:
        """Look for `wanted` where only the rows name columns; stops as soon as all are found."""
        ...

    def chunks(self, size: int) -> Iterator[tuple[Chunk, float]]:
        """Yield the rows in order, with the share of the file read so far (0 to 1)."""
        ...
