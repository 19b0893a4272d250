"""Planted people: who they are, and that a run cannot notice them."""

from collections import Counter, defaultdict
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from identity.canaries import MOST_RECORDS, Shape, planted
from identity.canary_scoring import measure, shapes_of
from identity.comparable import COLUMNS, Comparable
from identity.engine import open_engine
from identity.linking import score
from identity.scoring import EngineScorer
from tests.examples import examples
from tests.identity.labelled import labelled

FULL = [Shape(frozenset(COLUMNS), 1)]

shapes = st.lists(
    st.builds(Shape, st.frozensets(st.sampled_from(COLUMNS), max_size=8), st.integers(1, 1_000)), max_size=4
)


@settings(max_examples=examples(100))
@given(shapes)
def test_they_are_few_numbered_below_zero_and_filled_like_the_runs_records(given_shapes):
    found = planted(given_shapes)
    assert len(found) <= MOST_RECORDS
    assert [canary.record_no for canary in found] == [-1 - place for place in range(len(found))]
    columns = {shape.columns for shape in given_shapes}
    for canary in found:
        assert any(set(canary.comparable.columns) <= shape for shape in columns)
    assert planted(given_shapes) == found


def test_records_without_any_value_plant_nobody():
    assert planted([]) == planted([Shape(frozenset(), 10)]) == []


def test_every_person_has_several_records_and_every_column_can_be_filled():
    found = planted(FULL)
    assert min(Counter(canary.person for canary in found).values()) >= 2
    filled = {name for canary in found for name in canary.comparable.columns}
    assert filled >= set(COLUMNS) - {"middle_name", "name_suffix", "address_line2", "mother_name"}


def test_strangers_share_no_contact_and_some_people_of_one_household_do():
    holders = defaultdict(set)
    for canary in planted(FULL):
        for kind in ("email", "phone", "national_id"):
            for value in canary.comparable.values(kind):
                holders[kind, value].add(canary.person)
    shared = {kind: people for (kind, _), people in holders.items() if len(people) > 1}
    assert set(shared) == {"email"}  # spouses with one e-mail
    assert all(max(people) - min(people) == 1 for people in shared.values())


def test_they_come_in_the_proportions_of_the_shapes():
    few, many = frozenset({"email"}), frozenset({"email", "first_name", "last_name"})
    found = planted([Shape(many, 900), Shape(few, 100)])
    slivers = sum(set(canary.comparable.columns) <= few for canary in found)
    assert slivers / len(found) == pytest.approx(0.1, abs=0.02)


def test_the_shapes_of_a_run_are_columns_and_counts():
    batch, _ = labelled("splink_fake_1000")
    with open_engine() as engine:
        score([batch], engine=engine, model=None, seed=1)
        found = shapes_of(engine)
    assert sum(shape.records for shape in found) == len(batch.record_nos)
    filled = Counter(frozenset(Comparable.decode(encoded).columns) for encoded in batch.comparables)
    assert found[0].records == filled[found[0].columns] == max(filled.values())


@pytest.mark.slow
def test_a_run_scores_the_same_pairs_and_trains_the_same_model_whether_or_not_people_are_planted():
    batch, _ = labelled("splink_fake_1000")
    with open_engine() as engine:
        alone = score([batch], engine=engine, model=None, seed=1)
    with EngineScorer(seed=1, token=lambda *_: b"") as scorer:
        run = scorer([batch], None)
    assert run.scored.model.to_json() == alone.model.to_json()
    assert run.scored.pairs.record_a.min() > 0
    for column in ("record_a", "record_b", "weight"):
        assert np.array_equal(getattr(run.scored.pairs, column), getattr(alone.pairs, column))
    assert run.canaries is not None
    assert run.canaries.records <= MOST_RECORDS
    assert run.canaries.recall > 0.5


def test_a_model_that_joins_strangers_shows_in_the_precision_and_one_that_joins_nobody_in_the_recall():
    batch, _ = labelled("splink_fake_1000")
    with open_engine() as engine:
        model = score([batch], engine=engine, model=None, seed=1).model
        found = shapes_of(engine)
    fair, greedy, shy = (
        measure(replace(model, prior=model.prior + shift), found) for shift in (0.0, 12.0, -40.0)
    )
    assert greedy.precision < fair.precision
    assert shy.recall < fair.recall
    assert measure(model, found) == fair
