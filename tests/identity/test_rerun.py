"""A run from end to end on a real store: reruns, dry runs, and everything that happens meanwhile."""

import itertools
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import inspect, text

from identity import catching_up, leases, model_store, review_queue
from identity.errors import RunInProgressError, RunLostError, WritersTooBusyError
from tests.examples import examples
from tests.identity.population import MODEL, Population, consistent

PEOPLE = {1: "ann", 2: "ann bo", 3: "cy", 4: "dee", 5: "cy X", 6: "X", 7: "eve"}


@pytest.fixture
def people(tmp_path):
    population = Population(tmp_path)
    yield population
    population.db.close()


def tables(population: Population) -> dict[str, list]:
    with population.db.read() as conn:
        names = inspect(conn).get_table_names()
        return {name: conn.execute(text(f"SELECT * FROM {name}")).all() for name in names}  # noqa: S608 - constants of this module are joined, values are bound


def test_a_first_run_gives_every_record_its_golden_id(people):
    people.put_all(PEOPLE)
    outcome = people.link()
    assert people.groups() == people.expected()
    assert (outcome.records, outcome.golden_ids, outcome.created, outcome.trained) == (7, 5, 5, True)
    consistent(people)


def test_a_rerun_on_the_same_input_changes_nothing_and_emits_nothing(people):
    people.put_all(PEOPLE)
    people.link()
    before, feed = people.export(), people.feed()
    outcome = people.link()
    assert people.export() == before
    assert people.feed() == feed
    assert (outcome.unchanged, outcome.created, outcome.updated, outcome.merged) == (5, 0, 0, 0)


def test_a_dry_run_says_what_would_change_and_writes_nothing_at_all(people):
    people.put_all(PEOPLE)
    people.link()
    people.put(8, "ann cy")
    before = tables(people)
    dry = people.link(dry_run=True)
    assert tables(people) == before
    wet = people.link()
    counts = ("records", "golden_ids", "created", "updated", "merged", "split", "unchanged")
    assert [getattr(dry, name) for name in counts] == [getattr(wet, name) for name in counts]
    assert (wet.merged, wet.golden_ids) == (1, 4)


def test_the_stored_model_is_used_again_unless_a_retraining_is_asked_for(people):
    people.put_all(PEOPLE)
    people.link()
    people.link()
    people.link(retrain=True)
    assert people.scored_with == [None, MODEL, None]


@pytest.mark.parametrize("retrain", [True, False])
def test_only_the_frequencies_that_the_last_run_scored_with_are_kept(people, retrain):
    people.put_all(PEOPLE)
    people.link()
    with people.db.write() as conn:
        conn.execute(text("UPDATE model_frequencies SET run_id = 'run_of_last_year'"))
    people.link(retrain=retrain)
    with people.db.read() as conn:
        kept = conn.execute(text("SELECT DISTINCT run_id FROM model_frequencies")).all()
        assert kept == [(model_store.current_run(conn),)]


def test_a_record_that_may_not_be_linked_stays_alone_in_every_run(people):
    people.put_all(PEOPLE)
    people.put(8, "ann", linkable=False)
    people.link()
    people.link()
    assert frozenset({8}) in people.groups()


def test_nothing_to_link_is_no_error(people):
    people.put(1, "ann", linkable=False)
    outcome = people.link()
    assert (outcome.records, outcome.linkable, outcome.golden_ids) == (1, 0, 1)


def test_an_empty_store_is_no_error(people):
    assert people.link().records == 0


def test_a_verified_record_anchors_and_outweighs_when_two_ids_compete(people):
    people.put_all({1: "ann", 2: "ann", 3: "ann", 4: "bo"})
    people.put(4, "bo", verified="user_id")
    people.link()
    verified = people.golden(4)
    people.put(5, "ann bo")
    people.link()
    assert people.golden(1) == verified
    assert people.view(verified).anchor_no == 4


