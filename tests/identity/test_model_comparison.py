"""Golden IDs kept, merged and split between two groupings of the same records."""

from itertools import combinations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from identity.model_comparison import Change, compare, merges


def columns(was: str, now: str) -> tuple[np.ndarray, np.ndarray]:
    return np.array([ord(c) for c in was]), np.array([ord(c) for c in now])


CASES = {
    ("", ""): Change(0, 0, 0, 0, 0),
    ("aabb", "xxyy"): Change(golden_ids=2, kept=2, merged=0, split=0, disagreements=0),
    ("aabb", "xxxx"): Change(golden_ids=2, kept=0, merged=2, split=0, disagreements=4),
    ("aabb", "xyzz"): Change(golden_ids=2, kept=1, merged=0, split=1, disagreements=1),
    ("aabbc", "xyyyz"): Change(golden_ids=3, kept=1, merged=2, split=1, disagreements=3),
}


def test_golden_ids_are_counted_by_their_fate():
    for (was, now), expected in CASES.items():
        assert compare(*columns(was, now)) == expected, (was, now)


labels = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=10)


@given(labels)
def test_disagreements_are_the_pairs_together_in_one_grouping_only(rows):
    was, now = np.array(rows).T
    expected = sum((was[i] == was[j]) != (now[i] == now[j]) for i, j in combinations(range(len(rows)), 2))
    assert compare(was, now).disagreements == expected


@given(labels)
def test_who_is_kept_has_the_same_records_on_both_sides(rows):
    was, now = np.array(rows).T
    before = {frozenset(np.flatnonzero(was == label)) for label in was}
    after = {frozenset(np.flatnonzero(now == label)) for label in now}
    assert compare(was, now).kept == len(before & after)


@given(labels)
def test_merges_name_every_golden_id_that_is_joined_and_its_records_in_there(rows):
    was, now = np.array(rows).T
    numbers = np.arange(100, 100 + len(rows))
    found = merges(numbers, was, now)
    for merge in found:
        homes = {now[record - 100] for part in merge for record in part}
        assert len(homes) == 1
        assert len(merge) > 1
        for part in merge:
            assert len({was[record - 100] for record in part}) == 1
    joined = {was[record - 100] for merge in found for part in merge for record in part}
    assert len(joined) == compare(was, now).merged
    assert [len(merge) for merge in found] == sorted((len(merge) for merge in found), reverse=True)


def test_only_the_largest_merges_are_named():
    was = np.arange(9)
    now = np.array([0, 0, 1, 1, 1, 1, 2, 2, 2])
    assert merges(was, was, now, most=2) == [((2,), (3,), (4,), (5,)), ((6,), (7,), (8,))]
