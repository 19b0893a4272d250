"""From which day on somebody may consent: what is kept of a birth date, and what records say together."""

from datetime import UTC, datetime

import pytest

from consent.ages import ANY_AGE, GROWN, Ages, ages_of, birth_fact, of_age
from tests.consent.consent_events import purpose

NEVER, ALWAYS = 2**62, -(2**62)


def ms(day: str) -> int:
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp() * 1000)


NOW = ms("2026-09-01")


def born(day: str) -> int:
    fact = birth_fact(day, NOW)
    assert fact is not None
    return fact


CHILD, ADULT = born("2014-05-06"), born("1980-01-23")
UNDER_16 = purpose("personalization", consent_age=16)
CAUTIOUS = purpose("personalization", consent_age=16, unknown_age="minor")
SALE = purpose("analytics", consent_age=13, opt_in_age=16)


@pytest.mark.parametrize(
    ("birth_date", "years", "day"),
    [
        ("2014-05-06", 16, "2030-05-06"),
        ("2012-02-29", 16, "2028-02-29"),
        ("2012-02-29", 13, "2025-03-01"),  # no such day that year
        ("2010-12-31", 18, "2028-12-31"),
    ],
)
def test_the_day_somebody_reaches_an_age(birth_date: str, years: int, day: str) -> None:
    assert of_age(born(birth_date), years) == ms(day)


def test_of_adults_no_day_is_kept_and_of_the_unborn_nothing() -> None:
    assert born("1905-01-01") == born("1980-01-23") == born("2005-09-01") == GROWN
    assert born("2005-09-02") != GROWN, "21 tomorrow"
    assert birth_fact("", NOW) is None
    assert birth_fact("2026-09-02", NOW) is None
    assert of_age(GROWN, 21) == ALWAYS


def test_where_no_age_matters_none_is_looked_at() -> None:
    assert ages_of([CHILD], [CHILD], purpose("service")) is ANY_AGE


def test_below_the_age_of_consent_a_guardian_grants_and_from_then_on_the_person() -> None:
    comes_of_age = ms("2030-05-06")
    assert ages_of([CHILD], [CHILD], UNDER_16) == Ages(comes_of_age, comes_of_age, comes_of_age)
    assert ages_of([ADULT], [ADULT], UNDER_16) == Ages(ALWAYS, ALWAYS, ALWAYS)


def test_records_that_disagree_let_nobody_grant() -> None:
    both = ages_of([CHILD, ADULT], [CHILD, ADULT], UNDER_16)
    assert both.own_from == ms("2030-05-06"), "one record says minor: deny beats allow"
    assert both.guardian_until == ALWAYS, "another says adult: no guardian speaks for an adult"


def test_an_unknown_age_follows_the_policys_own_word() -> None:
    assert ages_of([], [], UNDER_16) == ANY_AGE
    assert ages_of([], [], CAUTIOUS) == Ages(own_from=NEVER, opt_in_until=NEVER)
    assert ages_of([ADULT], [ADULT], CAUTIOUS).own_from == ALWAYS
    assert ages_of([ADULT], [], CAUTIOUS).own_from == NEVER, "a record that is not seen makes nobody an adult"
    assert ages_of([CHILD], [], UNDER_16).own_from == ms("2030-05-06"), "but a minor it does"


def test_an_opt_out_purpose_may_need_an_opt_in_longer_than_a_guardian() -> None:
    told = ages_of([CHILD], [CHILD], SALE)  # CCPA 1798.120(c)
    assert (told.guardian_until, told.own_from) == (ms("2027-05-06"), ms("2027-05-06"))
    assert told.opt_in_until == ms("2030-05-06")
    teenager = ages_of([CHILD], [CHILD], purpose("analytics", opt_in_age=16))
    assert (teenager.own_from, teenager.opt_in_until) == (ALWAYS, ms("2030-05-06"))