def test_a_second_run_is_refused_while_one_holds_the_lease_and_told_by_whom(people):
    people.put_all(PEOPLE)
    refused = []

    def another(step):
        if step == "review":  # published by then, and the lease is free
            return
        with pytest.raises(RunInProgressError, match=r"run_\w+ by .* holds the lease for another \d+ s"):
            people.link()
        refused.append(True)

    people.link(another)
    assert refused


def test_a_run_that_lost_its_lease_publishes_nothing(people):
    people.put_all(PEOPLE)
    taken = itertools.count()

    def take_over(step):
        if step == "stage" and next(taken) == 0:
            with people.db.write() as conn:
                conn.execute(text("UPDATE runs SET status = 'abandoned' WHERE status = 'running'"))

    with pytest.raises(RunLostError):
        people.link(take_over)
    assert people.export() == []
    people.link()
    assert people.groups() == people.expected()
    consistent(people)


def test_the_lease_of_a_process_that_is_gone_is_taken_over_at_once(people, monkeypatch):
    people.put_all(PEOPLE)
    monkeypatch.setattr(leases, "_holder", lambda: f"{leases.platform.node()}/{2**22 + 1}")
    leases.Lease.acquire(people.db, lambda: people.now)
    monkeypatch.undo()
    people.link()
    assert people.groups() == people.expected()


def test_a_lease_of_another_machine_is_waited_for_until_it_runs_out(people, monkeypatch):
    people.put_all(PEOPLE)
    monkeypatch.setattr(leases, "_holder", lambda: "elsewhere/1")
    leases.Lease.acquire(people.db, lambda: people.now)
    monkeypatch.undo()
    with pytest.raises(RunInProgressError):
        people.link()
    people.now += leases.LEASE_MS
    people.link()
    assert people.groups() == people.expected()


def test_a_run_that_fails_leaves_the_previous_state_and_frees_the_lease(people):
    people.put_all(PEOPLE)
    people.link()
    before = people.export()
    people.put(8, "ann cy")
    broken = replace(people.rerun(), scorer=lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        broken.run()
    assert people.export() == before
    people.link()
    assert people.groups() == people.expected()


def never_pausing(people, monkeypatch, *, records, at_last):
    """Writers that bring so many records whenever the run lets go of the lock."""
    monkeypatch.setattr(catching_up, "MOST_LOOKS", 3)
    monkeypatch.setattr(catching_up, "IN_THE_SWITCH", 2)
    monkeypatch.setattr(catching_up, "AT_LAST", at_last)
    fresh = itertools.count(100)

    def hook(step):
        if step in {"catch up", "switch"}:
            people.put_all({number: f"new{number}" for number in itertools.islice(fresh, records)})

    return hook


def test_a_run_ends_without_publishing_when_the_writers_never_pause(people, monkeypatch):
    """The switch shuts everybody out: what is resolved in it must stay little, however much arrives."""
    people.put_all(PEOPLE)
    people.link()
    before = people.export()
    with pytest.raises(WritersTooBusyError, match="Nothing was published"):
        people.link(never_pausing(people, monkeypatch, records=6, at_last=5))
    assert people.export() == before
    people.link()
    assert people.groups() == people.expected()
    consistent(people)


def test_a_run_publishes_when_the_writers_leave_little_at_last(people, monkeypatch):
    people.put_all(PEOPLE)
    people.link(never_pausing(people, monkeypatch, records=4, at_last=100))
    people.link()
    assert people.groups() == people.expected()
    consistent(people)


def test_every_deletion_of_a_person_leaves_a_tombstone_and_one_event(people):
    people.put_all(PEOPLE)
    people.link()
    gone = people.golden(7)
    people.delete(7)
    assert people.view(gone).status == "erased"
    assert [change.type for change in people.feed() if change.golden_id == gone] == ["created", "gone"]
    people.put(8, "eve")
    people.link()
    assert people.golden(8) != gone
    consistent(people)


words = st.lists(st.sampled_from(["ann", "bo", "cy", "dee", "X"]), min_size=1, max_size=2).map(" ".join)
numbers = st.integers(1, 9)
actions = st.one_of(
    st.tuples(st.just("arrive"), numbers, words),
    st.tuples(st.just("delete"), numbers),
    st.tuples(st.just("forbid"), numbers),
    st.tuples(st.just("put"), st.integers(10, 12), words),
)


def act(population: Population, action: tuple) -> None:
    kind, record_no, *rest = action
    known = {record for record, _ in population.live()}
    if kind == "arrive":
        population.arrive(record_no, *rest)
    elif kind == "put" and record_no not in known:
        population.put(record_no, *rest)
    elif kind in {"delete", "forbid"} and record_no in known:
        getattr(population, kind)(record_no)


@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    before=st.lists(actions, max_size=6),
    between=st.lists(st.tuples(st.integers(0, 25), actions), max_size=6),
    after=st.lists(actions, max_size=3),
)
def test_whatever_happens_during_a_run_nothing_is_undone_and_nobody_is_linked_wrongly(
    before, between, after, tmp_path_factory
):
    people = Population(tmp_path_factory.mktemp("home"))
    people.put_all(PEOPLE)
    people.link()
    people.put_all({2: "bo", 3: "cy ann"})  # so that the run has something to move
    for action in before:
        act(people, action)
        consistent(people)
    seen, cursor, step = [], None, itertools.count()

    def meanwhile(name):
        nonlocal cursor
        here = next(step)
        for moment, action in between:
            if moment == here and (
                name not in {"compact", "review"} or action[0] != "put"  # by then it is published
            ):
                act(people, action)
        consistent(people)
        page = people.feed(cursor)
        cursor = page[-1].cursor if page else cursor
        seen.extend(page)

    people.link(meanwhile)
    consistent(people)
    assert set(people.owners()) == {record for record, _ in people.live()}
    for action in after:
        act(people, action)
        consistent(people)
    seen.extend(people.feed(cursor))
    assert seen == people.feed()
    people.link()
    consistent(people)
    assert people.groups() == people.expected()
    people.db.close()


