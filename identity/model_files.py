"""A model that comes as a file: only what this home could have trained itself is let into the engine. Pure.

A model's conditions and rules are SQL, and the engine holds everybody's plaintext. So a file may bring other
numbers, but no statement that is neither in this release's catalogue nor in a model stored here.
"""

import json
import math
from collections.abc import Iterable
from typing import Any, Final

from identity.blocking_rules import CATALOGUE as RULES
from identity.blocking_rules import Rule
from identity.comparable import COLUMNS
from identity.comparison import Comparison
from identity.comparisons import CATALOGUE
from identity.errors import ModelFileError
from identity.model import FittedComparison, FittedLevel, Model

_LEAST_SHARE: Final = 1e-100  # what is smaller has no finite quotient with another

_Statements = tuple[Any, ...]


def read_model(text: str, stored: Iterable[Model]) -> Model:
    """Return the model in `text`: a stored model's JSON, or a run report that holds one.

    Raises ModelFileError unless it is one, of this release, whose statements are known here.
    """
    try:
        found = json.loads(text)
        content = found.get("model", found)
        model = Model.from_json(json.dumps(content))
        is_known, is_numbers = _is_known(model, stored), _only_numbers(model)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        raise ModelFileError(
            "not a model of this release: give a run id, or a model or report of a run"
        ) from None
    if not is_known:
        raise ModelFileError("the model compares in ways that neither this release nor this home knows")
    if not is_numbers:
        raise ModelFileError("the model's parameters are not all numbers")
    return model


def _is_known(model: Model, stored: Iterable[Model]) -> bool:
    """Whether every statement of `model` is in the catalogue or in a stored model, none of them twice."""
    known = list(stored)
    comparisons = {_statements(item) for item in CATALOGUE}
    comparisons |= {_statements(item) for each in known for item in each.comparisons}
    rules: set[Rule] = {*RULES, *(rule for each in known for rule in each.rules)}
    names = {item.name for item in model.comparisons}
    return (
        len(names) == len(model.comparisons) > 0
        and {_statements(item) for item in model.comparisons} <= comparisons
        and {*model.rules} <= rules
    )


def _statements(item: Comparison | FittedComparison) -> _Statements:
    """Return everything of a comparison that becomes part of a statement, but its numbers."""
    levels = tuple((level.label, level.condition, level.frequency) for level in item.levels)
    return (item.name, item.kind, item.missing, levels)


def _only_numbers(model: Model) -> bool:
    """Whether all that is not text known here is finite numbers, by names known here."""
    shares = [share for item in model.comparisons for level in item.levels for share in _shares(level)]
    wanted = {*model.frequency_columns()}
    rare = model.rare_frequencies
    return (
        all(_is_number(share) and _LEAST_SHARE <= share <= 1 for share in shares)
        and all(map(_is_number, (model.prior, model.threshold, model.review_threshold, model.records)))
        and (model.household_prior is None or _is_number(model.household_prior))
        and type(model.seed) is int
        and wanted <= rare.keys() <= {*COLUMNS, *(item.name for item in model.comparisons)}
        and all(_is_number(share) and share > 0 for share in rare.values())
    )


def _shares(level: FittedLevel) -> tuple[float, float, float]:
    return (level.m, level.u, level.h)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
