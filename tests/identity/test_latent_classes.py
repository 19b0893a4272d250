"""The fit against data made by known classes."""

import numpy as np
import pytest

from identity.comparisons import ADDRESS, BIRTH_DATE, FIRST_NAME, LAST_NAME
from identity.latent_classes import FLOOR, Vectors, fit

COMPARISONS = (FIRST_NAME, LAST_NAME, BIRTH_DATE, ADDRESS)
RECORDS = 20_000


def shares(size, same, close=0.02):
    """Level shares: `same` agree, a little is close, the rest differ."""
    return np.array([same, *[close / (size - 2)] * (size - 2), 1 - same - close])


PERSON = tuple(
    shares(len(item.levels), same) for item, same in zip(COMPARISONS, (0.85, 0.9, 0.9, 0.7), strict=True)
)
STRANGERS = tuple(
    shares(len(item.levels), same, 0.01)
    for item, same in zip(COMPARISONS, (0.005, 0.002, 0.0001, 0.0005), strict=True)
)
HOUSEHOLD = (STRANGERS[0], PERSON[1], STRANGERS[2], shares(len(ADDRESS.levels), 0.95))


ALL_PAIRS = RECORDS * (RECORDS - 1) / 2


def vectors_of(people, households):
    """Return how often each vector is expected among all pairs of records, and random pairs' level shares."""
    sizes = [len(item.levels) for item in COMPARISONS]
    levels = np.stack([axis.ravel() for axis in np.indices(sizes)], axis=1)
    classes = ((PERSON, people), (HOUSEHOLD, households), (STRANGERS, ALL_PAIRS - people - households))
    counts = sum(
        pairs * np.prod([share[levels[:, j]] for j, share in enumerate(parameters)], axis=0)
        for parameters, pairs in classes
    )
    random_u = [
        np.bincount(levels[:, j], weights=counts, minlength=size) / ALL_PAIRS for j, size in enumerate(sizes)
    ]
    return Vectors(levels.astype(np.int64), counts, RECORDS), random_u


def test_the_classes_that_made_the_data_are_found_again():
    vectors, random_u = vectors_of(people=8_000, households=6_000)
    found = fit(vectors, COMPARISONS, random_u)
    assert found.person_rate * ALL_PAIRS == pytest.approx(8_000, rel=0.01)
    for m, truth in zip(found.m, PERSON, strict=True):
        assert m == pytest.approx(truth, abs=0.005)
    # a household pair that shares one thing only looks like strangers, so this class is known less sharply
    assert found.household_rate * ALL_PAIRS == pytest.approx(6_000, rel=0.1)
    for j in (1, 3):  # surname and address
        assert found.h[j] == pytest.approx(HOUSEHOLD[j], abs=0.07)
    for u, truth in zip(found.u, STRANGERS, strict=True):
        assert u[0] == pytest.approx(truth[0], rel=0.01), "the matches among random pairs are taken out"


@pytest.mark.parametrize("people", [500, 8_000, 40_000])
def test_without_households_none_are_invented(people):
    vectors, random_u = vectors_of(people=people, households=0)
    assert fit(vectors, COMPARISONS, random_u).household_rate == 0.0


def test_no_level_is_ever_impossible():
    vectors, random_u = vectors_of(people=50, households=0)
    for m in fit(vectors, COMPARISONS, random_u).m:
        assert m.min() >= FLOOR * 0.9
        assert m.sum() == pytest.approx(1)


def test_no_pairs_at_all_leave_the_prior():
    nothing = Vectors(np.zeros((0, 4), dtype=np.int64), np.zeros(0), RECORDS)
    found = fit(nothing, COMPARISONS, STRANGERS)
    assert found.household_rate == 0.0
    assert found.person_rate > 0
