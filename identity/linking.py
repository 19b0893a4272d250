"""Batch: permitted records -> scored pairs, in one locked engine.

load -> profile -> block -> train (or take the given model) -> Splink predicts -> weigh against
households -> pairs above the review threshold. Same input and seed give the same pairs and weights on
any number of threads: samples are taken by hash, counts are whole numbers, weights are rounded.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final, TypeVar

import duckdb
import numpy as np
import pyarrow as pa
from splink.internals.splink_dataframe import SplinkDataFrame

from identity import blocking_rules, comparisons, training
from identity.blocking import Blocking, block
from identity.clustering import Pairs, tied
from identity.contacts import several_values
from identity.contradictions import Evidence
from identity.errors import NoModelError
from identity.household_pairs import household_pairs
from identity.model import MATCH_THRESHOLD, REVIEW_THRESHOLD, Model
from identity.profile import Profile
from identity.record_table import load
from identity.records import OpenedBatch
from identity.scoring_sql import COMBINED
from identity.splink_bridge import household_weight_sql, linker

T = TypeVar("T")

COMMON: Final = 20
"""Records that hold a value before its term frequency may be kept outside the run (as a keyed hash)."""


@dataclass(frozen=True, slots=True)
class LinkingReport:
    """What one run saw and did: counts and seconds, no values."""

    profile: Profile
    blocking: list[Blocking]
    compared_pairs: int
    trained: bool
    uncompared: tuple[str, ...] = ()  # comparisons the records would fill, but the model was made without
    seconds: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ScoredPairs:
    """Pairs at or above the review threshold, weights in bits rounded to 6 decimals, and their model."""

    model: Model
    pairs: Pairs
    report: LinkingReport
    households: Pairs | None = None  # see identity.household_pairs: no evidence for a person


def score(
    batches: Iterable[OpenedBatch],
    *,
    engine: duckdb.DuckDBPyConnection,
    model: Model | None,
    seed: int,
    on_frequency: Callable[[str, str, float], None] | None = None,
) -> ScoredPairs:
    """Score the permitted records' pairs with `model`, or with one trained on them.

    `on_frequency(column, value, frequency)` receives the term frequencies of common values and the
    values that belong to nobody in particular, for the online path: the caller keeps them as keyed hashes
    only. The engine's tables hold plaintext until the caller closes it.
    """
    seconds: dict[str, float] = {}
    profile = _timed(seconds, "load", lambda: load(engine, batches))
    chosen = comparisons.choose(profile)
    known = {item.name for item in (chosen if model is None else model.comparisons)}
    uncompared = tuple(item.name for item in chosen if item.name not in known)
    rules = blocking_rules.choose(profile) if model is None else model.rules
    blocking = _timed(seconds, "block", lambda: block(engine, rules, profile.records, "pairs"))
    (compared,) = engine.execute("SELECT count(*) FROM pairs").fetchone() or (0,)
    trained = model is None
    if model is None:
        model = _timed(seconds, "train", lambda: _train(engine, chosen, rules, profile, seed))
    ready = model
    predicted = _timed(seconds, "predict", lambda: _predict(engine, ready, "pairs", ready.review_threshold))
    pairs = _timed(seconds, "weigh", lambda: _weighed(engine, ready, predicted))
    evidence = _timed(seconds, "contradictions", lambda: _evidence(engine, ready, pairs, predicted))
    pairs = replace(pairs, evidence=evidence)
    households = _timed(seconds, "households", lambda: household_pairs(engine, ready))
    if on_frequency is not None:
        for column, value, frequency in common_frequencies(engine, model):
            on_frequency(column, value, frequency)
    report = LinkingReport(profile, blocking, int(compared), trained, uncompared, seconds)
    return ScoredPairs(model, pairs, report, households)


def _timed(seconds: dict[str, float], step: str, work: Callable[[], T]) -> T:
    started = time.perf_counter()
    result = work()
    seconds[step] = round(time.perf_counter() - started, 3)
    return result


def _train(
    engine: duckdb.DuckDBPyConnection,
    chosen: tuple[comparisons.Comparison, ...],
    rules: tuple[blocking_rules.Rule, ...],
    profile: Profile,
    seed: int,
) -> Model:
    if not chosen or profile.records < 2:
        raise NoModelError("nothing to train on: the records hold no two values that could be compared")
    classes = training.train(engine, chosen, profile, "pairs", seed=seed)
    fitted = training.fitted(chosen, classes)
    has_households = classes.household_rate > 0
    model = Model(
        comparisons=fitted,
        rules=rules,
        prior=_bits(classes.person_rate, 1 - classes.person_rate),
        household_prior=_bits(classes.person_rate, classes.household_rate) if has_households else None,
        threshold=MATCH_THRESHOLD,
        review_threshold=REVIEW_THRESHOLD,
        rare_frequencies={},
        records=profile.records,
        seed=seed,
    )
    rare = {column: _rare_frequency(engine, column) for column in model.frequency_columns()}
    return replace(model, rare_frequencies=rare)


def _bits(numerator: float, denominator: float) -> float:
    return round(math.log2(numerator / denominator), 9)


def _predict(
    engine: duckdb.DuckDBPyConnection, model: Model, pairs: str, threshold: float | None = None
) -> SplinkDataFrame:
    """Let Splink score the pairs of a table, and keep those at or above `threshold`.

    Splink's weight, against strangers, bounds ours from above, so its threshold drops nothing we need.
    """
    predictor = linker(engine, model.comparisons, prior=1 / (1 + 2**-model.prior), pairs=pairs)
    return predictor.inference.predict(threshold_match_weight=threshold, warning_mode="never")


def _weighed(engine: duckdb.DuckDBPyConnection, model: Model, predicted: SplinkDataFrame) -> Pairs:
    """Return the pairs at or above the review threshold, weighed against households too."""
    found = engine.execute(
        f"""
