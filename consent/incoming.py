"""A record as a channel sends it, and the input contract it must keep before anything is stored.

Pure: no clock, no I/O. Every way in (files, HTTP) builds an `IncomingRecord` and calls `validate`.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Final

import orjson

from consent.errors import RecordRejectedError
from consent.events import NOT_A_NOTICE, NOTICE, VERIFIED_METHODS, StatedEvidence
from identity.attributes import LOOKUP_TYPES, STANDARD
from identity.records import CHANNEL, RECTIFICATION, RecordKey

MAX_VALUE_BYTES: Final = 4096  # contract: a value over 4 KiB rejects the row
MAX_VALUES: Final = 50  # of one attribute
MAX_TRAITS: Final = 200
MAX_VERIFIED: Final = 20
FUTURE_TOLERANCE_MS: Final = 5 * 60 * 1000  # contract: clocks of channels may be 5 minutes ahead

STATES: Final = ("granted", "refused", "withdrawn", "objected", "restricted")
METHODS: Final = ("import", "api", "direct", "guardian")  # an officer's word never arrives with a record

_TRAIT_NAME: Final = re.compile(
    "[^\x00-\x1f\x7f-\x9f\ud800-\udfff]{1,128}"
)  # no control characters, no lone surrogates
_ATTRIBUTES = frozenset(STANDARD)
_VERIFIABLE = frozenset(LOOKUP_TYPES)

SIGNAL: Final = "Sec-GPC"
"""The notice of an objection that the browser made: what the person saw is the browser's own setting."""


@dataclass(frozen=True, slots=True)
class IncomingConsent:
    """What a record says about one purpose.

    `only_after_grant` is for a column that lists the values meaning "granted" and now holds another one:
    the source takes its own grant back, but had it never granted, it says nothing.
    """

    purpose: str
    state: str
    notice: str | None = None
    method: str = "import"
    only_after_grant: bool = False
    evidence: StatedEvidence | None = None

    @property
    def signal(self) -> bool:
        """Whether the person's browser says it at this moment, whatever the record's age and source."""
        return self.notice == SIGNAL and self.state == "objected"


@dataclass(frozen=True, slots=True)
class IncomingRecord:
    """One source record on its way in. `observed_at`: ms since the epoch, UTC; None means on arrival."""

    channel: str
    source_id: str
    observed_at: int | None = None
    attributes: dict[str, list[str]] = field(default_factory=dict)
    traits: dict[str, str] = field(default_factory=dict)
    verified: tuple[str, ...] = ()
    consents: tuple[IncomingConsent, ...] = ()
    unread: tuple[str, ...] = ()  # attributes that miss the format their channel states: never guessed at

    @property
    def key(self) -> RecordKey:
        """The record key: the same key again is an update."""
        return RecordKey(self.channel, self.source_id)

    def content(self) -> bytes:
        """Return the bytes that two arrivals share exactly when they say the same about the same record.

        Holds what is stored (attributes, traits, verified identifiers) and the key, so that equal
        content of two records does not give equal MACs. Consent and time are compared apart.
        """
        said = [self.channel, self.source_id, self.attributes, self.traits, sorted(self.verified)]
        if self.unread:  # decides what is compared
            said.append(sorted(self.unread))
        return orjson.dumps(said, option=orjson.OPT_SORT_KEYS)

    def __repr__(self) -> str:
        return f"IncomingRecord({self.channel}, {len(self.attributes)} attributes)"


def tidy(record: IncomingRecord, grants: Sequence[str] = ()) -> IncomingRecord:
    """Return `record` without blank values, and with `grants` for purposes it does not speak of itself."""
    attributes = {
        name: kept
        for name, values in record.attributes.items()
        if (kept := [value for value in values if value and not value.isspace()])
    }
    spoken = {consent.purpose for consent in record.consents}
    granted = (IncomingConsent(purpose, "granted") for purpose in grants if purpose not in spoken)
    return replace(
        record,
        attributes=attributes,
        traits={name: value for name, value in record.traits.items() if value and not value.isspace()},
        verified=tuple(
            # A name that is no identifier stays, to be rejected: a misspelt one must not go unnoticed.
            name
            for name in dict.fromkeys(record.verified)
            if name in attributes or name not in _VERIFIABLE
        ),
        consents=(*record.consents, *granted),
    )


