"""Our model in Splink's terms: settings, a linker over the records, and what it estimated.

The only place that knows Splink's vocabulary. Splink 5 registers tables of the engine's connection; each
registration needs a name of its own.
"""

import logging
import math
from collections.abc import Sequence
from itertools import count
from typing import Any, Final

import duckdb
import numpy as np
import numpy.typing as npt
from splink import DuckDBAPI, Linker

from identity.comparisons import Comparison
from identity.model import FittedComparison, FittedLevel, Model
from identity.record_table import TABLE

_names: Final = count()


def linker(
    engine: duckdb.DuckDBPyConnection,
    comparisons: Sequence[Comparison] | Sequence[FittedComparison],
    *,
    prior: float = 1e-4,
    pairs: str | None = None,
    keep_levels: bool = False,
) -> Linker:
    """Return a Splink linker over the records; `prior` is the probability that two random ones match.

    With `pairs` (a table) it predicts exactly those. `keep_levels` keeps the level of each comparison.
    """
    logging.getLogger("splink").setLevel(logging.ERROR)
    api = DuckDBAPI(engine)
    found = Linker(
        api.register(TABLE, table_name=f"records_{next(_names)}"),
        settings(comparisons, prior=prior, keep_levels=keep_levels),
        log_level=None,  # it would log SQL and untrained levels, which are floored here
    )
    if pairs is not None:
        registered = api.register(pairs, table_name=f"pairs_{next(_names)}")
        found.table_management.register_blocked_pairs_for_predict(registered)
    return found


def settings(
    comparisons: Sequence[Comparison] | Sequence[FittedComparison], *, prior: float, keep_levels: bool
) -> dict[str, Any]:
    """Return Splink settings for these comparisons, fitted or not."""
    return {
        "link_type": "dedupe_only",
        "unique_id_column_name": "unique_id",
        "probability_two_random_records_match": prior,
        "comparisons": [_comparison(item) for item in comparisons],
        "blocking_rules_to_generate_predictions": [],
        "retain_matching_columns": keep_levels,
        "retain_intermediate_calculation_columns": not keep_levels,
        "max_iterations": 10,
        "em_convergence": 1e-3,
    }


def _comparison(item: Comparison | FittedComparison) -> dict[str, Any]:
    levels: list[dict[str, Any]] = [
        {"sql_condition": item.missing, "label_for_charts": "missing", "is_null_level": True}
    ]
    for level in item.levels:
        found: dict[str, Any] = {"sql_condition": level.condition, "label_for_charts": level.label}
        if level.frequency:
            # against the level's own u, as our scores have it, and not against the exact match's
            found |= {
                "tf_adjustment_column": level.frequency,
                "tf_adjustment_weight": 1.0,
                "disable_tf_exact_match_detection": True,
            }
        if isinstance(level, FittedLevel):
            found |= {"m_probability": level.m, "u_probability": level.u}
        levels.append(found)
    return {"output_column_name": item.name, "comparison_levels": levels}


def estimated(trained: Linker, which: str) -> dict[str, npt.NDArray[np.float64]]:
    """Return the `m` or `u` that Splink estimated, by comparison; NaN for a level it could not train."""
    saved = trained.misc.save_model_to_json()
    return {
        item["output_column_name"]: np.array(
            [
                value if isinstance(value := level.get(f"{which}_probability"), float) else np.nan
                for level in item["comparison_levels"]
                if not level.get("is_null_level")
            ]
        )
        for item in saved["comparisons"]
    }


def household_weight_sql(model: Model) -> str:
    """Return the weight of a predicted pair against a household, as SQL over Splink's prediction.

    Where the household class has its own h, the level is recognised by the weight that Splink gave it
    (`mw_` columns hold one constant a level); elsewhere h is u and Splink's weight holds as it is.
    """
    if model.household_prior is None:
        return "'infinity'::DOUBLE"
    terms = [f"({model.household_prior!r})::DOUBLE"]
    for item in model.comparisons:
        terms.append(_household_term(item))
        if item.kind == "person" and any(level.frequency for level in item.levels):
            terms.append(f"mw_tf_adj_{item.name}")
    return " + ".join(terms)


def _household_term(item: FittedComparison) -> str:
    if all(level.h == level.u for level in item.levels):
        return f"mw_{item.name}"
    cases = " ".join(
        f"WHEN abs(mw_{item.name} - ({math.log2(level.m / level.u)!r})) < 1e-9"
        f" THEN ({math.log2(level.m / level.h)!r})::DOUBLE"
        for level in item.levels
    )
    return f"(CASE {cases} ELSE 0.0 END)"
