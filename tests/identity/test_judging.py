"""Stewards at work: decisions that hold at once and in every rerun, and the queue that asks for them."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from identity import judgement_store, review_queue
from identity.errors import ContradictionError, CursorError, NotJudgeableError
from identity.judging import Judge
from tests.examples import examples
from tests.identity.population import Population, consistent


class Office(Population):
    """A population with stewards."""

    def __init__(self, folder):
        super().__init__(folder)
        self.judge = Judge(self.db, self.facts, self.online)

    def say(self, one, other, verdict):
        return self.judge.decide((one, other), verdict, author="steward", reason="telephoned", now=self.now)

    def undo(self, number):
        return self.judge.undo(number, author="steward", reason="misheard", now=self.now)

    def queue(self, state="open"):
        with self.db.read() as conn:
            return review_queue.page(conn, state, None, 100)

    def asked(self, state="open"):
        return [(row.record_a, row.record_b) for row in self.queue(state)]

    def judgements(self):
        with self.db.read() as conn:
            return judgement_store.page(conn, 0, 1000)


@pytest.fixture
def people(tmp_path):
    office = Office(tmp_path)
    yield office
    office.db.close()


def test_same_joins_at_once_and_in_every_rerun_and_undoing_it_restores_who_was_who(people):
    people.put_all({1: "ann", 2: "ann", 3: "bo", 4: "bo"})
    people.link()
    before = people.export()
    decided = people.say(2, 3, "same")
    assert people.groups() == {frozenset({1, 2, 3, 4})}
    assert decided.golden_ids == (people.golden(2), people.golden(3))
    assert decided.in_effect
    for options in ({}, {"retrain": True}):
        people.link(**options)
        assert people.groups() == {frozenset({1, 2, 3, 4})}
        consistent(people)
    people.undo(decided.judgement.number)
    assert people.export() == before
    people.link()
    assert people.export() == before
    consistent(people)


def test_different_parts_at_once_and_in_every_rerun_and_undoing_it_restores_who_was_who(people):
    people.put_all({1: "ann", 2: "ann bo", 3: "bo", 4: "bo"})
    people.link()
    before = people.export()
    decided = people.say(1, 4, "different")
    parted = people.groups()
    assert len(parted) == 2
    assert decided.golden_ids[0] != decided.golden_ids[1]
    for options in ({}, {"retrain": True}):
        people.link(**options)
        assert people.groups() == parted
        consistent(people)
    people.undo(decided.judgement.number)
    assert people.export() == before
    people.link()
    assert people.export() == before


def test_undoing_after_new_records_came_restores_what_the_scores_alone_say(people):
    people.put_all({1: "ann", 2: "ann"})
    people.link()
    number = people.say(1, 2, "different").judgement.number
    assert people.arrive(3, "ann").decision == "attached"
    assert len(people.groups()) == 2
    people.undo(number)
    assert people.groups() == people.expected() == {frozenset({1, 2, 3})}
    consistent(people)


@pytest.mark.parametrize("step", ["reserve", "stage", "switch"])
def test_a_judgement_made_during_a_run_is_in_what_the_run_publishes(people, step):
    people.put_all({1: "ann", 2: "bo", 3: "cy", 4: "cy"})
    people.link()
    people.put_all({5: "dee", 6: "dee"})
    said = []

    def meanwhile(name):
        if name == step and not said:
            said.append(people.say(1, 2, "same"))
            said.append(people.say(3, 4, "different"))
            said.append(people.say(5, 6, "different"))  # no golden IDs yet: the run is to bring them

    people.link(meanwhile)
    assert len(said) == 3
    assert people.groups() == {frozenset({1, 2})} | {frozenset({number}) for number in (3, 4, 5, 6)}
    consistent(people)


def test_an_undo_during_a_run_is_in_what_the_run_publishes(people):
    people.put_all({1: "ann", 2: "ann"})
    people.link()
    number = people.say(1, 2, "different").judgement.number
    people.link(
        lambda step: step == "stage" and people.judgements()[-1].number == number and people.undo(number)
    )
    people.put(3, "bo")
    people.link(
        lambda step: step == "stage" and people.judgements()[-1].number == number and people.undo(number)
    )
    assert people.groups() == {frozenset({1, 2}), frozenset({3})}
    consistent(people)


def test_a_judgement_never_opens_linking_for_a_record_that_may_not_be_linked(people):
    people.put(1, "ann")
    people.put(2, "bo", linkable=False)
    people.link()
    decided = people.say(1, 2, "same")
    assert not decided.in_effect
    alone = {frozenset({1}), frozenset({2})}
    assert people.groups() == alone
    people.link()
    assert people.groups() == alone
    people.arrive(2, "bo")  # now with permission
    assert people.groups() == {frozenset({1, 2})}
    people.forbid(2)
    assert people.groups() == alone


def test_judgements_go_with_a_deleted_record_and_what_they_held_apart_is_resolved(people):
    people.put_all({1: "ann", 2: "ann bo", 3: "bo", 4: "bo"})
    people.link()
    people.say(1, 4, "different")
    assert len(people.groups()) == 2
    people.delete(1)
    assert people.judgements() == []
    assert people.groups() == {frozenset({2, 3, 4})}
    consistent(people)


def test_a_record_brought_up_to_date_keeps_what_was_said_of_it(people):
    people.put_all({1: "ann", 2: "bo"})
    people.link()
    people.say(1, 2, "same")
    people.arrive(2, "cy")
    assert people.groups() == {frozenset({1, 2})}


def test_a_contradiction_changes_nothing(people):
    people.put_all({1: "ann", 2: "bo", 3: "cy"})
    people.link()
    people.say(1, 2, "same")
    people.say(2, 3, "same")
    before, said = people.export(), people.judgements()
    with pytest.raises(ContradictionError, match=r"judgement 1 .* judgement 2 "):
        people.say(1, 3, "different")
    assert (people.export(), people.judgements()) == (before, said)


@pytest.mark.parametrize(
    "pair", [(1, 1), (1, 99)], ids=["a record with itself", "a record that is not there"]
)
def test_only_two_live_records_can_be_judged(people, pair):
    people.put(1, "ann")
    with pytest.raises(NotJudgeableError):
        people.say(*pair, "same")


def test_only_the_judgement_that_stands_can_be_undone(people):
    people.put_all({1: "ann", 2: "bo"})
    people.say(1, 2, "same")
    people.say(1, 2, "different")
    for number in (1, 7):
        with pytest.raises(NotJudgeableError):
            people.undo(number)
    people.undo(2)
    with pytest.raises(NotJudgeableError):
        people.undo(2)
    assert [each.verdict for each in people.judgements()] == ["same", "different", "undone"]


# the queue


def test_a_run_asks_one_question_for_two_golden_ids_and_shows_no_values(people):
    people.put_all({1: "ann X", 2: "ann", 3: "bo X", 4: "bo X"})
    people.link()
    (row,) = people.queue()
    assert (row.record_a, row.record_b, row.weight, row.cause) == (1, 3, 1.0, "uncertain")
    assert row.model_version is not None
    assert not {"ann", "bo", "X"} & set(repr(row).split())


def test_an_answer_closes_the_question_and_undoing_it_opens_it_again(people):
    people.put_all({1: "ann X", 2: "bo X"})
    people.link()
    for verdict in ("same", "different", "unsure"):
        number = people.say(1, 2, verdict).judgement.number
        assert (people.asked(), people.asked(verdict)) == ([], [(1, 2)])
        people.link()
        assert (people.asked(), people.asked(verdict)) == ([], [(1, 2)])
        people.undo(number)
        assert people.asked() == [(1, 2)]


def test_a_question_goes_when_nothing_finds_it_doubtful_any_more(people):
    people.put_all({1: "ann X", 2: "bo X", 3: "cy Y", 4: "dee Y"})
    people.link()
    assert people.asked() == [(3, 4), (1, 2)]
    people.put(2, "bo")
    people.link()
    assert people.asked() == [(3, 4)]
    people.arrive(5, "cy dee")  # joins 3 and 4 at once
    assert people.asked() == []


def test_the_online_path_asks_about_golden_ids_that_no_judgement_keeps_apart(people):
    people.put_all({1: "ann X", 2: "ann"})
    people.link()
    assert people.arrive(3, "bo X").decision == "review"
    people.say(2, 3, "different")
    assert people.asked() == []
    assert people.arrive(3, "bo X cy").decision == "new"
    assert people.asked() == []


def test_what_the_online_path_asks_while_a_run_is_at_work_stays_in_the_queue(people):
    people.put_all({1: "ann X"})
    people.link(lambda step: step == "switch" and people.arrive(2, "bo X"))
    assert people.asked() == [(1, 2)]


def test_a_run_asks_nothing_about_a_record_that_changed_meanwhile(people):
    people.put_all({1: "ann X", 2: "bo X"})
    people.link(lambda step: step == "switch" and people.arrive(2, "bo"))
    assert people.asked() == []


def test_the_queue_is_read_in_pages_strongest_first_and_refuses_cursors_it_never_gave(people):
    people.put_all({number: f"w{number} X{number % 2}".upper().replace("W", "w") for number in range(1, 9)})
    people.link()
    found, cursor = [], None
    with people.db.read() as conn:
        while rows := review_queue.page(conn, "open", cursor, 2):
            found += rows
            cursor = rows[-1].cursor
        assert found == people.queue()
        assert len(found) == review_queue.count(conn, "open") == 12
        for cursor in ("", "1_2", "nan_1_2", "1.0_1_2_3", "x_1_2"):
            with pytest.raises(CursorError):
                review_queue.page(conn, "open", cursor, 2)


words = st.lists(st.sampled_from(["ann", "bo", "cy", "X"]), min_size=1, max_size=2).map(" ".join)
numbers = st.integers(1, 7)
verdicts = st.tuples(st.just("say"), numbers, numbers, st.sampled_from(["same", "different", "unsure"]))
writes = st.one_of(
    st.tuples(st.just("arrive"), numbers, words),
    st.tuples(st.just("delete"), numbers),
    st.tuples(st.just("forbid"), numbers),
    verdicts,
    verdicts,
    st.tuples(st.just("undo"), st.integers(1, 6)),
)


@settings(max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(actions=st.lists(writes, max_size=12))
def test_after_any_writes_and_judgements_a_run_finds_everybody_where_they_are(actions, tmp_path_factory):
    people = Office(tmp_path_factory.mktemp("home"))
    for kind, *rest in actions:
        known = {record for record, _ in people.live()}
        try:
            if kind in {"arrive", "say", "undo"} or rest[0] in known:
                getattr(people, kind)(*rest)
        except (ContradictionError, NotJudgeableError):
            pass
        consistent(people)
    before = people.owners()
    people.link()
    assert people.owners() == before
    for judgement in people.judgements():
        with people.db.read() as conn:
            standing = {each.number for each in judgement_store.standing(conn, judgement.pair)}
        if judgement.number in standing:
            people.undo(judgement.number)
    assert people.groups() == people.expected()
    people.db.close()
