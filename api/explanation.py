"""Why two records are one person: the path of scored links between them. Numbers and weights, no values."""

from typing import TYPE_CHECKING, Any

from consent.errors import UnknownSubjectError
from identity.records import RecordKey

if TYPE_CHECKING:
    from api.services import Services


def explain_pair(services: "Services", first: RecordKey, second: RecordKey) -> dict[str, Any]:
    """Return whether two records share a golden ID, and the strongest path of links that joins them.

    Raises UnknownSubjectError if there is no such record.
    """
    numbers = [services.lookup.record(key) for key in (first, second)]
    if None in numbers:
        raise UnknownSubjectError("one of the two is no record of this home")
    one, other = (number for number in numbers if number is not None)
    with services.db.read() as conn:
        goldens = services.memberships.goldens_of(conn, [one, other])
        names = services.memberships.names(conn, goldens.values())
        golden_no = goldens.get(one)
        same = golden_no is not None and golden_no == goldens.get(other)
        members = services.memberships.members(conn, golden_no) if same and golden_no is not None else []
        links = services.memberships.links(conn, [member.record_no for member in members])
    edges = [(link.record_a, link.record_b, link.weight) for link in links]
    path = strongest_path(edges, one, other) if same else []
    return {
        "same_person": same,
        "golden_ids": [names.get(goldens[number]) if number in goldens else None for number in (one, other)],
        "records": [one, other],
        "path": [{"records": [a, b], "match_weight": round(weight, 6)} for a, b, weight in path],
    }


def strongest_path(edges: list[tuple[int, int, float]], start: int, end: int) -> list[tuple[int, int, float]]:
    """Return the path whose weakest link is strongest, empty if there is none (pure).

    The maximum spanning forest holds such a path for every pair; edges are (a, b, weight in bits).
    """
    parent: dict[int, int] = {}

    def root(node: int) -> int:
        while parent.setdefault(node, node) != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    forest: dict[int, list[tuple[int, float]]] = {}
    for a, b, weight in sorted(edges, key=lambda edge: (-edge[2], edge[:2])):
        if root(a) != root(b):
            parent[root(a)] = root(b)
            forest.setdefault(a, []).append((b, weight))
            forest.setdefault(b, []).append((a, weight))
    came: dict[int, tuple[int, float]] = {start: (start, 0.0)}
    waiting = [start]
    while waiting and end not in came:
        node = waiting.pop()
        for neighbour, weight in forest.get(node, []):
            if neighbour not in came:
                came[neighbour] = (node, weight)
                waiting.append(neighbour)
    path: list[tuple[int, int, float]] = []
    node = end
    while node in came and node != start:
        before, weight = came[node]
        path.append((before, node, weight))
        node = before
    return path[::-1]
