"""The margin towards the previous decision: it spares golden IDs small changes, and nothing else."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity.clustering import Pairs, cluster
from identity.hysteresis import MARGIN, Held, settled

THRESHOLD = 2.0
ALMOST = THRESHOLD - MARGIN / 2
JUST = THRESHOLD + MARGIN / 2
SURE = THRESHOLD + MARGIN


def pairs_of(weights: dict[str, float]) -> Pairs:
    """Write pairs_of({"ab": 3.0}): records are letters, a = 1."""
    ends = np.array([[ord(letter) - 96 for letter in sorted(name)] for name in weights], dtype=np.int64)
    ends = ends.reshape(-1, 2)
    return Pairs(ends[:, 0], ends[:, 1], np.array(list(weights.values()), dtype=np.float64))


def run(records: str, weights: dict[str, float], before: str = "", again=cluster):
    """Settle; `before` writes the golden IDs of unchanged records as "ab c"."""
    numbers = np.array([ord(letter) - 96 for letter in records], dtype=np.int64)
    pairs = pairs_of(weights)
    known = sorted((ord(letter) - 96, 100 + n) for n, group in enumerate(before.split()) for letter in group)
    columns = np.array(known, dtype=np.int64).reshape(-1, 2)
    proposal = again(numbers, pairs, THRESHOLD)
    return settled(proposal, pairs, THRESHOLD, (columns[:, 0], columns[:, 1]), again)


def groups(clusters) -> str:
    found: dict[int, str] = {}
    for number, label in zip(clusters.record_nos.tolist(), clusters.label.tolist(), strict=True):
        found[label] = found.get(label, "") + chr(96 + number)
    return " ".join(found.values())


CASES = {
    "parts that were apart stay apart where a pair is only just over the threshold":
        ("ab", {"ab": JUST}, "a b", "a b", Held(apart=1)),
    "and are joined where it is sure":
        ("ab", {"ab": SURE}, "a b", "ab", Held()),
    "parts that were together stay together where a pair is only just below it":
        ("ab", {"ab": ALMOST}, "ab", "ab", Held(together=1)),
    "and are parted where it is clearly below":
        ("ab", {"ab": THRESHOLD - MARGIN - 0.1}, "ab", "a b", Held()),
    "a new record knows no earlier decision":
        ("abc", {"ab": JUST, "bc": JUST}, "a b", "a bc", Held(apart=1)),
    "a new record that is sure of both joins them: that is new evidence":
        ("abc", {"ac": 9.0, "bc": 9.0}, "a b", "abc", Held()),
    "without an earlier decision the proposal stands":
        ("abc", {"ab": JUST, "bc": ALMOST}, "", "ab c", Held()),
    "two disputes at once":
        ("abcd", {"ab": JUST, "bc": ALMOST, "cd": JUST}, "a bc d", "a bc d", Held(apart=2, together=1)),
}  # fmt: skip


@pytest.mark.parametrize(("records", "weights", "before", "expected", "held"), CASES.values(), ids=CASES)
def test_the_margin_decides(records, weights, before, expected, held):
    final, counted = run(records, weights, before)
    assert groups(final) == expected
    assert counted == held


def test_what_a_guard_refuses_when_asked_again_is_left_as_proposed():
    refusing = lambda numbers, _pairs, _threshold: cluster(numbers, pairs_of({}), THRESHOLD)  # noqa: E731 - a guard in one line
    final, held = run("ab", {"ab": ALMOST}, "ab", refusing)
    assert groups(final) == "a b"
    assert held == Held()


def guard(cost: float):
    """A guard that asks for `cost` bits more between records 1 and 2."""

    def again(numbers, pairs, threshold):
        between = (pairs.record_a == 1) & (pairs.record_b == 2)
        return cluster(numbers, pairs.where(~between | (pairs.weight >= threshold + cost)), threshold)

    return again


GUARDED = {
    "what a guard refuses by a hair stays together": (SURE - 0.5, "ab", "ab"),
    "what a guard refuses clearly is parted": (SURE - MARGIN - 0.5, "ab", "a b"),
    "what a guard lets pass by a hair stays apart": (SURE + 0.5, "a b", "a b"),
    "what a guard lets pass clearly is joined": (SURE + MARGIN, "a b", "ab"),
}


@pytest.mark.parametrize(("weight", "before", "expected"), GUARDED.values(), ids=GUARDED)
def test_guards_decide_within_the_margin_as_weights_do(weight, before, expected):
    again = guard(SURE - THRESHOLD)
    numbers, pairs = np.array([1, 2], dtype=np.int64), pairs_of({"ab": weight})
    owners = np.array([7, 7] if before == "ab" else [7, 8], dtype=np.int64)
    proposal = again(numbers, pairs, THRESHOLD)
    final, _ = settled(proposal, pairs, THRESHOLD, (numbers, owners), again)
    assert groups(final) == expected


def test_the_confidence_of_what_was_held_together_is_that_of_its_weak_link():
    final, _ = run("ab", {"ab": ALMOST}, "ab")
    assert final.confidence.min() == pytest.approx(1 / (1 + 2**-ALMOST), abs=1e-6)
    assert len(final.links) == 1


def test_around_what_a_steward_judged_the_proposal_stands():
    numbers, pairs = np.array([1, 2], dtype=np.int64), pairs_of({"ab": JUST})
    proposal = cluster(numbers, pairs, THRESHOLD)
    known, exempt = (numbers, numbers), np.array([2], dtype=np.int64)
    final, held = settled(proposal, pairs, THRESHOLD, known, cluster, exempt=exempt)
    assert groups(final) == "ab"
    assert held == Held()


letters = st.lists(st.sampled_from("abcdefgh"), min_size=2, max_size=8, unique=True).map(sorted)
near = st.sampled_from([-3.0, THRESHOLD - MARGIN, ALMOST, THRESHOLD, JUST, SURE, 9.0])


@st.composite
def worlds(draw):
    records = draw(letters)
    names = [one + two for one in records for two in records if one < two]
    weights = draw(st.dictionaries(st.sampled_from(names), near, max_size=12))
    known = [letter for letter in records if draw(st.booleans())]
    owners: dict[int, str] = {}
    for letter in known:
        group = draw(st.integers(0, 3))
        owners[group] = owners.get(group, "") + letter
    return "".join(records), weights, " ".join(owners.values())


@given(worlds())
def test_the_same_input_again_changes_nothing_to_the_last_bit(world):
    records, weights, before = world
    first, _ = run(records, weights, before)
    second, _ = run(records, weights, groups(first))
    for name in ("record_nos", "label", "anchor", "confidence"):
        assert np.array_equal(getattr(second, name), getattr(first, name)), name
    for name in ("record_a", "record_b", "weight"):
        assert np.array_equal(getattr(second.links, name), getattr(first.links, name)), name


costs = st.dictionaries(st.tuples(st.integers(1, 8), st.integers(1, 8)), st.sampled_from([0.5, 1.0, 3.0]))


@given(worlds(), costs)
def test_so_it_does_under_guards(world, costs):
    def guarded(numbers, pairs, threshold):
        price = [
            costs.get(pair, 0.0)
            for pair in zip(pairs.record_a.tolist(), pairs.record_b.tolist(), strict=True)
        ]
        return cluster(numbers, pairs.where(pairs.weight >= threshold + np.array(price)), threshold)

    records, weights, before = world
    first, _ = run(records, weights, before, guarded)
    second, _ = run(records, weights, groups(first), guarded)
    assert groups(second) == groups(first)
    assert np.array_equal(second.confidence, first.confidence)


@given(worlds())
def test_it_differs_from_the_proposal_only_by_pairs_within_the_margin(world):
    records, weights, before = world
    final, _ = run(records, weights, before)
    cautious, lenient = (
        cluster(final.record_nos, pairs_of(weights), THRESHOLD + step) for step in (MARGIN, -MARGIN)
    )
    for one in range(len(records)):
        for two in range(one):
            together = final.label[one] == final.label[two]
            if cautious.label[one] == cautious.label[two]:
                assert together
            if together:
                assert lenient.label[one] == lenient.label[two]


@given(worlds())
def test_where_decision_and_proposal_agree_nothing_is_held(world):
    records, weights, _ = world
    numbers = np.array([ord(letter) - 96 for letter in records], dtype=np.int64)
    proposal = cluster(numbers, pairs_of(weights), THRESHOLD)
    final, held = run(records, weights, groups(proposal))
    assert held == Held()
    assert np.array_equal(final.label, proposal.label)


@given(worlds(), st.randoms(use_true_random=False))
def test_the_order_of_the_pairs_does_not_matter(world, random):
    records, weights, before = world
    shuffled = list(weights.items())
    random.shuffle(shuffled)
    plain, other = run(records, weights, before)[0], run(records, dict(shuffled), before)[0]
    assert np.array_equal(plain.label, other.label)
    assert np.array_equal(plain.confidence, other.confidence)
