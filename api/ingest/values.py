"""How values of JSON, Parquet and CSV read as text: one rule for files and for HTTP (pure)."""

import math
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, Final

import orjson

from consent.errors import RecordRejectedError


def texts_of(value: object, name: str) -> list[str]:
    """Return the values of an attribute, blank ones left out. Raises RecordRejectedError naming `name`."""
    if value is None or value == "":
        return []
    if isinstance(value, str):
        return [] if value.isspace() else [value]
    try:
        return list(texts(value))
    except TypeError:
        raise RecordRejectedError(name, "is neither a text nor a list of texts") from None


def texts(value: object) -> Iterator[str]:
    """Yield the texts of a cell: its own or those of its list. Raises TypeError where it holds neither."""
    if isinstance(value, (list, tuple)):
        for each in value:
            if isinstance(each, (list, tuple)):
                raise TypeError
            yield from texts(each)
        return
    text = _scalar_text(value)
    if text and not text.isspace():
        yield text


def trait_text(value: object) -> str | None:
    """Return a trait as text; lists and objects stay JSON. Raises RecordRejectedError."""
    if isinstance(value, str):
        return value if value and not value.isspace() else None
    if isinstance(value, (dict, list, tuple)):
        if not value:
            return None
        try:
            return orjson.dumps(value, default=_scalar_text, option=orjson.OPT_SORT_KEYS).decode()
        except (TypeError, ValueError):
            raise RecordRejectedError("traits", "holds a value that has no JSON form") from None
    try:
        return _scalar_text(value) or None
    except TypeError:
        raise RecordRejectedError("traits", "holds a value that is no text") from None


def _scalar_text(value: object) -> str:
    """Return how a number, truth value, date or bytes of JSON or Parquet reads. Raises TypeError."""
    try:
        return _AS_TEXT[type(value)](value)
    except KeyError:
        raise TypeError from None


def _number_text(value: float) -> str:
    """Return whole numbers without a fraction: tools write a house number with gaps as 12.0; NaN is a gap."""
    if math.isnan(value):
        return ""
    if math.isinf(value):
        raise TypeError
    if value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return repr(value)


_AS_TEXT: Final[Mapping[type, Callable[[Any], str]]] = {
    type(None): lambda _: "",
    str: str,
    bool: lambda value: "true" if value else "false",
    int: str,
    float: _number_text,
    Decimal: lambda value: format(value, "f"),
    # Kept as surrogates where it is no UTF-8, so that validation rejects it with its column.
    bytes: lambda value: value.decode(errors="surrogateescape"),
    datetime: datetime.isoformat,
    date: date.isoformat,
    time: time.isoformat,
}
