"""The histogram and the costs of thresholds, against their definitions."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity.weight_figures import HIGHEST, histogram, threshold_choice

LOWEST = -6.0
WEIGHTS = st.lists(st.floats(LOWEST, 90), max_size=40).map(lambda found: np.array(found, dtype=np.float64))


@given(WEIGHTS)
def test_every_pair_is_counted_once_in_the_bin_it_lies_in(weights):
    found = histogram(weights, LOWEST)
    assert sum(found["pairs"]) == len(weights)
    for at, pairs in enumerate(found["pairs"][:-1]):
        low = found["from"] + at * found["width"]
        assert pairs == np.count_nonzero((weights >= low) & (weights < low + found["width"]))
    assert found["from"] + len(found["pairs"]) * found["width"] <= HIGHEST


def test_a_threshold_between_whole_bits_still_starts_a_bin():
    found = histogram(np.array([-5.5, -5.2, 0.0, 3.0]), -5.5)
    assert (found["from"], found["pairs"]) == (-6, [2, 0, 0, 0, 0, 0, 1, 0, 0, 1])


@given(WEIGHTS)
def test_the_expected_mistakes_are_sums_of_probabilities(weights):
    for row in threshold_choice(weights, LOWEST):
        above = weights[weights >= row["threshold"]]
        below = weights[weights < row["threshold"]]
        assert row["links"] == len(above)
        assert row["wrong"] == pytest.approx(sum(1 / (1 + 2**above)), abs=1e-3)
        assert row["missed"] == pytest.approx(sum(1 / (1 + 2**-below)), abs=1e-3)


@given(WEIGHTS)
def test_a_higher_threshold_never_costs_more_wrong_links_or_fewer_missed_matches(weights):
    rows = threshold_choice(weights, LOWEST)
    assert all(low["wrong"] >= high["wrong"] for low, high in pairwise(rows))
    assert all(low["missed"] <= high["missed"] for low, high in pairwise(rows))
