"""Stable golden IDs: the properties that identity.golden_ids promises, and its cases by name."""

import itertools
from collections import Counter, defaultdict
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from identity import assignment
from identity.golden_ids import Assignment, State, assign_golden_ids, empty_state, record_weights

Partition = dict[int, int]  # record number -> cluster label


def step(state: State, partition: Partition, weights: dict[int, int] | None = None) -> Assignment:
    records = np.array(list(partition), dtype=np.int64)
    labels = np.array(list(partition.values()), dtype=np.int64)
    weight = np.array([(weights or {}).get(record, 1) for record in partition], dtype=np.int64)
    return assign_golden_ids(state, records, labels, weight)


def owners(state: State) -> dict[int, int]:
    return dict(zip(state.record_nos.tolist(), state.golden_nos.tolist(), strict=True))


def members(state: State) -> dict[int, set[int]]:
    found = defaultdict(set)
    for record, golden in owners(state).items():
        found[golden].add(record)
    return dict(found)


def redirects(state: State) -> dict[int, int]:
    return dict(zip(state.merged_nos.tolist(), state.redirect_nos.tolist(), strict=True))


def events(result: Assignment) -> list[tuple]:
    return [(e.type, e.golden_no, e.joined, e.left, e.others) for e in result.events]


def groups(*clusters: str) -> Partition:
    """Write groups("abc", "d"): records are letters, a = 1."""
    return {ord(letter) - 96: label for label, cluster in enumerate(clusters) for letter in cluster}


partitions = st.dictionaries(st.integers(1, 12), st.integers(0, 6), min_size=0, max_size=12)
histories = st.lists(partitions, min_size=1, max_size=6)


def run(history: list[Partition]) -> list[Assignment]:
    state, results = empty_state(), []
    for partition in history:
        results.append(step(state, partition))
        state = results[-1].state
    return results


@given(histories)
def test_every_live_record_has_one_active_golden_id_and_clusters_never_share_one(history):
    for partition, result in zip(history, run(history), strict=True):
        owner = owners(result.state)
        assert owner.keys() == partition.keys()
        pairs = {(owner[record], label) for record, label in partition.items()}
        assert len(pairs) == len({golden for golden, _ in pairs}) == len(set(partition.values()))


@given(histories)
def test_the_same_clusters_again_change_nothing_and_emit_nothing(history):
    state = run(history)[-1].state
    again = step(state, history[-1])
    assert events(again) == []
    assert owners(again.state) == owners(state)
    assert redirects(again.state) == redirects(state)
    assert again.state.next_golden_no == state.next_golden_no
    assert again.unchanged == len(set(history[-1].values()))


@given(histories, st.randoms(use_true_random=False), st.integers(-50, 50))
def test_row_order_and_cluster_labels_do_not_matter(history, random, shift):
    state = run(history[:-1])[-1].state if len(history) > 1 else empty_state()
    plain = step(state, history[-1])
    rows = list(history[-1].items())
    random.shuffle(rows)
    names = list(range(7))
    random.shuffle(names)
    shuffled = step(state, {record: names[label] + shift for record, label in rows})
    assert owners(shuffled.state) == owners(plain.state)
    assert events(shuffled) == events(plain)
    assert redirects(shuffled.state) == redirects(plain.state)


@given(histories, partitions)
def test_components_that_nothing_touches_keep_their_ids_whatever_happens_elsewhere(history, elsewhere):
    base = run(history)[-1]
    far = {record + 100: label + 100 for record, label in elsewhere.items()}
    both = step(base.state, history[-1] | far)
    for record, golden in owners(base.state).items():
        assert owners(both.state)[record] == golden
    assert {event.golden_no for event in both.events} == set(both.created.tolist())


@given(histories)
def test_the_survivor_of_a_merge_held_a_record_of_a_parent_or_of_the_merged_id(history):
    state = empty_state()
    for partition in history:
        result = step(state, partition)
        before, after = members(state), members(result.state)
        for event in result.events:
            if event.type == "merged" and event.golden_no in before:
                (survivor,) = event.others
                live = before[event.golden_no] & partition.keys()
                assert live
                assert live <= after[survivor]
                assert survivor in before or survivor in result.reactivated.tolist()
        state = result.state


@given(histories)
def test_exactly_one_fragment_of_a_split_keeps_the_id_unless_it_is_outranked(history):
    state = empty_state()
    for partition in history:
        result = step(state, partition)
        after = members(result.state)
        for golden, had in members(state).items():
            keepers = [holder for holder, has in after.items() if holder == golden and has & had]
            assert len(keepers) <= 1
            if not keepers and had & partition.keys():  # every fragment went to an ID of at least its claim
                for record in had & partition.keys():
                    winner = owners(result.state)[record]
                    assert winner in members(state)
        state = result.state


