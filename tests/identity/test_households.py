"""Households as a specification: who is grouped with whom, and which number they keep."""

from collections import defaultdict
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity.clustering import Pairs
from identity.golden_events import Ints
from identity.households import MOST_PEOPLE, THRESHOLD, Group, Plan, Stored, group, plan

SURE, WEAK = THRESHOLD + 4.0, THRESHOLD - 4.0
Tie = tuple[int, int, float]


def ints(*numbers: int) -> Ints:
    return np.array(numbers, dtype=np.int64)


def pairs(*ties: Tie) -> Pairs:
    """The ties as pairs of records, in the order given."""
    return Pairs(
        ints(*(a for a, _, _ in ties)), ints(*(b for _, b, _ in ties)), np.array([w for *_, w in ties])
    )


def grouped(people: dict[int, int], *ties: Tie) -> Group:
    """Group records; `people` maps record -> person."""
    numbers = sorted(people)
    return group(pairs(*ties), ints(*numbers), ints(*(people[number] for number in numbers)))


def homes(found: Group) -> set[frozenset[int]]:
    members = defaultdict(set)
    for record_no, label in zip(found.record_nos.tolist(), found.label.tolist(), strict=True):
        members[label].add(record_no)
    return {frozenset(records) for records in members.values()}


ONE_EACH = {1: 1, 2: 2, 3: 3, 4: 4}

GROUPS = {
    "two people that share a home": (ONE_EACH, [(1, 2, SURE)], [{1, 2}]),
    "people tied through a third": (ONE_EACH, [(1, 2, SURE), (2, 3, SURE)], [{1, 2, 3}]),
    "a weak pair ties nobody": (ONE_EACH, [(1, 2, WEAK)], []),
    "records of one person are no household": ({1: 1, 2: 1}, [(1, 2, SURE)], []),
    "a person's second record of the same home belongs to it, however weak the pair": (
        {1: 1, 2: 1, 3: 3}, [(1, 2, WEAK), (2, 3, SURE)], [{1, 2, 3}],
    ),
    "a person's record that says nothing of a home is in none": (
        {1: 1, 2: 1, 3: 3}, [(2, 3, SURE)], [{2, 3}],
    ),
    "whoever moved ties nobody of the two homes together": (
        {1: 1, 2: 1, 3: 3, 4: 4}, [(1, 3, SURE), (2, 4, SURE)], [{1, 3}, {2, 4}],
    ),
    "pairs with unknown records count for nothing": (ONE_EACH, [(1, -7, SURE), (2, 9, SURE)], []),
}  # fmt: skip


@pytest.mark.parametrize(("people", "ties", "expected"), GROUPS.values(), ids=GROUPS)
def test_a_household_is(people: dict[int, int], ties: list[Tie], expected: list[set[int]]) -> None:
    assert homes(grouped(people, *ties)) == {frozenset(records) for records in expected}


@pytest.mark.parametrize(("size", "count"), [(MOST_PEOPLE, 1), (MOST_PEOPLE + 1, 0)])
def test_what_more_people_share_than_live_in_a_home_is_no_household(size: int, count: int) -> None:
    ties = [(number, number + 1, SURE) for number in range(1, size)]
    assert len(homes(grouped({number: number for number in range(1, size + 1)}, *ties))) == count


RECORDS = st.integers(1, 12)
WEIGHTS = st.sampled_from([WEAK, THRESHOLD, SURE])
TIES = st.lists(st.tuples(RECORDS, RECORDS, WEIGHTS).filter(lambda tie: tie[0] != tie[1]), max_size=14)
PEOPLE = st.lists(st.integers(1, 7), min_size=10, max_size=10).map(
    lambda owners: {number: min(owner, number) for number, owner in enumerate(owners, 1)}
)


@given(PEOPLE, TIES, st.randoms())
def test_the_order_of_pairs_does_not_matter(people: dict[int, int], ties: list[Tie], chance: Random) -> None:
    shuffled = ties.copy()
    chance.shuffle(shuffled)
    one, other = grouped(people, *ties), grouped(people, *shuffled)
    assert one.record_nos.tolist() == other.record_nos.tolist()
    assert one.label.tolist() == other.label.tolist()


@given(PEOPLE, TIES)
def test_every_household_has_several_people_and_evidence_for_each_record(
    people: dict[int, int], ties: list[Tie]
) -> None:
    found = grouped(people, *ties)
    ends = {number for a, b, _ in ties for number in (a, b) if a in people and b in people}
    for records in homes(found):
        assert 2 <= len({people[number] for number in records}) <= MOST_PEOPLE
        assert records <= ends
    assert found.record_nos.tolist() == sorted(set(found.record_nos.tolist()))


