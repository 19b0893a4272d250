"""Reading the core of an IAB Transparency and Consent string, version 2 (pure).

The form is that of "Consent string and vendor list formats v2" of the IAB Tech Lab: segments of base64url
between dots, the first of which, the core, has fields of fixed width in a fixed order. Read are those that
say when, through which consent management platform and for which purposes a person was asked; the lists of
vendors after them are kept as they came.
"""

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Final

MAX_CHARACTERS: Final = 4096

# Name and width in bits of the fields of the core, in their order.
_FIELDS: Final = (
    ("version", 6), ("created", 36), ("last_updated", 36), ("cmp_id", 12), ("cmp_version", 12),
    ("consent_screen", 6), ("consent_language", 12), ("vendor_list_version", 12), ("policy_version", 6),
    ("service_specific", 1), ("non_standard_texts", 1), ("special_features", 12), ("consents", 24),
    ("legitimate_interests", 24), ("purpose_one_treatment", 1), ("publisher_country", 12),
)  # fmt: skip
_BITS: Final = sum(width for _, width in _FIELDS)
_PURPOSES: Final = 24
_SEGMENTS: Final = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
_VERSION: Final = 2


class TcStringError(ValueError):
    """The text is no TC string of version 2. The message says what is wrong and holds nothing of it."""


@dataclass(frozen=True, slots=True)
class TcString:
    """What the core says. Times are ms since the epoch, UTC; purposes are the numbers of the framework."""

    created: int
    last_updated: int
    cmp_id: int
    vendor_list_version: int
    consents: frozenset[int]
    legitimate_interests: frozenset[int]  # informed of, and not objected to
    purpose_one_treatment: bool  # purpose 1 was not asked for: the publisher's country does not demand it


def read_tc_string(text: str) -> TcString:
    """Read the core of a TC string. Raises TcStringError."""
    if len(text) > MAX_CHARACTERS or not _SEGMENTS.fullmatch(text):
        raise TcStringError("is no text of base64url segments between dots")
    core = text.partition(".")[0]
    try:
        data = base64.urlsafe_b64decode(core + "=" * (-len(core) % 4))
    except binascii.Error:
        raise TcStringError("has a core that is no base64url") from None
    if data and data[0] >> 2 != _VERSION:
        raise TcStringError(f"is not of version {_VERSION}")
    if len(data) * 8 < _BITS:
        raise TcStringError("has a core that is cut short")
    return _checked(_fields(data))


def _fields(data: bytes) -> dict[str, int]:
    bits, left = int.from_bytes(data, "big"), len(data) * 8
    fields = {}
    for name, width in _FIELDS:
        left -= width
        fields[name] = (bits >> left) & ((1 << width) - 1)
    return fields


def _checked(fields: dict[str, int]) -> TcString:
    if not fields["created"] or fields["last_updated"] < fields["created"]:
        raise TcStringError("was last updated before it was created")
    if not fields["cmp_id"] or not fields["vendor_list_version"]:
        raise TcStringError("names no consent management platform or no vendor list")
    return TcString(
        created=fields["created"] * 100,  # the form counts tenths of a second
        last_updated=fields["last_updated"] * 100,
        cmp_id=fields["cmp_id"],
        vendor_list_version=fields["vendor_list_version"],
        consents=_numbers(fields["consents"]),
        legitimate_interests=_numbers(fields["legitimate_interests"]),
        purpose_one_treatment=bool(fields["purpose_one_treatment"]),
    )


def _numbers(bits: int) -> frozenset[int]:
    """Return which purposes are set: the first bit is purpose 1."""
    return frozenset(number for number in range(1, _PURPOSES + 1) if bits >> (_PURPOSES - number) & 1)