@given(histories)
def test_redirects_are_one_step_and_end_at_an_active_id_while_a_former_record_lives(history):
    state = empty_state()
    for partition in history:
        state = step(state, partition).state
        active = set(members(state))
        former = set(state.former_goldens.tolist())
        for merged, target in redirects(state).items():
            assert merged not in active
            if merged in former:
                assert target in active
            seen, end = {merged}, target
            while end in redirects(state):
                assert end not in seen
                seen.add(end)
                end = redirects(state)[end]


@dataclass
class Replica:
    """A follower of the feed that knows events only."""

    owner: dict[int, int] = field(default_factory=dict)
    status: dict[int, str] = field(default_factory=dict)
    redirect: dict[int, int] = field(default_factory=dict)

    def apply(self, happened) -> None:
        for event in happened:
            for record in event.left:
                if self.owner.get(record) == event.golden_no:
                    del self.owner[record]
            for record in event.joined:
                self.owner[record] = event.golden_no
            if event.type in {"created", "reactivated"}:
                self.status[event.golden_no] = "active"
                self.redirect.pop(event.golden_no, None)
            elif event.type in {"merged", "split", "gone"}:
                self.status[event.golden_no] = event.type
                self.redirect.pop(event.golden_no, None)
                for record in [r for r, golden in self.owner.items() if golden == event.golden_no]:
                    del self.owner[record]
            if event.type == "merged":
                (self.redirect[event.golden_no],) = event.others


@given(histories)
def test_replaying_the_events_over_yesterdays_state_gives_todays(history):
    replica = Replica()
    for result in run(history):
        replica.apply(result.events)
        assert replica.owner == owners(result.state)
        assert replica.redirect == redirects(result.state)
        assert {g for g, s in replica.status.items() if s == "active"} == set(members(result.state))


@given(histories)
def test_no_event_names_an_id_whose_records_and_redirect_stayed(history):
    state = empty_state()
    for partition in history:
        result = step(state, partition)
        before, after = members(state), members(result.state)
        for event in result.events:
            moved = before.get(event.golden_no) != after.get(event.golden_no)
            moved |= redirects(state).get(event.golden_no) != redirects(result.state).get(event.golden_no)
            assert moved
        state = result.state


@given(histories)
def test_split_and_erased_ids_never_return(history):
    state, final = empty_state(), set()
    for partition in history:
        result = step(state, partition)
        assert not final & set(members(result.state))
        assert not final & set(redirects(result.state))
        final |= {e.golden_no for e in result.events if e.type in {"split", "gone"}}
        state = result.state


small = st.dictionaries(st.integers(1, 9), st.integers(0, 3), min_size=1, max_size=9)
small_weights = st.dictionaries(st.integers(1, 9), st.integers(1, 5))


@settings(max_examples=200)
@given(small, small, small_weights)
def test_the_kept_overlap_is_the_greatest_that_any_one_to_one_choice_keeps(before, after, weights):
    state = step(empty_state(), before).state
    result = step(state, after, weights)
    overlap: Counter[tuple[int, int]] = Counter()
    for record, label in after.items():
        if record in owners(state):
            overlap[owners(state)[record], label] += weights.get(record, 1)
    ids, labels = sorted(members(state)), sorted(set(after.values()))
    slots = [*labels, *[None] * len(ids)]
    best = max(
        sum(overlap[golden, label] for golden, label in zip(ids, choice, strict=True) if label is not None)
        for choice in set(itertools.permutations(slots, len(ids)))
    )
    chosen = {(owners(result.state)[record], label) for record, label in after.items()}
    assert sum(overlap[pair] for pair in chosen) == best


@pytest.mark.parametrize("cells", [0, assignment.DENSE_CELLS], ids=["sparse solver", "dense solver"])
def test_a_component_of_rings_is_solved_exactly_by_either_solver(cells, monkeypatch):
    monkeypatch.setattr(assignment, "DENSE_CELLS", cells)
    size = 40  # every ID shares 3 records with its own cluster and 2 with the next: all keep their own
    before, after = {}, {}
    for place in range(size):
        for number in range(5):
            before[place * 10 + number] = place
            after[place * 10 + number] = place if number < 3 else (place + 1) % size
    state = step(empty_state(), before).state
    result = step(state, after)
    assert result.created.tolist() == []
    assert {e.type for e in result.events} == {"updated"}
    assert all(owners(state)[place * 10] == owners(result.state)[place * 10] for place in range(size))


