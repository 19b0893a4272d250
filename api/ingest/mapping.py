"""The mapping of a channel's own columns to records: the TOML file, or the standard names as they are.

    channel = "crm"                 # a constant, or: channel = {column = "src"}
    source_id = "customer_no"       # a column
    observed_at = "updated"         # a column, optional
    timezone = "Europe/Madrid"      # optional: of times without offset
    verified = ["user_id"]          # identifiers this channel has verified, optional
    [attributes]
    first_name = "given"
    email = ["email", "email_2"]    # several columns -> several values
    birth_date = {column = "dob", format = "%d/%m/%Y"}
    [traits]
    favourite_store = "fav_store"
    [consent]                       # recorded as consent events of the records
    notice = "web-2026-01"
    identity_linking = "granted"
    personalization = {column = "opt_in", granted = ["Y", "1", "true"], refused = ["N"]}

With a mapping only the columns it names are read; what a mapping does not say about channel, source_id,
observed_at and a verified identifier is taken from the columns of those names. Reading is strict: a
misspelt key is an error with a remedy, never silently ignored data. Pure but for `load_mapping`.
"""

import tomllib
from collections.abc import Collection, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from api.ingest.errors import InputFileError, MappingError
from api.ingest.times import holds_a_date
from consent.events import NOT_A_NOTICE, NOTICE
from consent.incoming import STATES
from identity.attributes import LOOKUP_TYPES, STANDARD, is_standard
from identity.records import CHANNEL

COLUMNS: Final = frozenset(
    {*STANDARD, "channel", "source_id", "observed_at", "verified", "consents", "traits"}
)
METADATA: Final = ("channel", "source_id", "observed_at")
_KEYS: Final = (*METADATA, "timezone", "verified", "attributes", "traits", "consent")


@dataclass(frozen=True, slots=True)
class AttributeRule:
    """One standard attribute: the columns that hold its values; `format` is strptime's, for dates."""

    name: str
    columns: tuple[str, ...]
    format: str | None = None


@dataclass(frozen=True, slots=True)
class ConsentRule:
    """What the rows say about one purpose: always `state`, or what the value in `column` means.

    A column that lists only `granted` values says, by any other value, that a grant no longer stands; of a
    purpose with opt-out it says that the person objects.
    """

    purpose: str
    state: str | None = None
    column: str | None = None
    meaning: Mapping[str, str] = field(default_factory=dict)  # value -> state
    opt_out: bool = False  # the purpose is permitted until somebody objects

    @property
    def others_end_a_grant(self) -> bool:
        """Whether a value that is not listed takes back what the same source granted."""
        return set(self.meaning.values()) == {"granted"}


@dataclass(frozen=True, slots=True)
class FileMapping:
    """Which column of a file means what. `rest_as_traits`: columns it does not name become traits."""

    channel: str | None = None
    channel_column: str | None = None
    source_id: str = "source_id"
    observed_at: str | None = None
    zone: tzinfo = UTC
    verified: tuple[str, ...] = ()
    attributes: tuple[AttributeRule, ...] = ()
    traits: tuple[tuple[str, str], ...] = ()  # (trait, column)
    consents: tuple[ConsentRule, ...] = ()
    notice: str | None = None
    rest_as_traits: bool = False
    named: frozenset[str] = frozenset()  # columns the file must have, for they are named by hand

    @property
    def used(self) -> frozenset[str]:
        """Every column this mapping reads by name."""
        columns = {self.source_id, self.channel_column, self.observed_at}
        columns.update(column for rule in self.attributes for column in rule.columns)
        columns.update(column for _, column in self.traits)
        columns.update(rule.column for rule in self.consents)
        return frozenset(column for column in columns if column)


