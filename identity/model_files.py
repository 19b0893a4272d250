"""A model that comes as a file: only what this home could have trained itself is let into the engine. Pure.

A model's conditions and rules are SQL, and the engine holds everybody's plaintext. So a file may bring other
numbers, but no statement that is neither in this release's catalogue nor in a model stored here.
"""

import json
import math
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from identity.blocking_rules import CATALOGUE as RULES
from identity.blocking_rules import Rule
from identity.comparable import COLUMNS
from identity.comparison import Comparison
from identity.comparisons import CATALOGUE
from identity.errors import ModelFileError
from identity.model import FittedComparison, Model

_Statements = tuple[Any, ...]


def read_model(text: str, stored: Iterable[Model]) -> Model:
    """Return the model in `text`: a stored model's JSON, or a run report that holds one.

    Raises ModelFileError unless it is one, of this release, whose statements are known here.
    """
    try:
        found = json.loads(text)
        content = found.get("model", found)
        model = Model.from_json(json.dumps(content))
    except (ValueError, TypeError, KeyError, AttributeError):
        raise ModelFileError(
            "not a model of this release: give a run id, or a model or report of a run"
        ) from None
    known = list(stored)
    comparisons = {_statements(item) for item in CATALOGUE}
    comparisons |= {_statements(item) for each in known for item in each.comparisons}
    rules: set[Rule] = {*RULES, *(rule for m in known for rule in m.rules)}
    if not {_statements(item) for item in model.comparisons} <= comparisons or not {*model.rules} <= rules:
        raise ModelFileError("the model compares in ways that neither this release nor this home knows")
    if not _only_numbers(model):
        raise ModelFileError("the model's parameters are not all numbers")
    return model


def _statements(item: Comparison | FittedComparison) -> _Statements:
    """Return everything of a comparison that becomes part of a statement, but its numbers."""
    levels = tuple((level.label, level.condition, level.frequency) for level in item.levels)
    return (item.name, item.kind, item.missing, levels)


def _only_numbers(model: Model) -> bool:
    """Whether all that is not text known here is finite numbers, by names known here."""
    rest = asdict(model)
    del rest["rules"]
    levels = [level for item in rest.pop("comparisons") for level in item["levels"]]
    shares = [level[name] for level in levels for name in ("m", "u", "h")]
    if not all(_is_number(share) and 0 < share <= 1 for share in shares):
        return False
    names = {*COLUMNS, *(item.name for item in model.comparisons)}
    return all(_is_plain(value, names) for value in rest.values())


def _is_plain(value: object, names: set[str]) -> bool:
    if isinstance(value, dict):
        return value.keys() <= names and all(_is_plain(each, names) for each in value.values())
    if isinstance(value, list | tuple):
        return all(_is_plain(each, names) for each in value)
    return value is None or _is_number(value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
