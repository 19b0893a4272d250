"""Batch: permitted records -> scored pairs, in one locked engine.

load -> profile -> block -> Splink compares -> train (or take the given model) -> weigh against strangers and
households -> pairs above the review threshold. Same input and seed give the same pairs and weights on
any number of threads: samples are taken by hash, counts are whole numbers, weights are rounded.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final, ParamSpec, TypeVar

import pyarrow as pa

from identity import blocking_rules, comparisons, learning
from identity.blocking import Blocking, block
from identity.clustering import Pairs, tied
from identity.contacts import several_values
from identity.contradictions import Evidence, evidence_of
from identity.engine import Engine
from identity.frequencies import COMMON, count_frequencies, with_frequencies
from identity.frequencies import TABLE as FREQUENCIES
from identity.model import Model
from identity.profile import Profile
from identity.record_table import load
from identity.records import OpenedBatch
from identity.sampling import picked_sql
from identity.scoring_sql import levels_sql, near_sql, weighed_sql
from identity.splink_bridge import compare

BLOCKED_HEARD: Final = 50
"""Blocked pairs a record that the guard hears of a possible cluster too large to compare every pair of."""

T = TypeVar("T")
P = ParamSpec("P")


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


def score(
    batches: Iterable[OpenedBatch],
    *,
    engine: Engine,
    model: Model | None,
    seed: int,
    on_frequency: Callable[[str, str, float], None] | None = None,
) -> ScoredPairs:
    """Score the permitted records' pairs with `model`, or with one trained on them.

    `on_frequency(column, value, frequency)` receives the term frequencies of common values and the
    values that belong to nobody in particular, for the online path: the caller keeps them as keyed hashes
    only. The engine's tables hold plaintext until the caller closes it.
    """
    timed = _Steps()
    profile = timed("load", load, engine, batches)
    chosen = comparisons.choose(profile)
    known = {item.name for item in (chosen if model is None else model.comparisons)}
    uncompared = tuple(item.name for item in chosen if item.name not in known)
    rules = blocking_rules.choose(profile) if model is None else model.rules
    blocking = timed("block", block, engine, rules, profile.records, "pairs")
    (pair_count,) = engine.execute("SELECT count(*) FROM pairs").fetchone() or (0,)
    trained = model is None
    levels = None
    if model is None:
        sample = timed("compare", learning.compared, engine, chosen, int(pair_count), seed)
        model = timed("train", learning.learn, engine, chosen, rules, profile, sample, seed=seed)
        levels = sample.table if sample.is_all else None
    if levels is None:
        near = near_sql(model, "{0}")
        levels = timed("compare all", compare, engine, model.comparisons, "pairs", near)
    pairs = timed("weigh", _weighed, engine, model, levels)
    evidence = timed("contradictions", _evidence, engine, model, pairs, levels)
    if on_frequency is not None:
        for column, value, frequency in common_frequencies(engine, model):
            on_frequency(column, value, frequency)
    report = LinkingReport(profile, blocking, int(pair_count), trained, uncompared, timed.seconds)
    return ScoredPairs(model, replace(pairs, evidence=evidence), report)


class _Steps:
    """Does one step after another and notes how long each took."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def __call__(self, step: str, work: Callable[P, T], *given: P.args, **named: P.kwargs) -> T:
        started = time.perf_counter()
        result = work(*given, **named)
        self.seconds[step] = round(time.perf_counter() - started, 3)
        return result


def _weighed(engine: Engine, model: Model, compared: str) -> Pairs:
    """Return the pairs at or above the review threshold, weighed against strangers and households."""
    count_frequencies(engine, model)
    near = with_frequencies(model, f"({near_sql(model, compared)})")
    found = engine.execute(
        f"SELECT record_a, record_b, weight FROM ({weighed_sql(model, near)}) ORDER BY record_a, record_b"  # noqa: S608 - made of the model's numbers
    ).fetchnumpy()
    engine.execute(f"DROP TABLE {FREQUENCIES}")
    return Pairs(found["record_a"], found["record_b"], found["weight"])


