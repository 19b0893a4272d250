"""Raw attributes -> the comparable form that linkage, lookups and blocking keys share. Pure.

Computed once, at ingest. What cannot be read is left out and named in `unreadable`; nothing is guessed.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Final

from identity.addresses import address_of
from identity.cleaning import letters_and_digits, visible, words
from identity.comparable import COLUMNS, LIST_COLUMNS, VERSION, Comparable, Value
from identity.contact_values import email, phone, social_handle
from identity.countries import country_code
from identity.dates import birth_date
from identity.given_names import full_names
from identity.names import name_of

__all__ = ["COLUMNS", "LIST_COLUMNS", "VERSION", "Comparable", "normalise", "normalise_identifier"]

_NAME_PARTS: Final = ("first_name", "middle_name", "last_name", "full_name")
_ADDRESS_PARTS: Final = (
    "full_address", "street", "house_number", "address_line2", "postcode", "city", "region", "country",
)  # fmt: skip

_GENDERS: Final = {
    "m": "m", "male": "m", "man": "m", "hombre": "m", "masculino": "m", "varon": "m", "h": "m", "1": "m",
    "f": "f", "female": "f", "woman": "f", "mujer": "f", "femenino": "f", "2": "f",
    "x": "other", "other": "other", "otro": "other", "non binary": "other", "nonbinary": "other",
    "nb": "other", "diverse": "other", "d": "other",
}  # fmt: skip

_HEXADECIMAL: Final = re.compile(r"[0-9A-Fa-f-]{16,}")
_SPACES: Final = re.compile(r"\s+")


def normalise(attributes: Mapping[str, Sequence[str]], *, default_region: str | None = None) -> Comparable:
    """Return the comparable form of a record's raw values (a sequence for each attribute).

    `default_region` is the ISO 3166 alpha-2 country of national phone numbers where the record names no
    country. Attributes outside the standard are ignored. Of a single-valued attribute the first
    non-blank value counts. Never raises for any text.
    """
    raw = {name: _first(values) for name, values in attributes.items() if values}
    columns: dict[str, Value] = {}
    unreadable: list[str] = []
    if any(raw.get(part) for part in _NAME_PARTS):
        name = name_of(*(raw.get(part, "") for part in _NAME_PARTS))
        columns |= {
            "full_name": name.full, "first_name": name.first, "middle_name": name.middle,
            "last_name": name.last, "name_suffix": name.suffix, "given_names": full_names(name.first),
        }  # fmt: skip
    if value := raw.get("birth_date"):
        columns["birth_date"] = birth_date(visible(value)) or ""
        if not columns["birth_date"]:
            unreadable.append("birth_date")
    if value := raw.get("gender"):
        columns["gender"] = _gender(value)
    if any(raw.get(part) for part in _ADDRESS_PARTS):
        columns |= address_of(raw)
    region = _phone_region(raw.get("country", ""), default_region)
    _add_list(columns, unreadable, "email", attributes, email)
    _add_list(columns, unreadable, "phone", attributes, lambda value: phone(value, region))
    for kind, reader in _IDENTIFIERS.items():
        if value := raw.get(kind):
            columns[kind] = reader(value) or ""
    return Comparable({name: value for name, value in columns.items() if value}, tuple(unreadable))


def normalise_identifier(kind: str, raw: str, *, default_region: str | None = None) -> str | None:
    """Return `raw` in the normal form of lookup type `kind`, or None where it can't be read as one.

    Equal to what `normalise` keeps for the same value. Raises KeyError for an unknown type.
    """
    if kind == "email":
        return email(raw)
    if kind == "phone":
        return phone(raw, default_region)
    return _IDENTIFIERS[kind](raw)


def _add_list(
    columns: dict[str, Value],
    unreadable: list[str],
    column: str,
    attributes: Mapping[str, Sequence[str]],
    reader: Callable[[str], str | None],
) -> None:
    """Add the distinct readable values of a list attribute in a canonical (sorted) order."""
    values = attributes.get(column, ())
    if not values:
        return
    given = [value for value in values if value and not value.isspace()]
    read = [reader(value) for value in given]
    if None in read:
        unreadable.append(column)
    columns[column] = tuple(sorted({text for text in read if text}))


def _first(values: Sequence[str]) -> str:
    for value in values:
        if value and not value.isspace():
            return value
    return ""


def _phone_region(country: str, default_region: str | None) -> str | None:
    return (country_code(country) if country else None) or default_region


@lru_cache(maxsize=1024)
def _gender(raw: str) -> str:
    return _GENDERS.get(words(raw), "")


def _number(raw: str) -> str | None:
    """Return a card or document number: people group its characters as they like, case says nothing."""
    return letters_and_digits(raw) or None


def _opaque(raw: str) -> str | None:
    """Return a technical identifier: case is kept, except where it is hexadecimal or an address."""
    text = _SPACES.sub(" ", visible(raw))
    if "@" in text or _HEXADECIMAL.fullmatch(text):
        text = text.casefold()
    return text or None


_IDENTIFIERS: Final[Mapping[str, Callable[[str], str | None]]] = {
    "national_id": _number,
    "social_handle": social_handle,
    "user_id": _opaque,
    "loyalty_id": _number,
    "device_id": _opaque,
    "cookie_id": _opaque,
}
