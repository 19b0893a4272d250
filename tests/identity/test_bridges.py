"""All bridges of a run at once are those that each golden ID's own search finds."""

from dataclasses import asdict

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from identity.bridges import SHOWN, seams
from identity.clustering import Clusters, Pairs, cluster
from identity.link_graph import cohesion
from identity.resolution import pairs_of

RECORDS = range(1, 15)
LINKS = st.dictionaries(
    st.tuples(st.integers(1, 14), st.integers(1, 14)).filter(lambda pair: pair[0] < pair[1]),
    st.integers(1, 30),
    max_size=30,
)


def clusters_of(edges) -> Clusters:
    return cluster(list(RECORDS), pairs_of((a, b, float(bits)) for a, b, bits in edges), 0.0)


def seams_of(clusters, **options):
    return seams(clusters, clusters.label * 10, **{"least": 0.0, "refused": 0, **options})


@given(LINKS)
def test_they_are_the_bridges_that_each_golden_id_has_by_itself(links):
    clusters = clusters_of((a, b, bits) for (a, b), bits in links.items())
    expected = {
        (joint.records, joint.weight, tuple(sorted(joint.parts, reverse=True)))
        for joint in cohesion((a, b, float(bits)) for (a, b), bits in links.items()).bridges
    }
    found = seams_of(clusters)
    assert {(each.records, each.weight, each.parts) for each in found.weakest} == expected
    assert found.bridges == len(expected)


@given(LINKS)
def test_without_a_bridge_its_golden_id_falls_into_the_two_parts(links):
    clusters = clusters_of((a, b, bits) for (a, b), bits in links.items())
    label = dict(zip(clusters.record_nos.tolist(), clusters.label.tolist(), strict=True))
    for bridge in seams_of(clusters).weakest:
        rest = clusters_of((a, b, bits) for (a, b), bits in links.items() if (a, b) != bridge.records)
        after = dict(zip(rest.record_nos.tolist(), rest.label.tolist(), strict=True))
        one, other = bridge.records
        assert after[one] != after[other]
        members = [after[number] for number in RECORDS if label[number] == label[one]]
        assert bridge.golden_no == label[one] * 10
        assert sorted(bridge.parts) == sorted((members.count(after[one]), members.count(after[other])))


def two_parts(first: int, bits: float):
    """Two triangles of records from `first` on, and the one link between them."""
    for at in (first, first + 3):
        yield from ((at, at + 1, 9.0), (at + 1, at + 2, 9.0), (at, at + 2, 9.0))
    yield (first, first + 3, bits)


def test_the_weakest_come_first_and_all_are_counted():
    count = SHOWN + 5
    edges = [edge for at in range(count) for edge in two_parts(6 * at + 1, 30.0 - at)]
    found = seams_of(cluster(range(1, 6 * count + 1), pairs_of(edges), 0.0), refused=7)
    assert (found.bridges, found.golden_ids, found.refused) == (count, count, 7)
    assert [each.weight for each in found.weakest] == sorted(30.0 - at for at in range(count))[:SHOWN]
    assert {each.parts for each in found.weakest} == {(3, 3)}


def test_a_single_record_hanging_on_is_no_bridge_and_neither_is_a_ring():
    chain = [(1, 2, 5.0), (2, 3, 5.0)]
    ring = [(4, 5, 5.0), (5, 6, 5.0), (6, 7, 5.0), (4, 7, 5.0)]
    assert seams_of(clusters_of([*chain, *ring])).bridges == 0


def test_a_link_too_weak_to_join_stands_in_for_none():
    clusters = clusters_of([*two_parts(1, 5.0), (2, 5, 1.0)])
    assert seams_of(clusters).bridges == 0
    assert seams_of(clusters, least=2.0).bridges == 1


def test_what_a_steward_joined_is_named_as_certain_and_last():
    links = clusters_of([*two_parts(1, 5.0), *two_parts(7, 8.0)]).links
    weight = np.where((links.record_a == 1) & (links.record_b == 4), np.inf, links.weight)
    clusters = clusters_of([*two_parts(1, 5.0), *two_parts(7, 8.0)])
    judged = Clusters(
        clusters.record_nos, clusters.label, clusters.anchor, clusters.confidence,
        Pairs(links.record_a, links.record_b, weight),
    )  # fmt: skip
    weak, sure = seams_of(judged).weakest
    assert (weak.records, weak.weight, weak.certain) == ((7, 10), 8.0, False)
    assert asdict(sure)["weight"] is None
    assert sure.certain


def test_a_home_without_links_has_none():
    found = seams_of(clusters_of([]))
    assert (found.bridges, found.golden_ids, found.weakest) == (0, 0, ())