def _evidence(engine: Engine, model: Model, pairs: Pairs, compared: str) -> Evidence:
    """Return what each comparison says of what links tie together, blocked or not.

    Most of these pairs were compared already; the others are now, by the same conditions. Drops `compared`.
    """
    _tie(engine, pairs, model.threshold)
    engine.execute(_NEWLY_TIED.format(compared))
    newly = levels_sql(model, _NEWLY_TIED_RECORDS, "a AS record_a, b AS record_b")
    levels = ", ".join(f"level_{item.name}" for item in model.comparisons)
    found = engine.execute(_LEVELS.format(levels=levels, known=compared, new=newly)).fetchnumpy()
    for table in ("tied", "newly_tied", compared):
        engine.execute(f"DROP TABLE {table}")
    first, second, *columns = found.values()
    return evidence_of(model, first, second, columns)


def _tie(engine: Engine, pairs: Pairs, threshold: float) -> None:
    """Fill the table `tied` with the pairs that the guard has to know of.

    Of large ties, where not every pair can be compared, blocked pairs are heard too, near or not: they are
    those who share something, and so may be two of one family.
    """
    found = tied(pairs, threshold)
    engine.register("ties", pa.table({"a": found.record_a, "b": found.record_b}))
    engine.execute("CREATE OR REPLACE TABLE tied AS FROM ties")
    engine.unregister("ties")
    if len(found.large):
        engine.register("large", pa.table({"record": found.large}))
        (blocked,) = engine.execute(_COUNT_BLOCKED).fetchone() or (0,)
        share = min(1.0, BLOCKED_HEARD * len(found.large) / max(int(blocked), 1))
        picked = picked_sql("join_key_l", "join_key_r", share=share, seed=0)
        engine.execute(_TIE_BLOCKED.format(picked))
        engine.unregister("large")


_BLOCKED_TIES = """
FROM pairs SEMI JOIN large AS l ON l.record = join_key_l SEMI JOIN large AS r ON r.record = join_key_r
"""

_COUNT_BLOCKED = f"SELECT count(*) {_BLOCKED_TIES}"

_TIE_BLOCKED = f"""
INSERT INTO tied
SELECT join_key_l, join_key_r FROM (SELECT join_key_l, join_key_r {_BLOCKED_TIES} WHERE {{0}})
ANTI JOIN tied ON a = join_key_l AND b = join_key_r
"""  # noqa: S608 - a constant of our own

_NEWLY_TIED = """
CREATE OR REPLACE TABLE newly_tied AS
SELECT a, b FROM tied ANTI JOIN {0} ON record_a = a AND record_b = b
"""

_NEWLY_TIED_RECORDS: Final = """
newly_tied JOIN records AS l ON l.unique_id = a JOIN records AS r ON r.unique_id = b
"""

_LEVELS = """
SELECT record_a, record_b, {levels}
FROM {known} SEMI JOIN tied ON record_a = a AND record_b = b
UNION ALL
SELECT record_a, record_b, {levels} FROM ({new})
ORDER BY 1, 2
"""

_COMMON = """
SELECT {0}, count(*) / (SELECT count({0}) FROM records) AS frequency
FROM records WHERE {0} IS NOT NULL GROUP BY {0} HAVING count(*) >= ? ORDER BY {0}
"""

_SHARED = """
SELECT column_name, value, holders / (SELECT count(*) FROM records) FROM shared_values ORDER BY 1, 2
"""


def common_frequencies(engine: Engine, model: Model) -> Iterator[tuple[str, str, float]]:
    """Yield (column, value, frequency) of values held by at least COMMON records, and of shared contacts."""
    for column in model.frequency_columns():
        for value, frequency in engine.execute(_COMMON.format(column), [COMMON]).fetchall():
            yield column, value, frequency
    yield from engine.execute(_SHARED).fetchall()
    yield from several_values(engine)
