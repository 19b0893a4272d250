"""The model as one SQL expression over a pair of records: the weight that the batch computes. Pure.

Splink computes the same sum from the same conditions and parameters; a test holds the two together.
"""

import math
from typing import Final

from identity.comparable import COLUMNS
from identity.comparison import SEVERAL
from identity.model import FittedComparison, FittedLevel, Model

COMBINED: Final = "least(unrelated, household) - log2(1 + pow(2.0, -abs(unrelated - household)))"
"""-log2(2 ** -unrelated + 2 ** -household), written so that nothing overflows: the smaller one dominates."""


def pair_terms_sql(model: Model, left: str, right: str) -> str:
    """Return a query of every pair of a row of `left` and one of `right`, with what its weight is made of.

    Both tables have the comparable columns and `tf_` columns (term frequencies); `right` has `position`, by
    which the answer is ordered. Columns: the weight, the sums against strangers and against a household
    (infinite if the model has no such class), and for each comparison, in the model's order, its level (-1:
    nothing to compare) and the bits that it adds to either sum.
    """
    terms = ",\n    ".join(
        f"level_{item.name}, ({_term_sql(model, item, against_household=False)})::DOUBLE,"
        f" ({_term_sql(model, item, against_household=True)})::DOUBLE"
        for item in model.comparisons
    )
    return f"""
SELECT round({COMBINED}, 6), unrelated, household, {terms}
FROM ({pair_sums_sql(model, _every_pair(left, right))})
ORDER BY position
"""  # noqa: S608 - columns of ours and numbers of the model


def levels_sql(model: Model, pairs: str, key: str) -> str:
    """Return a query of the columns `key` and of each comparison's level, `level_<name>`, and of no weights.

    `pairs` is a FROM clause of two rows `l` and `r` with the comparable columns.
    """
    return _levels_sql(model, pairs, key, frequencies=())


def pair_sums_sql(model: Model, pairs: str, key: str = "r.position") -> str:
    """Return a query of the columns `key` and of a weight's two parts, `unrelated` and `household`.

    `pairs` is a FROM clause of two rows `l` and `r` with the comparable columns and their `tf_` columns.
    """
    return sums_sql(model, f"({_levels_sql(model, pairs, key, model.frequency_columns())})")


def weighed_sql(model: Model, compared: str) -> str:
    """Return a query of `compared` (see `sums_sql`) with `weight`: the pairs from the review threshold on.

    A weight is never above its part against strangers, so that part alone rules many pairs out.
    """
    least = _number(model.review_threshold)
    near = f"SELECT *, {_unrelated_sql(model)} AS unrelated FROM {compared}"  # noqa: S608 - columns of ours
    return f"""
SELECT * EXCLUDE (unrelated, household) FROM (
    SELECT *, round({COMBINED}, 6) AS weight FROM (
    SELECT *, {_household_sql(model)} AS household FROM ({near}) WHERE unrelated >= {least} - 1e-6))
WHERE weight >= {least}
"""  # noqa: S608 - columns of ours and numbers of the model


def near_sql(model: Model, compared: str) -> str:
    """Return a query of those pairs of `compared` that reach the review threshold if their values are rare.

    `compared` has the levels alone; all pairs that `weighed_sql` returns are among them.
    """
    rarest = _sum_sql(model, model.prior, against_household=False, rarest=True)
    return f"SELECT * FROM {compared} WHERE {rarest} >= {_number(model.review_threshold)} - 1e-6"  # noqa: S608 - as above


def sums_sql(model: Model, compared: str) -> str:
    """Return a query of `compared` with a weight's two parts, `unrelated` and `household`.

    `compared` is a FROM clause with the level of each comparison (`level_<name>`) and `tf_<column>`, the term
    frequency of the more common of the two values.
    """
    # every part is a column of ours or a number of the model
    return f"""
    SELECT *, {_unrelated_sql(model)} AS unrelated, {_household_sql(model)} AS household FROM {compared}
"""  # noqa: S608 - as above


def _unrelated_sql(model: Model) -> str:
    return _sum_sql(model, model.prior, against_household=False)


def _household_sql(model: Model) -> str:
    if model.household_prior is None:
        return "'infinity'::DOUBLE"
    return _sum_sql(model, model.household_prior, against_household=True)


def _every_pair(left: str, right: str) -> str:
    return f"{left} AS l, {right} AS r"


def _levels_sql(model: Model, pairs: str, key: str, frequencies: tuple[str, ...]) -> str:
    sides = ",\n        ".join(
        [
            *(f"l.{name} AS {name}_l, r.{name} AS {name}_r" for name in (*COLUMNS, *SEVERAL.values())),
            *(f"greatest(l.tf_{name}, r.tf_{name}) AS tf_{name}" for name in frequencies),
        ]
    )
    levels = ",\n        ".join(_level_sql(item) for item in model.comparisons)
    return f"""
        SELECT *, {levels} FROM (
        SELECT {key}, {sides} FROM {pairs})"""  # noqa: S608 - columns of ours


def _level_sql(item: FittedComparison) -> str:
    cases = " ".join(
        f"WHEN {level.condition} THEN {number}"
        for number, level in enumerate(item.levels)
        if level.condition != "ELSE"
    )
    return f"CASE WHEN {item.missing} THEN -1 {cases} ELSE {len(item.levels) - 1} END AS level_{item.name}"


def _sum_sql(model: Model, prior: float, *, against_household: bool, rarest: bool = False) -> str:
    given = {"against_household": against_household, "rarest": rarest}
    return " + ".join([_number(prior), *(_term_sql(model, item, **given) for item in model.comparisons)])


def _term_sql(model: Model, item: FittedComparison, *, against_household: bool, rarest: bool = False) -> str:
    given = {"against_household": against_household, "rarest": rarest}
    cases = " ".join(
        f"WHEN {number} THEN {_weight_sql(model, item, level, **given)}"
        for number, level in enumerate(item.levels)
    )
    return f"CASE level_{item.name} {cases} ELSE 0.0::DOUBLE END"


def _weight_sql(
    model: Model, item: FittedComparison, level: FittedLevel, *, against_household: bool, rarest: bool
) -> str:
    weight = math.log2(level.m / (level.h if against_household else level.u))
    # what a household shares by its nature says nothing more for being rare
    if level.frequency is None or (against_household and item.kind == "household"):
        return _number(weight)
    if rarest:
        return _number(weight + max(0.0, math.log2(level.u * model.records)))
    others = others_frequency_sql(model, item, level.frequency)
    return f"{_number(weight)} + coalesce({_number(math.log2(level.u))} - log2({others}), 0.0)"


def others_frequency_sql(model: Model, item: FittedComparison, column: str) -> str:
    """Return the expression of a value's frequency among other people's records, from `tf_<column>`.

    Most records of a rare name are one person's own: as many as hold it on the average are taken off, down to
    one record. (Term frequencies skewed by duplicates: Splink issues 1992 and 2006.)
    """
    own = model.repeated() * item.repeats(column)
    return f"greatest(tf_{column} - {_number(own / model.records)}, {_number(1 / model.records)})"


def _number(value: float) -> str:
    """Return a literal of a float: bare digits are exact decimals to DuckDB, whose sums can overflow."""
    return f"({value!r})::DOUBLE"
