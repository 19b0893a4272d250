"""Golden IDs between two runs: arrivals, updates, departures, and what a concurrent write may not spoil."""

import threading

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from identity.arriving import Arrival, ScoredCandidate
from identity.contradictions import Evidence
from identity.errors import StaleScoresError
from tests.examples import examples
from tests.identity.population import Population, consistent


@pytest.fixture
def people(tmp_path):
    population = Population(tmp_path)
    yield population
    population.db.close()


def types(population: Population, golden_id: str) -> list[str]:
    return [change.type for change in population.feed() if change.golden_id == golden_id]


def test_a_record_like_nobody_is_new_even_before_any_run(people):
    result = people.arrive(1, "ann")
    assert (result.decision, result.linked) == ("new", True)
    assert people.owners() == {1: result.golden_id}
    consistent(people)


def test_a_record_like_one_person_is_attached_and_only_that_one_changes(people):
    people.put_all({1: "ann", 2: "bo"})
    people.link()
    feed = people.feed()
    result = people.arrive(3, "ann cy")
    assert (result.decision, result.golden_id) == ("attached", people.golden(1))
    (change,) = people.feed(feed[-1].cursor)
    assert (change.type, change.details) == ("updated", {"joined": [3], "left": [], "to": []})
    consistent(people)


def test_a_doubtful_record_gets_an_id_of_its_own_and_is_kept_for_a_steward(people):
    people.arrive(1, "ann X")
    result = people.arrive(2, "bo X")
    assert result.decision == "review"
    assert people.golden(1) != people.golden(2)
    with people.db.read() as conn:
        assert conn.execute(text("SELECT record_a, record_b, weight FROM reviews")).all() == [(1, 2, 1.0)]


def test_a_doubt_is_forgotten_when_the_record_goes(people):
    people.arrive(1, "ann X")
    people.arrive(2, "bo X")
    people.delete(1)
    with people.db.read() as conn:
        assert conn.execute(text("SELECT COUNT(*) FROM reviews")).scalar() == 0


def test_a_record_that_proves_two_ids_one_person_merges_them_and_the_loser_redirects(people):
    people.put_all({1: "ann", 2: "ann", 3: "bo"})
    people.link()
    winner, loser = people.golden(1), people.golden(3)
    result = people.arrive(4, "ann bo")
    assert (result.decision, result.golden_id) == ("attached", winner)
    view = people.view(loser)
    assert (view.status, view.final.golden_id) == ("merged", winner)
    with people.db.read() as conn:
        (line,) = people.memberships.lineage(conn, view.golden_no)
    assert (line.golden_id, line.relation, line.other) == (loser, "merged_into", winner)
    consistent(people)


def test_when_the_proof_goes_both_ids_are_as_before(people):
    people.put_all({1: "ann", 2: "ann", 3: "bo"})
    people.link()
    before = people.owners()
    people.arrive(4, "ann bo")
    people.delete(4)
    assert people.owners() == before
    assert types(people, before[3]) == ["created", "merged", "reactivated"]
    consistent(people)


def test_an_update_leaves_the_old_person_and_finds_the_new_one(people):
    people.put_all({1: "ann", 2: "ann", 3: "bo"})
    people.link()
    result = people.arrive(2, "bo")
    assert (result.decision, result.golden_id) == ("attached", people.golden(3))
    assert people.groups() == {frozenset({1}), frozenset({2, 3})}
    consistent(people)


def test_a_record_without_permission_stays_alone_whatever_it_looks_like(people):
    people.arrive(1, "ann")
    result = people.arrive(2, "ann", linkable=False)
    assert (result.decision, result.linked) == ("new", False)
    assert people.arrive(3, "ann").golden_id == people.golden(1)
    assert people.groups() == {frozenset({1, 3}), frozenset({2})}


def test_a_withdrawn_permission_takes_effect_before_the_call_returns_and_splits_what_it_held_together(people):
    people.put_all({1: "ann", 2: "ann bo", 3: "bo"})
    people.link()
    golden_id = people.golden(1)
    people.forbid(2)
    assert people.groups() == {frozenset({1}), frozenset({2}), frozenset({3})}
    assert people.golden(1) == golden_id
    consistent(people)


def test_an_id_whose_last_record_goes_is_a_tombstone_and_what_merged_into_it_leads_there(people):
    people.put_all({1: "ann", 2: "bo", 3: "ann"})
    people.link()
    survivor, loser = people.golden(1), people.golden(2)
    people.arrive(4, "ann bo")
    people.delete(1, 2, 3, 4)
    assert people.view(survivor).status == "erased"
    assert people.view(loser).final.status == "erased"
    assert people.export() == []
    consistent(people)


def test_a_candidate_that_left_changed_or_withdrew_since_the_scoring_counts_no_more(people):
    people.put_all({1: "ann", 2: "ann", 3: "ann"})
    people.put(4, "ann")
    sequence = people.sequence()
    people.delete(1)
    people.forbid(2)
    people.put(3, "bo")
    candidates = [ScoredCandidate(number, 12.0) for number in (1, 2, 3)]
    result = people.online.attach(Arrival(4, candidates, sequence, 2.0), 1)
    assert result.decision == "new"
    assert people.owners()[4] == result.golden_id


