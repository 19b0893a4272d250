"""Estimate the model's parameters without labels, guarded against what EM gets wrong.

1. Splink samples random pairs: how often do records agree that have nothing to do with each other (u)?
2. Splink runs EM over blocks of several rules: a first estimate of agreement within a person (m).
3. Splink has compared the blocked pairs; three classes are fitted to the counts of their comparison vectors.
"""

from collections.abc import Sequence
from itertools import islice
from typing import Final

import duckdb
import numpy as np
import numpy.typing as npt
from splink import Linker
from splink.blocking_rule_library import block_on
from splink.internals.exceptions import EMTrainingException, SplinkException

from identity.comparisons import Comparison
from identity.latent_classes import FLOOR, PSEUDO_PAIRS, U_FLOOR, Classes, Vectors, fit, prior_m
from identity.model import FittedComparison, FittedLevel
from identity.profile import Profile
from identity.splink_bridge import estimated, linker

Floats = npt.NDArray[np.float64]

RANDOM_PAIRS: Final = 1_000_000
SESSION_PAIRS: Final = 200_000
LEAST_SESSION_PAIRS: Final = 200
MOST_SESSIONS: Final = 3

# EM sessions, the first that the records can fill: each trains what it does not block on. Never by address:
# there EM finds households, not people.
SESSIONS: Final = (
    ("first_name", "last_name"), ("birth_date", "last_name"), ("national_id",), ("birth_date", "first_name"),
    ("user_id",), ("loyalty_id",), ("birth_date", "postcode"), ("birth_date", "city"),
)  # fmt: skip


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
    trainer = linker(engine, comparisons)
    if profile.records > 2:
        trainer.training.estimate_u_using_random_sampling(
            max_pairs=RANDOM_PAIRS, seed=seed, num_chunks=1, min_count_per_level=None
        )
    shares = estimated(trainer, "u")
    u = [_smoothed(shares[item.name], profile.records) for item in comparisons]
    start = _first_m(engine, trainer, profile, comparisons)
    return fit(vectors, comparisons, u, start)


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


def _first_m(
    engine: duckdb.DuckDBPyConnection, trainer: Linker, profile: Profile, comparisons: Sequence[Comparison]
) -> list[Floats]:
    """Return Splink's m, floored; the prior where no session could train it."""
    sessions = (columns for columns in SESSIONS if profile.has(*columns) and _fills(engine, columns))
    try:
        # a session that fails leaves the linker unfit for the next one; the classes are fitted anyway
        for columns in islice(sessions, MOST_SESSIONS):
            trainer.training.estimate_parameters_using_expectation_maximisation(
                block_on(*columns), estimate_without_term_frequencies=True, max_pairs=SESSION_PAIRS
            )
    except (EMTrainingException, SplinkException, ValueError, ZeroDivisionError) as error:
        if _interrupted(error):
            raise
    trained = estimated(trainer, "m")
    found = []
    for item in comparisons:
        prior = prior_m(len(item.levels))
        m = trained.get(item.name, prior)
        share = np.maximum(np.where(np.isnan(m), prior, m), FLOOR)
        found.append(share / share.sum())
    return found


def _interrupted(error: BaseException) -> bool:
    """Whether the user stopped the session: the engine wraps the interrupt, and Splink wraps that."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, KeyboardInterrupt):
        cause = cause.__cause__ or cause.__context__
    return cause is not None


def _fills(engine: duckdb.DuckDBPyConnection, columns: Sequence[str]) -> bool:
    """Whether blocks of these columns hold enough pairs for a session."""
    row = engine.execute(
        _SESSION_SIZE.format(", ".join(columns), " AND ".join(f"{column} IS NOT NULL" for column in columns))
    ).fetchone()
    return row is not None and int(row[0] or 0) >= LEAST_SESSION_PAIRS


_SESSION_SIZE = """
SELECT sum(size * (size - 1) // 2)
FROM (SELECT count(*) AS size FROM records WHERE {1} GROUP BY {0})
"""


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
