"""A difference as rows of the tables: the same for a run's staged version and for one online write."""

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection

from identity.difference import Difference, Rows, details
from identity.golden_events import KINDS, Events
from identity.records import GoldenId, new_golden_ids
from identity.small_steps import SmallStep
from identity.statements import Statement, slices
from identity.versioned import (
    BY_GOLDEN,
    BY_RECORD,
    FORMERS,
    LINKS,
    MEMBERS,
    MEMBERSHIPS,
    OVERRIDDEN,
    STATES,
    Row,
    Step,
    tuples,
)  # fmt: skip

_INSERT_GOLDEN: Final = Statement("""
    INSERT INTO golden_ids (golden_no, golden_id, created_version, anchor_no)
    VALUES (:golden_no, :golden_id, :version, :anchor_no)
""")

_INSERT_NAME: Final = Statement("""
    INSERT INTO golden_names (golden_id, golden_no) VALUES (:golden_id, :golden_no)
""")

_INSERT_LINEAGE: Final = Statement("""
    INSERT INTO lineage (golden_no, other_no, version, relation)
    VALUES (:golden_no, :other_no, :version, :relation)
    ON CONFLICT (golden_no, other_no, version) DO UPDATE SET relation = excluded.relation
""")

_INSERT_CHANGE: Final = Statement("""
    INSERT INTO changes (version, seq, type, golden_no, details, recorded_at)
    VALUES (:version, :seq, :type, :golden_no, :details, :recorded_at)
""")

_COUNT_UP: Final = Statement("UPDATE counters SET value = value + :n WHERE name = :name RETURNING value")

_UNSTAGE_GOLDEN: Final = Statement("""
    DELETE FROM golden_ids WHERE golden_no IN :nos AND created_version = :version RETURNING golden_id
""")

_UNSTAGE_NAME: Final = Statement("DELETE FROM golden_names WHERE golden_id IN :names")

_UNSTAGE_LINEAGE: Final = Statement("DELETE FROM lineage WHERE golden_no IN :nos AND version = :version")

_UNSTAGE_CHANGES: Final = Statement("DELETE FROM changes WHERE golden_no IN :nos AND version = :version")


def count_up(conn: Connection, name: str, n: int) -> int:
    """Take `n` numbers of a counter inside a write transaction; returns the first of them."""
    return int(_COUNT_UP.rows(conn, name=name, n=n)[0][0]) - n + 1


def steps(difference: Difference, version: int, *, staged: bool) -> list[Step]:
    """Return everything to write at `version` except the change feed, table by table, in key order.

    `staged`: the version is a run's own, where this scope has no rows yet; otherwise rows already written
    at `version` are replaced, as an online write must.
    """
    golden_nos, anchors = difference.births
    names = new_golden_ids(len(golden_nos))
    by_name = np.argsort(np.array(names, dtype="S28"))  # into the B-tree in its own order
    states = np.array([row[0] for row in difference.states], dtype=np.int64)
    found: list[Step] = [
        (
            _INSERT_GOLDEN,
            (
                (number, name, version, anchor)
                for name, (number, anchor) in zip(names, tuples((golden_nos, anchors)), strict=True)
            ),
        ),
        (_INSERT_NAME, ((names[place], number) for place, number in tuples((by_name, golden_nos[by_name])))),
        (_INSERT_LINEAGE, ((one, other, version, how) for one, other, how in difference.lineage)),
    ]
    tables = (
        (STATES, Rows((states,), _objects(difference.states))),
        (MEMBERSHIPS, difference.memberships),
        (MEMBERS, difference.members),
        (FORMERS, difference.formers),
        (LINKS, difference.links),
        (OVERRIDDEN, difference.overridden),
    )
    for table, rows in tables:
        found += table.stage(rows, version) if staged else table.write(rows, version)
    return found


def _objects(states: list[tuple[int, str, int | None, int | None]]) -> tuple[npt.NDArray[np.object_], ...]:
    table = np.array(states, dtype=object).reshape(-1, 4)
    return tuple(table[:, column] for column in range(4))


def changes(events: Events, version: int, now: int) -> Iterator[Row]:
    """Yield the feed's rows but for their `seq`, which is taken in the transaction that writes them."""
    for index, (kind, golden_no) in enumerate(tuples((events.kinds, events.golden_nos))):
        yield (version, KINDS[kind], golden_no, details(events, index), now)


def write_changes(conn: Connection, rows: list[Row]) -> None:
    """Append feed rows in commit order, inside the caller's write transaction."""
    if rows:
        first = count_up(conn, "change_seq", len(rows))
        _INSERT_CHANGE.many(
            conn, [(version, seq, *rest) for seq, (version, *rest) in enumerate(rows, start=first)]
        )


def apply(conn: Connection, difference: Difference, version: int, now: int, *, staged: bool = False) -> None:
    """Write a small difference at once, in the caller's transaction."""
    for statement, rows in steps(difference, version, staged=staged):
        statement.many(conn, list(rows))
    write_changes(conn, list(changes(difference.events, version, now)))


def apply_small(conn: Connection, step: SmallStep, version: int, now: int) -> dict[int, GoldenId]:
    """Write a small step at once, in the caller's transaction; return the names of the golden IDs born."""
    names = dict(zip((born for born, _ in step.births), new_golden_ids(len(step.births)), strict=True))
    if names:
        count_up(conn, "golden_no", len(names))
        _INSERT_GOLDEN.many(conn, [(born, names[born], version, anchor) for born, anchor in step.births])
        _INSERT_NAME.many(conn, sorted((name, born) for born, name in names.items()))
    anchors = [((golden_no,), ("active", None, anchor)) for golden_no, anchor in step.anchors]
    STATES.put(conn, [key for key, _ in anchors], anchors, version)
    MEMBERSHIPS.put(conn, [], [((record_no,), (owner,)) for record_no, owner in step.memberships], version)
    MEMBERS.put(conn, step.left_members, [(row[:2], row[2:]) for row in step.members], version)
    LINKS.put(conn, step.left_links, [(row[:2], row[2:]) for row in step.links], version)
    write_changes(conn, [(version, *event, now) for event in step.events])
    return names


def unstage(conn: Connection, version: int, record_nos: set[int], golden_nos: set[int]) -> None:
    """Undo what is staged at `version` for a whole scope: there the published state holds again."""
    for tables, numbers in ((BY_RECORD, record_nos), (BY_GOLDEN, golden_nos)):
        for part in slices(sorted(numbers)):
            for table in tables:
                table.unstage_rows.run(conn, nos=part, version=version)
                table.unstage_ends.run(conn, nos=part, version=version)
    for part in slices(sorted(golden_nos)):
        names = [row[0] for row in _UNSTAGE_GOLDEN.rows(conn, nos=part, version=version)]
        if names:
            _UNSTAGE_NAME.run(conn, names=names)
        _UNSTAGE_LINEAGE.run(conn, nos=part, version=version)
        _UNSTAGE_CHANGES.run(conn, nos=part, version=version)
