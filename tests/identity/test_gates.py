"""What stops a run before it is published, and what does not."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity.gates import EDGES, LEAST_PAIRS, Figures, Step, allowance, closed, drift, histogram
from identity.model_comparison import Change

WEIGHTS = histogram(np.random.default_rng(1).normal(8, 6, 20_000))
HEAVIER = histogram(np.random.default_rng(1).normal(16, 6, 20_000))
LAST = Figures(largest=6, weights=WEIGHTS, weights_from=-6.0)


def a_run(*, golden_ids=10_000, merged=0, split=0, unchanged=20_000, fresh=0, **figures) -> Step:
    change = Change(golden_ids, golden_ids - merged - split, merged, split, 0)
    return Step(unchanged, fresh, change, replace(LAST, **figures))


PASSES = {
    "nothing happened": a_run(),
    "a few people move": a_run(merged=300, split=300),
    "new records bring new evidence": a_run(merged=1_500, fresh=20_000),
    "a small home in which everybody moves": a_run(golden_ids=40, merged=40, split=40, unchanged=60),
    "the largest person grows by some records": a_run(largest=32),
    "another file arrived: its weights and sizes are its own": a_run(
        unchanged=5_000, fresh=50_000, weights=HEAVIER, largest=90
    ),
}

STOPPED = {
    "a model that joins many": (a_run(merged=551), "551 of 10,000 golden IDs would be joined, 550 may be"),
    "a model that parts many": (a_run(split=551), "551 of 10,000 golden IDs would be parted, 550 may be"),
    "a file that glues strangers": (
        a_run(merged=9_000, unchanged=20_000, fresh=30_000), "9,000 of 10,000 golden IDs would be joined"
    ),
    "one giant person": (a_run(largest=33), "would grow from 6 to 33 records, 32 are allowed"),
    "weights that drifted": (a_run(weights=HEAVIER), "match weights of unchanged records drifted by"),
}  # fmt: skip


@pytest.mark.parametrize("run", PASSES.values(), ids=PASSES)
def test_published_are(run):
    assert closed(LAST, run) == []


@pytest.mark.parametrize(("run", "reason"), STOPPED.values(), ids=STOPPED)
def test_stopped_is(run, reason):
    (said,) = closed(LAST, run)
    assert reason in said


@given(st.integers(0, 51), st.integers(0, 10_000))
def test_a_home_of_a_few_dozen_golden_ids_is_never_stopped_for_merges_or_splits(golden_ids, fresh):
    run = a_run(golden_ids=golden_ids, merged=golden_ids, split=golden_ids, unchanged=100, fresh=fresh)
    assert closed(LAST, run) == []


def test_a_last_run_without_figures_judges_by_merges_and_splits_alone():
    assert closed(None, a_run(largest=900, weights=HEAVIER)) == []
    assert len(closed(None, a_run(merged=5_000, split=5_000))) == 2


def test_the_allowance_grows_with_the_home_and_with_what_is_new():
    assert allowance(a_run(golden_ids=0)) == 50
    assert allowance(a_run(golden_ids=1_000)) == 100
    assert allowance(a_run(golden_ids=1_000, fresh=1_000)) == 200


def test_the_same_weights_do_not_drift_and_shifted_ones_do():
    assert drift(LAST, LAST) == 0.0
    shifted = histogram(np.random.default_rng(1).normal(8.5, 6, 20_000))
    assert 0 < drift(LAST, replace(LAST, weights=shifted)) < 0.1
    assert drift(LAST, replace(LAST, weights=HEAVIER)) > 0.25


def test_a_raised_review_threshold_is_no_drift():
    weights = np.random.default_rng(1).normal(8, 6, 20_000)
    cautious = replace(LAST, weights=histogram(weights[weights >= 0]), weights_from=0.0)
    assert drift(LAST, cautious) == 0.0


def test_few_pairs_tell_nothing():
    few = replace(LAST, weights=histogram(np.full(LEAST_PAIRS - 1, 8.0)))
    assert drift(LAST, few) is None
    assert drift(few, LAST) is None


@given(st.lists(st.floats(-1e3, 1e3), max_size=50))
def test_every_weight_falls_into_one_bin(weights):
    counts = histogram(np.array(weights))
    assert len(counts) == len(EDGES) + 1
    assert sum(counts) == len(weights)
