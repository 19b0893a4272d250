"""What a reader should know about a run, one sentence each; some of it costs something. Pure.

A notice costs something where it may mean lost or wrong links: values that belong to nobody, somebody with
more records under one value than can be compared in full, and a golden ID out of all proportion: a first run
has no earlier one that a gate could judge it by. Those are said aloud; the rest stands in the report.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from identity.blocking import Blocking
from identity.blocking_rules import OWN_VALUES
from identity.clustering import Clusters
from identity.gates import LARGEST
from identity.model import Model
from identity.ordered_levels import pooled
from identity.profile import Profile

USUAL: Final = 0.95
"""Of the golden IDs of several records, the largest aside, so many are of a usual size or smaller."""

PROPORTION: Final = 5
"""Times the usual size from which on the largest is out of proportion."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One sentence without values; `costs` says that links may be lost or wrong by it."""

    text: str
    costs: bool


def notices(profile: Profile, blocking: Sequence[Blocking], model: Model, clusters: Clusters) -> list[Notice]:
    """Return what to know about a run, what costs something first."""
    found = [*_giant(clusters), *_shared(profile), *_blocks(blocking)]
    found += _pooled(model)
    found += [
        Notice(f"{by} tells {column}, which counts only where the records' {by} is not the same", costs=False)
        for column, by in profile.told.items()
    ]
    if model.household_prior is None:
        found.append(Notice("the data show no households, so none were modelled", costs=False))
    return sorted(found, key=lambda notice: not notice.costs)


def _giant(clusters: Clusters) -> Iterator[Notice]:
    label, sizes = np.unique(clusters.label, return_counts=True)
    if not len(sizes):
        return
    largest = int(sizes.argmax())
    others = np.delete(sizes, largest)
    others = others[others > 1]
    usual = int(np.quantile(others, USUAL, method="higher")) if len(others) else 1
    if sizes[largest] > max(LARGEST, PROPORTION * usual):
        yield Notice(
            f"the largest golden ID has {sizes[largest]:,} records, record {label[largest]} among them, and "
            f"{USUAL:.0%} of the others that have several have at most {usual:,}: look whether it is one"
            " person",
            costs=True,
        )


def _shared(profile: Profile) -> Iterator[Notice]:
    for column, count in profile.shared_values.items():
        yield Notice(
            f"{count:,} {column} value(s) belong to nobody in particular and were not compared", costs=True
        )


def _blocks(blocking: Sequence[Blocking]) -> Iterator[Notice]:
    for rule in blocking:
        own = rule.rule in OWN_VALUES
        if rule.dropped_blocks:
            yield Notice(
                f"rule '{rule.rule}' dropped {rule.dropped_blocks:,} blocks too large to compare"
                f" ({rule.dropped_pairs:,} pairs)",
                own,
            )
        if rule.thinned_blocks:
            yield Notice(
                f"rule '{rule.rule}' thinned {rule.thinned_blocks:,} blocks too large to compare in full:"
                " each record was compared with a few others",
                own,
            )


def _pooled(model: Model) -> Iterator[Notice]:
    for item in model.comparisons:
        for group in pooled([level.m for level in item.levels], [level.u for level in item.levels]):
            labels = ", ".join(f"'{item.levels[place].label}'" for place in group)
            yield Notice(
                f"{item.name}: {labels} are worth the same, because the pairs themselves would have put less"
                " agreement above more, or showed too few to tell",
                costs=False,
            )
