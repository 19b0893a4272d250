"""Less agreement never speaks more strongly for one person: m / u is kept in order."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity.comparison import ELSE, Level
from identity.comparisons import CATALOGUE
from identity.ordered_levels import ordered, pooled

LEVELS = (Level("same", "a"), Level("alike", "b"), Level("similar", "c"), ELSE)
ASIDE = (Level("same", "a"), Level("swapped", "b", aside=True), Level("alike", "c"), ELSE)


def shares(*parts):
    return np.array(parts) / sum(parts)


@st.composite
def fitted(draw):
    """Some comparison's levels, with an m and a u that any data may have led to."""
    levels = draw(st.sampled_from([LEVELS, ASIDE, *(item.levels for item in CATALOGUE)]))
    part = st.floats(1e-6, 1.0)
    m, u = (shares(*draw(st.lists(part, min_size=len(levels), max_size=len(levels)))) for _ in range(2))
    return m, u, levels


def in_order(m, u, levels):
    ratio = m / u
    chain = [place for place, level in enumerate(levels) if not level.aside]
    between = [place for place, level in enumerate(levels) if level.aside]
    return all(ratio[one] >= ratio[other] * (1 - 1e-9) for one, other in pairwise(chain)) and all(
        ratio[0] * (1 + 1e-9) >= ratio[place] >= ratio[-1] * (1 - 1e-9) for place in between
    )


def test_levels_in_order_stay_as_they_are():
    m, u = shares(60, 20, 10, 10), shares(1, 1, 8, 90)
    assert np.array_equal(ordered(m, u, LEVELS), m)


def test_two_levels_out_of_order_are_worth_the_same():
    m, u = shares(50, 30, 10, 10), shares(10, 1, 9, 80)
    found = ordered(m, u, LEVELS)
    assert found[:2] / u[:2] == pytest.approx(np.repeat((m[0] + m[1]) / (u[0] + u[1]), 2))
    assert np.array_equal(found[2:], m[2:])


def test_a_difference_is_no_evidence_for_one_person():
    m, u = shares(5, 1, 1, 93), shares(20, 20, 30, 30)
    found = ordered(m, u, LEVELS)
    assert found[-1] <= u[-1] * (1 + 1e-9)


def test_a_level_aside_may_be_worth_more_or_less_than_those_between():
    u = shares(1, 1, 8, 90)
    for swapped in (1, 40):
        m = shares(60, swapped, 20, 10)
        assert np.array_equal(ordered(m, u, ASIDE), m)


def test_a_level_aside_is_worth_no_more_than_the_first():
    m, u = shares(50, 40, 5, 5), shares(10, 1, 9, 80)
    assert ordered(m, u, ASIDE)[1] / u[1] == pytest.approx(ordered(m, u, ASIDE)[0] / u[0])


@given(fitted())
def test_the_answer_is_in_order_and_still_a_distribution(case):
    m, u, levels = case
    found = ordered(m, u, levels)
    assert in_order(found, u, levels)
    assert found.sum() == pytest.approx(1)
    assert (found > 0).all()
    assert found[-1] <= u[-1] * (1 + 1e-9)


@given(fitted())
def test_ordering_again_changes_nothing(case):
    m, u, levels = case
    once = ordered(m, u, levels)
    assert ordered(once, u, levels) == pytest.approx(once)


@given(fitted(), st.randoms(use_true_random=False))
def test_no_other_m_in_order_explains_the_pairs_better(case, chance):
    """The likelihood of the levels of pairs that show the shares `m` is highest at the answer."""
    m, u, levels = case
    found = ordered(m, u, levels)
    best = float(m @ np.log(found))
    for _ in range(20):
        other = ordered(found * np.array([chance.uniform(0.5, 2) for _ in m]), u, levels)
        other = other / other.sum()
        if in_order(other, u, levels):
            assert float(m @ np.log(other)) <= best + 1e-9


def test_pooled_levels_are_found_again():
    m, u = shares(50, 30, 10, 10), shares(10, 1, 9, 80)
    assert pooled(ordered(m, u, LEVELS), u) == [(0, 1)]
    assert pooled(m, u) == []