@pytest.mark.parametrize("meanwhile", ["delete", "put"])
def test_a_record_that_changed_or_left_itself_must_be_scored_again(people, meanwhile):
    people.put(1, "ann")
    sequence = people.sequence()
    people.put(1, "bo") if meanwhile == "put" else people.delete(1)
    with pytest.raises(StaleScoresError):
        people.online.attach(Arrival(1, [], sequence, 2.0), 1)


@pytest.mark.parametrize("first", [1, 2])
def test_two_records_of_a_new_person_that_arrive_at_once_end_with_one_golden_id(people, first):
    """Record 1 is scored, record 2 comes, is scored and finds record 1; either may attach first."""
    people.put(1, "ann")
    scored_at = people.sequence()
    people.put(2, "ann")
    then = people.sequence()
    late = [ScoredCandidate(1, 12.0)]
    if first == 1:
        people.online.attach(Arrival(1, [], scored_at, 2.0), 1)
        people.online.attach(Arrival(2, late, then, 2.0), 1)
    else:
        people.online.attach(Arrival(2, late, then, 2.0), 1)
        with pytest.raises(StaleScoresError, match="resolved"):
            people.online.attach(Arrival(1, [], scored_at, 2.0, was=None), 1)
        again = [ScoredCandidate(2, 12.0)]
        assert people.online.attach(Arrival(1, again, then, 2.0), 1).decision == "attached"
    assert people.groups() == {frozenset({1, 2})}
    assert {change.type for change in people.feed()} <= {"created", "updated"}, "nothing had to be merged"
    consistent(people)


def test_what_was_heard_of_golden_ids_that_changed_since_counts_no_more(people):
    people.put_all({1: "ann", 2: "ann"})
    people.link()
    owners = {1: people.view(people.golden(1)).golden_no, 2: people.view(people.golden(2)).golden_no}
    pair = np.array([1, 2]), np.array([3, 3]), np.zeros((2, 1), dtype=np.float32)  # each with the newcomer

    def attach():
        people.put(3, "ann")
        candidates = [ScoredCandidate(1, 11.0), ScoredCandidate(2, 11.0)]
        heard = {"evidence": Evidence(*pair), "owners": owners}
        return people.online.attach(Arrival(3, candidates, people.sequence(), 2.0, **heard), people.now)

    assert attach().golden_id == people.golden(1)
    people.arrive(2, "bo")
    with pytest.raises(StaleScoresError, match="golden IDs"):
        attach()


def test_the_same_arrival_twice_changes_nothing_the_second_time(people):
    people.arrive(1, "ann")
    people.arrive(2, "ann")
    before, feed = people.export(), people.feed()
    people.arrive(2, "ann")
    assert people.export() == before
    assert people.feed() == feed


def test_detaching_what_nobody_knows_does_nothing(people):
    people.online.detach([12345], people.now)
    assert people.feed() == []


def test_threads_that_resolve_at_once_agree_on_one_golden_id(people):
    people.put_all(dict.fromkeys(range(1, 17), "ann"))

    def resolve(number: int) -> None:
        others = [ScoredCandidate(other, 12.0) for other in range(1, 17) if other != number]
        people.online.attach(Arrival(number, others, people.sequence(), 2.0), 1)

    threads = [threading.Thread(target=resolve, args=(number,)) for number in range(1, 17)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert people.groups() == {frozenset(range(1, 17))}
    consistent(people)


words = st.lists(st.sampled_from(["ann", "bo", "cy", "X"]), min_size=1, max_size=3).map(" ".join)
numbers = st.integers(1, 7)
writes = st.one_of(
    st.tuples(st.just("arrive"), numbers, words),
    st.tuples(st.just("delete"), numbers),
    st.tuples(st.just("forbid"), numbers),
    st.tuples(st.just("link")),
)


def test_a_doubt_inside_a_golden_id_joins_nobody_when_the_record_that_joined_them_leaves(people):
    """What is below the match threshold is a steward's question, whoever was together before (ADR 15)."""
    people.put_all({1: "ann X", 2: "ann bo", 3: "bo X"})
    people.link()
    assert people.groups() == {frozenset({1, 2, 3})}
    people.delete(2)
    assert people.groups() == {frozenset({1}), frozenset({3})}
    people.link()
    assert people.groups() == {frozenset({1}), frozenset({3})}
    with people.db.read() as conn:
        assert conn.execute(text("SELECT record_a, record_b, weight FROM reviews")).all() == [(1, 3, 1.0)]
    consistent(people)


@settings(max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(actions=st.lists(writes, max_size=12))
def test_after_any_online_writes_the_people_are_those_a_run_would_find(actions, tmp_path_factory):
    people = Population(tmp_path_factory.mktemp("home"))
    for kind, *rest in actions:
        known = {record for record, _ in people.live()}
        if kind in {"arrive", "link"} or rest[0] in known:
            getattr(people, kind)(*rest)
        consistent(people)
        assert people.groups() == people.expected()
    before = people.owners()
    outcome = people.link()
    assert people.owners() == before
    assert outcome.created == outcome.merged == outcome.split == outcome.updated == 0
    people.db.close()
