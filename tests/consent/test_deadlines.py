"""Deadlines of data-subject requests: tables over month ends, leap years, weekends and holidays."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent.deadlines import (
    GDPR_COUNTRIES,
    Deadlines,
    Jurisdiction,
    business_days,
    deadlines,
    jurisdiction,
    months_later,
    next_working_day,
    today,
)
from consent.errors import RecordRejectedError


def at(text: str) -> int:
    """Milliseconds of a time; a date alone is its noon, UTC."""
    text = text if "T" in text else f"{text}T12:00:00"
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


# what it shows: (where, received, due, due if extended)
GDPR = {
    "there is no 31 September: the last day of the month": ("DE", "2026-08-31", "2026-09-30", "2026-11-30"),
    "the 15th becomes the 15th": ("DE", "2026-06-15", "2026-07-15", "2026-09-15"),
    "31 January ends in February, and Saturday the 28th moves to Monday":
        ("DE", "2026-01-31", "2026-03-02", "2026-04-30"),
    "31 January of a leap year ends on Thursday, the 29th": ("DE", "2024-01-31", "2024-02-29", "2024-04-30"),
    "29 February ends on the 29th": ("FR", "2024-02-29", "2024-03-29", "2024-05-29"),
    "30 November ends in the next year": ("IE", "2026-11-30", "2026-12-30", "2027-03-01"),
    "a Saturday moves to Monday": ("FR", "2026-06-04", "2026-07-06", "2026-09-04"),
    "a Sunday moves to Monday": ("FR", "2026-06-05", "2026-07-06", "2026-09-07"),
    "Christmas moves to the next working day, past the weekend":
        ("DE", "2026-11-25", "2026-12-28", "2027-02-25"),
    "where 26 December is no holiday but a Saturday, to Monday too":
        ("FR", "2026-11-25", "2026-12-28", "2027-02-25"),
    "New Year's Day, a Friday, moves past the weekend": ("ES", "2026-12-01", "2027-01-04", "2027-03-01"),
    "Epiphany moves in Spain": ("ES", "2025-12-06", "2026-01-07", "2026-03-06"),
    "Epiphany is a working day in France": ("FR", "2025-12-06", "2026-01-06", "2026-03-06"),
    "Good Friday and Easter Monday move to Tuesday": ("DE", "2026-03-03", "2026-04-07", "2026-06-03"),
    "a holiday of one land moves there": ("DE-BY", "2025-12-06", "2026-01-07", "2026-03-06"),
    "and nowhere else": ("DE-BE", "2025-12-06", "2026-01-06", "2026-03-06"),
    "without a country only weekends move it": ("EU", "2026-11-25", "2026-12-25", "2027-02-25"),
    "the UK's bank holidays count under the UK GDPR": ("GB", "2026-11-28", "2026-12-29", "2027-03-01"),
}  # fmt: skip


@pytest.mark.parametrize("case", GDPR)
def test_the_gdpr_counts_calendar_months_to_a_working_day(case: str) -> None:
    where, received, due, extended = GDPR[case]
    found = deadlines(at(received), jurisdiction(where))
    assert found == Deadlines(date.fromisoformat(due), None, date.fromisoformat(extended))


# what it shows: (received, confirm by, due, due if extended)
CCPA = {
    "ten business days, 45 and 90 calendar days": ("2026-06-01", "2026-06-15", "2026-07-16", "2026-08-30"),
    "Independence Day, a Saturday, is observed on Friday":
        ("2026-06-26", "2026-07-13", "2026-08-10", "2026-09-24"),
    "Thanksgiving and the day after are no business days in California":
        ("2026-11-20", "2026-12-08", "2027-01-04", "2027-02-18"),
    "Lincoln Day is a holiday of California; over the end of a leap February":
        ("2024-02-01", "2024-02-16", "2024-03-17", "2024-05-01"),
}  # fmt: skip


@pytest.mark.parametrize("case", CCPA)
def test_the_ccpa_counts_business_days_to_confirm_and_calendar_days_to_answer(case: str) -> None:
    received, *expected = CCPA[case]
    found = deadlines(at(received), jurisdiction("US-CA"))
    assert [found.confirm, found.due, found.extended] == [date.fromisoformat(each) for each in expected]


def test_an_opt_out_of_sale_has_fifteen_business_days_and_no_extension() -> None:
    found = deadlines(at("2026-06-01"), jurisdiction("CCPA"), opt_out=True)
    assert found == Deadlines(due=date(2026, 6, 23), confirm=None, extended=None)  # over Juneteenth


def test_the_day_of_receipt_is_californias_own() -> None:
    evening = at("2026-06-02T05:30:00")  # 22:30 on 1 June in California
    assert deadlines(evening, jurisdiction("US-CA")).due == date(2026, 6, 1) + timedelta(days=45)
    assert today(evening, jurisdiction("US-CA")) == date(2026, 6, 1)
    assert today(evening, jurisdiction("ES")) == date(2026, 6, 2)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("eu", Jurisdiction("gdpr", None)), ("GDPR", Jurisdiction("gdpr", None)),
        ("es", Jurisdiction("gdpr", "ES")), ("DE-BY", Jurisdiction("gdpr", "DE", "BY")),
        ("UK", Jurisdiction("gdpr", "GB")), ("EL", Jurisdiction("gdpr", "GR")),
        ("ccpa", Jurisdiction("ccpa", "US", "CA")), ("us-ca", Jurisdiction("ccpa", "US", "CA")),
    ],
)  # fmt: skip
def test_a_jurisdiction_is_a_country_or_a_law(name: str, expected: Jurisdiction) -> None:
    assert jurisdiction(name) == expected


@pytest.mark.parametrize("name", ["", "US", "US-NY", "BR", "DE-XX", "Germany", "-", "EU-DE"])
def test_an_unknown_jurisdiction_is_refused(name: str) -> None:
    with pytest.raises(RecordRejectedError) as refused:
        jurisdiction(name)
    assert refused.value.column == "jurisdiction"


def test_the_holidays_of_every_country_are_known() -> None:
    for country in GDPR_COUNTRIES:
        assert date(2026, 1, 1) in jurisdiction(country).holidays, country


DAYS = st.dates(date(2000, 1, 1), date(2090, 12, 31))


@given(DAYS, st.integers(1, 24))
def test_a_month_later_is_in_that_month_and_never_after_the_same_date(day: date, months: int) -> None:
    later = months_later(day, months)
    assert (later.year * 12 + later.month) - (day.year * 12 + day.month) == months
    assert later.day == day.day or (later.day < day.day and (later + timedelta(days=1)).day == 1)


@given(DAYS, st.sampled_from(["EU", "DE", "ES", "GB", "FR"]))
def test_a_deadline_is_a_working_day_and_moves_by_less_than_a_week(day: date, name: str) -> None:
    where = jurisdiction(name)
    moved = next_working_day(day, where)
    assert moved.weekday() < 5
    assert moved not in where.holidays
    assert timedelta(0) <= moved - day < timedelta(days=7)


@given(DAYS, st.integers(0, 30))
def test_business_days_are_counted_one_by_one(day: date, count: int) -> None:
    where = jurisdiction("US-CA")
    assert business_days(business_days(day, count, where), 1, where) == business_days(day, count + 1, where)
