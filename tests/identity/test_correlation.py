"""What one attribute tells of another is measured, and not counted twice."""

import duckdb
import pytest

from identity.comparisons import choose
from identity.engine import open_engine
from identity.normalise import normalise
from identity.profile import Column, Profile
from identity.record_table import FEWEST_BEARERS, load
from identity.records import OpenedBatch

NAMES = {"ana": "f", "berta": "f", "carlos": "m", "david": "m"}


def profile_of(rows: list[tuple[str, str]]) -> Profile:
    comparables = [
        normalise({"first_name": [name], "last_name": ["Ruiz"], "gender": [gender]}).encode()
        for name, gender in rows
    ]
    batch = OpenedBatch(range(1, len(rows) + 1), ["web"] * len(rows), comparables)
    with open_engine() as engine:
        return load(engine, [batch])


def test_a_gender_that_the_first_name_tells_is_told() -> None:
    assert profile_of(list(NAMES.items()) * FEWEST_BEARERS).told == {"gender": "first_name"}


def test_a_few_slips_leave_it_told() -> None:
    slips = [("ana", "m"), ("carlos", "f")]
    assert profile_of([*list(NAMES.items()) * 20, *slips]).told == {"gender": "first_name"}


def test_a_gender_that_the_first_name_does_not_tell_is_not_told() -> None:
    both = [(name, gender) for name in NAMES for gender in ("f", "m")]
    assert profile_of(both * FEWEST_BEARERS).told == {}


def test_a_name_of_one_record_tells_nothing_of_others() -> None:
    once = [(f"{letter}na", "fm"[place % 2]) for place, letter in enumerate("bcdfghjklmnpqrst")]
    assert profile_of(once).told == {}


@pytest.mark.parametrize(
    ("told", "names", "level"),
    [
        ({"gender": "first_name"}, ("ana", "ana"), -1),
        ({"gender": "first_name"}, ("ana", "berta"), 0),
        ({"gender": "first_name"}, (None, "berta"), 0),
        ({}, ("ana", "ana"), 0),
    ],
    ids=["the names say it", "other names", "no name", "the names don't tell"],
)
def test_gender_counts_where_the_names_don_t_say_it_already(
    told: dict[str, str], names: tuple[str | None, str], level: int
) -> None:
    columns = {name: Column(0.9, 2) for name in ("gender", "first_name")}
    (gender,) = [item for item in choose(Profile(9, columns, {}, told=told)) if item.name == "gender"]
    missing, same = gender.missing, gender.levels[0].condition
    row = duckdb.execute(
        f"SELECT CASE WHEN {missing} THEN -1 WHEN {same} THEN 0 ELSE 1 END FROM ("  # noqa: S608 - conditions of ours
        "SELECT 'f' AS gender_l, 'f' AS gender_r, ?::VARCHAR AS first_name_l, ?::VARCHAR AS first_name_r)",
        list(names),
    ).fetchone()
    assert row == (level,)
