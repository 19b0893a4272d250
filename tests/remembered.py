"""What the runs of the tests would work out again and again, worked out once in a test process.

A run on a small home takes a second, and half of it depends on little: the planted people on the model and
on which columns are filled, Splink's charts on the model, its reading of a condition on the condition. Each
is done by the real code the first time, and its result kept by everything that it depends on.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import sqlglot
from splink.internals.comparison_level import ComparisonLevel

from identity import report_page, scoring
from identity.canaries import CanaryFigures, Shape
from identity.model import Model
from identity.report_charts import Figure


def remember(patch: pytest.MonkeyPatch) -> None:
    """Keep results from now on, until `patch` is undone."""
    patch.setattr(scoring, "measure", _measured(scoring.measure))
    patch.setattr(report_page, "_model_figures", _drawn(report_page._model_figures))
    patch.setattr(ComparisonLevel, "_validate_sql", _read)


def _measured(
    measure: Callable[[Model, list[Shape]], CanaryFigures | None],
) -> Callable[[Model, list[Shape]], CanaryFigures | None]:
    kept: dict[tuple[str, tuple[Shape, ...]], CanaryFigures | None] = {}

    def measured(model: Model, shapes: list[Shape]) -> CanaryFigures | None:
        by = model.to_json(), tuple(shapes)
        if by not in kept:
            kept[by] = measure(model, shapes)
        return kept[by]

    return measured


def _drawn(draw: Callable[[Model], list[Figure]]) -> Callable[[Model], list[Figure]]:
    kept: dict[str, list[Figure]] = {}

    def drawn(model: Model) -> list[Figure]:
        by = model.to_json()
        if by not in kept:
            kept[by] = draw(model)
        return kept[by]

    return drawn


@cache
def _parsed(condition: str, dialect: str) -> None:
    try:
        sqlglot.parse_one(condition, read=dialect)
    except sqlglot.ParseError as error:
        raise ValueError(condition) from error


def _read(level: Any) -> bool:
    if not level._is_else_level:
        _parsed(level.sql_condition, level.sqlglot_dialect)
    return True
