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


_MEMBERS_OF = Statement("""
    SELECT record_no, golden_no, confidence
    FROM members
    WHERE golden_no IN :golden_nos AND valid_from <= :version AND valid_to > :version
""")

_GOLDENS_OF = Statement("""
    SELECT DISTINCT golden_no
    FROM memberships
    WHERE record_no IN :record_nos AND valid_from <= :version AND valid_to > :version
""")

_FORMER_GOLDENS = Statement("""
    SELECT DISTINCT golden_no
    FROM former_members
    WHERE record_no IN :record_nos AND valid_from <= :version AND valid_to > :version
""")

_FORMER_RECORDS = Statement("""
    SELECT golden_no, record_no
    FROM former_members
    WHERE golden_no IN :golden_nos AND valid_from <= :version AND valid_to > :version
""")

_ANCHORS_OF = Statement("""
    SELECT g.golden_no, COALESCE(s.status, 'active'), s.redirect_no,
           CASE WHEN s.status IS NULL THEN g.anchor_no ELSE s.anchor_no END
    FROM golden_ids g
    LEFT JOIN golden_states s
      ON s.golden_no = g.golden_no AND s.valid_from <= :version AND s.valid_to > :version
    WHERE g.golden_no IN :golden_nos AND g.created_version <= :version
    ORDER BY g.golden_no
""")

_LINKS_OF = Statement("""
    SELECT record_no, other_no, weight
    FROM links
    WHERE record_no IN :record_nos AND record_no < other_no
      AND valid_from <= :version AND valid_to > :version
""")

_OVERRIDDEN_OF = Statement("""
    SELECT record_no, other_no, weight
    FROM overridden_links
    WHERE record_no IN :record_nos AND record_no < other_no
      AND valid_from <= :version AND valid_to > :version
""")


_OVERRIDDEN_WITH = Statement("""
    SELECT other_no
    FROM overridden_links
    WHERE record_no IN :record_nos AND valid_from <= :version AND valid_to > :version
""")


@dataclass(slots=True)
class Scope:
    """Records and golden IDs that belong together: by membership, former or not, and by people's word."""

    record_nos: set[int] = field(default_factory=set)
    golden_nos: set[int] = field(default_factory=set)

    def grow(self, conn: Connection, versions: Iterable[int]) -> None:
        """Add whatever the records and golden IDs are tied to at any of `versions`, until nothing is new."""
        versions = list(versions)
        new_records, new_goldens = set(self.record_nos), set(self.golden_nos)
        while new_records or new_goldens:
            records: set[int] = set()
            goldens: set[int] = set()
            for version in versions:
                for part in slices(sorted(new_records)):
                    goldens.update(row[0] for row in _GOLDENS_OF.rows(conn, record_nos=part, version=version))
                    goldens.update(
                        row[0] for row in _FORMER_GOLDENS.rows(conn, record_nos=part, version=version)
                    )
                    records.update(
                        row[0] for row in _OVERRIDDEN_WITH.rows(conn, record_nos=part, version=version)
                    )
                for part in slices(sorted(new_goldens)):
                    records.update(row[0] for row in _MEMBERS_OF.rows(conn, golden_nos=part, version=version))
                    records.update(
                        row[1] for row in _FORMER_RECORDS.rows(conn, golden_nos=part, version=version)
                    )
            records.update(judgement_store.partners(conn, new_records))
            new_records, new_goldens = records - self.record_nos, goldens - self.golden_nos
            self.record_nos |= new_records
            self.golden_nos |= new_goldens


def load_scope(conn: Connection, version: int, scope: Scope) -> Snapshot:
    """Return the state at `version` of what a grown `scope` holds."""
    members: list[Any] = []
    formers: list[Any] = []
    states: list[Any] = []
    links: list[Any] = []
    overridden: list[Any] = []
    for part in slices(sorted(scope.golden_nos)):
        members += _MEMBERS_OF.rows(conn, golden_nos=part, version=version)
        formers += _FORMER_RECORDS.rows(conn, golden_nos=part, version=version)
        states += _ANCHORS_OF.rows(conn, golden_nos=part, version=version)
    for part in slices(sorted(scope.record_nos)):
        links += _LINKS_OF.rows(conn, record_nos=part, version=version)
        overridden += _OVERRIDDEN_OF.rows(conn, record_nos=part, version=version)
    golden_nos, record_nos, confidence = _members(_table(members, 3))
    active = [(row[0], row[3]) for row in states if row[1] == "active"]
    merged = [(row[0], row[2]) for row in states if row[1] == "merged"]
    anchors, redirects, former = _table(active, 2), _table(merged, 2), _table(sorted(formers), 2)
    state = State(
        record_nos, golden_nos, _ints(redirects[0]), _ints(redirects[1]), _ints(former[0]), _ints(former[1]),
        int(_NEXT.rows(conn)[0][0]),
    )  # fmt: skip
    return Snapshot(
        state, confidence, _ints(anchors[0]), _ints(anchors[1]),
        _pairs(_table(sorted(links), 3)), _pairs(_table(sorted(overridden), 3)),
    )  # fmt: skip


def _table(rows: list[Any], width: int) -> list[npt.NDArray[np.float64]]:
    table = np.array(rows, dtype=np.float64).reshape(len(rows), width)
    return [table[:, column] for column in range(width)]
