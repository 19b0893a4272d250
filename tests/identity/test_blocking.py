"""Which pairs are compared: all that a rule brings together, once, unless a block is too large."""

from itertools import combinations

import pytest

from identity.blocking import LARGEST_BLOCK, block
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


def test_a_block_within_the_limits_is_compared_in_full():
    rows = [{"postcode": ["28001"]} for _ in range(30)]
    assert blocked(rows)[0] == set(combinations(range(30), 2))


@pytest.mark.parametrize("rule", CATALOGUE, ids=lambda rule: rule.name)
def test_every_rule_can_run(rule):
    person = {name: ["1980-02-03" if name == "birth_date" else "a1 a2"] for name in rule.needs}
    person |= {"email": ["a@x.org"], "phone": ["+34612345678"]}
    assert blocked([person, person])[1][rule.name].pairs == 1
