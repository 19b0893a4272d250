"""Clusters, anchors and confidences against a brute-force reading of the contract."""

import time
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity.clustering import Pairs, cluster


def pairs_of(edges):
    a, b, weight = zip(*edges, strict=True) if edges else ((), (), ())
    return Pairs(np.array(a, dtype=np.int64), np.array(b, dtype=np.int64), np.array(weight, dtype=np.float64))


EDGES = st.lists(
    st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(-4, 12).map(float)).filter(
        lambda e: e[0] != e[1]
    ),
    max_size=25,
    unique_by=lambda edge: frozenset(edge[:2]),
).map(lambda edges: [(min(a, b), max(a, b), weight) for a, b, weight in edges])

NODES = range(10)


def brute_bottleneck(edges, start, goal):
    """The widest path by trying every threshold."""
    for threshold in sorted({weight for *_, weight in edges}, reverse=True):
        reached = {start}
        for _ in NODES:
            for a, b, weight in edges:
                if weight >= threshold and (a in reached or b in reached):
                    reached |= {a, b}
        if goal in reached:
            return threshold
    return None


@given(EDGES, st.sets(st.integers(0, 9)))
def test_it_equals_the_contract(edges, verified):
    found = cluster(NODES, pairs_of(edges), 0.0, sorted(verified))
    linked = [edge for edge in edges if edge[2] >= 0]
    degree = {node: sum(node in edge[:2] for edge in linked) for node in NODES}
    label = dict(zip(found.record_nos.tolist(), found.label.tolist(), strict=True))
    anchor = dict(zip(found.record_nos.tolist(), found.anchor.tolist(), strict=True))
    for a, b in combinations(NODES, 2):
        assert (label[a] == label[b]) == (brute_bottleneck(linked, a, b) is not None)
    for position, node in enumerate(NODES):
        members = [other for other in NODES if label[other] == label[node]]
        assert label[node] == min(members)
        assert anchor[node] == min(members, key=lambda other: (other not in verified, -degree[other], other))
        if node == anchor[node]:
            assert found.confidence[position] == 1.0
        else:
            widest = brute_bottleneck(linked, node, anchor[node])
            assert found.confidence[position] == pytest.approx(1 / (1 + 2**-widest), abs=1e-6)


@given(EDGES, st.randoms())
def test_row_order_does_not_matter(edges, random):
    shuffled = [(b, a, weight) if random.random() < 0.5 else (a, b, weight) for a, b, weight in edges]
    random.shuffle(shuffled)
    one, two = cluster(NODES, pairs_of(edges), 0.0), cluster(list(NODES)[::-1], pairs_of(shuffled), 0.0)
    for attribute in ("record_nos", "label", "anchor", "confidence"):
        assert np.array_equal(getattr(one, attribute), getattr(two, attribute))
    assert np.array_equal(one.links.record_a, two.links.record_a)


def test_a_hub_keeps_its_best_links_and_every_cluster_stays_connected():
    edges = [(0, other, 1.0 + other) for other in range(1, 100)]
    edges += [(a, b, 50.0) for a, b in combinations(range(1, 60), 2)]
    kept = cluster(range(100), pairs_of(edges), 0.0).links
    again = cluster(range(100), kept, 0.0)
    assert set(again.label.tolist()) == {0}
    assert len(kept) < len(edges)


def test_records_without_links_are_singletons_with_full_confidence():
    found = cluster([7, 3], pairs_of([(3, 7, -1.0)]), 0.0)
    assert found.record_nos.tolist() == found.label.tolist() == found.anchor.tolist() == [3, 7]
    assert found.confidence.tolist() == [1.0, 1.0]


def test_no_records_at_all():
    assert len(cluster([], pairs_of([]), 0.0).label) == 0


def test_a_pair_of_an_unknown_record_is_refused():
    with pytest.raises(ValueError, match="not among"):
        cluster([1, 2], pairs_of([(1, 3, 5.0)]), 0.0)


@pytest.mark.slow
def test_a_million_records_take_seconds():
    random = np.random.default_rng(1)
    a = random.integers(0, 1_000_000, 2_000_000)
    b = a + random.integers(1, 6, 2_000_000)
    weight = np.round(random.normal(5, 5, 2_000_000), 6)
    started = time.perf_counter()
    cluster(np.arange(1_000_010), Pairs(a, b, weight), 3.0)
    assert time.perf_counter() - started < 20  # about 3 s on an idle core
