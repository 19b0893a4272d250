"""Link, review or neither: the decisions on CDC's labelled patients (cdc_nbs_threeway), without labels.

428 incoming records name the seed patient they were made from and what CDC's rules make of the pair: `match`,
`possible_match` (a person looks) or `no_match`. So the labels say how much evidence a health office asks for,
not who is who: a `no_match` is mostly one wrong digit of the number beside another house number, with one
name and birth date. Ours goes by the evidence and links most of them, hence a modest agreement; what has to
hold is the order: what CDC is surer of weighs more.
"""

import csv
import sys
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from identity.engine import open_engine
from identity.linking import score
from identity.records import OpenedBatch
from tests.identity.labelled import comparable_of
from tests.shared import shared

pytestmark = pytest.mark.slow

ATTRIBUTES = {
    "BIRTHDATE": "birth_date", "FIRST": "first_name", "LAST": "last_name", "GENDER": "gender",
    "ADDRESS": "full_address", "CITY": "city", "STATE": "region", "ZIP": "postcode", "SSN": "national_id",
}  # fmt: skip
MATCH, POSSIBLE, NONE = "match", "possible_match", "no_match"

# Floors somewhat below what `pytest -s tests/identity/test_threeway.py` prints.
LEAST_AGREEMENT = 0.60
LEAST_LINKED = 0.97  # of CDC's matches
LEAST_ORDER = {(MATCH, NONE): 0.80, (MATCH, POSSIBLE): 0.62, (POSSIBLE, NONE): 0.64}
"""Share of pairs of rows, one of each class, in which the surer one weighs more; 0.5 is no order at all."""


def rows(name):
    with shared(f"data/cdc_nbs_threeway/{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def comparable(row):
    return comparable_of({ours: row[theirs] for theirs, ours in ATTRIBUTES.items()}).encode()


@pytest.fixture(scope="module")
def weighed():
    """(expected, ours, match weight) of every incoming record and the seed patient it names."""
    seeds, incoming = rows("seed"), rows("incoming_labelled")
    every = [*seeds, *incoming]
    numbers = list(range(1, len(every) + 1))
    channels = ["seed"] * len(seeds) + ["incoming"] * len(incoming)
    with open_engine(threads=2) as engine:
        batch = OpenedBatch(numbers, channels, [comparable(row) for row in every])
        model = score([batch], engine=engine, model=None, seed=1).model
    with open_engine(threads=2) as engine:  # every blocked pair's weight, also of those that no run keeps
        unbounded = replace(model, review_threshold=-1000.0)
        pairs = score([batch], engine=engine, model=unbounded, seed=1).pairs
    columns = (pairs.record_a.tolist(), pairs.record_b.tolist(), pairs.weight.tolist())
    weights = {(a, b): weight for a, b, weight in zip(*columns, strict=True)}
    patient = {row["Match Id"]: number for number, row in zip(numbers, seeds, strict=False)}
    found = []
    for number, row in zip(numbers[len(seeds) :], incoming, strict=True):
        weight = weights.get((patient[row["Match Id"]], number), -np.inf)
        ours = MATCH if weight >= model.threshold else POSSIBLE if weight >= model.review_threshold else NONE
        found.append((row["Expected Result"], ours, weight))
    return found


def test_the_three_decisions_agree_with_cdcs_as_far_as_evidence_goes(weighed):
    table = Counter((expected, ours) for expected, ours, _ in weighed)
    for expected in (MATCH, POSSIBLE, NONE):
        counts = ", ".join(f"{ours} {table[expected, ours]}" for ours in (MATCH, POSSIBLE, NONE))
        sys.stdout.write(f"\nexpected {expected:>14}: ours {counts}")
    agreement = np.mean([expected == ours for expected, ours, _ in weighed])
    sys.stdout.write(f"\nthree-way agreement {agreement:.3f}\n")
    assert agreement >= LEAST_AGREEMENT
    matches = [ours for expected, ours, _ in weighed if expected == MATCH]
    assert matches.count(MATCH) / len(matches) >= LEAST_LINKED


@pytest.mark.parametrize(("surer", "other"), LEAST_ORDER)
def test_what_cdc_is_surer_of_weighs_more(weighed, surer, other):
    one, two = (np.array([w for expected, _, w in weighed if expected == each]) for each in (surer, other))
    order = np.mean((one[:, None] > two) + 0.5 * (one[:, None] == two))
    sys.stdout.write(f"\n{surer} weighs more than {other} in {order:.3f} of the pairs of rows\n")
    assert order >= LEAST_ORDER[surer, other]
