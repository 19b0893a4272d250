"""Estimate the model's parameters without labels, guarded against what EM gets wrong.

1. Random pairs: how often do records agree that have nothing to do with each other (u)?
2. Blocked pairs: three classes are fitted to the counts of their comparison vectors.

Splink compares both. Which random pairs is settled here and not by Splink, whose sample would be another one
in every engine.

The fit needs no parameters of Splink's EM to start from: on every labelled set it comes to the same golden
IDs without them, and so there are no training sessions that could fail half-way.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from identity.comparisons import Comparison
from identity.engine import Engine
from identity.latent_classes import PSEUDO_PAIRS, U_FLOOR, Classes, Vectors, fit
from identity.model import FittedComparison, FittedLevel
from identity.profile import Profile
from identity.sampling import random_pairs
from identity.splink_bridge import compare

Floats = npt.NDArray[np.float64]

RANDOM_PAIRS: Final = 1_000_000


def train(
    engine: Engine,
    comparisons: Sequence[Comparison],
    profile: Profile,
    vectors: Vectors,
    *,
    seed: int,
) -> Classes:
    """Return the fitted classes for `comparisons` over the blocked pairs that `vectors` counts.

    Every level ends up with an m of at least FLOOR and a u of at least about U_FLOOR, seen or not.
    """
    drawn = _random_vectors(engine, comparisons, profile.records, seed)
    u = [_smoothed(drawn.seen(j, len(item.levels)), profile.records) for j, item in enumerate(comparisons)]
    return fit(vectors, comparisons, u)


def _random_vectors(engine: Engine, comparisons: Sequence[Comparison], records: int, seed: int) -> Vectors:
    """Return the vectors of random pairs of records."""
    numbers = engine.execute("SELECT unique_id FROM records ORDER BY unique_id").fetchnumpy()["unique_id"]
    one, other = random_pairs(numbers, RANDOM_PAIRS, seed)
    engine.register("drawn", pa.table({"join_key_l": one, "join_key_r": other}))
    engine.execute("CREATE OR REPLACE TABLE random_pairs AS SELECT '0' AS match_key, * FROM drawn")
    engine.unregister("drawn")
    table = compare(engine, comparisons, "random_pairs")
    found = count_vectors(engine, comparisons, table, share=1.0, records=records)
    engine.execute(f"DROP TABLE {table}")
    engine.execute("DROP TABLE random_pairs")
    return found


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


def _smoothed(counts: Floats, records: int) -> Floats:
    """Return level shares among random pairs; levels not seen get what a few pseudo pairs allow."""
    pairs = min(records * (records - 1) / 2, RANDOM_PAIRS)
    unrelated = np.array([0.01, *[0.01] * (len(counts) - 2), 1 - 0.01 * (len(counts) - 1)])
    if not counts.any():
        return unrelated
    seen = counts / counts.sum() * pairs + PSEUDO_PAIRS * unrelated * (pairs < 1000)
    kept = np.maximum(seen / seen.sum(), U_FLOOR)
    return np.asarray(kept / kept.sum())


def count_vectors(
    engine: Engine,
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
