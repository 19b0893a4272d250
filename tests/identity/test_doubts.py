"""What a run asks stewards: the strongest doubtful pair of two clusters each, no more than they can read."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity.clustering import Pairs, cluster
from identity.doubts import doubts
from identity.judgements import Judged
from identity.resolution import no_pairs, pairs_of

THRESHOLD = 2.0
EVERYBODY = range(1, 21)
NOTHING = Judged.of()


def asked(pairs: Pairs, judged: Judged = NOTHING, **options):
    clusters = cluster(EVERYBODY, pairs, THRESHOLD)
    found = doubts(clusters, pairs, THRESHOLD, judged, **options)
    rows = zip(found.pairs.record_a.tolist(), found.pairs.record_b.tolist(), strict=True)
    return list(rows), found


CASES = {
    "nothing scored": ([], []),
    "a sure pair": ([(1, 2, 5.0)], []),
    "a doubtful pair": ([(1, 2, 1.0)], [(1, 2)]),
    "a doubtful pair inside one cluster": ([(1, 2, 5.0), (2, 3, 5.0), (1, 3, -1.0)], []),
    "two clusters and three doubtful pairs": (
        [(1, 2, 5.0), (3, 4, 5.0), (1, 3, -1.0), (2, 4, 1.0), (2, 3, 0.0)],
        [(2, 4)],
    ),
    "three clusters, the strongest first": (
        [(1, 2, -1.0), (2, 3, 1.5), (1, 3, 0.5)],
        [(2, 3), (1, 3), (1, 2)],
    ),
}


@pytest.mark.parametrize(("pairs", "questions"), CASES.values(), ids=CASES)
def test_one_question_for_two_clusters(pairs, questions):
    assert asked(pairs_of(pairs))[0] == questions


def test_clusters_that_a_judgement_keeps_apart_raise_no_question():
    pairs = pairs_of([(1, 2, 5.0), (3, 4, 5.0), (2, 4, 1.0), (5, 6, 1.0)])
    assert asked(pairs, Judged.of(different=[(1, 3)]))[0] == [(5, 6)]


def test_a_link_that_was_refused_is_asked_about_as_guarded():
    pairs = pairs_of([(1, 2, 5.0), (3, 4, 1.0)])
    apart = cluster(EVERYBODY, no_pairs(), THRESHOLD)  # as if a guard had refused the link
    found = doubts(apart, pairs, THRESHOLD, NOTHING)
    assert found.guarded.tolist() == [True, False]


numbers = st.integers(1, 20)
scored = st.lists(
    st.tuples(numbers, numbers, st.integers(-6, 3).map(float)).filter(lambda row: row[0] != row[1]),
    max_size=60,
    unique_by=lambda row: frozenset(row[:2]),
)


@given(rows=scored, limit=st.integers(1, 4))
def test_a_limit_keeps_the_strongest_and_counts_what_is_weaker(rows, limit):
    pairs = pairs_of(rows)
    every, _ = asked(pairs)
    some, found = asked(pairs, limit=limit)
    assert some == every[:limit]
    clusters = cluster(EVERYBODY, pairs, THRESHOLD)
    label = dict(zip(clusters.record_nos.tolist(), clusters.label.tolist(), strict=True))
    weaker = [w for a, b, w in rows if label[a] != label[b] and w < found.pairs.weight.min(initial=np.inf)]
    assert found.left_out == (len(weaker) if len(some) == limit else 0)
