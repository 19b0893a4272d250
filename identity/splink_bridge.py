"""Our model in Splink's terms: settings, a linker over the records, what it compared.

The only place that knows Splink's vocabulary. Splink 5 registers tables of the engine's connection; each
registration needs a name of its own.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any, Final, Protocol, runtime_checkable

from splink import DuckDBAPI, Linker
from splink.internals.comparison_vector_values import compute_comparison_vector_values_from_id_pairs_sqls
from splink.internals.duckdb.pruned_prediction import (
    _enqueue_pruned_inputs_with_tf,
    _materialise_pruned_predict_input,
)
from splink.internals.pipeline import CTEPipeline
from splink.internals.splink_dataframe import SplinkDataFrame
from splink.internals.vertically_concatenate import vertically_concatenate_sql

from identity.comparisons import Comparison
from identity.engine import Engine
from identity.model import FittedComparison, FittedLevel
from identity.record_table import TABLE

_names: Final = count()


@dataclass(frozen=True, slots=True)
class Backend:
    """How Splink works with an engine: its API, our conditions in its dialect, and `kept`.

    `kept` is told the name of a table that Splink made and that will be read more than once.
    """

    api: Any
    condition: Callable[[str], str] = str
    kept: Callable[[str], object] = str


@runtime_checkable
class HasBackend(Protocol):
    """An engine that brings its own; DuckDB's connection needs nothing but Splink's."""

    def backend(self) -> Backend:
        """Return how Splink works with this engine."""
        ...


def backend_of(engine: Engine) -> Backend:
    """Return how Splink works with `engine`."""
    return engine.backend() if isinstance(engine, HasBackend) else Backend(DuckDBAPI(engine))  # type: ignore[arg-type]  # DuckDB's connection


def linker(
    engine: Engine,
    comparisons: Sequence[Comparison] | Sequence[FittedComparison],
    *,
    prior: float = 1e-4,
    frequencies: bool = True,
) -> Linker:
    """Return a Splink linker over the records; `prior` is the probability that two random ones match.

    Without `frequencies` it knows nothing of how common values are.
    """
    logging.getLogger("splink").setLevel(logging.ERROR)
    splink = backend_of(engine)
    return Linker(
        splink.api.register(TABLE, table_name=f"records_{next(_names)}"),
        settings(comparisons, prior=prior, frequencies=frequencies, condition=splink.condition),
        log_level=None,  # it would log SQL and untrained levels, which are floored here
        validate_settings=False,  # they are ours; parsing every condition anew takes half a second
    )


def compare(
    engine: Engine,
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
    splink = backend_of(engine)
    linked = linker(engine, comparisons, frequencies=False)
    settings = linked._settings_obj  # noqa: SLF001 - predict() would weigh, and forget the levels
    blocked = linked._db_api.register(pairs, table_name=f"pairs_{next(_names)}")  # noqa: SLF001 - its only engine
    blocked.templated_name = "__splink__blocked_id_pairs"
    with _sides(linked, blocked) as (pipeline, left, right):
        pipeline.enqueue_list_of_sqls(
            compute_comparison_vector_values_from_id_pairs_sqls(
                settings._columns_to_select_for_blocking,  # noqa: SLF001 - as predict() calls it
                settings._columns_to_select_for_comparison_vector_values,  # noqa: SLF001 - as predict() calls it
                input_tablename_l=left,
                input_tablename_r=right,
                source_dataset_input_column=None,
                unique_id_input_column=settings.column_info_settings.unique_id_input_column,
                link_type="dedupe_only",
                sql_dialect_str=linked._sql_dialect_str,  # noqa: SLF001 - as predict() calls it
            )
        )
        pipeline.enqueue_sql(_levels_sql(comparisons, "__splink__df_comparison_vectors"), "aurea_levels")
        pipeline.enqueue_sql(keep.format("aurea_levels"), "aurea_compared")
        found = linked._db_api.sql_pipeline_to_splink_dataframe(pipeline)  # noqa: SLF001 - as predict() calls it
        splink.kept(found.physical_name)
    return str(found.physical_name)


@contextmanager
def _sides(linked: Linker, blocked: SplinkDataFrame) -> Iterator[tuple[CTEPipeline, str, str]]:
    """Yield a pipeline that knows the pairs, and what it calls the records on their two sides.

    DuckDB joins the records that are in some pair, and those alone; Spark's planner does as well without.
    """
    if linked._sql_dialect_str != "duckdb":  # noqa: SLF001 - as predict() asks it
        pipeline = CTEPipeline([blocked])
        records = vertically_concatenate_sql(linked._input_tables_dict, None)  # noqa: SLF001 - as predict() calls it
        pipeline.enqueue_sql(records, "aurea_records")
        yield pipeline, "aurea_records", "aurea_records"
        return
    left = _materialise_pruned_predict_input(linked, blocked, "l")
    right = _materialise_pruned_predict_input(linked, blocked, "r")
    try:
        pipeline = CTEPipeline([blocked, left, right])
        yield pipeline, *_enqueue_pruned_inputs_with_tf(linked, pipeline, left, right)
    finally:
        for table in (left, right):
            table.drop_table_from_database_and_remove_from_cache()


def _levels_sql(comparisons: Sequence[Comparison] | Sequence[FittedComparison], vectors: str) -> str:
    """Return the levels in our numbering: Splink counts from the weakest level up."""
    levels = ", ".join(
        f"CAST(CASE WHEN gamma_{item.name} < 0 THEN -1 ELSE {len(item.levels) - 1} - gamma_{item.name} END"
        f" AS TINYINT) AS level_{item.name}"
        for item in comparisons
    )
    return f"SELECT unique_id_l AS record_a, unique_id_r AS record_b, {levels} FROM {vectors}"  # noqa: S608 - names of ours


def settings(
    comparisons: Sequence[Comparison] | Sequence[FittedComparison],
    *,
    prior: float,
    frequencies: bool = True,
    condition: Callable[[str], str] = str,
) -> dict[str, Any]:
    """Return Splink settings for these comparisons, fitted or not; `condition` puts SQL in its dialect."""
    return {
        "link_type": "dedupe_only",
        "unique_id_column_name": "unique_id",
        "probability_two_random_records_match": prior,
        "comparisons": [
            _comparison(item, frequencies=frequencies, condition=condition) for item in comparisons
        ],
        "blocking_rules_to_generate_predictions": [],
        "retain_matching_columns": False,
        "retain_intermediate_calculation_columns": False,
    }


def _comparison(
    item: Comparison | FittedComparison, *, frequencies: bool, condition: Callable[[str], str]
) -> dict[str, Any]:
    levels: list[dict[str, Any]] = [
        {"sql_condition": condition(item.missing), "label_for_charts": "missing", "is_null_level": True}
    ]
    for level in item.levels:
        given = level.condition if level.condition == "ELSE" else condition(level.condition)
        found: dict[str, Any] = {"sql_condition": given, "label_for_charts": level.label}
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
