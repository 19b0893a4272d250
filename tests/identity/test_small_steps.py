"""A step over few records in plain Python is the step that the columns of a run make of them, row by row."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import event, given, settings
from hypothesis import strategies as st

from identity.difference import Difference, Rows, details, difference
from identity.golden_events import KINDS
from identity.golden_ids import assign_golden_ids, record_weights
from identity.judged_clusters import cluster_judged
from identity.judgements import Judged
from identity.records import RecordFact
from identity.resolution import among, ints, joined, pairs_of, touching, verified_of
from identity.small_steps import Nearby, Scored, SmallStep, small_step
from identity.sources import Sources

NEXT = 50
WEIGHTS = st.sampled_from([0.5, 2.0, 2.0, 3.25, 3.2500004, 7.1, 11.0, -1.0])  # few, so that there are ties
CHANNELS = ("web", "crm")

Case = tuple[Nearby, dict[int, RecordFact], set[int], list[Scored]]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Draw a stored state as earlier steps leave it, and records that arrive or change."""
    count = draw(st.integers(1, 9))
    goldens = draw(st.lists(st.integers(0, 3), min_size=count, max_size=count))
    stored = {number: 10 + golden for number, golden in enumerate(goldens, start=1) if golden}
    fact = st.builds(
        RecordFact,
        st.sampled_from([True, True, True, False]), st.sampled_from([1, 1, 2]), st.just(1),
        st.sampled_from(CHANNELS),
    )  # fmt: skip
    fresh = {number for number in range(1, count + 1) if number not in stored}
    fresh |= set(draw(st.lists(st.sampled_from(range(1, count + 1)), max_size=1)))
    facts = {number: draw(fact) for number in sorted(fresh | stored.keys())}
    pairs = [(a, b) for a in facts for b in facts if a < b]
    inside = [(a, b) for a, b in pairs if stored.get(a, -a) == stored.get(b, -b)]
    links = draw(st.lists(st.tuples(st.sampled_from(inside), WEIGHTS), max_size=12)) if inside else []
    asked = [(a, b) for a, b in pairs if {a, b} & fresh]
    news = draw(st.lists(st.tuples(st.sampled_from(asked), WEIGHTS), max_size=6)) if asked else []
    shares = st.sampled_from([1.0, 0.80001, round(float(1 / (1 + np.exp2(-2.0))), 6)])
    anchors = {golden: draw(st.sampled_from(sorted(facts))) for golden in set(stored.values())}
    nearby = Nearby(
        NEXT,
        members=[(golden, number, draw(shares)) for number, golden in stored.items()],
        anchors=sorted(anchors.items()),
        links=sorted((a, b, weight) for (a, b), weight in dict(links).items()),
    )
    return nearby, facts, fresh, [(a, b, weight) for (a, b), weight in news]


def by_columns(case: Case, unique: frozenset[str]) -> tuple[Difference, dict[int, int]]:
    """Do what `identity.resolution.resolve` does, without a store."""
    nearby, facts, fresh, links = case
    before = nearby.snapshot()
    pairs = joined(touching(before.scored, fresh, wanted=False), pairs_of(links))
    linkable = [number for number, fact in facts.items() if fact.linkable]
    sources = Sources.of({number: facts[number].channel for number in linkable}, unique)
    found = cluster_judged(
        ints(facts), among(pairs, linkable), -np.inf, verified_of(facts), Judged.of(), sources=sources
    )
    clusters = found.clusters
    standing = np.array([facts[number].standing for number in clusters.record_nos.tolist()], dtype=np.int64)
    assignment = assign_golden_ids(
        before.state, clusters.record_nos, clusters.label, record_weights(standing)
    )
    after = assignment.state
    owner = dict(zip(after.record_nos.tolist(), after.golden_nos.tolist(), strict=True))
    return difference(before, assignment, found), owner


def table(columns: Sequence[Any]) -> list[tuple[Any, ...]]:
    return list(zip(*(column.tolist() for column in columns), strict=True))


def is_like(step: SmallStep, found: Difference) -> None:
    def nothing(rows: Rows) -> bool:
        return not len(rows)

    assert nothing(found.formers)
    assert nothing(found.overridden)
    assert not found.lineage
    assert not len(found.memberships.closed[0])
    assert step.births == table(found.births)
    assert [(golden, "active", None, anchor) for golden, anchor in step.anchors] == found.states
    assert step.memberships == table(found.memberships.opened)
    assert step.left_members == table(found.members.closed)
    assert step.members == table(found.members.opened)
    assert step.left_links == table(found.links.closed)
    assert step.links == table(found.links.opened)
    assert step.events == [
        (KINDS[kind], golden, details(found.events, at))
        for at, (kind, golden) in enumerate(table((found.events.kinds, found.events.golden_nos)))
    ]


SEEN: Counter[str] = Counter()


@settings(max_examples=300)
@given(cases(), st.sampled_from([frozenset(), frozenset({"crm"})]))
def test_a_small_step_is_the_columns_step(case: Case, unique: frozenset[str]) -> None:
    nearby, facts, fresh, links = case
    found, owner = by_columns(case, unique)
    step = small_step(nearby, facts, fresh, links, unique=unique)
    kind = "left to the columns" if step is None else "births" if step.births else "none is born"
    event(kind)
    SEEN[kind] += 1
    if step is None:
        return
    is_like(step, found)
    assert step.owner == owner


def test_most_of_the_cases_above_are_small_steps() -> None:
    """After the property: a step that is never taken would be equal to anything."""
    assert min(SEEN["births"], SEEN["none is born"], SEEN["left to the columns"]) >= 20


def fact(**said: Any) -> RecordFact:
    return RecordFact(**({"linkable": True, "standing": 1, "change_sequence": 1, "channel": "web"} | said))


def test_a_record_with_many_links_keeps_the_best_of_either_end_and_the_tree() -> None:
    """Twenty links a record are kept; 24 records that all link to each other have more."""
    facts = {number: fact() for number in range(1, 25)}
    links = [(a, b, 10.0 - abs(a - b) / 8) for a in facts for b in facts if a < b]
    case: Case = (Nearby(NEXT), facts, set(facts), links)
    found, _ = by_columns(case, frozenset())
    step = small_step(*case)
    assert step is not None
    is_like(step, found)
    assert len(step.links) < 2 * len(links)


def test_what_is_not_simple_is_left_to_the_columns() -> None:
    facts, members = {1: fact(), 2: fact()}, [(10, 1, 1.0), (11, 2, 1.0)]
    link = [(1, 2, 3.0)]
    cases = {
        "two golden IDs meet": (Nearby(NEXT, members=members), facts, set(), link),
        "a golden ID parts": (Nearby(NEXT, members=[(10, 1, 0.9), (10, 2, 0.9)]), facts, {2}, []),
        "a record left": (Nearby(NEXT, members=members), {1: fact()}, set(), []),
        "a merged ID is near": (Nearby(NEXT, merged=[(9, 10)]), facts, {1, 2}, link),
        "somebody was in one": (Nearby(NEXT, formers=[(9, 1)]), facts, {1, 2}, link),
        "a link is overridden": (Nearby(NEXT, overridden=link), facts, {1, 2}, link),
        "a steward vouches": (Nearby(NEXT, links=[(1, 2, float("inf"))]), facts, {1, 2}, link),
    }
    for said, case in cases.items():
        assert small_step(*case) is None, said
    assert small_step(Nearby(NEXT), facts, {1, 2}, link, unique={"web"}) is None
    assert small_step(Nearby(NEXT), facts, {1, 2}, link) is not None
