"""Which birth dates are taken for "not known"."""

from itertools import cycle, product

import pytest

from identity.engine import open_engine
from identity.normalise import normalise
from identity.record_table import load
from identity.records import OpenedBatch

YEARS = range(1950, 2000)


def kept(dates):
    """Return the distinct birth dates that stay after loading one record of somebody for each of `dates`."""
    names = (f"{first} {last}" for first, last in cycle(product("ABCDEFGHIJ", "KLMNOPQRST")))
    return kept_of(list(zip(names, dates, strict=False)))


def kept_of(people):
    """Return the distinct birth dates that stay after loading records of these (full name, birth date)."""
    forms = [normalise({"full_name": [name], "birth_date": [date]}).encode() for name, date in people]
    with open_engine() as engine:
        load(engine, [OpenedBatch(range(1, len(forms) + 1), [""] * len(forms), forms)])
        rows = engine.execute(
            "SELECT DISTINCT birth_date FROM records WHERE birth_date IS NOT NULL"
        ).fetchall()
    return {date for (date,) in rows}


ORDINARY = [f"{year}-{month:02d}-{day:02d}" for year in YEARS for month in range(1, 13) for day in (1, 9, 20)]

CASES = {
    "a date that 60 hold where others have one": (["1900-01-01"] * 60, {"1900-01-01"}),
    "any day may be the placeholder": (["1970-05-20"] * 60, {"1970-05-20"}),
    "a date that few hold is a birthday": (["1970-05-20"] * 15, set()),
    "years known without a day stay": ([f"{year}-01-01" for year in YEARS] * 40, set()),
    "a placeholder among years without a day": (
        [f"{year}-01-01" for year in YEARS] * 4 + ["1900-01-01"] * 80, {"1900-01-01"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_date_far_more_frequent_than_its_year_and_day_is_nobodys(case):
    added, gone = CASES[case]
    dates = ORDINARY + added
    assert kept(dates) == set(dates) - gone


def test_one_person_with_many_records_keeps_the_date():
    others = [(f"{letter}nn Lee", date) for letter, date in zip(cycle("ABCDEFG"), ORDINARY, strict=False)]
    assert "1970-05-20" in kept_of([*others, *[("Ann Lee", "1970-05-20")] * 100])
