"""Sources declared to hold no duplicates: no scores make one person of two of their records. Pure.

The declaration is somebody's word and no estimate, so it is a hard constraint: through whatever chain of
links, two records of a declared channel are never of one golden ID. A steward's `same` outweighs it; a run
counts where that is so.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class SourceFigures:
    """What a declaration did in a run: counts of the channel's records that may be linked.

    `kept_apart`: parts beyond the first that the declaration makes of what the scores alone call one person.
    `judged`: records that a steward's word joins to another of the channel nevertheless.
    """

    channel: str
    records: int
    kept_apart: int
    judged: int


@dataclass(frozen=True, slots=True, eq=False)
class Sources:
    """The records of some channels: `record_nos` ascend, `source` is the place of each one's channel."""

    channels: tuple[str, ...]
    record_nos: Integers
    source: Integers

    @classmethod
    def of(cls, channel_of: Mapping[int, str], channels: Collection[str]) -> "Sources":
        """Return those records of `channel_of` (record -> channel) that are of one of `channels`."""
        numbers = sorted(channel_of)
        return cls.marked(channels, numbers, [channel_of[number] for number in numbers])

    @classmethod
    def marked(
        cls, channels: Collection[str], record_nos: Sequence[int], channel_of: Sequence[str]
    ) -> "Sources":
        """Return those of `record_nos`, ascending, whose channel (beside them) is one of `channels`."""
        names = tuple(sorted(channels))
        place = {name: number for number, name in enumerate(names)}
        source = np.array([place.get(channel, -1) for channel in channel_of], dtype=np.int64)
        numbers = np.array(record_nos, dtype=np.int64)
        return cls(names, numbers[source >= 0], source[source >= 0])

    @classmethod
    def joined(cls, channels: Collection[str], parts: Sequence["Sources"]) -> "Sources":
        """Return what several hold, all of them of these `channels` and each record in one."""
        none = NO_SOURCES.record_nos
        numbers = np.concatenate([none, *(part.record_nos for part in parts)])
        source = np.concatenate([none, *(part.source for part in parts)])
        order = np.argsort(numbers)
        return cls(tuple(sorted(channels)), numbers[order], source[order])

    def __len__(self) -> int:
        return len(self.record_nos)

    def only(self, channels: Collection[str]) -> "Sources":
        """Return the records of those of its channels that are in `channels`."""
        kept = [place for place, name in enumerate(self.channels) if name in channels]
        inside = np.isin(self.source, kept)
        renumbered = np.searchsorted(kept, self.source[inside])
        return Sources(tuple(self.channels[place] for place in kept), self.record_nos[inside], renumbered)

    def among(self, record_nos: npt.ArrayLike) -> "Sources":
        """Return those of `record_nos`."""
        inside = np.isin(self.record_nos, np.asarray(record_nos, dtype=np.int64))
        return Sources(self.channels, self.record_nos[inside], self.source[inside])

    def crowded(self, record_nos: Integers, label: Integers) -> Integers:
        """Return the labels under which two records of one channel stand; `record_nos` ascend."""
        span = max(len(self.channels), 1)
        cells = self._labels(record_nos, label) * span + self.source
        found, count = np.unique(cells, return_counts=True)
        return np.unique(found[count > 1] // span)

    def both_hold(self, record_nos: Integers, label: Integers, left: Integers, right: Integers) -> Mask:
        """Return by position whether the clusters labelled `left` and `right` hold records of one channel."""
        found = np.zeros(len(left), dtype=bool)
        labels = self._labels(record_nos, label)
        for place in range(len(self.channels)):
            holders = np.unique(labels[self.source == place])
            found |= np.isin(left, holders) & np.isin(right, holders)
        return found

    def figures(self, record_nos: Integers, alone: Integers, label: Integers) -> tuple[SourceFigures, ...]:
        """Return what was done: `alone` are the labels that scores make, `label` those that hold."""
        before, after = self._labels(record_nos, alone), self._labels(record_nos, label)
        found = []
        for place, channel in enumerate(self.channels):
            mine = self.source == place
            pairs = np.unique(np.stack([before[mine], after[mine]]), axis=1)
            count, people = int(mine.sum()), len(np.unique(after[mine]))
            apart = pairs.shape[1] - len(np.unique(before[mine]))
            found.append(SourceFigures(channel, count, apart, count - people))
        return tuple(found)

    def _labels(self, record_nos: Integers, label: Integers) -> Integers:
        """Return the label of each of these records, all of which are among `record_nos`."""
        labels: Integers = label[np.searchsorted(record_nos, self.record_nos)]
        return labels


def sentences(figures: Iterable[SourceFigures]) -> list[str]:
    """Return what a reader of a run should know of the declarations, one sentence each."""
    said = []
    for each in figures:
        if each.kept_apart:
            said.append(
                f"the source {each.channel} is declared to hold no duplicates: {each.kept_apart:,} record(s)"
                " of it stay apart from another that the scores would join them to"
            )
        if each.judged:
            said.append(
                f"the source {each.channel} is declared to hold no duplicates, but stewards judged"
                f" {each.judged:,} record(s) of it to be the same person as another"
            )
    return said


NO_SOURCES: Final = Sources((), np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64))
