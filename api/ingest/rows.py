"""One row of a file -> one `IncomingRecord`, by a mapping."""

import math
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, Final, NamedTuple

import orjson

from api.ingest.mapping import COLUMNS, METADATA, AttributeRule, ConsentRule, FileMapping
from api.ingest.times import epoch_ms, reformatted_date
from consent.errors import RecordRejectedError
from consent.incoming import IncomingConsent, IncomingRecord, check_value, validate

Row = Mapping[str, Any]


class RowMapper:
    """Applies one mapping to rows. `record` raises `RecordRejectedError` naming the *file's* column."""

    def __init__(self, mapping: FileMapping, grants: tuple[str, ...] = ()) -> None:
        self._mapping = mapping
        self._used = mapping.used | frozenset(METADATA)
        self._shown = COLUMNS | self._used
        self._channel_name = mapping.channel_column or "channel"
        stated = {rule.purpose: rule for rule in mapping.consents if rule.state is not None}
        self._consents = {
            purpose: IncomingConsent(purpose, rule.state or "", mapping.notice)
            for purpose, rule in stated.items()
        }
        plain = [rule for rule in mapping.attributes if len(rule.columns) == 1 and rule.format is None]
        self._plain = tuple((rule.name, rule.columns[0]) for rule in plain)  # most: read without a detour
        self._others = tuple(rule for rule in mapping.attributes if rule not in plain)
        self._grants = {purpose: IncomingConsent(purpose, "granted", mapping.notice) for purpose in grants}
        self._meanings = tuple(
            _Meaning.of(rule, mapping.notice) for rule in mapping.consents if rule.column is not None
        )

    def record(self, row: Row, now: int) -> IncomingRecord:
        """Return the valid record that `row` holds."""
        try:
            record = self._read(row)
            validate(record, now)
        except RecordRejectedError as error:
            raise RecordRejectedError(self._file_column(error.column, row), error.reason) from None
        return record

    def _read(self, row: Row) -> IncomingRecord:
        mapping = self._mapping
        channel = mapping.channel
        if channel is None:
            channel = _single(row.get(self._channel_name), "channel") or ""
            if not channel:
                raise RecordRejectedError("channel", "is missing")
        attributes: dict[str, list[str]] = {}
        for name, column in self._plain:
            value = row.get(column)
            if value is None or value == "":
                continue
            if type(value) is str and not value.isspace():
                attributes[name] = [value]
            elif values := _texts_of(value, name):
                attributes[name] = values
        for rule in self._others:
            if values := _values(row, rule):
                attributes[rule.name] = values
        return IncomingRecord(
            channel=channel,
            source_id=_single(row.get(mapping.source_id), "source_id") or "",
            observed_at=self._observed_at(row),
            attributes=attributes,
            traits=dict(self._traits(row)),
            verified=tuple(name for name in mapping.verified if name in attributes),
            consents=self._said(row),
        )

    def _observed_at(self, row: Row) -> int | None:
        column = self._mapping.observed_at
        text = None if column is None else _single(row.get(column), "observed_at")
        if text is None:
            return None
        try:
            return epoch_ms(text, self._mapping.zone)
        except ValueError:
            raise RecordRejectedError("observed_at", "is not an RFC 3339 time") from None

    def _traits(self, row: Row) -> Iterator[tuple[str, str]]:
        for trait, column in self._mapping.traits:
            if text := _trait_text(row.get(column)):
                yield trait, text
        if self._mapping.rest_as_traits:
            for column, value in row.items():
                if column not in self._used and (text := _trait_text(value)):
                    yield column, text

    def _said(self, row: Row) -> tuple[IncomingConsent, ...]:
        """Return what is said about each purpose; a grant of the command line yields to the row's own."""
        said = dict(self._consents)
        for meaning in self._meanings:
            consent = meaning.of_cell(_single(row.get(meaning.column), meaning.column))
            if consent is not None:
                said[consent.purpose] = consent
        for purpose, grant in self._grants.items():
            said.setdefault(purpose, grant)
        return tuple(said.values())

    def _file_column(self, name: str, row: Row) -> str:
        """Return the file's column for the contract's `name`: of several the one at fault."""
        mapping = self._mapping
        metadata = {"channel": self._channel_name, "source_id": mapping.source_id,
                    "observed_at": mapping.observed_at or name}  # fmt: skip
        if name in metadata:
            return metadata[name]
        columns = [column for rule in mapping.attributes if rule.name == name for column in rule.columns]
        columns += [column for trait, column in mapping.traits if trait == name]
        at_fault = next((column for column in columns if _is_at_fault(row.get(column))), name)
        # The name of any other column was the sender's choice, a JSON key of one row even.
        return at_fault if at_fault in self._shown else "traits"


def _is_at_fault(value: object) -> bool:
    try:
        for text in _texts(value):
            check_value("", text)
    except (RecordRejectedError, TypeError):
        return True
    return False


def _values(row: Row, rule: AttributeRule) -> list[str]:
    if len(rule.columns) == 1:
        found = _texts_of(row.get(rule.columns[0]), rule.name)
    else:
        several = (text for column in rule.columns for text in _texts_of(row.get(column), rule.name))
        found = list(dict.fromkeys(several))
    if rule.format is not None:
        return [reformatted_date(text, rule.format) for text in found]
    return found


class _Meaning(NamedTuple):
    """What the cells of one column say about a purpose."""

    column: str
    by_value: Mapping[str, IncomingConsent]
    otherwise: IncomingConsent | None

    @classmethod
    def of(cls, rule: ConsentRule, notice: str | None) -> "_Meaning":
        by_value = {
            value: IncomingConsent(rule.purpose, state, notice) for value, state in rule.meaning.items()
        }
        ended = IncomingConsent(rule.purpose, "withdrawn", notice, only_after_grant=True)
        return cls(rule.column or "", by_value, ended if rule.others_end_a_grant else None)

    def of_cell(self, text: str | None) -> IncomingConsent | None:
        if text is None:
            return None  # an empty cell says nothing
        return self.by_value.get(text) or self.by_value.get(text.strip(), self.otherwise)


def _texts_of(value: object, name: str) -> list[str]:
    if value is None or value == "":
        return []
    if isinstance(value, str):
        return [] if value.isspace() else [value]
    try:
        return list(_texts(value))
    except TypeError:
        raise RecordRejectedError(name, "is neither a text nor a list of texts") from None


def _single(value: object, name: str) -> str | None:
    texts = _texts_of(value, name)
    if len(texts) > 1:
        raise RecordRejectedError(name, "holds several values")
    return texts[0] if texts else None


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, (list, tuple)):
        for each in value:
            if isinstance(each, (list, tuple)):
                raise TypeError
            yield from _texts(each)
        return
    text = _scalar_text(value)
    if text and not text.isspace():
        yield text


def _trait_text(value: object) -> str | None:
    """Return a trait as text; nested JSON stays JSON."""
    if isinstance(value, str):
        return value if value and not value.isspace() else None
    if isinstance(value, (dict, list, tuple)):
        if not value:
            return None
        try:
            return orjson.dumps(value, default=_scalar_text, option=orjson.OPT_SORT_KEYS).decode()
        except (TypeError, ValueError):
            raise RecordRejectedError("traits", "holds a value that has no JSON form") from None
    return _scalar_text(value) or None


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
