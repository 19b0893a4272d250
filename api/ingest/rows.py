"""One row of a file -> one `IncomingRecord`, by a mapping."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from api.ingest.mapping import COLUMNS, METADATA, AttributeRule, ConsentRule, FileMapping
from api.ingest.times import epoch_ms, iso_date
from api.ingest.values import texts, texts_of, trait_text
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
        attributes, unread = self._attributes(row)
        return IncomingRecord(
            channel=channel,
            source_id=_single(row.get(mapping.source_id), "source_id") or "",
            observed_at=self._observed_at(row),
            attributes=attributes,
            traits=dict(self._traits(row)),
            verified=tuple(name for name in mapping.verified if name in attributes),
            consents=self._said(row),
            unread=unread,
        )

    def _attributes(self, row: Row) -> tuple[dict[str, list[str]], tuple[str, ...]]:
        """Return the values of the row, and which attributes miss the format that is stated for them."""
        attributes: dict[str, list[str]] = {}
        unread: list[str] = []
        for name, column in self._plain:
            value = row.get(column)
            if value is None or value == "":
                continue
            if type(value) is str and not value.isspace():
                attributes[name] = [value]
            elif values := texts_of(value, name):
                attributes[name] = values
        for rule in self._others:
            if values := _values(row, rule):
                if rule.format is not None:
                    read = [iso_date(value, rule.format) for value in values]
                    if None in read:
                        unread.append(rule.name)
                    values = [date or value for date, value in zip(read, values, strict=True)]
                attributes[rule.name] = values
        return attributes, tuple(unread)

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
            if text := trait_text(row.get(column)):
                yield trait, text
        if self._mapping.rest_as_traits:
            for column, value in row.items():
                if column not in self._used and (text := trait_text(value)):
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
        for text in texts(value):
            check_value("", text)
    except (RecordRejectedError, TypeError):
        return True
    return False


def _values(row: Row, rule: AttributeRule) -> list[str]:
    if len(rule.columns) == 1:
        return texts_of(row.get(rule.columns[0]), rule.name)
    several = (text for column in rule.columns for text in texts_of(row.get(column), rule.name))
    return list(dict.fromkeys(several))


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
        if rule.opt_out:  # silence permits, so the value must be on record as the objection it is
            ended = IncomingConsent(rule.purpose, "objected", notice)
        else:
            ended = IncomingConsent(rule.purpose, "withdrawn", notice, only_after_grant=True)
        return cls(rule.column or "", by_value, ended if rule.others_end_a_grant else None)

    def of_cell(self, text: str | None) -> IncomingConsent | None:
        if text is None:
            return None  # an empty cell says nothing
        return self.by_value.get(text) or self.by_value.get(text.strip(), self.otherwise)


def _single(value: object, name: str) -> str | None:
    texts = texts_of(value, name)
    if len(texts) > 1:
        raise RecordRejectedError(name, "holds several values")
    return texts[0] if texts else None
