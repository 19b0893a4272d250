"""Which pairs are compared: all that a rule brings together, once, unless a block is too large."""

from itertools import combinations

import pytest

from identity import blocking
from identity.blocking import ANCHORS, LARGEST_BLOCK, NEIGHBOURS, block
from identity.blocking_rules import CATALOGUE, choose
from identity.engine import open_engine
from identity.normalise import normalise
from identity.record_table import load
from identity.records import OpenedBatch


def blocked(rows):
    """Return the pairs of `rows` (raw attributes) and what each rule reported."""
    comparables = [normalise(row).encode() for row in rows]
    batch = OpenedBatch(list(range(len(rows))), ["web"] * len(rows), comparables)
    with open_engine(threads=2) as engine:
        profile = load(engine, [batch])
        report = block(engine, choose(profile), profile.records, "pairs")
        found = engine.execute("SELECT join_key_l, join_key_r FROM pairs").fetchall()
    assert len(found) == len(set(found)), "no pair is compared twice"
    return set(found), {rule.rule: rule for rule in report}


def test_records_that_share_any_of_several_addresses_are_compared():
    pairs, _ = blocked(
        [
            {"email": ["a@x.org", "b@x.org"]},
            {"email": ["b@x.org", "c@x.org"]},
            {"email": ["c@x.org"]},
            {"email": ["d@x.org"]},
        ]
    )
    assert pairs == {(0, 1), (1, 2)}


def test_a_pair_found_by_several_rules_comes_once():
    person = {"first_name": ["Ann"], "last_name": ["Lee"], "birth_date": ["1980-02-03"], "email": ["a@x.org"]}
    pairs, report = blocked([person, person])
    assert pairs == {(0, 1)}
    assert sum(rule.pairs for rule in report.values()) > 1


def test_a_missing_value_brings_nobody_together():
    assert blocked([{"first_name": ["Ann"]}, {"last_name": ["Lee"]}, {"city": ["Madrid"]}])[0] == set()


def test_an_oversize_block_is_dropped_and_reported():
    crowd = LARGEST_BLOCK + 1
    rows = [{"postcode": ["28001"], "first_name": [f"{chr(97 + n % 26)}{n}"]} for n in range(crowd)]
    pairs, report = blocked([*rows, {"postcode": ["28002"]}, {"postcode": ["28002"]}])
    assert pairs == {(crowd, crowd + 1)}
    assert report["postcode"].dropped_blocks == 1
    assert report["postcode"].dropped_pairs == crowd * (crowd - 1) // 2


def tied_together(pairs, records):
    """Whether the pairs join all of these records."""
    stands = list(range(records))
    for one, other in sorted(pairs):
        old, new = stands[other], stands[one]
        stands = [new if each == old else each for each in stands]
    return len(set(stands)) == 1


@pytest.mark.parametrize(
    ("rule", "shared"),
    [
        ("email", {"email": ["a@x.org"]}),
        ("user_id", {"user_id": ["u1"]}),
        ("first_name and birth_date", {"first_name": ["Ann"], "birth_date": ["1980-02-03"]}),
    ],
)
def test_one_persons_block_is_thinned_when_it_is_too_large_and_still_ties_all_together(rule, shared):
    crowd = LARGEST_BLOCK + 1
    pairs, report = blocked([{**shared, "device_id": [f"d{number}"]} for number in range(crowd)])
    assert tied_together(pairs, crowd)
    assert len(pairs) <= crowd * (NEIGHBOURS + ANCHORS)
    assert (report[rule].thinned_blocks, report[rule].dropped_blocks) == (1, 0)


def test_equal_records_are_compared_whatever_they_hold():
    crowd = LARGEST_BLOCK + 1
    pairs, report = blocked([{"first_name": ["Ann"], "city": ["Madrid"]}] * crowd)
    assert report["first_name and city"].dropped_blocks == 1
    assert tied_together(pairs, crowd)
    assert len(pairs) <= crowd * (NEIGHBOURS + ANCHORS)


def test_beyond_the_budget_nobody_is_lost_and_the_pairs_grow_with_the_records(monkeypatch):
    """Many people of a dozen records each: every rule's blocks together are more than it may compare."""
    monkeypatch.setattr(blocking, "SMALLEST_BUDGET", 100)
    people, each = 50, 12
    rows = [
        {"email": [f"p{person}@x.org"], "device_id": [f"d{person}-{number}"]}
        for person in range(people)
        for number in range(each)
    ]
    pairs, report = blocked(rows)
    assert report["email"].thinned_blocks == people
    assert len(pairs) <= len(rows) * (NEIGHBOURS + ANCHORS)
    for first in range(0, len(rows), each):
        own = {(a - first, b - first) for a, b in pairs if first <= a < first + each}
        assert tied_together(own, each)


def test_in_a_thinned_block_records_meet_those_most_like_them():
    """A house of two people with one e-mail address: each one's records are neighbours, wherever they lie."""
    names = [{"first_name": ["Ann"]}, {"first_name": ["Bob"]}]
    pairs, _ = blocked([{"email": ["a@x.org"], **names[number % 2]} for number in range(LARGEST_BLOCK + 2)])
    alike = sum((one - other) % 2 == 0 for one, other in pairs)
    assert alike > len(pairs) / 2
    for person in (0, 1):
        own = {(one // 2, other // 2) for one, other in pairs if one % 2 == other % 2 == person}
        assert tied_together(own, LARGEST_BLOCK // 2 + 1)


def test_a_block_within_the_limits_is_compared_in_full():
    rows = [{"postcode": ["28001"]} for _ in range(30)]
    assert blocked(rows)[0] == set(combinations(range(30), 2))


@pytest.mark.parametrize("rule", CATALOGUE, ids=lambda rule: rule.name)
def test_every_rule_can_run(rule):
    person = {name: ["1980-02-03" if name == "birth_date" else "a1 a2"] for name in rule.needs}
    person |= {"email": ["a@x.org"], "phone": ["+34612345678"]}
    assert blocked([person, person])[1][rule.name].pairs == 1
