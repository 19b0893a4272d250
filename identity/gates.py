"""Publishing gates: what a run may change before somebody has to look at it. Pure.

A run is judged against the last published one, by the records that have not changed since: their content
and permission are the same, so what becomes of them is the doing of the model, or of new records beside
them. Four gates:

- merges and splits: of their golden IDs at most ALLOWED + SHARE of all + SHARE_OF_NEW of the new or changed
  records may be joined (or parted). New evidence moves people; a model that moves many without any is wrong.
- growth: the largest golden ID may have at most LARGEST + GROWTH times the records of the largest before.
- drift: the match weights of the pairs among unchanged records, against the weights of the last run, by the
  population stability index; judged where both have LEAST_PAIRS pairs. Counted are pairs from NEAR bits below
  the match threshold on: weaker ones come and go with the blocks of a growing file, and decide nothing.

Where new and changed records outnumber the unchanged ones, growth and drift are reported and stop nothing:
that is another file, not the same one judged differently. A first run has nothing to be judged by. The
allowances are whole records, so that in a home of a few dozen golden IDs no gate can close.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from identity.clustering import Floats
from identity.model_comparison import Change

ALLOWED: Final = 50  # golden IDs
SHARE: Final = 0.05  # of the golden IDs
SHARE_OF_NEW: Final = 0.10  # of the new or changed records

LARGEST: Final = 20  # records
GROWTH: Final = 2

MOST_DRIFT: Final = 0.25
"""Population stability index from which a distribution counts as another one (Siddiqi, Credit Risk
Scorecards, 2006: below 0.1 stable, above 0.25 shifted)."""

LEAST_PAIRS: Final = 1_000

NEAR: Final = 4.0  # bits

EDGES: Final = tuple(range(-20, 61, 4))
"""Bits: the bins of the weight histogram lie between these, with one more at either end."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What a published run leaves behind for the next one to be judged by.

    `weights` counts the scored pairs in the bins of EDGES; `weights_from` is the weight, in bits, from which
    on they were counted.
    """

    largest: int
    weights: tuple[int, ...]
    weights_from: float


@dataclass(frozen=True, slots=True)
class Step:
    """A run beside the last one. `figures` are of the pairs among unchanged records alone."""

    unchanged: int  # records
    fresh: int  # records that are new, or changed in content or permission
    change: Change  # of the golden IDs of unchanged records
    figures: Figures


def histogram(weights: Floats) -> tuple[int, ...]:
    """Count match weights (bits) in the bins of EDGES."""
    places = np.searchsorted(np.asarray(EDGES, dtype=np.float64), weights, side="right")
    counts: list[int] = np.bincount(places, minlength=len(EDGES) + 1).tolist()
    return tuple(counts)


def drift(before: Figures, after: Figures) -> float | None:
    """Return the population stability index of two runs' weights; None where too few pairs tell.

    Where the runs counted pairs from different weights on, the bins that both of them filled are compared.
    """
    start = 0
    if before.weights_from != after.weights_from:
        start = 1 + int(np.searchsorted(EDGES, max(before.weights_from, after.weights_from)))
    old, new = (np.asarray(figures.weights[start:], dtype=np.float64) for figures in (before, after))
    if len(before.weights) != len(after.weights) or min(old.sum(), new.sum()) < LEAST_PAIRS:
        return None
    # half a pair in every bin: an empty one says little, and would say infinitely much
    p, q = ((counts + 0.5) / (counts.sum() + 0.5 * len(counts)) for counts in (old, new))
    return round(float(((q - p) * np.log(q / p)).sum()), 4)


def closed(before: Figures | None, run: Step) -> list[str]:
    """Return why this run may not be published by itself, one sentence a gate; empty if it may.

    `before` is None where the last run left no figures: an earlier release published it.
    """
    allowed = allowance(run)
    found = [
        f"{count:,} of {run.change.golden_ids:,} golden IDs would be {what}, {allowed:,} may be"
        for count, what in ((run.change.merged, "joined"), (run.change.split, "parted"))
        if count > allowed
    ]
    if before is None or run.fresh > run.unchanged:
        return found
    largest = LARGEST + GROWTH * before.largest
    if run.figures.largest > largest:
        found.append(
            f"the largest golden ID would grow from {before.largest:,} to {run.figures.largest:,} records, "
            f"{largest:,} are allowed"
        )
    moved = drift(before, run.figures)
    if moved is not None and moved > MOST_DRIFT:
        found.append(
            f"the match weights of unchanged records drifted by {moved:g} (population stability index), "
            f"{MOST_DRIFT:g} is allowed"
        )
    return found


def allowance(run: Step) -> int:
    """Return how many golden IDs of unchanged records a run may join, and how many it may part."""
    return ALLOWED + int(SHARE * run.change.golden_ids + SHARE_OF_NEW * run.fresh)


def sentence(reasons: Sequence[str]) -> str:
    """Return what to tell whoever started a run that was stopped."""
    return (
        f"stopped before publishing, the last good state goes on serving: {'; '.join(reasons)}. "
        "Look with --dry-run and --compare; if it is right, publish it with --force REASON"
    )
