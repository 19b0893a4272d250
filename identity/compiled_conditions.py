"""The model's own conditions as one Python function: the level of every comparison for two records.

A level's condition is SQL (`identity.comparisons`). DuckDB evaluates it over columns of pairs, at a fixed
cost of milliseconds a call; one record against a few candidates is as fast only if the same condition runs
without an engine. So the conditions are parsed (sqlglot, which Splink parses them with as well) and written
out as Python, with what SQL means by NULL: a condition holds if it is true, and neither if it is NULL nor if
it is false. What is not known here is refused when the model is loaded. A property test compares every level
with DuckDB's.
"""

import re
from collections.abc import Callable, Collection, Sequence
from operator import ne
from typing import Any, Final

from rapidfuzz.distance import DamerauLevenshtein, Jaro, JaroWinkler
from sqlglot import exp, parse_one

from identity.comparable import VALUE_COLUMNS, Values
from identity.model import FittedComparison

Levels = Callable[[Values, Values], tuple[int, ...]]

_COMPARED: Final = {exp.EQ: "==", exp.NEQ: "!=", exp.GT: ">", exp.GTE: ">=", exp.LT: "<", exp.LTE: "<="}
_OPPOSITE: Final = {"==": "!=", "!=": "==", ">": "<=", "<=": ">", ">=": "<", "<": ">="}


def compiled(comparisons: Sequence[FittedComparison]) -> Levels:
    """Return what says, for two records, at which level they are in each comparison (-1: nothing to compare).

    Raises ValueError for a condition that says something unknown here.
    """
    used = sorted({name for item in comparisons for name in _columns(item)})
    lines = ["def levels(left, right):"]
    for side, values in (("l", "left"), ("r", "right")):
        lines += [f"    {name}_{side} = {values}[{VALUE_COLUMNS.index(name)}]" for name in used]
    for number, item in enumerate(comparisons):
        lines += [f"    if {_holds(_parsed(item.missing))}: level_{number} = -1"]
        for at, level in enumerate(item.levels):
            if level.condition != "ELSE":
                lines += [f"    elif {_holds(_parsed(level.condition))}: level_{number} = {at}"]
        lines += [f"    else: level_{number} = {len(item.levels) - 1}"]
    lines += [f"    return ({''.join(f'level_{number}, ' for number in range(len(comparisons)))})"]
    scope: dict[str, Any] = dict(_FUNCTIONS)
    # Nothing but names of ours, operators and literals written by repr() is in it, whatever a model says.
    exec(compile("\n".join(lines), "<model>", "exec"), scope)  # noqa: S102 - of our own making, see above
    levels: Levels = scope["levels"]
    return levels


def _parsed(condition: str) -> Any:
    return parse_one(condition, dialect="duckdb")


def _columns(item: FittedComparison) -> set[str]:
    texts = [item.missing, *(level.condition for level in item.levels if level.condition != "ELSE")]
    names = {column.name[:-2] for text in texts for column in _parsed(text).find_all(exp.Column)}
    if not names <= set(VALUE_COLUMNS):
        raise ValueError("a condition names a column that records do not have")
    return names


def _holds(node: Any, *, wanted: bool = True) -> str:
    """Return Python that holds where the condition is `wanted`: not where it is the opposite, nor NULL."""
    told = _TOLD.get(type(node))
    return f"({_value(node)} is {wanted})" if told is None else told(node, wanted)


def _both(node: Any, wanted: bool) -> str:
    word = "and" if isinstance(node, exp.And) == wanted else "or"
    return f"({_holds(node.left, wanted=wanted)} {word} {_holds(node.right, wanted=wanted)})"


def _is_null(node: Any, wanted: bool) -> str:
    if not isinstance(node.expression, exp.Null):
        raise ValueError("a condition asks IS of something other than NULL")  # noqa: TRY004 - of a text
    return f"({_value(node.this)} is {'' if wanted else 'not '}None)"


def _else_false(node: Any, wanted: bool) -> str:
    if [type(each) for each in node.expressions] != [exp.Boolean] or node.expressions[0].this:
        raise ValueError("a condition coalesces to something other than false")
    return _holds(node.this) if wanted else f"(not {_holds(node.this)})"


def _among(node: Any, wanted: bool) -> str:
    texts = tuple(str(each.this) for each in node.expressions)
    return f"((v := {_value(node.this)}) is not None and v {'in' if wanted else 'not in'} {texts!r})"


def _compared(node: Any, wanted: bool) -> str:
    sign = _COMPARED[type(node)] if wanted else _OPPOSITE[_COMPARED[type(node)]]
    left, right = _value(node.left), _value(node.right)
    if isinstance(node.right, exp.Literal):
        return f"((v := {left}) is not None and v {sign} {right})"
    return f"((v := {left}) is not None and (w := {right}) is not None and v {sign} w)"


# How each kind of condition is written out; any other is a function that says true, false or NULL.
_TOLD: Final[dict[type[Any], Callable[[Any, bool], str]]] = {
    exp.Paren: lambda node, wanted: _holds(node.this, wanted=wanted),
    exp.Not: lambda node, wanted: _holds(node.this, wanted=not wanted),
    exp.And: _both,
    exp.Or: _both,
    exp.Is: _is_null,
    exp.Coalesce: _else_false,
    exp.In: _among,
    **dict.fromkeys(_COMPARED, _compared),
}