def load_mapping(path: Path, *, purposes: Collection[str], opt_out: Collection[str] = ()) -> FileMapping:
    """Read the mapping file at `path`.

    Raises MappingError with the key at fault and the remedy, InputFileError if there is no such file.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputFileError(f"{path.name}: no such file") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise MappingError(f"{path.name}: cannot be read as TOML: {error}") from error
    try:
        return parse_mapping(content, purposes=purposes, opt_out=opt_out)
    except MappingError as error:
        raise MappingError(f"{path.name}: {error}") from None


def parse_mapping(
    content: Mapping[str, Any], *, purposes: Collection[str], opt_out: Collection[str] = ()
) -> FileMapping:
    """Turn the content of a mapping file into a FileMapping; `opt_out` are the purposes of that regime.

    Raises MappingError.
    """
    _refuse_unknown(content, _KEYS, "")
    channel, channel_column = _channel(content.get("channel"))
    attributes = tuple(_attribute(name, value) for name, value in _table(content, "attributes").items())
    traits = tuple(_trait(name, value) for name, value in _table(content, "traits").items())
    consent = dict(_table(content, "consent"))
    notice = consent.pop("notice", None)
    if notice is not None:
        notice = _text(notice, "consent.notice", "the version of the notice that was shown")
        if not NOTICE.fullmatch(notice):
            raise MappingError(f"consent.notice: {NOT_A_NOTICE}")
    mapping = FileMapping(
        channel=channel,
        channel_column=channel_column,
        source_id=_text(content.get("source_id", "source_id"), "source_id", "a column"),
        observed_at=_optional_text(content, "observed_at", "a column"),
        zone=_zone(content.get("timezone")),
        verified=_verified(content.get("verified", [])),
        attributes=attributes,
        traits=traits,
        consents=tuple(_consent(name, value, purposes, opt_out) for name, value in consent.items()),
        notice=notice,
    )
    return replace(mapping, named=mapping.used)


def fit(
    mapping: FileMapping | None,
    columns: AbstractSet[str],
    *,
    channel: str | None,
    order: Collection[str] = (),
) -> FileMapping:
    """Complete `mapping` (None: standard names) for a file with `columns`; `channel` is `--channel`.

    Raises MappingError where the mapping names a column that the file lacks, and where the file cannot
    be read without a mapping or a channel. `order` is the file's own order of columns.
    """
    if channel is not None and not CHANNEL.fullmatch(channel):
        raise MappingError("the channel must be 1 to 64 letters, digits, '_', '.' or '-'")
    if mapping is None:
        mapping = _standard(order or sorted(columns))
    missing = sorted(mapping.named - columns)
    if missing:
        raise MappingError(
            "the mapping names columns that the file does not have: " + ", ".join(map(repr, missing))
        )
    if mapping.source_id not in columns:
        raise MappingError("the file has no column source_id: name the column in a mapping file")
    if mapping.observed_at is None and "observed_at" in columns:
        mapping = replace(mapping, observed_at="observed_at")
    mapped = {rule.name for rule in mapping.attributes}
    own = tuple(AttributeRule(name, (name,)) for name in mapping.verified if name in columns - mapped)
    mapping = replace(mapping, attributes=mapping.attributes + own)
    return _with_channel(mapping, columns, channel)


def _with_channel(mapping: FileMapping, columns: AbstractSet[str], channel: str | None) -> FileMapping:
    if mapping.channel is None and mapping.channel_column is None and "channel" in columns:
        mapping = replace(mapping, channel_column="channel")
    stated = mapping.channel is not None or mapping.channel_column is not None
    if channel is not None:
        if stated:
            raise MappingError("the file or its mapping states the channel already: leave out --channel")
        return replace(mapping, channel=channel)
    if not stated:
        raise MappingError("the file has no column channel: state it with --channel or in a mapping file")
    return mapping


def _standard(columns: Collection[str]) -> FileMapping:
    attributes = tuple(AttributeRule(name, (name,)) for name in columns if is_standard(name))
    return FileMapping(attributes=attributes, rest_as_traits=True)


def _channel(value: object) -> tuple[str | None, str | None]:
    if value is None:
        return None, None
    if isinstance(value, dict):
        _refuse_unknown(value, ("column",), "channel.")
        return None, _text(value.get("column"), "channel.column", "a column")
    channel = _text(value, "channel", 'a constant, or {column = "..."}')
    if not CHANNEL.fullmatch(channel):
        raise MappingError("channel: use 1 to 64 letters, digits, '_', '.' or '-'")
    return channel, None


def _attribute(name: str, value: object) -> AttributeRule:
    where = f"attributes.{name}"
    if not is_standard(name):
        raise MappingError(f"{where}: is no standard attribute; put it under [traits]")
    if isinstance(value, dict):
        _refuse_unknown(value, ("column", "format"), f"{where}.")
        column = _text(value.get("column"), f"{where}.column", "a column")
        pattern = value.get("format")
        if pattern is None:
            return AttributeRule(name, (column,))
        if name != "birth_date":
            raise MappingError(f"{where}.format: only birth_date has a format")
        pattern = _text(pattern, f"{where}.format", "a format such as '%d/%m/%Y'")
        if not holds_a_date(pattern):
            raise MappingError(f"{where}.format: must write day, month and year, as '%d/%m/%Y' does")
        return AttributeRule(name, (column,), pattern)
    if isinstance(value, list):
        if not value:
            raise MappingError(f"{where}: name at least one column")
        return AttributeRule(name, tuple(_text(each, where, "a list of columns") for each in value))
    return AttributeRule(name, (_text(value, where, "a column, a list of columns, or {column, format}"),))


def _trait(name: str, value: object) -> tuple[str, str]:
    if is_standard(name):
        raise MappingError(f"traits.{name}: is a standard attribute; put it under [attributes]")
    return name, _text(value, f"traits.{name}", "a column")


def _consent(purpose: str, value: object, purposes: Collection[str], opt_out: Collection[str]) -> ConsentRule:
    where = f"consent.{purpose}"
    if purpose not in purposes:
        raise MappingError(f"{where}: the policy has no such purpose; it has {', '.join(sorted(purposes))}")
    if isinstance(value, dict):
        _refuse_unknown(value, ("column", *STATES), f"{where}.")
        column = _text(value.get("column"), f"{where}.column", "a column")
        return ConsentRule(purpose, column=column, meaning=_meaning(value, where), opt_out=purpose in opt_out)
    if value not in STATES:
        raise MappingError(f"{where}: state one of {', '.join(STATES)}, or {{column, granted = [...]}}")
    return ConsentRule(purpose, state=str(value))


def _meaning(table: Mapping[str, Any], where: str) -> dict[str, str]:
    meaning: dict[str, str] = {}
    for state in STATES:
        values = table.get(state, [])
        if not isinstance(values, list):
            raise MappingError(f"{where}.{state}: list the values that mean {state}")
        for value in values:
            text = str(value).lower() if isinstance(value, bool) else str(value)
            if meaning.setdefault(text, state) != state:
                raise MappingError(f"{where}: one value is listed for two states")
    if not meaning:
        raise MappingError(f"{where}: list the values that mean granted")
    return meaning


def _verified(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise MappingError("verified: list identifiers")
    for name in value:
        if name not in LOOKUP_TYPES:
            raise MappingError(f"verified: {name} is no identifier; there are {', '.join(LOOKUP_TYPES)}")
    return tuple(dict.fromkeys(value))


def _zone(value: object) -> tzinfo:
    if value is None:
        return UTC
    try:
        return ZoneInfo(_text(value, "timezone", "a zone such as 'Europe/Madrid'"))
    except (OSError, ValueError):  # ZoneInfoNotFoundError is a KeyError on some systems
        raise MappingError("timezone: is no zone of the IANA database, such as 'Europe/Madrid'") from None
    except KeyError:
        raise MappingError("timezone: is no zone of the IANA database, such as 'Europe/Madrid'") from None


def _table(content: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = content.get(name, {})
    if not isinstance(value, dict):
        raise MappingError(f"{name}: must be a table, [{name}]")
    return value


def _optional_text(content: Mapping[str, Any], name: str, what: str) -> str | None:
    return _text(content[name], name, what) if name in content else None


def _text(value: object, where: str, what: str) -> str:
    if not isinstance(value, str) or not value:
        raise MappingError(f"{where}: must be {what}")
    return value


def _refuse_unknown(table: Mapping[str, Any], known: Collection[str], prefix: str) -> None:
    unknown = sorted(set(table) - set(known))
    if unknown:
        raise MappingError(f"unknown key {prefix}{unknown[0]}; there are {', '.join(known)}")
