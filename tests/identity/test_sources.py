"""Sources declared to hold no duplicates: no score makes one person of two of their records."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from identity import review_queue, source_store
from identity.admission import one_of_each_source
from identity.clustering import cluster
from identity.doubts import doubts
from identity.errors import ContradictionError, NotJudgeableError
from identity.judged_clusters import cluster_judged
from identity.judgements import Judged
from identity.judging import Judge
from identity.past_runs import LastRun
from identity.previous import Previous
from identity.resolution import pairs_of
from identity.sources import SourceFigures, Sources, sentences
from tests.examples import examples
from tests.identity.population import Population, consistent

EVERYBODY = list(range(1, 9))
THRESHOLD = 2.0


class Office(Population):
    """A population whose sources somebody vouches for, and whose stewards judge."""

    def __init__(self, folder):
        super().__init__(folder)
        self.judge = Judge(self.db, self.facts, self.online)

    def declare(self, channel):
        with self.db.write() as conn:
            return source_store.declare(conn, channel, author="operator", now=self.now)

    def withdraw(self, channel):
        with self.db.write() as conn:
            return source_store.withdraw(conn, channel)

    def say(self, one, other, verdict):
        return self.judge.decide((one, other), verdict, author="steward", reason="telephoned", now=self.now)

    def undo(self, decided):
        self.judge.undo(decided.judgement.number, author="steward", reason="misheard", now=self.now)

    def customers(self, words, channel="crm"):
        for record_no, content in words.items():
            self.put(record_no, content, channel=channel)

    def asked(self):
        with self.db.read() as conn:
            return [(row.record_a, row.record_b) for row in review_queue.page(conn, "open", None, 100)]


@pytest.fixture
def people(tmp_path):
    office = Office(tmp_path)
    yield office
    office.db.close()


def sets(*groups):
    return {frozenset(group) for group in groups}


# a run


def test_a_run_parts_the_records_of_a_declared_source_at_the_weakest_seam_and_says_how_many(people):
    people.customers({1: "ann bo", 2: "ann cy"})
    people.customers({3: "ann bo", 4: "cy"}, channel="web")
    people.link()
    assert people.groups() == sets({1, 2, 3, 4})
    people.declare("crm")
    outcome = people.link()
    assert people.groups() == sets({1, 3}, {2, 4})  # 1 and 3 share two words, 2 and 3 one
    assert outcome.sources == (SourceFigures("crm", records=2, kept_apart=1, judged=0),)
    assert outcome.split == 0  # the ID stays with one of the two
    consistent(people)


def test_a_rerun_changes_nothing(people):
    people.declare("crm")
    people.customers({1: "ann", 2: "ann", 5: "bo"})
    people.customers({3: "ann", 4: "ann bo"}, channel="web")
    people.link()
    before = people.export()
    for options in ({}, {"retrain": True}):
        people.link(**options)
        assert people.export() == before
    consistent(people)


def test_taking_the_declaration_back_restores_who_was_who_to_the_last_bit(people):
    people.customers({1: "ann", 2: "ann"})
    people.customers({3: "ann", 4: "ann"}, channel="web")
    people.link()
    before = people.export()
    people.declare("crm")
    people.link()
    assert len(people.groups()) == 2
    people.withdraw("crm")
    outcome = people.link()
    assert people.export() == before
    assert outcome.sources == ()


def test_links_near_the_threshold_come_back_with_the_declaration_gone(people, monkeypatch):
    """The margin towards the previous decision must not turn a declaration into a decision that stays."""
    monkeypatch.setattr("tests.identity.population.SURE", 1.5)  # 2.5 bits: within the margin of the threshold
    people.customers({1: "ann", 2: "ann"})
    people.put(3, "ann")
    people.link()
    before = people.groups()
    assert before == sets({1, 2, 3})
    people.declare("crm")
    people.link()
    assert len(people.groups()) == 2
    people.withdraw("crm")
    people.link()
    assert people.groups() == before


def test_other_sources_may_hold_duplicates_as_before(people):
    people.declare("crm")
    people.customers({1: "ann", 2: "ann"}, channel="web")
    people.put(3, "ann", channel="crm")
    people.link()
    assert people.groups() == sets({1, 2, 3})


def test_nobody_is_asked_about_two_golden_ids_that_hold_records_of_a_declared_source(people):
    people.customers({1: "ann X", 2: "bo X"})
    people.put(3, "cy X", channel="web")
    people.link()
    assert (1, 2) in people.asked()
    people.declare("crm")
    people.link()
    assert people.asked() == [(2, 3), (1, 3)]


# between two runs


def test_an_arriving_record_of_a_declared_source_joins_nobody_who_has_one(people):
    people.declare("crm")
    people.put(1, "ann", channel="crm")
    people.put(2, "ann", channel="web")
    people.link()
    result = people.arrive(3, "ann", channel="crm")
    assert (result.decision, people.groups()) == ("new", sets({1, 2}, {3}))
    assert people.asked() == []
    assert people.arrive(4, "ann", channel="pos").decision == "attached"
    assert len(people.groups()) == 2
    people.link()
    assert len(people.groups()) == 2
    consistent(people)


def test_an_arriving_record_that_fits_two_joins_one_and_displaces_nobody(people):
    people.declare("crm")
    people.customers({1: "ann bo", 2: "cy"})
    people.put(3, "ann bo", channel="web")
    people.link()
    assert people.groups() == sets({1, 3}, {2})
    people.arrive(4, "ann cy", channel="pos")
    assert people.groups() in (sets({1, 3, 4}, {2}), sets({1, 3}, {2, 4}))
    consistent(people)


def test_an_updated_record_of_a_declared_source_stays_with_its_own_people(people):
    people.declare("crm")
    people.put(1, "ann", channel="crm")
    people.put(2, "ann", channel="web")
    people.link()
    people.arrive(1, "ann bo", channel="crm")
    assert people.groups() == sets({1, 2})


def test_what_the_other_record_kept_away_is_joined_when_it_leaves(people):
    people.declare("crm")
    people.customers({1: "ann bo", 2: "ann"})
    people.put(3, "ann bo", channel="web")
    people.link()
    assert people.groups() == sets({1, 3}, {2})
    people.delete(1)
    assert people.groups() == sets({2, 3})
    consistent(people)


def test_a_declaration_holds_for_whoever_is_resolved_before_the_next_run(people):
    people.customers({1: "ann", 2: "ann"})
    people.put(3, "ann", channel="web")
    people.link()
    people.declare("crm")
    assert people.groups() == sets({1, 2, 3})
    people.arrive(4, "ann", channel="pos")
    assert len(people.groups()) == 2
    consistent(people)


@pytest.mark.parametrize("step", ["stage", "switch"])
def test_records_that_arrive_during_a_run_obey_too(people, step):
    people.declare("crm")
    people.put(1, "ann", channel="crm")
    people.put(2, "ann", channel="web")
    people.link()
    people.put(5, "bo")
    came = []
    people.link(
        lambda name: name == step and not came and came.append(people.arrive(3, "ann", channel="crm"))
    )
    assert came
    assert people.groups() == sets({1, 2}, {3}, {5})
    consistent(people)


# stewards


def test_a_stewards_same_outweighs_the_declaration_at_once_and_in_every_run_and_is_counted(people):
    people.declare("crm")
    people.customers({1: "ann", 2: "ann"})
    people.put(3, "ann", channel="web")
    people.link()
    before = people.export()
    decided = people.say(1, 2, "same")
    assert people.groups() == sets({1, 2, 3})
    outcome = people.link()
    assert people.groups() == sets({1, 2, 3})
    assert outcome.sources == (SourceFigures("crm", records=2, kept_apart=0, judged=1),)
    assert "stewards judged 1 record(s)" in sentences(outcome.sources)[0]
    people.undo(decided)
    assert people.export() == before
    people.link()
    assert people.export() == before
    consistent(people)


def test_a_same_that_takes_a_record_from_another_gives_it_back_when_undone(people):
    people.declare("crm")
    people.customers({1: "ann bo", 2: "ann"})
    people.put(3, "ann bo", channel="web")
    people.link()
    before = people.export()
    decided = people.say(2, 3, "same")
    assert people.groups() == sets({1}, {2, 3})
    people.undo(decided)
    assert people.export() == before
    people.say(2, 3, "same")
    people.link()
    assert people.groups() == sets({1}, {2, 3})


WORDS = st.lists(st.sampled_from(["ann", "bo", "X"]), min_size=1, max_size=2).map(" ".join)
NUMBERS = st.integers(1, 7)
ACTIONS = st.one_of(
    st.tuples(st.just("arrive"), NUMBERS, WORDS),
    st.tuples(st.just("delete"), NUMBERS),
    st.tuples(st.just("say"), NUMBERS, NUMBERS, st.sampled_from(["same", "different"])),
    st.tuples(st.just("link")),
)


def act(office, action):
    kind, *rest = action
    if kind == "arrive":  # odd ones come from the declared source
        office.arrive(*rest, channel="crm" if rest[0] % 2 else "web")
    elif kind == "delete" and rest[0] in office.owners():
        office.delete(rest[0])
    elif kind == "say":
        try:
            office.say(*rest)
        except (ContradictionError, NotJudgeableError):
            return None
        return frozenset(rest[:2]) if rest[2] == "same" else None
    elif kind == "link":
        office.link()
    return None


def told_the_same(records, same):
    """Whether chains of judgements among all records tie these together."""
    found, fresh = set(), {min(records)}
    while fresh:
        found |= fresh
        fresh = {number for pair in same if pair & fresh for number in pair} - found
    return records <= found


@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(actions=st.lists(ACTIONS, max_size=12))
def test_no_golden_id_holds_two_records_of_a_declared_source_unless_they_were_judged_the_same(
    actions, tmp_path_factory
):
    office, same = Office(tmp_path_factory.mktemp("home")), set()
    office.declare("crm")
    office.customers({1: "ann", 3: "ann", 5: "bo"})
    office.customers({2: "ann", 4: "ann bo"}, channel="web")
    office.link()
    for action in actions:
        same.add(act(office, action) or frozenset())
        for group in office.groups():
            of_source = {number for number in group if number % 2}
            assert len(of_source) < 2 or told_the_same(of_source, same)
        consistent(office)
    office.link()
    before = office.export()
    office.link()
    assert office.export() == before
    office.db.close()


# the rule itself

SCORED = st.dictionaries(
    st.sampled_from(list(combinations(EVERYBODY, 2))), st.floats(0, 12).map(lambda bits: round(bits, 2))
)
CHANNELS = st.fixed_dictionaries({number: st.sampled_from(["crm", "erp", "web"]) for number in EVERYBODY})


@given(links=SCORED, channels=CHANNELS)
def test_every_link_is_followed_unless_its_ends_clusters_hold_records_of_one_source(links, channels):
    pairs = pairs_of((a, b, weight) for (a, b), weight in links.items())
    sources = Sources.of(channels, {"crm", "erp"})
    found = cluster_judged(EVERYBODY, pairs, THRESHOLD, [], Judged.of(), sources=sources)
    label = dict(zip(EVERYBODY, found.clusters.label.tolist(), strict=True))
    held = {
        name: {channels[number] for number in EVERYBODY if label[number] == name} - {"web"}
        for name in label.values()
    }
    count = {name: sum(label[no] == name and channels[no] != "web" for no in EVERYBODY) for name in held}
    assert all(count[name] == len(held[name]) for name in held)
    for (a, b), weight in links.items():
        assert weight < THRESHOLD or label[a] == label[b] or held[label[a]] & held[label[b]]
    alone = cluster(EVERYBODY, pairs, THRESHOLD, [])
    assert found.alone.tolist() == alone.label.tolist()
    figures = sources.figures(alone.record_nos, found.alone, found.clusters.label)
    assert all(each.judged == 0 for each in figures)
    assert (sum(each.kept_apart for each in figures) > 0) == (
        len(sources.crowded(alone.record_nos, alone.label)) > 0
    )
    asked = doubts(found.clusters, pairs, THRESHOLD, Judged.of(), sources).pairs
    assert not any(
        held[label[a]] & held[label[b]]
        for a, b in zip(asked.record_a.tolist(), asked.record_b.tolist(), strict=True)
    )


@given(
    channels=CHANNELS,
    some=st.sets(st.sampled_from(EVERYBODY)),
    names=st.sets(st.sampled_from(["crm", "erp"])),
)
def test_records_are_marked_alike_however_they_are_asked_for(channels, some, names):
    both = Sources.of(channels, {"crm", "erp"})
    halves = [EVERYBODY[4:], EVERYBODY[:4]]
    parts = [Sources.marked({"crm", "erp"}, half, [channels[no] for no in half]) for half in halves]
    for found in (both, Sources.joined({"crm", "erp"}, parts)):
        kept = found.only(names).among(sorted(some))
        assert dict(
            zip(kept.record_nos.tolist(), np.array([*kept.channels, ""])[kept.source].tolist(), strict=True)
        ) == {number: channels[number] for number in some if channels[number] in names}


def test_of_several_people_a_newcomer_joins_the_one_with_the_strongest_link():
    golden, holds = {1: 71, 2: 71, 3: 72}, {1: {"crm"}, 2: {"crm"}, 3: {"crm"}, 4: {"erp"}}
    above = {1: 1.0, 2: 5.0, 3: 4.0, 4: 0.5}
    assert one_of_each_source(above, golden, holds, set()) == {1, 2, 4}
    assert one_of_each_source(above, golden, holds, {"erp"}) == {1, 2}
    assert one_of_each_source(above, golden, holds, {"crm"}) == {4}


def test_what_the_margin_left_apart_is_not_joined_by_what_was_overridden_before_it():
    """1 and 3 were apart, and 2.5 bits do not change that: then 2-3, which made room for 1-3, is no link."""
    pairs = pairs_of([(1, 3, 2.5), (2, 3, 2.2)])
    sources = Sources.of({1: "crm", 2: "crm"}, {"crm"})

    def again(record_nos, some, least):
        return cluster_judged(
            record_nos, some, least, [], Judged.of(), sources=sources.among(record_nos)
        ).clusters

    found = cluster_judged([1, 2, 3], pairs, THRESHOLD, [], Judged.of(), sources=sources)
    assert (found.clusters.label.tolist(), found.overridden.weight.tolist()) == ([1, 2, 1], [2.2])
    previous = Previous(LastRun("run_1", 1, None), np.array([1, 3]), np.array([71, 72]))
    settled, held = previous.settle(found, pairs, THRESHOLD, np.empty(0, dtype=np.int64), again)
    assert (settled.clusters.label.tolist(), held.apart) == ([1, 2, 3], 1)
    assert len(settled.overridden) == 0
