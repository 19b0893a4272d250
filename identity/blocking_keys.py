"""The fixed catalogue of blocking keys: by which values the online path finds candidates. Pure.

The values become 8-byte keyed tokens (a collision only costs a candidate). Contacts and identifiers are
found through their lookup tokens, so the catalogue holds combinations of names, birth date and address.
"""

from typing import Final

from identity.comparable import Comparable

CATALOGUE: Final = 1
"""Version: a change of any key's meaning increments it, and records are tokenised again."""

KINDS: Final[tuple[str, ...]] = (
    "block:names_birth_year", "block:last_birth", "block:first_birth", "block:names_postcode",
    "block:last_address", "block:first_address", "block:names_city", "block:names",
)  # fmt: skip

MOST_KEYS: Final = 6


def blocking_keys(comparable: Comparable) -> list[tuple[str, str]]:
    """Return at most six (kind, value) pairs, the most selective that the record can fill first."""
    text = comparable.text
    first, last = text("first_name"), text("last_name")
    born, postcode, city = text("birth_date"), text("postcode"), text("city")
    place = f"{text('house_number')} {text('street')}" if text("street") and text("house_number") else ""
    initial = first[:1]
    surname = last.rsplit(" ", 1)[0] if " " in last else last  # of two surnames the first
    keys: list[tuple[str, str]] = []
    _add(keys, "block:last_birth", surname, born)
    _add(keys, "block:first_birth", first, born)
    _add(keys, "block:last_address", surname, place)
    _add(keys, "block:first_address", first, place)
    _add(keys, "block:names_postcode", initial, surname, postcode)
    _add(keys, "block:names_birth_year", first[:3], surname[:4], born[:4])
    _add(keys, "block:names_city", first, surname, city)
    _add(keys, "block:names", first, surname)
    return keys[:MOST_KEYS]


def _add(keys: list[tuple[str, str]], kind: str, *parts: str) -> None:
    if all(parts):
        keys.append((kind, " ".join(parts)))