def validate(record: IncomingRecord, now: int, *, correcting: bool = False) -> None:
    """Raise `RecordRejectedError` (column and reason, never the value) if the contract is broken.

    An unreadable birth date, e-mail or phone is no reason: it is kept as it came and not compared.
    `correcting`: it fulfils a request for rectification, whose channel no sender may use.
    """
    _check_channel(record.channel, correcting=correcting)
    if not record.source_id.strip():
        raise RecordRejectedError("source_id", "is missing")
    check_value("source_id", record.source_id)
    if record.observed_at is not None and record.observed_at > now + FUTURE_TOLERANCE_MS:
        raise RecordRejectedError("observed_at", "is more than 5 minutes in the future")
    for name, values in record.attributes.items():
        if name not in _ATTRIBUTES:
            raise RecordRejectedError(name, "is no standard attribute")
        if len(values) > MAX_VALUES:
            raise RecordRejectedError(name, f"has over {MAX_VALUES} values")
    _check_traits(record.traits)
    _check_values(record)
    if len(record.verified) > MAX_VERIFIED:
        raise RecordRejectedError("verified", f"names over {MAX_VERIFIED} identifiers")
    for name in record.verified:
        if name not in _VERIFIABLE:
            raise RecordRejectedError("verified", "names something that is no identifier")
    _check_consents(record.consents)


def _check_channel(channel: str, *, correcting: bool) -> None:
    if channel == RECTIFICATION and not correcting:
        raise RecordRejectedError("channel", "is reserved for what an officer corrects on request")
    if not CHANNEL.fullmatch(channel):
        raise RecordRejectedError("channel", "is not 1 to 64 letters, digits, '_', '.' or '-'")


def _check_values(record: IncomingRecord) -> None:
    # Most records are short: all values together pass the test that each of them must pass.
    together = "\n".join(chain(*record.attributes.values(), record.traits.values()))
    if together.isascii() and len(together) <= MAX_VALUE_BYTES and "\0" not in together:
        return
    for name, values in record.attributes.items():
        for value in values:
            check_value(name, value)
    for name, value in record.traits.items():
        check_value(name, value)


def check_value(column: str, value: str) -> None:
    """Raise `RecordRejectedError` unless `value` is text of at most 4 KiB (in UTF-8)."""
    # Undecodable bytes of a file arrive as lone surrogates (PEP 383), which UTF-8 refuses to encode.
    if value.isascii():
        size = len(value)
    else:
        try:
            size = len(value.encode())
        except UnicodeEncodeError:
            raise RecordRejectedError(column, "holds bytes that are no text") from None
    if size > MAX_VALUE_BYTES:
        raise RecordRejectedError(column, "holds a value over 4 KiB")
    if "\0" in value:
        raise RecordRejectedError(column, "holds bytes that are no text")


def _check_traits(names: Collection[str]) -> None:
    if len(names) > MAX_TRAITS:
        raise RecordRejectedError("traits", f"are over {MAX_TRAITS}")
    if not all(map(_TRAIT_NAME.fullmatch, names)):
        raise RecordRejectedError("traits", "a name is not 1 to 128 characters without control characters")


def _check_consents(consents: tuple[IncomingConsent, ...]) -> None:
    for consent in consents:
        if consent.state not in STATES:
            raise RecordRejectedError("consents", "states a consent that is none of " + ", ".join(STATES))
        if consent.method in VERIFIED_METHODS:
            raise RecordRejectedError(
                "consents", f"states {consent.method}, which officers record by POST /v1/consents"
            )
        if consent.method not in METHODS:
            raise RecordRejectedError("consents", "states a method that is none of " + ", ".join(METHODS))
        if consent.notice is not None and not NOTICE.fullmatch(consent.notice):
            raise RecordRejectedError("consents", f"states a notice that {NOT_A_NOTICE}")
