"""What is left of records that are gone: rows of versions that nobody reads any more.

Detaching a record ends its rows; the next run would remove them (`identity.publishing.compact`). Where a
person was erased they go at once. Rows that a run under way has staged are not touched: it sees that the
records left, and undoes them itself.
"""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection

from identity.statements import Statement, slices
from identity.store import PUBLISHED

_GOLDENS: Final = (
    Statement("SELECT golden_no FROM memberships WHERE record_no IN :nos"),
    Statement("SELECT golden_no FROM former_members WHERE record_no IN :nos"),
)
_OVER: Final = f"valid_to <= {PUBLISHED}"
_MEMBERS: Final = Statement(f"""
    DELETE FROM members WHERE golden_no IN :golden_nos AND record_no IN :nos AND {_OVER}
""")  # noqa: S608 - a constant of ours, as below
_OTHER_ENDS: Final = tuple(
    Statement(f"SELECT other_no FROM {table} WHERE record_no IN :nos")  # noqa: S608 - names of our tables
    for table in ("links", "overridden_links")
)
_FAR: Final = tuple(
    Statement(f"DELETE FROM {table} WHERE record_no IN :others AND other_no IN :nos AND {_OVER}")  # noqa: S608 - the same
    for table in ("links", "overridden_links")
)
_NEAR: Final = tuple(
    Statement(f"DELETE FROM {table} WHERE record_no IN :nos AND {_OVER}")  # noqa: S608 - the same
    for table in ("memberships", "former_members", "links", "overridden_links", "household_members")
)


def goldens_ever(conn: Connection, record_nos: Sequence[int]) -> list[int]:
    """Return every golden number under which the store has a row of one of the records."""
    return sorted(
        {
            golden_no
            for part in slices(record_nos)
            for statement in _GOLDENS
            for (golden_no,) in statement.rows(conn, nos=part)
        }
    )


def forget(conn: Connection, record_nos: Sequence[int]) -> None:
    """Delete the superseded rows about records that left, in the caller's write transaction."""
    golden_nos = goldens_ever(conn, record_nos)
    for part in slices(record_nos):
        for near in slices(golden_nos):
            _MEMBERS.run(conn, golden_nos=near, nos=part)
        for ends, far in zip(_OTHER_ENDS, _FAR, strict=True):
            others = sorted({number for (number,) in ends.rows(conn, nos=part)})
            for some in slices(others):
                far.run(conn, others=some, nos=part)
        for statement in _NEAR:
            statement.run(conn, nos=part)