@given(PEOPLE, TIES)
def test_people_of_one_household_are_tied_by_sure_pairs(people: dict[int, int], ties: list[Tie]) -> None:
    """Whatever the records: follow sure pairs and persons, and every household is inside one group."""
    joined = {person: person for person in people.values()}

    def head(person: int) -> int:
        while joined[person] != person:
            person = joined[person]
        return person

    for a, b, weight in ties:
        if a in people and b in people and weight >= THRESHOLD:
            joined[head(people[a])] = head(people[b])
    for records in homes(grouped(people, *ties)):
        assert len({head(people[number]) for number in records}) == 1


NOTHING = Stored(ints(), ints(), 1)


def after(done: Plan, *, next_household_no: int) -> Stored:
    return Stored(done.record_nos, done.household_nos, next_household_no)


def of(*households: set[int]) -> Group:
    rows = sorted((number, min(records)) for records in households for number in records)
    return Group(ints(*(number for number, _ in rows)), ints(*(label for _, label in rows)))


def numbers(done: Plan) -> dict[int, int]:
    return dict(zip(done.record_nos.tolist(), done.household_nos.tolist(), strict=True))


class TestNumbers:
    def test_the_first_run_numbers_in_the_order_of_the_smallest_record(self) -> None:
        done = plan(NOTHING, of({5, 1}, {2, 3}))
        assert numbers(done) == {1: 1, 5: 1, 2: 2, 3: 2}
        assert done.created.tolist() == [1, 2]
        assert done.count == 2

    def test_a_household_keeps_its_number_when_somebody_joins(self) -> None:
        before = after(plan(NOTHING, of({1, 2})), next_household_no=2)
        done = plan(before, of({1, 2, 3}))
        assert numbers(done) == {1: 1, 2: 1, 3: 1}
        assert [column.tolist() for column in done.rows.opened] == [[3], [1]]

    def test_whoever_leaves_gets_a_number_nobody_had(self) -> None:
        before = after(plan(NOTHING, of({1, 2, 3, 4, 5})), next_household_no=2)
        done = plan(before, of({1, 2, 3}, {4, 5}))
        assert numbers(done) == {1: 1, 2: 1, 3: 1, 4: 2, 5: 2}

    def test_of_two_that_become_one_the_larger_gives_the_number_and_then_the_older(self) -> None:
        before = after(plan(NOTHING, of({1, 2}, {3, 4, 5}, {6, 7}, {8, 9})), next_household_no=5)
        done = plan(before, of({1, 2, 3, 4, 5}, {6, 7, 8, 9}))
        assert set(numbers(done).values()) == {2, 3}

    def test_a_household_that_is_no_more_leaves_its_rows_closed(self) -> None:
        before = after(plan(NOTHING, of({1, 2}, {3, 4})), next_household_no=3)
        done = plan(before, of({3, 4}))
        assert done.rows.closed[0].tolist() == [1, 2]
        assert not len(done.rows.opened[0])


PARTITIONS = st.lists(st.integers(0, 4), min_size=12, max_size=12).map(
    lambda homes_of: [
        {number for number, home in enumerate(homes_of, 1) if home == each} for each in range(1, 5)
    ]
)


@given(PARTITIONS, PARTITIONS)
def test_the_same_households_again_change_nothing(one: list[set[int]], other: list[set[int]]) -> None:
    first = plan(NOTHING, of(*filter(None, one)))
    second = plan(after(first, next_household_no=20), of(*filter(None, other)))
    again = plan(after(second, next_household_no=40), of(*filter(None, other)))
    assert numbers(again) == numbers(second)
    assert len(again.rows) == len(again.created) == 0


@given(PARTITIONS, PARTITIONS)
def test_the_rows_turn_the_old_households_into_the_new(one: list[set[int]], other: list[set[int]]) -> None:
    first = plan(NOTHING, of(*filter(None, one)))
    second = plan(after(first, next_household_no=20), of(*filter(None, other)))
    state = numbers(first)
    for record_no in second.rows.closed[0].tolist():
        del state[record_no]
    opened = zip(*(column.tolist() for column in second.rows.opened), strict=True)
    for record_no, household_no in opened:
        assert record_no not in state
        state[record_no] = household_no
    assert state == numbers(second)
    assert len({*numbers(second).values()}) == len([records for records in other if records])
