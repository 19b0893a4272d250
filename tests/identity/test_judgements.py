"""What stewards say about pairs: which verdicts can stand together, and what they make of the clusters."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity.clustering import Pairs, cluster
from identity.contradictions import Evidence
from identity.difference import Snapshot
from identity.errors import ContradictionError
from identity.judged_clusters import cluster_judged
from identity.judgements import Judged, Judgement, check, judged, newest
from identity.resolution import no_pairs, pairs_of

REASON = "telephoned"


def said(*verdicts: tuple[int, int, str]) -> list[Judgement]:
    """Judgements numbered in this order."""
    return [
        Judgement(number, *sorted((a, b)), verdict, "steward-1", REASON, 0)
        for number, (a, b, verdict) in enumerate(verdicts, 1)
    ]


SAME, DIFFERENT = "same", "different"

FIT = {
    "two verdicts about others": ([(1, 2, SAME)], (3, 4, DIFFERENT)),
    "a chain of one person": ([(1, 2, SAME), (2, 3, SAME)], (1, 3, SAME)),
    "different people of whom each has several records": (
        [(1, 2, SAME), (3, 4, SAME), (1, 3, DIFFERENT)],
        (2, 4, DIFFERENT),
    ),
    "the opposite of what the same pair was said before": ([(1, 2, SAME)], (1, 2, DIFFERENT)),
    "different from two who are different": ([(1, 2, DIFFERENT), (2, 3, DIFFERENT)], (1, 3, SAME)),
    "unsure about a settled pair": ([(1, 2, SAME), (2, 3, SAME)], (1, 3, "unsure")),
}

CONTRADICT = {
    "different within a chain": ([(1, 2, SAME), (2, 3, SAME)], (1, 3, DIFFERENT), (1, 2)),
    "the shortest chain is named": (
        [(1, 2, SAME), (2, 3, SAME), (3, 4, SAME), (1, 3, SAME)],
        (1, 4, DIFFERENT),
        (3, 4),
    ),
    "one person with two who are different": ([(1, 2, SAME), (1, 3, DIFFERENT)], (2, 3, SAME), (1, 2)),
    "through chains on both sides": (
        [(1, 2, SAME), (3, 4, SAME), (1, 4, DIFFERENT)],
        (2, 3, SAME),
        (1, 2, 3),
    ),
}


@pytest.mark.parametrize(("before", "new"), FIT.values(), ids=FIT)
def test_verdicts_that_fit_are_taken(before, new):
    check(said(*before), new[:2], new[2])


@pytest.mark.parametrize(("before", "new", "named"), CONTRADICT.values(), ids=CONTRADICT)
def test_a_contradiction_is_refused_and_names_what_it_contradicts(before, new, named):
    with pytest.raises(ContradictionError) as refused:
        check(said(*before), new[:2], new[2])
    assert set(refused.value.judgements) == set(named)
    assert all(f"judgement {number} by steward-1" in str(refused.value) for number in named)
    assert REASON not in str(refused.value)


def test_only_the_newest_judgement_of_a_pair_stands_and_an_undone_pair_has_none():
    rows = said((1, 2, SAME), (2, 1, DIFFERENT), (3, 4, SAME), (4, 3, "undone"), (5, 6, "unsure"))
    assert {pair: each.number for pair, each in newest(rows).items()} == {(1, 2): 2, (5, 6): 5}


numbers = st.integers(1, 12)
pairs_of_records = st.tuples(numbers, numbers).filter(lambda pair: pair[0] != pair[1])
verdicts = st.lists(st.tuples(pairs_of_records, st.sampled_from([SAME, DIFFERENT])), max_size=8)
scored = st.lists(
    st.tuples(pairs_of_records, st.integers(-3, 30).map(float)),
    max_size=30,
    unique_by=lambda one: frozenset(one[0]),
)
THRESHOLD = 2.0
EVERYBODY = range(1, 13)


def accepted(asked) -> Judged:
    """Judge in this order, leaving out what is refused."""
    standing: list[Judgement] = []
    for number, (pair, verdict) in enumerate(asked, 1):
        try:
            check(standing, pair, verdict)
        except ContradictionError:
            continue
        made = Judgement(number, *sorted(pair), verdict, "s", "", 0)
        standing = [*(each for each in standing if each.pair != made.pair), made]
    return judged(standing)


def columns(links) -> Pairs:
    return pairs_of((a, b, weight) for (a, b), weight in links)


@given(asked=verdicts, links=scored)
def test_what_was_judged_holds_and_every_other_link_is_followed_where_it_may_be(asked, links):
    told, pairs = accepted(asked), columns(links)
    clusters = cluster_judged(EVERYBODY, pairs, THRESHOLD, [], told).clusters
    label = dict(zip(clusters.record_nos.tolist(), clusters.label.tolist(), strict=True))
    same = list(zip(told.same_a.tolist(), told.same_b.tolist(), strict=True))
    different = list(zip(told.different_a.tolist(), told.different_b.tolist(), strict=True))
    assert all(label[a] == label[b] for a, b in same)
    assert all(label[a] != label[b] for a, b in different)
    strong = pairs.where(pairs.weight >= THRESHOLD)
    for a, b in zip(strong.record_a.tolist(), strong.record_b.tolist(), strict=True):
        barred = {frozenset((label[x], label[y])) for x, y in different}
        assert label[a] == label[b] or frozenset((label[a], label[b])) in barred
    edges = [*same, *zip(strong.record_a.tolist(), strong.record_b.tolist(), strict=True)]
    assert set(label.values()) == set(_components(edges, label).values())


def _components(edges, label):
    """The smallest record that each can reach along edges inside its own cluster."""
    found = {number: number for number in label}
    for _ in label:
        for a, b in edges:
            if label[a] == label[b]:
                found[a] = found[b] = min(found[a], found[b])
    return found


@given(asked=verdicts, links=scored)
def test_links_and_overridden_ones_together_restore_what_the_scores_alone_make(asked, links):
    pairs = columns(links)
    found = cluster_judged(EVERYBODY, pairs, THRESHOLD, [3], accepted(asked))
    before = Snapshot.__new__(Snapshot)
    object.__setattr__(before, "links", found.clusters.links)
    object.__setattr__(before, "overridden", found.overridden)
    again = cluster(EVERYBODY, before.scored, THRESHOLD, [3])
    alone = cluster(EVERYBODY, pairs, THRESHOLD, [3])
    assert again.label.tolist() == alone.label.tolist()
    assert again.confidence.tolist() == alone.confidence.tolist()


@given(links=scored)
def test_without_judgements_the_clusters_are_those_of_the_scores(links):
    pairs = columns(links)
    found = cluster_judged(EVERYBODY, pairs, THRESHOLD, [], Judged.of())
    assert found.clusters.label.tolist() == cluster(EVERYBODY, pairs, THRESHOLD, []).label.tolist()
    assert len(found.overridden) == 0


def test_a_cluster_parts_at_its_weakest_seam():
    """1 -9- 2 -3- 3 -8- 4, and 1 is not 4: the link of 3 bits gives way."""
    pairs = columns([((1, 2), 9.0), ((2, 3), 3.0), ((3, 4), 8.0)])
    found = cluster_judged([1, 2, 3, 4], pairs, THRESHOLD, [], Judged.of(different=[(1, 4)]))
    assert found.clusters.label.tolist() == [1, 1, 3, 3]
    assert found.overridden.weight.tolist() == [3.0]


def guarded() -> Pairs:
    """1 -9- 2 -12- 3 -3- 4, where the dates of 2 and 3 contradict that of 1."""
    against = Evidence(np.array([1, 1]), np.array([2, 3]), np.array([[-40.0], [-40.0]], dtype=np.float32))
    return replace(columns([((1, 2), 9.0), ((2, 3), 12.0), ((3, 4), 3.0)]), evidence=against)


def test_different_changes_nothing_where_a_guard_keeps_the_two_apart_already():
    assert cluster([1, 2, 3, 4], guarded(), THRESHOLD, []).label.tolist() == [1, 2, 2, 2]
    found = cluster_judged([1, 2, 3, 4], guarded(), THRESHOLD, [], Judged.of(different=[(1, 4)]))
    assert found.clusters.label.tolist() == [1, 2, 2, 2]
    assert len(found.overridden) == 0


def test_a_steward_outweighs_a_guard():
    found = cluster_judged([1, 2, 3, 4], guarded(), THRESHOLD, [], Judged.of(same=[(1, 2)]))
    assert found.clusters.label[:2].tolist() == [1, 1]


def test_a_vouched_link_is_certain_whatever_its_score():
    pairs = columns([((1, 2), -4.0), ((2, 3), 9.0)])
    found = cluster_judged([1, 2, 3], pairs, THRESHOLD, [1], Judged.of(same=[(1, 2)]))
    assert found.clusters.confidence.tolist() == [1.0, 1.0, round(1 / (1 + 2**-9.0), 6)]
    assert np.isinf(found.clusters.links.weight).sum() == 1


def test_nobody_and_nothing_judged_is_fine():
    assert len(cluster_judged([], no_pairs(), THRESHOLD, [], Judged.of()).clusters.record_nos) == 0
