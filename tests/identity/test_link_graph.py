"""What holds a golden ID together, against slow definitions that are plainly right."""

import math
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from identity.link_graph import cohesion, spanning_forest, strongest_path

nodes = st.integers(1, 9)
weights = st.one_of(st.integers(-6, 30).map(float), st.just(math.inf))
links = st.dictionaries(
    st.tuples(nodes, nodes).filter(lambda pair: pair[0] < pair[1]), weights, max_size=16
).map(lambda found: [(a, b, weight) for (a, b), weight in found.items()])


def reached(edges, start):
    seen, before = {start}, 0
    while len(seen) > before:
        before = len(seen)
        seen |= {end for a, b, _ in edges if seen & {a, b} for end in (a, b)}
    return seen


def joined_at(edges, least, start, end):
    return end in reached([edge for edge in edges if edge[2] >= least], start)


def test_two_records_are_joined_by_the_path_whose_weakest_link_is_strongest():
    edges = [(1, 2, 3.0), (2, 3, 9.0), (3, 4, 8.0), (1, 4, 7.0)]
    assert strongest_path(edges, 1, 2) == [(1, 4, 7.0), (4, 3, 8.0), (3, 2, 9.0)]
    assert strongest_path(edges, 1, 5) == []
    assert strongest_path(edges, 1, 1) == []


def test_a_stewards_word_is_stronger_than_any_score():
    assert strongest_path([(1, 2, 50.0), (2, 3, 50.0), (1, 3, math.inf)], 1, 3) == [(1, 3, math.inf)]


def test_two_families_held_by_one_link_are_a_bridge_and_its_parts_are_counted():
    left, right = [(1, 2, 9.0), (2, 3, 9.0), (1, 3, 9.0)], [(4, 5, 8.0)]
    found = cohesion([*left, *right, (3, 4, 2.5)])
    assert (found.records, found.links) == (5, 6 - 1)
    (bridge,) = found.bridges
    assert found.weakest == bridge
    assert (bridge.records, bridge.weight, bridge.parts) == ((3, 4), 2.5, (3, 2))


def test_a_record_that_hangs_on_one_link_is_no_bridge_between_people_but_may_be_the_weakest_link():
    found = cohesion([(1, 2, 9.0), (1, 3, 4.0), (1, 4, 6.0)])
    assert found.bridges == ()
    assert found.weakest.records == (1, 3)
    assert found.weakest.parts == (3, 1)


def test_one_record_has_nothing_to_hold():
    found = cohesion([])
    assert (found.records, found.links, found.weakest, found.bridges) == (0, 0, None, ())


@given(links, nodes, nodes)
def test_no_other_path_has_a_stronger_weakest_link(edges, start, end):
    path = strongest_path(edges, start, end)
    known = {(min(a, b), max(a, b)): weight for a, b, weight in edges}
    assert all(known[min(a, b), max(a, b)] == weight for a, b, weight in path)
    if path:
        assert (path[0][0], path[-1][1]) == (start, end)
        assert all(one[1] == other[0] for one, other in pairwise(path))
        weakest = min(weight for _, _, weight in path)
        assert not any(joined_at(edges, bits, start, end) for _, _, bits in edges if bits > weakest)
    elif start != end:
        assert end not in reached(edges, start)


@given(links)
def test_bridges_are_the_links_without_which_two_parts_of_several_records_fall_apart(edges):
    expected = {}
    for edge in edges:
        others = [other for other in edges if other != edge]
        parts = (len(reached(others, edge[0])), len(reached(others, edge[1])))
        if edge[1] not in reached(others, edge[0]) and min(parts) > 1:
            expected[edge[:2]] = parts
    assert {joint.records: joint.parts for joint in cohesion(edges).bridges} == expected


@given(links)
def test_above_the_weakest_link_the_records_fall_apart_and_at_it_they_do_not(edges):
    weakest = cohesion(edges).weakest
    assert (weakest is None) == (not edges)
    if weakest is not None:
        a, b = weakest.records
        assert joined_at(edges, weakest.weight, a, b)
        assert not any(joined_at(edges, bits, a, b) for _, _, bits in edges if bits > weakest.weight)
        forest = spanning_forest(edges)
        assert weakest.weight == min(weight for _, _, weight in forest)
        assert sum(weakest.parts) == len(reached(edges, a))
