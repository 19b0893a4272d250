"""By when a data-subject request must be answered (pure).

- **GDPR** 12(3) and Regulation (EEC, Euratom) 1182/71, article 3: the day of receipt does not count; a period
  of months ends on the same date of the month, or on its last day where there is no such date; if that is a
  Saturday, a Sunday or a public holiday, with the next working day. An extension makes it three months.
- **CCPA**, California Code of Regulations, title 11, 7021 and 7026(f): receipt is confirmed within 10
  business days, the answer given within 45 calendar days, with the extension within 90; an opt-out is
  complied with within 15 business days and is not extended.

Holidays are those of the `holidays` package: of the whole country, and of its subdivision where one is named.
Where a date could be read in two ways the earlier one is taken: a deadline met too early harms nobody. So
the day of receipt is that of UTC, which on the European mainland is never ahead of the local one, and under
the CCPA California's own; and where only `EU` is named, no public holiday moves a deadline.
"""

import calendar
from collections.abc import Container
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

from consent.errors import RecordRejectedError

Regime = Literal["gdpr", "ccpa"]

GDPR_COUNTRIES: Final = frozenset({
    "AT", "BE", "BG", "HR", "CY", "CZ", "DK", "EE", "FI", "FR", "DE", "GR", "HU", "IE", "IT", "LV", "LT",
    "LU", "MT", "NL", "PL", "PT", "RO", "SK", "SI", "ES", "SE",
    "IS", "LI", "NO",  # the rest of the EEA
    "GB",  # the UK GDPR, whose time limits read the same
})  # fmt: skip
_EXTRA_MONTHS: Final = 2
_CCPA_DAYS: Final = 45
_CONFIRM_DAYS: Final = 10  # business days, as the next
_OPT_OUT_DAYS: Final = 15
_CALIFORNIA: Final = ZoneInfo("America/Los_Angeles")
_SATURDAY: Final = 5


@dataclass(frozen=True, slots=True)
class Jurisdiction:
    """Which law applies, and whose holidays count. `country` None: any country of the EU."""

    regime: Regime
    country: str | None
    subdivision: str | None = None

    @property
    def holidays(self) -> Container[date]:
        """The public holidays, of whatever year."""
        return frozenset() if self.country is None else _holidays(self.country, self.subdivision)


@dataclass(frozen=True, slots=True)
class Deadlines:
    """The last days: to answer, to confirm the receipt, and to answer if extended; None: there is none."""

    due: date
    confirm: date | None
    extended: date | None


def jurisdiction(name: str) -> Jurisdiction:
    """Return what `name` stands for: `EU`, `GDPR`, `ES`, `DE-BY`, `US-CA` or `CCPA`, in any case.

    Raises RecordRejectedError for any other: no deadline is guessed.
    """
    country, _, subdivision = name.strip().upper().partition("-")
    if (country, subdivision) in {("CCPA", ""), ("US", "CA")}:
        return Jurisdiction("ccpa", "US", "CA")
    if (country, subdivision) in {("EU", ""), ("GDPR", ""), ("EEA", "")}:
        return Jurisdiction("gdpr", None)
    country = {"UK": "GB", "EL": "GR"}.get(country, country)
    if country not in GDPR_COUNTRIES:
        raise RecordRejectedError(
            "jurisdiction",
            "is none that is known: name EU, a country of the EEA or GB as DE or DE-BY, or US-CA",
        )
    if subdivision and subdivision not in _calendars().list_supported_countries()[country]:
        raise RecordRejectedError("jurisdiction", f"{country} has no subdivision of that code")
    return Jurisdiction("gdpr", country, subdivision or None)


def deadlines(received_at: int, where: Jurisdiction, *, opt_out: bool = False) -> Deadlines:
    """Return the deadlines of a request received at `received_at` (ms since the epoch).

    `opt_out`: it is an opt-out of sale and sharing, which the CCPA treats apart.
    """
    if where.regime == "ccpa":
        received = _day(received_at, _CALIFORNIA)
        if opt_out:
            return Deadlines(business_days(received, _OPT_OUT_DAYS, where), None, None)
        answer = received + timedelta(days=_CCPA_DAYS)
        confirm = business_days(received, _CONFIRM_DAYS, where)
        return Deadlines(answer, confirm, received + timedelta(days=2 * _CCPA_DAYS))
    received = _day(received_at, UTC)
    return Deadlines(
        due=next_working_day(months_later(received, 1), where),
        confirm=None,
        extended=next_working_day(months_later(received, 1 + _EXTRA_MONTHS), where),
    )


def today(now: int, where: Jurisdiction) -> date:
    """Return the day that `now` (ms) falls on where the deadlines are counted."""
    return _day(now, _CALIFORNIA if where.regime == "ccpa" else UTC)


def months_later(day: date, months: int) -> date:
    """Return the same date `months` later, or the last day of that month where it has no such date."""
    month = day.month - 1 + months
    year, month = day.year + month // 12, month % 12 + 1
    return date(year, month, min(day.day, calendar.monthrange(year, month)[1]))


def next_working_day(day: date, where: Jurisdiction) -> date:
    """Return `day`, or the first working day after it if it is none."""
    while not _works(day, where):
        day += timedelta(days=1)
    return day


def business_days(day: date, count: int, where: Jurisdiction) -> date:
    """Return the day that is `count` working days after `day`, which does not count itself."""
    for _ in range(count):
        day = next_working_day(day + timedelta(days=1), where)
    return day


def _works(day: date, where: Jurisdiction) -> bool:
    return day.weekday() < _SATURDAY and day not in where.holidays


def _day(milliseconds: int, zone: tzinfo) -> date:
    return datetime.fromtimestamp(milliseconds / 1000, zone).date()


@lru_cache(maxsize=64)
def _holidays(country: str, subdivision: str | None) -> Container[date]:
    # Holds the years that were asked about, and works out others when they are.
    found: Container[date] = _calendars().country_holidays(country, subdiv=subdivision)
    return found


def _calendars() -> Any:
    import holidays  # noqa: PLC0415 - takes a quarter of a second, which every command would pay

    return holidays
