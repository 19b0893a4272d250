"""Postal addresses: parts in one spelling, and the parts of an address written on one line. Pure."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from identity.cleaning import letters_and_digits, words
from identity.countries import country_code

# One spelling for each kind of street, both languages, and for points of the compass and units.
_SPELLINGS: Final = {
    "street": "st", "str": "st", "avenue": "ave", "av": "ave", "avn": "ave", "road": "rd", "drive": "dr",
    "drv": "dr", "lane": "ln", "court": "ct", "crescent": "cres", "cr": "cres", "crt": "ct", "place": "pl",
    "boulevard": "blvd", "blv": "blvd", "circle": "cir", "terrace": "ter", "terr": "ter", "square": "sq",
    "parkway": "pkwy", "highway": "hwy", "close": "clo", "circuit": "cct", "way": "wy", "trail": "trl",
    "north": "n", "south": "s", "east": "e", "west": "w", "northeast": "ne", "northwest": "nw",
    "southeast": "se", "southwest": "sw", "apartment": "apt", "appt": "apt", "unit": "apt", "flat": "apt",
    "suite": "apt", "ste": "apt", "calle": "c", "avenida": "ave", "avda": "ave", "plaza": "pza",
    "plza": "pza", "paseo": "po", "pso": "po", "carretera": "ctra", "ronda": "rda", "camino": "cno",
    "bd": "blvd", "bvd": "blvd", "rua": "r", "travessa": "tv", "viale": "vle", "strasse": "st",
}  # fmt: skip

_LEADING_NUMBER = re.compile(r"(\d+[a-z]?) (.+)")
_TRAILING_NUMBER = re.compile(r"(.+?) (?:no |n )?(\d+[a-z]?)")
_US_TAIL = re.compile(r"(?P<city>.*?)\b(?P<region>[a-z]{2}) (?P<postcode>\d{5})(?: \d{4})?")
_CODE_FIRST = re.compile(r"(?P<postcode>\d{4,5}) (?P<city>[a-z].*)")
_UK_TAIL = re.compile(r"(?P<city>.*?)\b(?P<postcode>[a-z]{1,2}\d[a-z\d]? ?\d[a-z]{2})")
_ZIP_PLUS_4 = re.compile(r"(\d{5})-?\d{4}")
_UNIT = re.compile(r"apt [a-z\d]+(?: [a-z])?")  # a flat, alone
_TRAILING_UNIT = re.compile(r"(.+\S) apt [a-z\d]+(?: [a-z])?")  # a flat behind the street
_STRASSE = re.compile(r"(\w{3,})(?:strasse|str)")
_PLACEHOLDER = frozenset({"na", "n a", "none", "null", "unknown", "nan"})


def address_of(raw: Mapping[str, str]) -> dict[str, str]:
    """Return the address columns that `raw` (attribute -> raw value) fills, in comparable form."""
    parts = {name: text for name in ("city", "region") if (text := _plain(raw.get(name, "")))}
    if value := raw.get("postcode"):
        parts["postcode"] = _postcode(value)
    if value := raw.get("country"):
        parts["country"] = (country_code(value) or _plain(value)).lower()
    if value := raw.get("address_line2"):
        parts["address_line2"] = _spelled(value)
    if value := raw.get("house_number"):
        parts["house_number"] = letters_and_digits(value)
    if line := raw.get("street") or raw.get("full_address"):
        for name, text in _line(line).items():
            parts.setdefault(name, text)
        if raw.get("street") and raw.get("full_address"):
            for name, text in _line(raw["full_address"]).items():
                parts.setdefault(name, text)
    if "street" in parts:
        parts["full_address"] = " ".join(
            parts[name]
            for name in ("house_number", "street", "address_line2", "postcode", "city", "region")
            if parts.get(name)
        )
    return {name: text for name, text in parts.items() if text}


def _line(raw: str) -> dict[str, str]:
    """Return the parts of a street line, or of a whole address written on one line."""
    pieces = [piece for piece in raw.split(",") if piece.strip()]
    if not pieces:
        return {}
    first, *others = pieces
    while others and _UNIT.fullmatch(_spelled(first)):  # Flat 3, 12 High Street
        first, *others = others
    found = _street(_spelled(first))
    rest = [words(piece) for piece in others]
    if rest and "house_number" not in found and re.fullmatch(r"(?:no |n )?\d+[a-z]?", rest[0]):
        found["house_number"] = rest.pop(0).rsplit(" ", 1)[-1]
    for piece in reversed(rest):
        _place(piece, found)
    return found


def _place(piece: str, found: dict[str, str]) -> None:
    """Add what one comma-separated piece after the street says about the place."""
    for pattern in (_US_TAIL, _UK_TAIL, _CODE_FIRST):
        if "postcode" not in found and (match := pattern.fullmatch(piece)):
            groups = {name: text.strip() for name, text in match.groupdict().items() if text.strip()}
            groups["postcode"] = groups["postcode"].replace(" ", "")
            found.update(groups)
            return
    if len(piece) == 2 and "region" not in found and "city" not in found:
        found["region"] = piece
    elif country_code(piece) and "country" not in found:
        found["country"] = (country_code(piece) or "").lower()
    elif piece and not any(char.isdigit() for char in piece):
        found.setdefault("city", piece)


def _street(text: str) -> dict[str, str]:
    if match := _TRAILING_UNIT.fullmatch(text):
        text = match[1]
    if match := _LEADING_NUMBER.fullmatch(text):
        return {"house_number": match[1], "street": match[2]}
    if match := _TRAILING_NUMBER.fullmatch(text):
        return {"house_number": match[2], "street": match[1]}
    return {"street": text} if text else {}


def _spelled(raw: str) -> str:
    text = _plain(raw)
    if "str" in text:
        text = " ".join(_STRASSE.sub(r"\1str", word) for word in text.split(" "))
    return " ".join(_SPELLINGS.get(word, word) for word in text.split(" "))


@lru_cache(maxsize=32768)
def _plain(raw: str) -> str:
    text = words(raw) if raw else ""
    return "" if text in _PLACEHOLDER else text


@lru_cache(maxsize=32768)
def _postcode(raw: str) -> str:
    if match := _ZIP_PLUS_4.fullmatch(raw.strip()):
        return match[1]
    return letters_and_digits(raw)
