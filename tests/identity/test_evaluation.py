"""The metrics against a brute-force reading of their definitions."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity.evaluation import evaluate

LABELS = st.dictionaries(st.integers(0, 12), st.sampled_from("abcde"))


def brute(memberships, truth):
    records = sorted(memberships.keys() & truth.keys())
    pairs = list(combinations(records, 2))
    found = {pair for pair in pairs if memberships[pair[0]] == memberships[pair[1]]}
    true = {pair for pair in pairs if truth[pair[0]] == truth[pair[1]]}
    precisions, recalls = [], []
    for record in records:
        mine = {other for other in records if memberships[other] == memberships[record]}
        real = {other for other in records if truth[other] == truth[record]}
        precisions.append(len(mine & real) / len(mine))
        recalls.append(len(mine & real) / len(real))
    return (
        len(found & true) / len(found) if found else 1.0,
        len(found & true) / len(true) if true else 1.0,
        sum(precisions) / len(records) if records else 1.0,
        sum(recalls) / len(records) if records else 1.0,
    )


@given(LABELS, LABELS)
def test_it_equals_the_definitions(memberships, truth):
    metrics = evaluate(memberships, truth)
    found = (
        metrics.pairwise.precision, metrics.pairwise.recall, metrics.bcubed.precision, metrics.bcubed.recall,
    )  # fmt: skip
    assert found == pytest.approx(brute(memberships, truth))
    assert metrics.records == len(memberships.keys() & truth.keys())


@given(LABELS)
def test_the_truth_itself_is_perfect(truth):
    metrics = evaluate(truth, truth)
    assert (metrics.pairwise.f1, metrics.bcubed.f1) == (1.0, pytest.approx(1.0))
    assert metrics.golden_ids == metrics.true_entities == len(set(truth.values()))


@given(LABELS, LABELS)
def test_renaming_the_golden_ids_changes_nothing(memberships, truth):
    renamed = {record: f"g_{label}" for record, label in memberships.items()}
    assert evaluate(renamed, truth) == evaluate(memberships, truth)


def test_the_json_form_is_the_contracts():
    found = evaluate({1: "g", 2: "g", 3: "h", 9: "x"}, {1: "a", 2: "b", 3: "b"}).as_dict()
    assert found == {
        "pairwise": {"precision": 0.0, "recall": 0.0, "f1": 0.0},
        "bcubed": {
            "precision": pytest.approx(2 / 3),
            "recall": pytest.approx(2 / 3),
            "f1": pytest.approx(2 / 3),
        },
        "records": 3,
        "golden_ids": 2,
        "true_entities": 2,
    }
