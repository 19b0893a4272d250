"""Where the golden IDs are right and wrong: by channel, by size, and how sure each figure is. Pure."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import numpy as np

from identity.distinct import distinct
from identity.evaluation import Cells, Ints, Metrics, cells_of, metrics_of, numbered, sums_of
from identity.evaluation_groups import (
    GoldenSize,
    Grouped,
    GroupScore,
    PersonSize,
    by_golden_size,
    by_group,
    by_person_size,
)
from identity.resampling import LEVEL, REPLICATES, ScoreInterval, draws, score_interval, sharing

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Mistakes:
    """What went wrong, counted in people: `mixed` golden IDs hold records of several (`mixed_people`) people.

    `split_people` have records under several golden IDs.
    """

    mixed: int
    mixed_people: int
    split_people: int


@dataclass(frozen=True, slots=True)
class Detail:
    """Everything `aurea evaluate` says. Sizes are counted over the records that are in both files."""

    metrics: Metrics
    mistakes: Mistakes
    pairwise_interval: ScoreInterval
    bcubed_interval: ScoreInterval
    by_channel: dict[str, GroupScore]
    by_golden_size: dict[str, GoldenSize]
    by_person_size: dict[str, PersonSize]

    def as_dict(self) -> dict[str, Any]:
        """Return the contract's keys and, beside them, the rest."""
        found = asdict(self)
        intervals = {name: found.pop(f"{name}_interval") for name in ("pairwise", "bcubed")}
        return {**found.pop("metrics"), **found, "intervals": {"level": LEVEL, **intervals}}


def evaluate_in_detail(
    memberships: Mapping[Key, Hashable],
    truth: Mapping[Key, Hashable],
    channel_of: Callable[[Key], str],
    *,
    seed: int = 1,
) -> Detail:
    """Compare record -> golden ID with record -> person; `seed` is of the intervals' draws."""
    cells, channels = counted(memberships, truth, channel_of)
    part = sharing(cells)
    pairwise, bcubed = intervals(cells, part, seed=seed)
    return Detail(
        metrics=metrics_of(cells),
        mistakes=mistakes(cells),
        pairwise_interval=pairwise,
        bcubed_interval=bcubed,
        by_channel=by_group(cells, channels, part, seed=seed),
        by_golden_size=by_golden_size(cells, part, seed=seed),
        by_person_size=by_person_size(cells, part, seed=seed),
    )


def counted(
    memberships: Mapping[Key, Hashable], truth: Mapping[Key, Hashable], group_of: Callable[[Key], str]
) -> tuple[Cells, Grouped]:
    """Count the records that both know, by golden ID and person, and each of these by group."""
    golden_ids, people, groups = [], [], []
    for record, person in truth.items():
        golden_id = memberships.get(record)  # one look: hashing a million keys takes a second
        if golden_id is not None:
            golden_ids.append(golden_id)
            people.append(person)
            groups.append(group_of(record))
    cells, cell = cells_of(numbered(golden_ids), numbered(people))
    names = list(dict.fromkeys(groups))
    width = max(len(names), 1)
    met, count = np.unique(cell * width + numbered(groups), return_counts=True)
    return cells, Grouped(met // width, met % width, count, names)


def mistakes(cells: Cells) -> Mistakes:
    """Count the golden IDs that mix people, and the people who are split."""
    is_mixed = np.bincount(cells.golden) > 1
    is_split = np.bincount(cells.person) > 1
    in_mixed = distinct(cells.person[is_mixed[cells.golden]])
    return Mistakes(int(is_mixed.sum()), len(in_mixed), int(is_split.sum()))


def intervals(
    cells: Cells, part: Ints, *, seed: int, replicates: int = REPLICATES
) -> tuple[ScoreInterval, ScoreInterval]:
    """Return the bootstrap intervals of the pairwise and the B-cubed score.

    Where no error was seen an interval has no width: that says nothing of errors in people not seen.
    """
    sums = sums_of(cells, part)
    columns = (sums.both, sums.found, sums.true, sums.precision, sums.recall, sums.records)
    rows = np.column_stack(columns).astype(np.float64)
    both, found, true, precision, recall, records = draws(rows, seed=seed, replicates=replicates).T
    return (
        score_interval((both, both), (found, true)),
        score_interval((precision, recall), (records, records)),
    )
