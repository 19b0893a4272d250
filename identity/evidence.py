"""The figures behind a pair's match weight, from the same conditions and parameters that score it.

Two records at a time, in a locked engine of their own that holds them during the call only.
"""

import math
from collections.abc import Sequence
from typing import Any

from identity.blocking import block
from identity.comparable import COLUMNS, Comparable
from identity.engine import open_engine
from identity.explanation import Step, Waterfall, waterfall
from identity.matching import OnlineScorer
from identity.model import FittedComparison, Model
from identity.scoring_sql import pair_terms_sql

_MEMORY = "256MB"

_AS_RECORDS = "CREATE TABLE records AS SELECT position AS unique_id, * EXCLUDE (position) FROM pair"


def explain_weights(scorer: OnlineScorer, pairs: Sequence[tuple[Comparable, Comparable]]) -> list[Waterfall]:
    """Return what makes the match weight of each of `pairs`, in their order."""
    sql = pair_terms_sql(scorer.model, "one", "other")
    engine = open_engine(threads=1, memory_limit=_MEMORY)
    try:
        rows = []
        for one, other in pairs:
            engine.register("one", scorer.table([one]))
            engine.register("other", scorer.table([other]))
            rows += engine.execute(sql).fetchall()
    finally:
        engine.close()
    return [_waterfall(scorer.model, row) for row in rows]


def explain_between(
    scorer: OnlineScorer, ones: Sequence[Comparable], others: Sequence[Comparable]
) -> list[Waterfall]:
    """Return what makes the match weight of every one of `ones` with every one of `others`, in no order."""
    engine = open_engine(threads=1, memory_limit=_MEMORY)
    try:
        engine.register("one", scorer.table(ones))
        engine.register("other", scorer.table(others))
        rows = engine.execute(pair_terms_sql(scorer.model, "one", "other")).fetchall()
    finally:
        engine.close()
    return [_waterfall(scorer.model, row) for row in rows]


def meeting_rules(scorer: OnlineScorer, record: Comparable, other: Comparable) -> tuple[str, ...]:
    """Return the model's blocking rules that bring the two together.

    A run may still have dropped the block in which they met, as too large to compare.
    """
    engine = open_engine(threads=1, memory_limit=_MEMORY)
    try:
        engine.register("pair", scorer.table([record, other]))
        engine.execute(_AS_RECORDS)
        report = block(engine, scorer.model.rules, 2, "pairs")
    finally:
        engine.close()
    return tuple(rule.rule for rule in report if rule.pairs)


def set_aside(scorer: OnlineScorer, record: Comparable, other: Comparable) -> tuple[str, ...]:
    """Return the columns that both records fill, in one of them with a value that is nobody's own.

    Such a value (a placeholder, a call centre's number) is taken away before anything is compared.
    """
    rows = scorer.table([record, other]).to_pylist()
    return tuple(
        column
        for column in COLUMNS
        if record.values(column)
        and other.values(column)
        and any(
            _count(row[column]) < len(one.values(column))
            for one, row in zip((record, other), rows, strict=True)
        )
    )


def _count(value: str | list[str] | None) -> int:
    if value is None:
        return 0
    return 1 if isinstance(value, str) else len(value)


def _waterfall(model: Model, row: tuple[Any, ...]) -> Waterfall:
    weight, strangers, household, *terms = row
    has_households = math.isfinite(household)
    steps = [
        _step(item, *term, has_households=has_households)
        for item, *term in zip(model.comparisons, terms[0::3], terms[1::3], terms[2::3], strict=True)
    ]
    return waterfall(
        (model.prior, model.household_prior),
        steps,
        (strangers, household if has_households else None),
        weight,
    )


def _step(
    item: FittedComparison, level: int, strangers: float, household: float, *, has_households: bool
) -> Step:
    against = household if has_households else None
    if level < 0:
        return Step(item.name, None, 0.0, 0.0, None if against is None else 0.0)
    fitted = item.levels[level]
    frequency = strangers - math.log2(fitted.m / fitted.u) if fitted.frequency is not None else 0.0
    return Step(item.name, fitted.label, strangers, frequency, against)
