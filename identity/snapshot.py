"""Read the stored state at one version, whole or around some records, as columns.

`version` is the published one for online writes and for a run's start.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection

from identity import judgement_store
from identity.clustering import Pairs
from identity.difference import Snapshot
from identity.golden_events import Ints
from identity.golden_state import State
from identity.judgements import Judgement
from identity.small_steps import Nearby
from identity.statements import Statement, slices

CHUNK = 50_000  # rows fetched at a time: 10 MB of Python integers at most

_NEXT = Statement("SELECT value + 1 FROM counters WHERE name = 'golden_no'")

_ALL_MEMBERS = Statement("""
    SELECT record_no, golden_no, confidence
    FROM members
    WHERE valid_from <= :version AND valid_to > :version
""")

_ALL_ANCHORS = Statement("""
    SELECT g.golden_no, CASE WHEN s.status IS NULL THEN g.anchor_no ELSE s.anchor_no END
    FROM golden_ids g
    LEFT JOIN golden_states s
      ON s.golden_no = g.golden_no AND s.valid_from <= :version AND s.valid_to > :version
    WHERE g.created_version <= :version AND (s.status IS NULL OR s.status = 'active')
    ORDER BY g.golden_no
""")

_ALL_LINKS = Statement("""
    SELECT record_no, other_no, weight
    FROM links
    WHERE record_no < other_no AND valid_from <= :version AND valid_to > :version
""")

_ALL_MERGED = Statement("""
    SELECT golden_no, redirect_no
    FROM golden_states
    WHERE status = 'merged' AND valid_from <= :version AND valid_to > :version
    ORDER BY golden_no
""")

_ALL_FORMERS = Statement("""
    SELECT golden_no, record_no
    FROM former_members
    WHERE valid_from <= :version AND valid_to > :version
    ORDER BY golden_no, record_no
""")


_ALL_OVERRIDDEN = Statement("""
    SELECT record_no, other_no, weight
    FROM overridden_links
    WHERE record_no < other_no AND valid_from <= :version AND valid_to > :version
""")


def load_all(conn: Connection, version: int) -> Snapshot:
    """Return the whole state at `version`. One million records take about 2 s and 100 MB."""
    golden_nos, record_nos, confidence = _members(_columns(conn, _ALL_MEMBERS, 3, version=version))
    merged = _columns(conn, _ALL_MERGED, 2, version=version)
    formers = _columns(conn, _ALL_FORMERS, 2, version=version)
    anchors = _columns(conn, _ALL_ANCHORS, 2, version=version)
    links = _columns(conn, _ALL_LINKS, 3, version=version)
    overridden = _columns(conn, _ALL_OVERRIDDEN, 3, version=version)
    state = State(
        record_nos, golden_nos, _ints(merged[0]), _ints(merged[1]), _ints(formers[0]), _ints(formers[1]),
        int(_NEXT.rows(conn)[0][0]),
    )  # fmt: skip
    return Snapshot(
        state, confidence, _ints(anchors[0]), _ints(anchors[1]), _pairs(links), _pairs(overridden)
    )  # fmt: skip


def _columns(
    conn: Connection, statement: Statement, width: int, **values: Any
) -> list[npt.NDArray[np.float64]]:
    """Fetch a result as float columns: every number here is below 2**53."""
    parts = [np.array(rows, dtype=np.float64) for rows in statement.chunks(conn, CHUNK, **values)]
    table = np.concatenate(parts) if parts else np.empty((0, width))
    return [table[:, column] for column in range(width)]


def _pairs(columns: list[npt.NDArray[np.float64]]) -> Pairs:
    return Pairs(_ints(columns[0]), _ints(columns[1]), columns[2])


def _ints(column: npt.NDArray[np.float64]) -> Ints:
    return column.astype(np.int64)


def _members(columns: list[npt.NDArray[np.float64]]) -> tuple[Ints, Ints, npt.NDArray[np.float64]]:
    order = np.argsort(columns[0], kind="stable")
    return _ints(columns[1][order]), _ints(columns[0][order]), columns[2][order]


# What holds at a version around records and around golden IDs, the first column saying what it is: one
# statement each, because an arrival asks three times.
_TIES_OF_RECORDS = Statement("""
    SELECT 0, golden_no FROM memberships
    WHERE record_no IN :record_nos AND valid_from <= :version AND valid_to > :version
    UNION ALL
    SELECT 0, golden_no FROM former_members
    WHERE record_no IN :record_nos AND valid_from <= :version AND valid_to > :version
    UNION ALL
    SELECT 1, other_no FROM overridden_links
    WHERE record_no IN :record_nos AND valid_from <= :version AND valid_to > :version
