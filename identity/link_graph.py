"""What holds the records of one golden ID together: best paths, the weakest link, bridges. Pure.

Links are (record, record, weight in bits); an infinite weight is a steward's word. The best path between
two records is the one whose weakest link is strongest, and all best paths lie in the maximum spanning
forest (as in `identity.clustering`, which measures confidence along them).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

Edge = tuple[int, int, float]
Neighbours = Mapping[int, Sequence[tuple[int, float]]]

MOST_BRIDGES: Final = 20
"""Bridges told of one golden ID, the weakest first: more say nothing more."""


@dataclass(frozen=True, slots=True)
class Joint:
    """A link without which the records fall into two parts, and how many records each part has."""

    records: tuple[int, int]
    weight: float
    parts: tuple[int, int]  # on the side of the first record, on that of the second


@dataclass(frozen=True, slots=True)
class Cohesion:
    """How firmly some records hold together.

    `weakest` is the weakest link of the best paths: at a threshold above it the records fall apart.
    `bridges` are links that no other link stands in for, between parts of two records or more.
    """

    records: int
    links: int
    weakest: Joint | None
    bridges: tuple[Joint, ...]


def cohesion(edges: Iterable[Edge]) -> Cohesion:
    """Return how firmly the records that the links connect hold together."""
    links = _ordered(edges)
    tree = spanning_forest(links)
    weakest = tree[-1] if tree else None
    bridges = [joint for joint in _bridges(links) if min(joint.parts) > 1]
    bridges.sort(key=lambda joint: (joint.weight, joint.records))
    return Cohesion(
        records=len({end for a, b, _ in links for end in (a, b)}),
        links=len(links),
        weakest=None if weakest is None else _joint(tree, weakest),
        bridges=tuple(bridges[:MOST_BRIDGES]),
    )


def spanning_forest(edges: Iterable[Edge]) -> list[Edge]:
    """Return the links of the maximum spanning forest, the strongest first; ties by record numbers."""
    parent: dict[int, int] = {}

    def root(node: int) -> int:
        while parent.setdefault(node, node) != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    forest = []
    for a, b, weight in _ordered(edges):
        if root(a) != root(b):
            parent[root(a)] = root(b)
            forest.append((a, b, weight))
    return forest


def strongest_path(edges: Iterable[Edge], start: int, end: int) -> list[Edge]:
    """Return the best path as links in walking order; empty if there is none."""
    near = _neighbours(spanning_forest(edges))
    came: dict[int, tuple[int, float]] = {start: (start, 0.0)}
    waiting = [start]
    while waiting and end not in came:
        node = waiting.pop()
        for neighbour, weight in near.get(node, ()):
            if neighbour not in came:
                came[neighbour] = (node, weight)
                waiting.append(neighbour)
    path: list[Edge] = []
    node = end
    while node in came and node != start:
        before, weight = came[node]
        path.append((before, node, weight))
        node = before
    return path[::-1]


def _ordered(edges: Iterable[Edge]) -> list[Edge]:
    """Return the links with the smaller record first, the strongest first, ties by record numbers."""
    return sorted(((min(a, b), max(a, b), w) for a, b, w in edges), key=lambda edge: (-edge[2], edge[:2]))


def _neighbours(edges: Iterable[Edge]) -> dict[int, list[tuple[int, float]]]:
    near: dict[int, list[tuple[int, float]]] = {}
    for a, b, weight in edges:
        near.setdefault(a, []).append((b, weight))
        near.setdefault(b, []).append((a, weight))
    return near


def _joint(tree: list[Edge], link: Edge) -> Joint:
    """Return what a link of the tree holds together within its component."""
    a, b, weight = link
    near = _neighbours(edge for edge in tree if edge != link)
    return Joint((a, b), weight, (_reached(near, a), _reached(near, b)))


def _reached(near: Neighbours, start: int) -> int:
    seen, waiting = {start}, [start]
    while waiting:
        for neighbour, _ in near.get(waiting.pop(), ()):
            if neighbour not in seen:
                seen.add(neighbour)
                waiting.append(neighbour)
    return len(seen)


def _bridges(edges: list[Edge]) -> Iterator[Joint]:
    """Yield every bridge: a link of the search tree below which nothing leads back up (Tarjan, 1974)."""
    near = _neighbours(edges)
    place: dict[int, int] = {}
    for start in near:
        if start in place:
            continue
        order, came = _searched(near, start, place)
        lowest = {node: place[node] for node in order}
        below = dict.fromkeys(order, 1)
        for node in reversed(order):
            above, weight = came[node]
            for neighbour, _ in near[node]:
                if neighbour != above:
                    lowest[node] = min(lowest[node], place[neighbour])
            if node == start:
                continue
            lowest[above] = min(lowest[above], lowest[node])
            below[above] += below[node]
            if lowest[node] > place[above]:
                sizes = (len(order) - below[node], below[node])
                first, second = (above, node) if above < node else (node, above)
                yield Joint((first, second), weight, sizes if above < node else sizes[::-1])


def _searched(
    near: Neighbours, start: int, place: dict[int, int]
) -> tuple[list[int], dict[int, tuple[int, float]]]:
    """Search depth first from `start`; return the nodes in order and how each was come to.

    Fills `place`: node -> its number in the order. Without recursion, for golden IDs of any size.
    """
    order: list[int] = []
    came: dict[int, tuple[int, float]] = {}
    waiting = [(start, start, 0.0)]
    while waiting:
        node, above, weight = waiting.pop()
        if node in place:
            continue
        place[node] = len(place)
        order.append(node)
        came[node] = (above, weight)
        waiting += [(neighbour, node, bits) for neighbour, bits in near[node] if neighbour not in place]
    return order, came
