"""Households at the published version, and the writes that publish them: record numbers and opaque names.

They are versioned as golden IDs are (`identity.tables`): a run stages its households with the difference and
one switch makes both visible; a crash leaves rows that the next run removes. Only a run makes households.
Between runs records only leave: one that changes, goes or may no longer be linked is in none at once.
"""

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
from sqlalchemy import Connection

from identity.difference import Rows
from identity.golden_events import Ints
from identity.households import Plan, Stored
from identity.records import new_golden_ids
from identity.rows import count_up
from identity.statements import Reading, Statement, slices
from identity.store import PUBLISHED
from identity.versioned import Step, VersionedTable

HOUSEHOLD_MEMBERS: Final = VersionedTable("household_members", ("record_no",), ("household_no",))

CHUNK: Final = 50_000  # rows fetched at a time

_ALL = Statement("""
    SELECT record_no, household_no
    FROM household_members
    WHERE valid_from <= :version AND valid_to > :version
    ORDER BY record_no
""")

_NEXT = Statement("SELECT value + 1 FROM counters WHERE name = 'household_no'")

_INSERT_NAME = Statement("""
    INSERT INTO households (household_no, household_id, created_version)
    VALUES (:household_no, :household_id, :version)
""")

STAGED_NAMES: Final = Statement("SELECT household_no FROM households WHERE created_version > :version")

# Names of households without any member left, at any version that somebody may read or a run has staged.
EMPTY_NAMES: Final = Statement("""
    SELECT h.household_no
    FROM households h
    WHERE h.created_version <= :version
      AND NOT EXISTS (SELECT 1 FROM household_members m WHERE m.household_no = h.household_no)
""")

DELETE_NAME: Final = Statement("DELETE FROM households WHERE household_no = :household_no")

_OF_RECORDS = Statement(f"""
    SELECT record_no, household_no
    FROM household_members
    WHERE record_no IN :record_nos AND valid_from <= {PUBLISHED} AND valid_to > {PUBLISHED}
""")  # noqa: S608 - a constant is joined, values are bound

_RECORDS = Statement(f"""
    SELECT record_no
    FROM household_members
    WHERE household_no = :household_no AND valid_from <= {PUBLISHED} AND valid_to > {PUBLISHED}
    ORDER BY record_no
""")  # noqa: S608 - a constant is joined, values are bound

_NAME = Statement("SELECT household_id FROM households WHERE household_no = :household_no")


class HouseholdReader:
    """Answers about households at the published version."""

    def of_records(self, conn: Reading, record_nos: Sequence[int]) -> dict[int, int]:
        """Map record number -> household number, for those that are in one."""
        found: dict[int, int] = {}
        for part in slices(record_nos):
            found.update(_OF_RECORDS.rows(conn, record_nos=part))
        return found

    def records(self, conn: Reading, household_no: int) -> list[int]:
        """Return the records of a household, ascending."""
        return [row[0] for row in _RECORDS.rows(conn, household_no=household_no)]

    def name(self, conn: Reading, household_no: int) -> str:
        """Return the household ID: opaque and random, `h_` and 26 characters."""
        return str(_NAME.rows(conn, household_no=household_no)[0][0])


def load_households(conn: Connection, version: int) -> Stored:
    """Return every household at `version`."""
    parts = [np.array(rows, dtype=np.int64) for rows in _ALL.chunks(conn, CHUNK, version=version)]
    table = np.concatenate(parts) if parts else np.empty((0, 2), dtype=np.int64)
    return Stored(table[:, 0], table[:, 1], int(_NEXT.rows(conn)[0][0]))


def household_steps(plan: Plan, version: int) -> list[Step]:
    """Return everything that stages `plan` at an unpublished `version`, in key order."""
    names = (f"h_{name[2:]}" for name in new_golden_ids(len(plan.created)))
    born = zip(plan.created.tolist(), names, [version] * len(plan.created), strict=True)
    return [(_INSERT_NAME, born), *HOUSEHOLD_MEMBERS.stage(plan.rows, version)]


def reserve(conn: Connection, plan: Plan) -> None:
    """Take the numbers of the new households out of circulation, inside a write transaction."""
    if len(plan.created) and count_up(conn, "household_no", len(plan.created)) != plan.created[0]:
        raise AssertionError("somebody else made households although this run held the lease")


def leave_households(conn: Connection, record_nos: Iterable[int], version: int) -> None:
    """Take records out of their households from `version` on, staged or published."""
    numbers: Ints = np.array(sorted(record_nos), dtype=np.int64)
    none: Ints = np.empty(0, dtype=np.int64)
    for statement, rows in HOUSEHOLD_MEMBERS.write(Rows((numbers,), (none, none)), version):
        statement.many(conn, list(rows))