""")

_TIES_OF_GOLDENS = Statement("""
    SELECT record_no FROM members
    WHERE golden_no IN :golden_nos AND valid_from <= :version AND valid_to > :version
    UNION ALL
    SELECT record_no FROM former_members
    WHERE golden_no IN :golden_nos AND valid_from <= :version AND valid_to > :version
""")

_MEMBER, _FORMER, _ANCHOR, _MERGED, _ENDED = range(5)
_GOLDENS = Statement("""
    SELECT 0, golden_no, record_no, confidence
    FROM members
    WHERE golden_no IN :golden_nos AND valid_from <= :version AND valid_to > :version
    UNION ALL
    SELECT 1, golden_no, record_no, 0.0
    FROM former_members
    WHERE golden_no IN :golden_nos AND valid_from <= :version AND valid_to > :version
    UNION ALL
    SELECT CASE COALESCE(s.status, 'active') WHEN 'active' THEN 2 WHEN 'merged' THEN 3 ELSE 4 END,
           g.golden_no,
           COALESCE(CASE WHEN s.status IS NULL THEN g.anchor_no
                         WHEN s.status = 'merged' THEN s.redirect_no ELSE s.anchor_no END, 0),
           0.0
    FROM golden_ids g
    LEFT JOIN golden_states s
      ON s.golden_no = g.golden_no AND s.valid_from <= :version AND s.valid_to > :version
    WHERE g.golden_no IN :golden_nos AND g.created_version <= :version
""")

_PAIRS = Statement("""
    SELECT 0, record_no, other_no, weight
    FROM links
    WHERE record_no IN :record_nos AND record_no < other_no
      AND valid_from <= :version AND valid_to > :version
    UNION ALL
    SELECT 1, record_no, other_no, weight
    FROM overridden_links
    WHERE record_no IN :record_nos AND record_no < other_no
      AND valid_from <= :version AND valid_to > :version
""")


@dataclass(slots=True)
class Scope:
    """Records and golden IDs that belong together: by membership, former or not, and by people's word.

    `standing` is what was found to be said of the records, by the judgement's number.
    """

    record_nos: set[int] = field(default_factory=set)
    golden_nos: set[int] = field(default_factory=set)
    standing: dict[int, Judgement] = field(default_factory=dict)

    def grow(self, conn: Connection, versions: Iterable[int]) -> None:
        """Add whatever the records and golden IDs are tied to at any of `versions`, until nothing is new."""
        versions = list(versions)
        new_records, new_goldens = set(self.record_nos), set(self.golden_nos)
        while new_records or new_goldens:
            records: set[int] = set()
            goldens: set[int] = set()
            for version in versions:
                for part in slices(sorted(new_records)):
                    for is_record, number in _TIES_OF_RECORDS.rows(conn, record_nos=part, version=version):
                        (records if is_record else goldens).add(number)
                for part in slices(sorted(new_goldens)):
                    rows = _TIES_OF_GOLDENS.rows(conn, golden_nos=part, version=version)
                    records.update(row[0] for row in rows)
            said = judgement_store.standing(conn, new_records)
            self.standing.update((each.number, each) for each in said)
            records.update(number for each in said if each.verdict != "unsure" for number in each.pair)
            new_records, new_goldens = records - self.record_nos, goldens - self.golden_nos
            self.record_nos |= new_records
            self.golden_nos |= new_goldens


def load_nearby(conn: Connection, version: int, scope: Scope) -> Nearby:
    """Return the state at `version` of what a grown `scope` holds."""
    found: list[list[tuple[int, int, float]]] = [[], [], [], [], []]
    for part in slices(sorted(scope.golden_nos)):
        for kind, *row in _GOLDENS.rows(conn, golden_nos=part, version=version):
            found[kind].append(tuple(row))
    links: list[list[tuple[int, int, float]]] = [[], []]
    for part in slices(sorted(scope.record_nos)):
        for kind, *row in _PAIRS.rows(conn, record_nos=part, version=version):
            links[kind].append(tuple(row))
    formers, anchors, merged = (
        [(one, other) for one, other, _ in found[kind]] for kind in (_FORMER, _ANCHOR, _MERGED)
    )
    return Nearby(
        next_golden_no=int(_NEXT.rows(conn)[0][0]), members=found[_MEMBER], formers=formers,
        anchors=anchors, merged=merged, links=links[0], overridden=links[1],
    )  # fmt: skip


def load_scope(conn: Connection, version: int, scope: Scope) -> Snapshot:
    """Return the same as columns."""
    return load_nearby(conn, version, scope).snapshot()
