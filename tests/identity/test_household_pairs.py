"""Who shares a home, judged in the engine: hand-made neighbours, and a town whose homes are known."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from api.demo.channels import COLUMNS
from api.demo.generator import generate
from api.demo.people import Population
from identity.attributes import is_standard
from identity.engine import open_engine
from identity.household_pairs import MOST_NAMES, household_pairs
from identity.households import THRESHOLD, group
from identity.linking import score
from identity.model import Model
from identity.record_table import load
from identity.records import OpenedBatch
from tests.identity.labelled import comparable_of

RECORDS = 12_000
UNTRAINED = Model(
    (), (), 0.0, None, threshold=2.0, review_threshold=0.0, rare_frequencies={}, records=0, seed=0
)


def town():
    """A made-up town: its records, whom each is about, and in which household each person lives."""
    rows, people = [], []
    for chunk in generate(records=RECORDS, seed=3):
        for values, person in chunk:
            rows.append({name: v for name, v in zip(COLUMNS, values, strict=True) if is_standard(name) and v})
            people.append(person)
    homes = {}
    for number, household in enumerate(Population(3).households()):
        homes |= {person.number: number for person in household}
        if max(homes) >= max(people):
            return batch_of(rows), np.array(people, dtype=np.int64), homes
    raise AssertionError


def batch_of(rows):
    numbers = list(range(1, len(rows) + 1))
    return OpenedBatch(numbers, ["web"] * len(rows), [comparable_of(row).encode() for row in rows])


@pytest.fixture(scope="module")
def linked_town():
    batch, people, homes = town()
    with open_engine() as engine:
        scored = score([batch], engine=engine, model=None, seed=1)
        living = household_pairs(engine, scored.model)
        without = household_pairs(engine, replace(scored.model, household_prior=None))
    return batch, people, homes, scored.model, living, without


def precision_and_recall(batch, people, homes, pairs):
    """Of pairs of people: how many said to live together do, and how many that do are said to."""
    numbers = np.array(batch.record_nos, dtype=np.int64)
    found = group(pairs, numbers, people)
    dwellers = {}
    for record_no, label in zip(found.record_nos.tolist(), found.label.tolist(), strict=True):
        dwellers.setdefault(label, set()).add(int(people[record_no - 1]))
    said = {pair for members in dwellers.values() for pair in combinations(sorted(members), 2)}
    together = {pair for pair in said if homes[pair[0]] == homes[pair[1]]}
    by_home = {}
    for person in set(people.tolist()):
        by_home.setdefault(homes[person], []).append(person)
    all_pairs = sum(len(members) * (len(members) - 1) // 2 for members in by_home.values())
    return len(together) / len(said), len(together) / all_pairs


@pytest.mark.slow
def test_who_lives_together_is_found_and_hardly_anybody_else(linked_town):
    batch, people, homes, model, living, _ = linked_town
    assert model.household_prior is not None
    precision, recall = precision_and_recall(batch, people, homes, living)
    assert precision >= 0.98
    assert recall >= 0.25  # most channels know no address


@pytest.mark.slow
def test_without_a_household_class_only_an_address_counts(linked_town):
    batch, people, homes, _, _, without = linked_town
    precision, recall = precision_and_recall(batch, people, homes, without)
    assert precision >= 0.99
    assert recall >= 0.08


@pytest.mark.slow
def test_the_same_records_give_the_same_pairs_on_any_number_of_threads(linked_town):
    batch, _, _, model, living, _ = linked_town
    with open_engine(threads=1) as engine:
        load(engine, [batch])
        again = household_pairs(engine, model)
    for column in ("record_a", "record_b", "weight"):
        assert np.array_equal(getattr(again, column), getattr(living, column))


HOME = {"street": "Calle Mayor", "house_number": "3", "postcode": "48001", "city": "Bilbao"}
ANA = {"first_name": "Ana", "last_name": "Garay", **HOME}
BENITO = {"first_name": "Benito", "last_name": "Garay", **HOME}
PHONE = {"phone": ["+34 944 111 222"]}

NEIGHBOURS = {
    "same address and surname": ([ANA, BENITO], True),
    "one of two surnames": ([ANA | {"last_name": "Garay Rekalde"}, BENITO], True),
    "same address and telephone": ([ANA | PHONE, BENITO | PHONE | {"last_name": "Otxoa"}], True),
    "same address, nothing else": ([ANA, BENITO | {"last_name": "Otxoa"}], False),
    "same surname, another house": ([ANA, BENITO | {"house_number": "4"}], False),
    "same surname and telephone, no address": (
        [PHONE | {"first_name": name, "last_name": "Garay"} for name in ("Ana", "Benito")], False,
    ),
    "two flats of one house": ([ANA | {"address_line2": "2 B"}, BENITO | {"address_line2": "3 A"}], False),
    "one flat, written in two ways": (
        [ANA | {"address_line2": "2º B"}, BENITO | {"address_line2": "2ºB"}], True,
    ),
    "spellings of one first name may be one person": ([ANA, ANA | {"first_name": "Anna"}], False),
    "a first name missing may be anybody's": ([ANA, HOME | {"last_name": "Garay"}], False),
}  # fmt: skip


@pytest.mark.parametrize(("rows", "expected"), NEIGHBOURS.values(), ids=NEIGHBOURS)
def test_two_records_without_a_household_class(rows, expected):
    with open_engine(threads=1) as engine:
        load(engine, [batch_of(rows)])
        found = household_pairs(engine, UNTRAINED)
    assert (found.weight >= THRESHOLD).any() == expected


def test_an_address_of_very_many_names_says_nothing():
    """More first names than live in a home: none of them is paired with anybody."""
    names = "bdfghjklmnprstvxz"
    rows = [{**ANA, "first_name": f"{a}{b}o{a}"} for a, b in combinations(names, 2)]
    with open_engine(threads=1) as engine:
        load(engine, [batch_of(rows)])
        assert len(household_pairs(engine, UNTRAINED)) == 0


def pairs_without_class(rows):
    with open_engine(threads=1) as engine:
        load(engine, [batch_of(rows)])
        found = household_pairs(engine, UNTRAINED)
    sure = found.weight >= THRESHOLD
    return set(zip(found.record_a[sure].tolist(), found.record_b[sure].tolist(), strict=True))


def test_a_telephone_of_many_surnames_is_an_offices():
    surnames = ("Aldaz", "Bilbao", "Cortés", "Durán")
    staff = [ANA | PHONE | {"first_name": f"{name[:3]}o", "last_name": name} for name in surnames]
    assert pairs_without_class(staff[:3])
    assert not pairs_without_class(staff)


def test_at_an_address_of_very_many_people_only_a_flat_is_a_home():
    crowd = [
        HOME | {"first_name": f"{a}{b}o", "last_name": f"{b}{a}ez"} for a, b in combinations("bdfgklm", 2)
    ]
    couple = [ANA | {"last_name": "Ugarte"}, BENITO | {"last_name": "Ugarte"}]
    flat = {"address_line2": "2 B"}
    assert len(crowd) == MOST_NAMES + 1
    assert pairs_without_class(couple) == {(1, 2)}
    assert not pairs_without_class([*couple, *crowd])
    assert pairs_without_class([couple[0] | flat, couple[1] | flat, *crowd]) == {(1, 2)}


def test_nothing_of_it_stays_in_the_engine():
    with open_engine(threads=1) as engine:
        load(engine, [batch_of([ANA, BENITO])])
        before = engine.execute("SHOW TABLES").fetchall()
        household_pairs(engine, UNTRAINED)
        assert engine.execute("SHOW TABLES").fetchall() == before
