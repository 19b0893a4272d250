"""What one way of grouping records changes against another, golden ID by golden ID. Pure.

Both sides are aligned: position i is the same record. Golden IDs are counted by their records alone, not
by what becomes of their names (that is `identity.golden_ids`): one may be merged and split at once.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from identity.distinct import distinct
from identity.golden_events import Ints

MOST_MERGES: Final = 300
"""Merges whose disclosure risk is looked at, the largest first: each costs some reads of the stores."""

Merge = tuple[tuple[int, ...], ...]
"""The records of each golden ID that would become one with the others."""


@dataclass(frozen=True, slots=True)
class Change:
    """Golden IDs of the first grouping by their fate in the second.

    `kept`: its records are together and no other golden ID's are among them. `merged`: some of them are
    together with another's. `split`: they are in several groups. `disagreements`: pairs of records that
    are together in one of the two groupings and apart in the other.
    """

    golden_ids: int
    kept: int
    merged: int
    split: int
    disagreements: int


def compare(was: Ints, now: Ints) -> Change:
    """Compare the grouping of some records with another one of the same records."""
    cells = _Cells.of(was, now)
    split = cells.now_of_was[cells.was] > 1
    merged = cells.was_of_now[cells.now] > 1
    disturbed = distinct(cells.was[split | merged])
    golden_ids = len(cells.now_of_was)
    return Change(
        golden_ids=golden_ids,
        kept=golden_ids - len(disturbed),
        merged=len(distinct(cells.was[merged])),
        split=len(distinct(cells.was[split])),
        disagreements=_pairs(cells.was_sizes) + _pairs(cells.now_sizes) - 2 * _pairs(cells.sizes),
    )


def merges(record_nos: Ints, was: Ints, now: Ints, *, most: int = MOST_MERGES) -> list[Merge]:
    """Return what the second grouping joins: those that join the most golden IDs first, at most `most`."""
    cells = _Cells.of(was, now)
    joins = np.flatnonzero(cells.was_of_now > 1)
    chosen = joins[np.argsort(-cells.was_of_now[joins], kind="stable")][:most]
    found = []
    for group in chosen.tolist():
        mine = np.flatnonzero(cells.now_of_record == group)
        parts = cells.was_of_record[mine]
        found.append(tuple(tuple(record_nos[mine[parts == part]].tolist()) for part in distinct(parts)))
    return found


@dataclass(frozen=True, slots=True, eq=False)
class _Cells:
    """The records that both groupings have together: one row a pair of groups that share any."""

    was_of_record: Ints
    now_of_record: Ints
    was: Ints
    now: Ints
    sizes: Ints
    was_sizes: Ints
    now_sizes: Ints
    now_of_was: Ints  # how many groups of the second grouping each of the first is in
    was_of_now: Ints

    @classmethod
    def of(cls, was: Ints, now: Ints) -> "_Cells":
        _, left, left_sizes = np.unique(was, return_inverse=True, return_counts=True)
        _, right, right_sizes = np.unique(now, return_inverse=True, return_counts=True)
        count = max(len(right_sizes), 1)
        cell, sizes = np.unique(left.astype(np.int64) * count + right, return_counts=True)
        return cls(
            was_of_record=left.astype(np.int64),
            now_of_record=right.astype(np.int64),
            was=cell // count,
            now=cell % count,
            sizes=sizes.astype(np.int64),
            was_sizes=left_sizes.astype(np.int64),
            now_sizes=right_sizes.astype(np.int64),
            now_of_was=np.bincount(cell // count, minlength=len(left_sizes)).astype(np.int64),
            was_of_now=np.bincount(cell % count, minlength=len(right_sizes)).astype(np.int64),
        )


def _pairs(sizes: Ints) -> int:
    return int((sizes * (sizes - 1) // 2).sum())
