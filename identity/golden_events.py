"""What happened to golden IDs in one step, in columns: a first run creates most of a million. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

CREATED: Final = 0
REACTIVATED: Final = 1
UPDATED: Final = 2
MERGED: Final = 3
SPLIT: Final = 4
GONE: Final = 5

KINDS: Final = ("created", "reactivated", "updated", "merged", "split", "gone")


@dataclass(frozen=True, slots=True, eq=False)
class Ragged:
    """Rows of different length: row i is `values[offsets[i]:offsets[i + 1]]`, ascending, no value twice."""

    offsets: Ints
    values: Ints

    @classmethod
    def of(cls, rows: Ints, values: Ints, count: int) -> "Ragged":
        """Group `values` by `rows` (0 <= row < count)."""
        order = np.lexsort((values, rows))
        rows, values = rows[order], values[order]
        fresh = np.ones(len(rows), dtype=bool)
        fresh[1:] = (rows[1:] != rows[:-1]) | (values[1:] != values[:-1])
        rows, values = rows[fresh], values[fresh]
        offsets = np.zeros(count + 1, dtype=np.int64)
        np.cumsum(np.bincount(rows, minlength=count), out=offsets[1:])
        return cls(offsets, values)

    def sizes(self) -> Ints:
        """Return the length of each row."""
        return np.diff(self.offsets)

    def rows(self) -> Ints:
        """Return the row of each value."""
        return np.repeat(np.arange(len(self.offsets) - 1, dtype=np.int64), self.sizes())

    def take(self, chosen: npt.NDArray[np.bool_]) -> "Ragged":
        """Keep the rows marked in `chosen`."""
        offsets = np.zeros(int(chosen.sum()) + 1, dtype=np.int64)
        np.cumsum(self.sizes()[chosen], out=offsets[1:])
        return Ragged(offsets, self.values[np.repeat(chosen, self.sizes())])

    def row(self, index: int) -> list[int]:
        """Return one row."""
        values: list[int] = self.values[self.offsets[index] : self.offsets[index + 1]].tolist()
        return values


@dataclass(frozen=True, slots=True)
class Event:
    """What happened to one golden ID.

    `others`: the survivor (merged), the successors (split), or, of an updated one, the golden IDs that
    now hold what left it.
    """

    type: str
    golden_no: int
    joined: tuple[int, ...]
    left: tuple[int, ...]
    others: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Events:
    """The events of one step, in the order in which they are published: by kind, then golden number."""

    kinds: Ints
    golden_nos: Ints
    joined: Ragged
    left: Ragged
    others: Ragged

    def __len__(self) -> int:
        return len(self.kinds)

    def __getitem__(self, index: int) -> Event:
        if not 0 <= index < len(self):
            raise IndexError(index)
        return Event(
            KINDS[self.kinds[index]],
            int(self.golden_nos[index]),
            tuple(self.joined.row(index)),
            tuple(self.left.row(index)),
            tuple(self.others.row(index)),
        )

    def __iter__(self) -> Iterator[Event]:
        return (self[index] for index in range(len(self)))

    def count(self, kind: int) -> int:
        """Return how many events are of `kind`."""
        return int((self.kinds == kind).sum())
