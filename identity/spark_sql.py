"""Our SQL, which is DuckDB's, said in Spark's. Pure.

sqlglot knows most of the difference. What it does not: pieces of strings in brackets, a few functions, and
that Spark's hash takes no notice of missing values. Similarities are functions that give DuckDB's values
(`identity.spark_similarity`); Spark's own and Splink's give others.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from sqlglot import exp, parse_one
from sqlglot.dialects.duckdb import DuckDB
from sqlglot.dialects.spark import Spark
from sqlglot.tokenizer_core import TokenType

Parameters = Sequence[Any] | Mapping[str, Any]


def parsed(statement: str, parameters: Parameters = ()) -> exp.Expr:
    """Return a DuckDB statement as a tree, `?`, `$1` and `$name` replaced by `parameters`."""
    tree = parse_one(_numbered(statement), dialect=DuckDB)
    given = dict(
        parameters.items()
        if isinstance(parameters, Mapping)
        else ((str(number), value) for number, value in enumerate(parameters, start=1))
    )
    for node in list(tree.find_all(exp.Placeholder, exp.Parameter)):
        node.replace(exp.convert(given[node.name]))
    return tree


def _numbered(statement: str) -> str:
    """Return the statement with its first `?` as `$1`, and so on: a tree does not keep their order."""
    places = [
        token.start for token in DuckDB().tokenize(statement) if token.token_type == TokenType.PLACEHOLDER
    ]
    for number, place in reversed(list(enumerate(places, start=1))):
        statement = f"{statement[:place]}${number}{statement[place + 1 :]}"
    return statement


def spark_sql(tree: exp.Expr) -> str:
    """Return a query of DuckDB's in Spark's SQL."""
    return tree.transform(_node).sql(dialect=Spark)


def spark_condition(condition: str) -> str:
    """Return a condition over two records, such as a level's, in Spark's SQL."""
    return spark_sql(parse_one(condition, dialect=DuckDB))


def _node(node: exp.Expr) -> exp.Expr:
    if isinstance(node, exp.Bracket) and isinstance(node.expressions[0], exp.Slice):
        return _piece(node.this, node.expressions[0])
    if isinstance(node, exp.Anonymous) and node.name.lower() == "hash":
        return _hash(node.expressions)
    if isinstance(node, exp.Column) and node.name == "rowid":
        return exp.func("monotonically_increasing_id")
    said = _SAID.get(type(node))
    return node if said is None else said(node)


def _piece(text: exp.Expr, cut: exp.Slice) -> exp.Expr:
    """Return `text[first:last]`; only strings are cut so here, and lists never."""
    first, last = _whole(cut.this), _whole(cut.expression)
    if first is not None and first < 0:
        return exp.func("right", text, exp.convert(-first))
    start = 1 if first is None else first
    if last is None:
        return exp.func("substr", text, exp.convert(start))
    if last < 0:
        length = exp.func("char_length", text.copy()) + exp.convert(last - start + 2)
        return exp.func("substr", text, exp.convert(start), length)
    return exp.func("substr", text, exp.convert(start), exp.convert(last - start + 1))


def _whole(node: exp.Expr | None) -> int | None:
    return None if node is None else int(node.sql())


def _hash(values: Sequence[exp.Expr]) -> exp.Expr:
    """Return a hash that tells (a, missing) from (missing, a), which Spark's own does not."""
    each = (part for value in values for part in (value, value.copy().is_(exp.null())))
    return exp.func("xxhash64", *each)


def _full_match(node: exp.Expr) -> exp.Expr:
    pattern = exp.Literal.string(f"^(?:{node.expression.name})$")
    return exp.RegexpLike(this=node.this, expression=pattern)


def _split(node: exp.Expr) -> exp.Expr:
    """Return a split at one character; at anything else Spark compiles a regular expression for every row."""
    at = node.expression
    letter = chr(int(at.expressions[0].name)) if isinstance(at, exp.Chr) else at.name
    return exp.Anonymous(this="split", expressions=[node.this, exp.Literal.string(letter)])


_SAID: Final[Mapping[type, Callable[[exp.Expr], exp.Expr]]] = {
    exp.ArrayOverlaps: lambda node: exp.func("arrays_overlap", node.this, node.expression),
    exp.RegexpFullMatch: _full_match,
    exp.Split: _split,
}