def _value(node: Any) -> str:
    """Return Python for the value of an expression: None where it is NULL."""
    written = _WRITTEN.get(type(node))
    if written is not None:
        return written(node)
    name = str(node.this).lower() if isinstance(node, exp.Anonymous) else _NAMES.get(type(node), "")
    if name not in _FUNCTIONS:
        raise ValueError(f"a condition says something unknown here: {type(node).__name__}")
    arguments = [
        node.args[key] for key in ("this", "expression", "delimiter", "part_index") if node.args.get(key)
    ]
    return _call(
        name, *(node.expressions if isinstance(node, exp.Anonymous) else [*arguments, *node.expressions])
    )


def _cut(node: Any) -> str:
    (place,) = node.expressions
    if isinstance(place, exp.Slice):
        first, last = (None if end is None else _value(end) for end in (place.this, place.expression))
        return f"part({_value(node.this)}, {first}, {last})"
    return f"item({_value(node.this)}, {_value(place)})"  # the parser counts from 0


def _replaced(node: Any) -> str:
    if node.args.get("modifiers") is None or str(node.args["modifiers"].this) != "g":
        raise ValueError("a condition replaces by a pattern once only")
    return _call("replace_all", node.this, node.expression, node.args["replacement"])


_WRITTEN: Final[dict[type[Any], Callable[[Any], str]]] = {
    exp.Paren: lambda node: _value(node.this),
    exp.Column: lambda node: str(node.name),
    exp.Literal: lambda node: repr(str(node.this)) if node.is_string else repr(_number(node)),
    exp.Neg: lambda node: repr(-_number(node.this)),
    exp.Bracket: _cut,
    exp.RegexpReplace: _replaced,
}


def _call(name: str, *arguments: Any) -> str:
    return f"{name}({', '.join(_value(each) for each in arguments)})"


def _number(literal: Any) -> float | int:
    text = str(literal.this)
    return int(text) if text.isdigit() else float(text)


# What the parser makes of a function -> ours.
_NAMES: Final[dict[type[Any], str]] = {
    exp.ArrayOverlaps: "list_has_any",
    exp.Contains: "contains",
    exp.DPipe: "joined",
    exp.Greatest: "greatest",
    exp.JarowinklerSimilarity: "jaro_winkler_similarity",
    exp.Least: "least",
    exp.Left: "left_of",
    exp.Length: "length",
    exp.Right: "right_of",
    exp.Split: "split",
    exp.SplitPart: "split_part",
    exp.StartsWith: "starts_with",
}


def _of_two(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Return the function with SQL's rule: of NULL comes NULL."""
    return lambda one, other: None if one is None or other is None else function(one, other)


def _of_spelling(function: Callable[[Any, Any], Any]) -> Callable[[str | None, str | None], Any]:
    """Return the same of a function of spelling, which the engine counts in bytes of UTF-8."""

    def of(one: str | None, other: str | None) -> Any:
        if one is None or other is None:
            return None
        if one.isascii() and other.isascii():
            return function(one, other)
        return function(one.encode(), other.encode())

    return of


def _overlap(ones: Collection[str] | None, others: Collection[str] | None) -> bool | None:
    if ones is None or others is None:
        return None
    return any(value in others for value in ones)


def _part(text: str | None, first: int | None, last: int | None) -> str | None:
    """Return characters `first` to `last`, counted from 1 or, if negative, from the end; both inclusive."""
    if text is None:
        return None
    start = 0 if first is None else first - 1 if first > 0 else max(0, len(text) + first)
    end = len(text) if last is None else last if last >= 0 else max(0, len(text) + last + 1)
    return text[start:end]


def _split_part(text: str | None, separator: str, number: int) -> str | None:
    parts = None if text is None else text.split(separator)
    return None if parts is None else parts[number - 1] if number <= len(parts) else ""


def _least(*values: Any) -> Any:
    return min((value for value in values if value is not None), default=None)


def _greatest(*values: Any) -> Any:
    return max((value for value in values if value is not None), default=None)


_FUNCTIONS: Final[dict[str, Callable[..., Any]]] = {
    "contains": _of_two(lambda text, part: part in text),
    "damerau_levenshtein": _of_spelling(DamerauLevenshtein.distance),
    "greatest": _greatest,
    "hamming": _of_two(lambda one, other: sum(map(ne, one, other))),  # of dates, which are of one length
    "item": lambda values, place: None if values is None or place >= len(values) else values[place],
    "jaro_similarity": _of_spelling(Jaro.similarity),
    "jaro_winkler_similarity": _of_spelling(JaroWinkler.similarity),
    "joined": _of_two(lambda one, other: one + other),
    "least": _least,
    "left_of": _of_two(lambda text, count: text[:count]),
    "length": lambda value: None if value is None else len(value),
    "list_has_any": _overlap,
    "part": _part,
    "replace_all": lambda text, pattern, by: None if text is None else re.sub(pattern, by, text),
    "right_of": _of_two(lambda text, count: text[-count:]),
    "split": _of_two(lambda text, separator: tuple(text.split(separator))),
    "split_part": _split_part,
    "starts_with": _of_two(lambda text, start: text.startswith(start)),
}