def test_where_greedy_would_mint_an_id_the_assignment_keeps_both():
    # X is split 6 / 4 and Y, with 20 records, takes X's 6.
    x = dict.fromkeys(range(1, 11), 0)
    y = dict.fromkeys(range(11, 31), 1)
    state = step(empty_state(), x | y).state
    result = step(state, dict.fromkeys([*range(1, 7), *range(11, 31)], 0) | dict.fromkeys(range(7, 11), 1))
    assert owners(result.state)[7] == owners(state)[1]
    assert owners(result.state)[1] == owners(state)[11]
    assert result.created.tolist() == []


def test_a_tie_goes_to_the_older_id_and_between_fragments_to_the_smallest_record():
    state = step(empty_state(), groups("a", "b", "cd")).state
    merged = step(state, groups("ab", "c", "d"))
    assert owners(merged.state) == {1: 1, 2: 1, 3: 3, 4: 4}
    assert [e[:2] for e in events(merged)] == [("created", 4), ("updated", 1), ("updated", 3), ("merged", 2)]


def test_one_verified_record_outweighs_many_anonymous_ones():
    state = step(empty_state(), groups("abcde", "f")).state
    standing = record_weights(np.array([0, 2]))
    weights = {record: int(standing[0]) for record in range(1, 6)} | {6: int(standing[1])}
    result = step(state, groups("abcdef"), weights)
    assert set(owners(result.state).values()) == {2}
    assert redirects(result.state) == {1: 2}


def test_a_merge_and_its_undoing_gives_both_ids_back():
    state = step(empty_state(), groups("abc", "de")).state
    merged = step(state, groups("abcde"))
    assert redirects(merged.state) == {2: 1}
    parted = step(merged.state, groups("abc", "de"))
    assert owners(parted.state) == owners(state)
    assert events(parted) == [("reactivated", 2, (4, 5), (), ()), ("updated", 1, (), (4, 5), (2,))]


def test_in_a_chain_of_merges_the_id_whose_own_records_part_comes_back():
    state = step(empty_state(), groups("abcdjk", "efg", "hi")).state
    state = step(state, groups("abcdjk", "efghi")).state  # 3 -> 2
    state = step(state, groups("abcdjkefghi")).state  # 2 -> 1, 3 -> 1
    assert redirects(state) == {2: 1, 3: 1}
    result = step(state, groups("abcdjkefg", "hi"))
    assert owners(result.state)[8] == 3
    assert redirects(result.state) == {2: 1}


def test_a_redirect_follows_the_records_it_stands_for():
    state = step(empty_state(), groups("abcdef", "gh")).state
    state = step(state, groups("abcdefgh")).state
    assert redirects(state) == {2: 1}
    result = step(state, groups("abcd", "efgh"))  # too mixed to be ID 2 again: half of it is g and h
    assert owners(result.state)[7] == 3
    assert ("merged", 2, (), (), (3,)) in events(result)


def test_a_merged_id_whose_records_scatter_is_split_for_good():
    state = step(empty_state(), groups("abc", "de")).state
    state = step(state, groups("abcde")).state
    result = step(state, groups("abcd", "e"))
    assert ("split", 2, (), (), (1, 3)) in events(result)
    assert redirects(result.state) == {}
    assert 2 not in members(step(result.state, groups("abc", "de")).state)


def test_an_id_outranked_in_all_its_fragments_is_split_and_lists_its_successors():
    state = step(empty_state(), groups("ab", "cde", "fgh")).state
    result = step(state, groups("acde", "bfgh"))
    assert ("split", 1, (), (), (2, 3)) in events(result)


def test_an_id_without_a_living_record_is_a_tombstone():
    state = step(empty_state(), groups("ab", "c")).state
    result = step(state, groups("c"))
    assert events(result) == [("gone", 1, (), (), ())]
    assert 1 not in members(step(result.state, groups("ab", "c")).state)


def test_of_what_merged_into_an_id_that_is_gone_nothing_redirects_to_a_living_person():
    state = step(empty_state(), groups("abc", "d")).state
    state = step(state, groups("abcd")).state
    state = step(state, groups("e")).state
    assert redirects(state) == {2: 1}
    assert set(members(state)) == {3}


def test_the_first_run_numbers_ids_by_their_smallest_record():
    result = step(empty_state(), {9: 5, 3: 7, 4: 5, 8: 7})
    assert owners(result.state) == {3: 1, 8: 1, 4: 2, 9: 2}
    assert events(result) == [("created", 1, (3, 8), (), ()), ("created", 2, (4, 9), (), ())]
