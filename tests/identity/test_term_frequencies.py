"""How rare a name is among other people: a person's own records don't make it common."""

import math

import duckdb
import pytest

from identity.model import FittedComparison, FittedLevel, Model
from identity.scoring_sql import others_frequency_sql

RECORDS = 1001


def level(m, frequency=None):
    return FittedLevel("", "ELSE", frequency, m, 0.5, 0.5)


NAME = FittedComparison("first_name", "person", "false", (level(0.8, "first_name"), level(0.2)))
ADDRESS = FittedComparison(
    "address", "household", "false", (level(0.5), level(0.2, "postcode"), level(0.1, "city"), level(0.2))
)


def model(others_of_one_person):
    """Every record has so many others of its person, on the average."""
    rate = others_of_one_person / (RECORDS - 1)
    return Model(
        (NAME, ADDRESS), (), math.log2(rate / (1 - rate)), None, threshold=0.5, review_threshold=-3.0,
        rare_frequencies={}, records=RECORDS, seed=1,
    )  # fmt: skip


def others(frequency, column="first_name", *, item=NAME, copies=9):
    expression = others_frequency_sql(model(copies), item, column)
    found = duckdb.sql(f"SELECT {expression} FROM (SELECT {frequency}::DOUBLE AS tf_{column})").fetchone()  # noqa: S608 - our names and numbers
    return found[0]


def test_the_records_that_a_person_has_on_the_average_are_taken_off():
    assert others(50 / RECORDS) == pytest.approx((50 - 9 * 0.8) / RECORDS)


def test_a_name_that_one_person_alone_bears_is_as_rare_as_one_record():
    assert others(1 / RECORDS) == others(8 / RECORDS) == pytest.approx(1 / RECORDS)


def test_without_duplicates_a_frequency_stays_what_it_is():
    assert others(50 / RECORDS, copies=1e-12) == pytest.approx(50 / RECORDS)


def test_what_a_weaker_level_says_is_shared_at_the_stronger_ones_too():
    assert others(50 / RECORDS, "postcode", item=ADDRESS) == pytest.approx((50 - 9 * 0.7) / RECORDS)
    assert others(50 / RECORDS, "city", item=ADDRESS) == pytest.approx((50 - 9 * 0.8) / RECORDS)
