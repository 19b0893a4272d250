"""The guard: contradictions part what a single link would join."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity.clustering import Pairs, cluster, tied
from identity.contradictions import (
    MOST_COMPARED,
    PRICE,
    SPREAD,
    Evidence,
    Merging,
    all_pairs,
    bound,
    spread_pairs,
)

FIRST_NAME, BIRTH_DATE, EMAIL = 0, 1, 2
Bits = dict[tuple[int, int], tuple[float, float, float]]


def scored(bits: Bits, prior: float) -> Pairs:
    """Pairs whose weight is the prior and the sum of their bits, with the evidence of all of them."""
    ends = np.array(list(bits), dtype=np.int64).reshape(-1, 2)
    values = np.array(list(bits.values()), dtype=np.float32).reshape(-1, 3)
    weight = prior + values.sum(axis=1, dtype=np.float64)
    return Pairs(ends[:, 0], ends[:, 1], weight, Evidence(ends[:, 0], ends[:, 1], values))


def groups(record_nos: list[int], pairs: Pairs) -> set[frozenset[int]]:
    found = cluster(record_nos, pairs, 0.0)
    return {
        frozenset(found.record_nos[found.label == label].tolist())
        for label in np.unique(found.label).tolist()
    }


FATHERS, SONS = (1, 2, 3), (4, 5, 6)
BRIDGE = 7  # a record that holds the family's e-mail address and nothing else


def a_family() -> Bits:
    """Three records of a father, three of his son, all with one e-mail, and the bridge."""
    bits: Bits = {}
    numbers = (*FATHERS, *SONS)
    for position, one in enumerate(numbers):
        for other in numbers[position + 1 :]:
            same = (one in FATHERS) == (other in FATHERS)
            bits[one, other] = (4.0, 8.0, 9.0) if same else (-4.0, -6.0, 9.0)
        bits[one, BRIDGE] = (0.0, 0.0, 9.0)
    return bits


def test_a_record_that_fits_both_does_not_make_a_father_and_his_son_one_person() -> None:
    pairs = scored(a_family(), prior=-5.0)
    links_alone = Pairs(pairs.record_a, pairs.record_b, pairs.weight)
    assert groups(list(range(1, 8)), links_alone) == {frozenset(range(1, 8))}
    found = groups(list(range(1, 8)), pairs)
    assert all(not (group & set(FATHERS) and group & set(SONS)) for group in found)
    assert {group - {BRIDGE} for group in found} >= {frozenset(FATHERS), frozenset(SONS)}


def test_one_typing_error_does_not_part_a_person() -> None:
    """A contradiction is priced, no veto: strong links outweigh it."""
    bits: Bits = {(1, 2): (4.0, 8.0, 9.0), (1, 3): (4.0, -3.0, 9.0), (2, 3): (4.0, -3.0, 0.0)}
    assert groups([1, 2, 3], scored(bits, prior=-5.0)) == {frozenset({1, 2, 3})}


def test_a_pair_alone_is_decided_by_its_weight_in_which_its_contradictions_are_counted() -> None:
    assert groups([1, 2], scored({(1, 2): (-4.0, 8.0, 9.0)}, prior=-5.0)) == {frozenset({1, 2})}


def test_links_refused_by_the_guard_are_not_kept_as_links() -> None:
    found = cluster(range(1, 8), scored(a_family(), prior=-5.0), 0.0)
    label = dict(zip(found.record_nos.tolist(), found.label.tolist(), strict=True))
    ends = zip(found.links.record_a.tolist(), found.links.record_b.tolist(), strict=True)
    assert all(label[one] == label[other] for one, other in ends)


RECORDS = list(range(1, 8))
PAIRS_OF_RECORDS = [(one, other) for one in RECORDS for other in RECORDS if one < other]
EVERY_PAIR = st.lists(
    st.tuples(*[st.sampled_from([-6.0, -2.0, 0.0, 1.5, 5.0])] * 3),
    min_size=len(PAIRS_OF_RECORDS), max_size=len(PAIRS_OF_RECORDS),
).map(lambda bits: dict(zip(PAIRS_OF_RECORDS, bits, strict=True)))  # fmt: skip


@given(EVERY_PAIR, st.floats(-6, 6))
def test_the_guard_only_parts_what_links_join(bits: Bits, prior: float) -> None:
    pairs = scored(bits, prior)
    joined = groups(RECORDS, Pairs(pairs.record_a, pairs.record_b, pairs.weight))
    for group in groups(RECORDS, pairs):
        assert any(group <= whole for whole in joined)


@given(EVERY_PAIR, st.floats(-6, 6))
def test_what_the_bound_passes_unseen_merging_would_join_too(bits: Bits, prior: float) -> None:
    """The short cut over most components never changes an outcome."""
    pairs = scored(bits, prior)
    merging = Merging(len(RECORDS))
    for (one, other), weight in zip(bits, pairs.weight.tolist(), strict=True):
        merging.add(one - 1, other - 1, weight + 1e-9 if weight >= 0 else -1.0, list(bits[one, other]))
    labels = merging.labels()
    expected = {
        frozenset(number for number, each in zip(RECORDS, labels, strict=True) if each == label)
        for label in labels
    }
    assert groups(RECORDS, pairs) == expected


@given(EVERY_PAIR, st.floats(-6, 6), st.permutations(range(len(PAIRS_OF_RECORDS))))
def test_the_order_of_pairs_says_nothing(bits: Bits, prior: float, order: list[int]) -> None:
    items = list(bits.items())
    assert groups(RECORDS, scored(bits, prior)) == groups(
        RECORDS, scored(dict(items[place] for place in order), prior)
    )


def test_the_bound_is_the_weakest_link_less_the_price_of_the_worst_contradictions() -> None:
    found = bound(np.array([8.0]), np.array([[-4.0, 0.0]]), np.array([8]))
    assert found.tolist() == [8.0 - PRICE * 4.0 * 2.0]


def test_every_pair_of_what_links_tie_together_is_looked_at_once() -> None:
    component = np.array([0, 1, 0, 1, 0, 2])
    record_a, record_b = all_pairs(np.arange(10, 16), component)
    assert list(zip(record_a.tolist(), record_b.tolist(), strict=True)) == [(10, 12), (10, 14), (12, 14)]


def test_of_a_large_tie_every_record_is_looked_at_with_others_all_over_it() -> None:
    count = 10 * MOST_COMPARED
    numbers = np.arange(count, dtype=np.int64) * 3
    record_a, record_b = spread_pairs(numbers, np.zeros(count, dtype=np.int64))
    assert np.all(record_a < record_b)
    assert len(set(zip(record_a.tolist(), record_b.tolist(), strict=True))) == len(record_a) <= SPREAD * count
    for number in (0, 1500, 2997):
        others = [*record_b[record_a == number], *record_a[record_b == number]]
        assert len(others) >= SPREAD
        quarters = np.bincount((np.array(others) // 3) * 4 // count, minlength=4)
        assert quarters.min() >= len(others) / 8


@pytest.mark.parametrize("period", [2, 3, 5, 8, 10, 12])
def test_no_period_in_the_record_numbers_hides_anybody(period: int) -> None:
    """Records of a household's members in turn: everybody's are looked at with everybody's."""
    count = 600
    record_a, record_b = spread_pairs(np.arange(count, dtype=np.int64), np.zeros(count, dtype=np.int64))
    met = np.zeros((period, period), dtype=np.int64)
    np.add.at(met, (record_a % period, record_b % period), 1)
    assert (met + met.T).min() > 0


def test_of_a_tie_beyond_the_limit_scored_pairs_and_the_spread_are_looked_at() -> None:
    count = MOST_COMPARED + 1
    numbers = np.arange(count, dtype=np.int64)
    chain = Pairs(numbers[:-1], numbers[1:], np.full(count - 1, 3.0))
    found = tied(chain, 0.0)
    assert len(found.record_a) == count * (count - 1) // 2, "the limit itself is no cliff"
    assert found.large.tolist() == numbers.tolist()
    small = tied(chain.where(numbers[:-1] < 50), 0.0)
    assert (len(small.record_a), len(small.large)) == (51 * 50 // 2, 0)
    assert len(tied(chain, 4.0).record_a) == 0
