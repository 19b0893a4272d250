"""Estimate the model's parameters without labels, guarded against what EM gets wrong.

1. Splink samples random pairs: how often do records agree that have nothing to do with each other (u)?
2. Splink has compared the blocked pairs; three classes are fitted to the counts of their comparison vectors.

The fit needs no parameters of Splink's EM to start from: on every labelled set it comes to the same golden
IDs without them, and so there are no training sessions that could fail half-way.
"""

from collections.abc import Sequence
from typing import Final

import duckdb
import numpy as np
import numpy.typing as npt

from identity.comparisons import Comparison
from identity.latent_classes import PSEUDO_PAIRS, U_FLOOR, Classes, Vectors, fit
from identity.model import FittedComparison, FittedLevel
from identity.profile import Profile
from identity.splink_bridge import estimated, linker

Floats = npt.NDArray[np.float64]

RANDOM_PAIRS: Final = 1_000_000


def train(
    engine: duckdb.DuckDBPyConnection,
    comparisons: Sequence[Comparison],
    profile: Profile,
    vectors: Vectors,
    *,
    seed: int,
) -> Classes:
    """Return the fitted classes for `comparisons` over the blocked pairs that `vectors` counts.

    Every level ends up with an m of at least FLOOR and a u of at least about U_FLOOR, seen or not.
    """
    trainer = linker(engine, comparisons, frequencies=False)
    if profile.records > 2:
        trainer.training.estimate_u_using_random_sampling(
            max_pairs=RANDOM_PAIRS, seed=seed, num_chunks=1, min_count_per_level=None
        )
    shares = estimated(trainer, "u")
    u = [_smoothed(shares[item.name], profile.records) for item in comparisons]
    return fit(vectors, comparisons, u)


def fitted(comparisons: Sequence[Comparison], classes: Classes) -> tuple[FittedComparison, ...]:
    """Return the comparisons with their parameters, to 9 decimals: the order of sums leaves no trace."""
    return tuple(
        FittedComparison(
            item.name,
            item.kind,
            item.missing,
            tuple(
                FittedLevel(level.label, level.condition, level.frequency, *_rounded(m[i], u[i], h[i]))
                for i, level in enumerate(item.levels)
            ),
        )
        for item, m, u, h in zip(comparisons, classes.m, classes.u, classes.h, strict=True)
    )


def _rounded(*parameters: float) -> tuple[float, ...]:
    return tuple(float(f"{value:.9g}") for value in parameters)


def _smoothed(share: Floats, records: int) -> Floats:
    """Return level shares among random pairs; levels not seen get what a few pseudo pairs allow."""
    pairs = min(records * (records - 1) / 2, RANDOM_PAIRS)
    unrelated = np.array([0.01, *[0.01] * (len(share) - 2), 1 - 0.01 * (len(share) - 1)])
    if np.isnan(share).all():
        return unrelated
    seen = np.nan_to_num(share, nan=0.0) * pairs + PSEUDO_PAIRS * unrelated * (pairs < 1000)
    kept = np.maximum(seen / seen.sum(), U_FLOOR)
    return np.asarray(kept / kept.sum())


def count_vectors(
    engine: duckdb.DuckDBPyConnection,
    comparisons: Sequence[Comparison],
    compared: str,
    *,
    share: float,
    records: int,
) -> Vectors:
    """Count the distinct vectors of the table `compared`, which holds `share` of the blocked pairs."""
    columns = ", ".join(f"level_{item.name}" for item in comparisons)
    *levels, counts = (
        engine.execute(
            f"SELECT {columns}, count(*) AS pairs FROM {compared} GROUP BY {columns} ORDER BY {columns}"  # noqa: S608 - our names
        )
        .fetchnumpy()
        .values()
    )
    table = np.stack([np.asarray(column, dtype=np.int64) for column in levels], axis=1)
    return Vectors(table, np.asarray(counts, dtype=np.float64) / share, records)
