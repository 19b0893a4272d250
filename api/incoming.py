"""A record of a request -> the record as `consent` takes it (pure).

A value that is no text rejects its own record, by column and reason, never by value.
"""

from collections.abc import Mapping
from typing import Any

from api.schemas import RecordIn
from api.times import milliseconds
from consent.errors import RecordRejectedError
from consent.incoming import IncomingConsent, IncomingRecord
from identity.attributes import is_standard


def incoming(record: RecordIn) -> IncomingRecord:
    """Return what `record` says; a name that is no standard attribute is a trait.

    Raises RecordRejectedError.
    """
    attributes: dict[str, list[str]] = {}
    traits: dict[str, str] = {}
    for name, value in record.attributes.items():
        values = _texts(name, value)
        if not values:
            continue
        if is_standard(name):
            attributes[name] = values
        else:
            traits[name] = _only(name, values)
    for name, value in record.traits.items():
        values = _texts(name, value)
        if values:
            traits[name] = _only(name, values)
    return IncomingRecord(
        channel=record.channel,
        source_id=record.source_id,
        observed_at=None if record.observed_at is None else milliseconds(record.observed_at, "observed_at"),
        attributes=attributes,
        traits=traits,
        verified=tuple(dict.fromkeys(record.verified)),
        consents=tuple(
            IncomingConsent(each.purpose, each.state, each.notice, each.method or "api")
            for each in record.consents
        ),
    )


def column_shown(name: str) -> str:
    """Return a column's name where it is one of ours; a trait's name was the caller's choice."""
    return name if is_standard(name) or name in _COLUMNS else "traits"


_COLUMNS = frozenset({"channel", "source_id", "observed_at", "verified", "consents", "traits"})


def _texts(name: str, value: Any) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [_text(name, each) for each in values if each is not None and each != ""]


def _text(name: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        reason = "holds an object" if isinstance(value, Mapping) else "holds a value that is no text"
        raise RecordRejectedError(name, reason)
    return str(value)


def _only(name: str, values: list[str]) -> str:
    if len(values) > 1:
        raise RecordRejectedError(name, "is a trait with several values")
    return values[0]