SELECT record_a, record_b, weight FROM (
    SELECT record_a, record_b, round({COMBINED}, 6) AS weight FROM (
        SELECT unique_id_l AS record_a, unique_id_r AS record_b, match_weight AS unrelated,
            {household_weight_sql(model)} AS household
        FROM {predicted.physical_name}))
WHERE weight >= ? ORDER BY record_a, record_b""",  # noqa: S608 - made of the model's numbers
        [model.review_threshold],
    ).fetchnumpy()
    return Pairs(found["record_a"], found["record_b"], found["weight"])


def _evidence(
    engine: duckdb.DuckDBPyConnection, model: Model, pairs: Pairs, predicted: SplinkDataFrame
) -> Evidence:
    """Return what each comparison says of what links tie together, blocked or not.

    Most of these pairs were predicted already; Splink compares the others now.
    """
    record_a, record_b = tied(pairs, model.threshold)
    engine.register("tied", pa.table({"a": record_a, "b": record_b}))
    engine.execute(_NEWLY_TIED.format(predicted.physical_name))
    compared = _predict(engine, model, "newly_tied")
    bits = ", ".join(f"mw_{item.name}::FLOAT" for item in model.comparisons)
    found = engine.execute(
        _BITS.format(bits=bits, known=predicted.physical_name, new=compared.physical_name)
    ).fetchnumpy()
    for table in (predicted, compared):
        table.drop_table_from_database_and_remove_from_cache()
    engine.unregister("tied")
    engine.execute("DROP TABLE newly_tied")
    first, second, *columns = found.values()
    return Evidence(first, second, np.stack([np.asarray(column) for column in columns], axis=1))


_NEWLY_TIED = """
CREATE OR REPLACE TABLE newly_tied AS
SELECT '0' AS match_key, a AS join_key_l, b AS join_key_r
FROM tied ANTI JOIN {0} ON unique_id_l = a AND unique_id_r = b
"""

_BITS = """
SELECT unique_id_l, unique_id_r, {bits}
FROM {known} SEMI JOIN tied ON unique_id_l = a AND unique_id_r = b
UNION ALL
SELECT unique_id_l, unique_id_r, {bits} FROM {new}
ORDER BY 1, 2
"""


_RARE = """
SELECT sum(share * share) / sum(share) FROM (
    SELECT count(*) / (SELECT count({0}) FROM records) AS share, count(*) AS holders
    FROM records WHERE {0} IS NOT NULL GROUP BY {0}
) WHERE holders < ?
"""

_COMMON = """
SELECT {0}, count(*) / (SELECT count({0}) FROM records) AS frequency
FROM records WHERE {0} IS NOT NULL GROUP BY {0} HAVING count(*) >= ? ORDER BY {0}
"""

_SHARED = """
SELECT column_name, value, holders / (SELECT count(*) FROM records) FROM shared_values ORDER BY 1, 2
"""


def _rare_frequency(engine: duckdb.DuckDBPyConnection, column: str) -> float:
    """Return the term frequency that an average record with a rare value has."""
    (share,) = engine.execute(_RARE.format(column), [COMMON]).fetchone() or (None,)
    return round(float(share), 12) if share else COMMON / 2


def common_frequencies(engine: duckdb.DuckDBPyConnection, model: Model) -> Iterator[tuple[str, str, float]]:
    """Yield (column, value, frequency) of values held by at least COMMON records, and of shared contacts."""
    for column in model.frequency_columns():
        for value, frequency in engine.execute(_COMMON.format(column), [COMMON]).fetchall():
            yield column, value, frequency
    yield from engine.execute(_SHARED).fetchall()
    yield from several_values(engine)