DOUBTED = {1: "ann Q", 2: "bo Q", 3: "cy", 4: "dee Z", 5: "eve Z"}


def questions(population: Population) -> set[tuple[int, int]]:
    with population.db.read() as conn:
        return {(each.record_a, each.record_b) for each in review_queue.page(conn, "open", None, 100)}


@pytest.mark.parametrize(
    ("meanwhile", "kept"),
    [
        (lambda people: people.forbid(2), {(4, 5)}),
        (lambda people: people.arrive(2, "bo"), {(4, 5)}),
        (lambda people: people.arrive(2, "bo Z"), {(2, 4), (2, 5), (4, 5)}),
    ],
    ids=["may be linked no more", "is doubtful no more", "is doubtful beside another"],
)
def test_a_record_about_which_a_run_is_just_asking(people, meanwhile, kept):
    people.put_all(DOUBTED)
    people.link()
    assert questions(people) == {(1, 2), (4, 5)}
    steps = []

    def hook(step):  # published, and the queue is about to be brought up to date
        steps.append(step)
        if step == "review" and steps.count(step) == 1:
            meanwhile(people)

    people.link(hook)
    assert "review" in steps
    assert questions(people) == kept


def test_what_an_arriving_record_asks_while_the_queue_is_read_is_not_taken_back(people, monkeypatch):
    people.put_all(DOUBTED)
    people.link()
    people.put(4, "dee")  # so that there is a question to take back
    refresh = review_queue.refresh

    def asked_meanwhile(*found, **more):
        people.arrive(9, "zed Q")
        refresh(*found, **more)

    monkeypatch.setattr(review_queue, "refresh", asked_meanwhile)
    people.link()
    assert {pair for pair in questions(people) if 9 in pair}
    assert (4, 5) not in questions(people)
