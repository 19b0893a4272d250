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


def vectors_of(people, households, strangers=30_000):
    """Draw comparison vectors of so many pairs of each class."""
    random = np.random.default_rng(7)
    rows = [
        np.stack([random.choice(len(share), size=count, p=share) for share in parameters], axis=1)
        for parameters, count in ((PERSON, people), (HOUSEHOLD, households), (STRANGERS, strangers))
    ]
    levels, counts = np.unique(np.concatenate(rows), axis=0, return_counts=True)
    return Vectors(levels.astype(np.int64), counts.astype(float), RECORDS)


def test_households_are_told_from_people():
    found = fit(vectors_of(people=8_000, households=6_000), COMPARISONS, STRANGERS)
    all_pairs = RECORDS * (RECORDS - 1) / 2
    # pairs that agree on one thing only pass for strangers: there are 200 million of those
    assert found.person_rate * all_pairs == pytest.approx(8_000, rel=0.1)
    assert found.household_rate * all_pairs == pytest.approx(6_000, rel=0.2)
    for m, truth in zip(found.m, PERSON, strict=True):
        assert m[0] == pytest.approx(truth[0], abs=0.03)
    assert found.h[3][0] == pytest.approx(0.95, abs=0.05)
    assert found.h[0][0] == pytest.approx(STRANGERS[0][0], rel=0.2), (
        "first names of a household are strangers'"
    )


def test_without_households_two_classes_fit():
    found = fit(vectors_of(people=8_000, households=0), COMPARISONS, STRANGERS)
    assert found.household_rate == 0.0


def test_no_level_is_ever_impossible():
    found = fit(vectors_of(people=50, households=0, strangers=100), COMPARISONS, STRANGERS)
    for m in found.m:
        assert m.min() >= FLOOR * 0.9
        assert m.sum() == pytest.approx(1)


def test_no_pairs_at_all_leave_the_prior():
    nothing = Vectors(np.zeros((0, 4), dtype=np.int64), np.zeros(0), RECORDS)
    found = fit(nothing, COMPARISONS, STRANGERS)
    assert found.household_rate == 0.0
    assert found.person_rate > 0
