"""Arrivals that have nothing to do with each other are resolved together, and only those."""

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from identity.arriving import MOST_TOGETHER, Arrival, ScoredCandidate, unrelated
from identity.contradictions import Evidence

numbers = st.integers(1, 60)


def heard(pairs: list[tuple[int, int]]) -> Evidence:
    ends = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return Evidence(ends[:, 0], ends[:, 1], np.zeros((len(pairs), 0), np.float32))


@st.composite
def lines(draw: st.DrawFn) -> tuple[list[Arrival], dict[int, int]]:
    arrivals = []
    for record_no in range(1_000, 1_000 + draw(st.integers(0, 50))):
        near = draw(st.lists(st.one_of(numbers, st.integers(1_000, 1_050)), max_size=3))
        pairs = draw(st.lists(st.tuples(numbers, numbers), max_size=2))
        candidates = [ScoredCandidate(number, 1.0) for number in near]
        arrivals.append(Arrival(record_no, candidates, 1, 0.0, evidence=heard(pairs) if pairs else None))
    return arrivals, draw(st.dictionaries(numbers, st.integers(1, 20)))


@given(lines())
def test_the_line_keeps_its_order_and_parts_share_no_record_and_no_golden_id(
    case: tuple[list[Arrival], dict[int, int]],
) -> None:
    arrivals, owner = case
    parts = list(unrelated(arrivals, owner))
    assert [each for part in parts for each in part] == arrivals
    for part in parts:
        assert 1 <= len(part) <= MOST_TOGETHER
        records = [each.touched() for each in part]
        goldens = [{owner[number] for number in touched if number in owner} for touched in records]
        for touched in (records, goldens):
            assert sum(map(len, touched)) == len(set().union(*touched))
    for one, following in pairwise(parts):  # none was cut off without need
        both = [*one, following[0]]
        assert len(both) > MOST_TOGETHER or len(list(unrelated(both, owner))) == 2
