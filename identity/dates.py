"""Birth dates -> ISO 8601, only where there is one way to read them. Pure; no clock."""

import re
from datetime import date
from functools import lru_cache
from typing import Final

_ISO = re.compile(r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})(?:[T ][\d:.]+(?:Z|[+-]\d\d:?\d\d)?)?")
_YEAR_LAST = re.compile(r"(\d{1,2})[-/. ](\d{1,2})[-/. ](\d{4})")
_SHORT = re.compile(r"(\d{1,2})[-/. ](\d{1,2})[-/. ](\d{1,2})")
_DAY_NAME = re.compile(
    r"(\d{1,2})(?:st|nd|rd|th)?[-/. ,]+(?:de )?([a-z]{3,10})\.?[-/. ,]+(?:de )?(\d{2}|\d{4})"
)
_NAME_DAY = re.compile(r"([a-z]{3,10})\.?[-/. ]+(\d{1,2})(?:st|nd|rd|th)?[-/. ,]+(\d{2}|\d{4})")
_COMPACT = re.compile(r"\d{8}")

# First three letters, English and Spanish.
_MONTHS: Final = {
    "jan": 1, "ene": 1, "feb": 2, "mar": 3, "apr": 4, "abr": 4, "may": 5, "jun": 6, "jul": 7, "aug": 8,
    "ago": 8, "sep": 9, "oct": 10, "nov": 11, "dec": 12, "dic": 12,
}  # fmt: skip

FIRST_YEAR: Final = 1000
LAST_YEAR: Final = 2199
_PIVOT: Final = 31  # a two-digit year from 31 on can only be 19xx; below, it could be either century


@lru_cache(maxsize=65536)
def birth_date(raw: str) -> str | None:
    """Return `raw` as YYYY-MM-DD, or None where it is no date or can be read in two ways.

    >>> birth_date("23/01/1980"), birth_date("03/04/1980"), birth_date("1980-02-30")
    ('1980-01-23', None, None)
    """
    text = raw.strip()
    if match := _ISO.fullmatch(text):
        year, second, third = map(int, match.groups())
        return _day(year, second, third) or _day(year, third, second)  # 1991-20-08: month 20 is none
    if match := _YEAR_LAST.fullmatch(text):
        first, second, year = map(int, match.groups())
        return _only_reading(year, first, second)
    if match := _SHORT.fullmatch(text):
        return _two_digit_year(*map(int, match.groups()))
    if _COMPACT.fullmatch(text):
        return _compact(text)
    return _with_month_name(text.lower())


def _with_month_name(text: str) -> str | None:
    if match := _DAY_NAME.fullmatch(text):
        day, month, year = match.groups()
    elif match := _NAME_DAY.fullmatch(text):
        month, day, year = match.groups()
    else:
        return None
    number = _MONTHS.get(month[:3])
    full_year = int(year) if len(year) == 4 else 1900 + int(year)
    if number is None or (len(year) == 2 and int(year) < _PIVOT):
        return None
    return _day(full_year, number, int(day))


def _two_digit_year(first: int, second: int, third: int) -> str | None:
    """Return the date in which exactly one number can only be a year of the last century, at either end."""
    if third > _PIVOT >= max(first, second):
        return _only_reading(1900 + third, first, second)
    if first > _PIVOT >= max(second, third):  # year first: nobody writes the day before the month then
        return _day(1900 + first, second, third)
    return None


def _compact(text: str) -> str | None:
    readings = {
        _day(int(text[:4]), int(text[4:6]), int(text[6:])) if text[:2] in {"18", "19", "20"} else None,
        _day(int(text[4:]), int(text[:2]), int(text[2:4])) if text[4:6] in {"18", "19", "20"} else None,
        _day(int(text[4:]), int(text[2:4]), int(text[:2])) if text[4:6] in {"18", "19", "20"} else None,
    } - {None}
    return readings.pop() if len(readings) == 1 else None


def _only_reading(year: int, first: int, second: int) -> str | None:
    readings = {_day(year, first, second), _day(year, second, first)} - {None}
    return readings.pop() if len(readings) == 1 else None


def _day(year: int, month: int, day: int) -> str | None:
    if not FIRST_YEAR <= year <= LAST_YEAR:
        return None
    try:
        return date(year, month, day).isoformat()
    except ValueError:
        return None
