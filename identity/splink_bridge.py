"""Our model in Splink's terms: settings, a linker over the records, what it estimated, what it compared.

The only place that knows Splink's vocabulary. Splink 5 registers tables of the engine's connection; each
registration needs a name of its own.
"""

import logging
from collections.abc import Sequence
from itertools import count
from typing import Any, Final

import duckdb
import numpy as np
import numpy.typing as npt
from splink import DuckDBAPI, Linker
from splink.internals.comparison_vector_values import compute_comparison_vector_values_from_id_pairs_sqls
from splink.internals.duckdb.pruned_prediction import (
    _enqueue_pruned_inputs_with_tf,
    _materialise_pruned_predict_input,
)
from splink.internals.pipeline import CTEPipeline

from identity.comparisons import Comparison
from identity.model import FittedComparison, FittedLevel
from identity.record_table import TABLE

_names: Final = count()


def linker(
    engine: duckdb.DuckDBPyConnection,
    comparisons: Sequence[Comparison] | Sequence[FittedComparison],
    *,
    prior: float = 1e-4,
    frequencies: bool = True,
) -> Linker:
    """Return a Splink linker over the records; `prior` is the probability that two random ones match.

    Without `frequencies` it knows nothing of how common values are.
    """
    logging.getLogger("splink").setLevel(logging.ERROR)
    return Linker(
        DuckDBAPI(engine).register(TABLE, table_name=f"records_{next(_names)}"),
        settings(comparisons, prior=prior, frequencies=frequencies),
        log_level=None,  # it would log SQL and untrained levels, which are floored here
        validate_settings=False,  # they are ours; parsing every condition anew takes half a second
    )


def compare(
    engine: duckdb.DuckDBPyConnection,
    comparisons: Sequence[Comparison] | Sequence[FittedComparison],
    pairs: str,
    keep: str = "SELECT * FROM {0}",
) -> str:
    """Let Splink compare the pairs of a table; return the name of the table that says how they compare.

    Its columns: `record_a` and `record_b`; for each comparison `level_<name>`, 0 the strongest, -1 nothing
    to compare. `keep` is a query over it (`{0}`), whose result is kept in its stead. The caller drops the
    table. How common the values are is looked up later, of the few pairs that come near the threshold
    (`identity.frequencies`): carried along with every pair it takes a fifth of the time.
    """
    linked = linker(engine, comparisons, frequencies=False)
    settings = linked._settings_obj  # noqa: SLF001 - predict() would weigh, and forget the levels
    blocked = linked._db_api.register(pairs, table_name=f"pairs_{next(_names)}")  # noqa: SLF001 - its only engine
    blocked.templated_name = "__splink__blocked_id_pairs"
    left = _materialise_pruned_predict_input(linked, blocked, "l")
    right = _materialise_pruned_predict_input(linked, blocked, "r")
    try:
        pipeline = CTEPipeline([blocked, left, right])
        name_l, name_r = _enqueue_pruned_inputs_with_tf(linked, pipeline, left, right)
        pipeline.enqueue_list_of_sqls(
            compute_comparison_vector_values_from_id_pairs_sqls(
                settings._columns_to_select_for_blocking,  # noqa: SLF001 - as predict() calls it
                settings._columns_to_select_for_comparison_vector_values,  # noqa: SLF001 - as predict() calls it
                input_tablename_l=name_l,
                input_tablename_r=name_r,
                source_dataset_input_column=None,
                unique_id_input_column=settings.column_info_settings.unique_id_input_column,
                link_type="dedupe_only",
                sql_dialect_str="duckdb",
            )
        )
        pipeline.enqueue_sql(_levels_sql(comparisons, "__splink__df_comparison_vectors"), "aurea_levels")
        pipeline.enqueue_sql(keep.format("aurea_levels"), "aurea_compared")
        found = linked._db_api.sql_pipeline_to_splink_dataframe(pipeline)  # noqa: SLF001 - as predict() calls it
    finally:
        for table in (left, right):
            table.drop_table_from_database_and_remove_from_cache()
    return str(found.physical_name)


def _levels_sql(comparisons: Sequence[Comparison] | Sequence[FittedComparison], vectors: str) -> str:
    """Return the levels in our numbering: Splink counts from the weakest level up."""
    levels = ", ".join(
        f"(CASE WHEN gamma_{item.name} < 0 THEN -1 ELSE {len(item.levels) - 1} - gamma_{item.name} END)"
        f"::TINYINT AS level_{item.name}"
        for item in comparisons
    )
    return f"SELECT unique_id_l AS record_a, unique_id_r AS record_b, {levels} FROM {vectors}"  # noqa: S608 - names of ours


def settings(
    comparisons: Sequence[Comparison] | Sequence[FittedComparison], *, prior: float, frequencies: bool = True
) -> dict[str, Any]:
    """Return Splink settings for these comparisons, fitted or not."""
    return {
        "link_type": "dedupe_only",
        "unique_id_column_name": "unique_id",
        "probability_two_random_records_match": prior,
        "comparisons": [_comparison(item, frequencies=frequencies) for item in comparisons],
        "blocking_rules_to_generate_predictions": [],
        "retain_matching_columns": False,
        "retain_intermediate_calculation_columns": False,
        "max_iterations": 10,
        "em_convergence": 1e-3,
    }


def _comparison(item: Comparison | FittedComparison, *, frequencies: bool) -> dict[str, Any]:
    levels: list[dict[str, Any]] = [
        {"sql_condition": item.missing, "label_for_charts": "missing", "is_null_level": True}
    ]
    for level in item.levels:
        found: dict[str, Any] = {"sql_condition": level.condition, "label_for_charts": level.label}
        if level.frequency and frequencies:
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
