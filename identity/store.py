"""The read side of golden IDs: who belongs to whom at the published version. Writes nothing.

Every method takes a connection of `Database.read()` (or of a write transaction, which then sees its own
changes), so that several answers about one person come from one snapshot.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection

from identity.errors import CursorError
from identity.records import GoldenId
from identity.statements import LIST_LIMIT, Reading, Statement, slices

PUBLISHED: Final = "(SELECT value FROM counters WHERE name = 'published_version')"


@dataclass(frozen=True, slots=True)
class Member:
    """A record of a golden ID; confidence is the contract's: a probability, 1.0 for a singleton."""

    record_no: int
    confidence: float


@dataclass(frozen=True, slots=True)
class GoldenView:
    """What a golden ID is now. `redirect` is set for `merged`, `successors` for `split`."""

    golden_no: int
    golden_id: GoldenId
    status: str  # active, merged, split, erased
    created_version: int
    anchor_no: int | None  # active: the record that confidence is measured from
    redirect: "GoldenView | None" = None
    successors: tuple[GoldenId, ...] = ()

    @property
    def final(self) -> "GoldenView":
        """The golden ID that answers for this one: itself unless merged."""
        return self.redirect.final if self.redirect is not None else self


@dataclass(frozen=True, slots=True)
class Link:
    """A scored pair inside a golden ID; `record_a` < `record_b`, weight in bits."""

    record_a: int
    record_b: int
    weight: float


@dataclass(frozen=True, slots=True)
class Ancestry:
    """One line of a golden ID's history: it `merged_into` or `split_into` another, at a version."""

    golden_id: GoldenId
    relation: str
    other: GoldenId
    version: int


@dataclass(frozen=True, slots=True)
class Change:
    """One entry of the change feed. `details` holds golden and record numbers, never values."""

    cursor: str
    type: str  # created, reactivated, updated, merged, split, gone
    golden_no: int
    golden_id: GoldenId
    details: Mapping[str, Any]
    recorded_at: int  # ms since the epoch, UTC


_VERSION = Statement("SELECT value FROM counters WHERE name = 'published_version'")

_VIEW = f"""
    SELECT g.golden_no, g.golden_id, COALESCE(s.status, 'active'), g.created_version,
           CASE WHEN s.status IS NULL THEN g.anchor_no ELSE s.anchor_no END, s.redirect_no
    FROM golden_ids g
    LEFT JOIN golden_states s
      ON s.golden_no = g.golden_no AND s.valid_from <= {PUBLISHED} AND s.valid_to > {PUBLISHED}
    WHERE g.created_version <= {PUBLISHED} AND
"""  # noqa: S608 - constants only, as below
_VIEW_BY_ID = Statement(
    _VIEW + "g.golden_no = (SELECT golden_no FROM golden_names WHERE golden_id = :golden_id)"  # noqa: S608 - constants of this module are joined, values are bound
)
_VIEW_BY_NO = Statement(_VIEW + "g.golden_no = :golden_no")
_VIEWS_BY_NO = Statement(_VIEW + "g.golden_no IN :golden_nos")
_VIEWS_BY_ID = Statement(
    _VIEW + "g.golden_no IN (SELECT golden_no FROM golden_names WHERE golden_id IN :golden_ids)"  # noqa: S608 - constants of this module are joined, values are bound
)

_SUCCESSORS = Statement(f"""
    SELECT g.golden_id
    FROM lineage l JOIN golden_ids g ON g.golden_no = l.other_no
    WHERE l.golden_no = :golden_no AND l.relation = 'split_into' AND l.version <= {PUBLISHED}
    ORDER BY l.other_no
""")  # noqa: S608 - constants of this module are joined, values are bound

_MEMBERS = Statement(f"""
    SELECT record_no, confidence
    FROM members
    WHERE golden_no = :golden_no AND valid_from <= {PUBLISHED} AND valid_to > {PUBLISHED}
    ORDER BY record_no
""")  # noqa: S608 - constants of this module are joined, values are bound

_MEMBERS_OF = Statement(f"""
    SELECT golden_no, record_no, confidence
    FROM members
    WHERE golden_no IN :golden_nos AND valid_from <= {PUBLISHED} AND valid_to > {PUBLISHED}
    ORDER BY golden_no, record_no
""")  # noqa: S608 - constants of this module are joined, values are bound

_FORMERS = Statement(f"""
    SELECT record_no
    FROM former_members
    WHERE golden_no = :golden_no AND valid_from <= {PUBLISHED} AND valid_to > {PUBLISHED}
    ORDER BY record_no
""")  # noqa: S608 - constants of this module are joined, values are bound

_GOLDEN_OF = Statement(f"""
    SELECT record_no, golden_no
    FROM memberships
    WHERE record_no IN :record_nos AND valid_from <= {PUBLISHED} AND valid_to > {PUBLISHED}
""")  # noqa: S608 - constants of this module are joined, values are bound

_NAMES = Statement("SELECT golden_no, golden_id FROM golden_ids WHERE golden_no IN :golden_nos")

_LINKS = Statement(f"""
    SELECT record_no, other_no, weight
    FROM links
    WHERE record_no IN :record_nos AND valid_from <= {PUBLISHED} AND valid_to > {PUBLISHED}
""")  # noqa: S608 - constants of this module are joined, values are bound

_LINEAGE = Statement(f"""
    SELECT g.golden_id, l.relation, o.golden_id, l.version
    FROM lineage l
    JOIN golden_ids g ON g.golden_no = l.golden_no
    JOIN golden_ids o ON o.golden_no = l.other_no
    WHERE (l.golden_no = :golden_no OR l.other_no = :golden_no) AND l.version <= {PUBLISHED}
    ORDER BY l.version, l.golden_no, l.other_no
""")  # noqa: S608 - constants of this module are joined, values are bound

_EXPORT = Statement(f"""
    SELECT m.record_no, g.golden_id, k.confidence
    FROM memberships m
    JOIN members k ON k.golden_no = m.golden_no AND k.record_no = m.record_no
     AND k.valid_from <= {PUBLISHED} AND k.valid_to > {PUBLISHED}
    JOIN golden_ids g ON g.golden_no = m.golden_no
    WHERE m.valid_from <= {PUBLISHED} AND m.valid_to > {PUBLISHED}
    ORDER BY m.record_no
""")  # noqa: S608 - constants of this module are joined, values are bound

_CHANGES = Statement(f"""
    SELECT c.version, c.seq, c.type, c.golden_no, g.golden_id, c.details, c.recorded_at
    FROM changes c JOIN golden_ids g ON g.golden_no = c.golden_no
    WHERE c.version <= {PUBLISHED} AND (c.version, c.seq) > (:version, :seq)
    ORDER BY c.version, c.seq
    LIMIT :count
""")  # noqa: S608 - constants of this module are joined, values are bound

_HEAD = Statement(f"""
    SELECT version, seq FROM changes WHERE version <= {PUBLISHED} ORDER BY version DESC, seq DESC LIMIT 1
""")  # noqa: S608 - constants of this module are joined, values are bound

_COUNT = Statement(f"""
    SELECT COUNT(*), COUNT(DISTINCT golden_no)
    FROM memberships
    WHERE valid_from <= {PUBLISHED} AND valid_to > {PUBLISHED}
""")  # noqa: S608 - constants of this module are joined, values are bound


class MembershipReader:
    """Answers about golden IDs at the published version."""

    def version(self, conn: Reading) -> int:
        """Return the published version; 0 before the first run."""
        return int(_VERSION.rows(conn)[0][0])

    def golden_of(self, conn: Reading, record_no: int) -> int | None:
        """Return the active golden number of a record, or None if it is unknown or not yet resolved."""
        return self.goldens_of(conn, [record_no]).get(record_no)

    def goldens_of(self, conn: Reading, record_nos: Sequence[int]) -> dict[int, int]:
        """Map record number -> golden number, for those that have one."""
        found: dict[int, int] = {}
        for part in slices(record_nos):
            found.update(_GOLDEN_OF.rows(conn, record_nos=part))
        return found

    def members(self, conn: Reading, golden_no: int) -> list[Member]:
        """Return the records of an active golden ID, ascending; empty for any other."""
        return [Member(*row) for row in _MEMBERS.rows(conn, golden_no=golden_no)]

    def members_of(self, conn: Reading, golden_nos: Sequence[int]) -> dict[int, dict[int, float]]:
        """Map each active golden number -> its records with their confidence; others are left out."""
        found: dict[int, dict[int, float]] = {}
        for part in slices(golden_nos):
            for golden_no, record_no, confidence in _MEMBERS_OF.rows(conn, golden_nos=part):
                found.setdefault(golden_no, {})[record_no] = confidence
        return found

    def former_members(self, conn: Reading, golden_no: int) -> list[int]:
        """Return the records that a merged golden ID had when it merged, ascending; empty for any other."""
        return [record_no for (record_no,) in _FORMERS.rows(conn, golden_no=golden_no)]

    def resolve(self, conn: Reading, golden_id: str) -> GoldenView | None:
        """Return what this golden ID is now (redirects followed in `.final`); None if never published."""
        rows = _VIEW_BY_ID.rows(conn, golden_id=golden_id)
        return self._view(conn, rows[0]) if rows else None

    def view(self, conn: Reading, golden_no: int) -> GoldenView | None:
        """Do as `resolve`, by number."""
        rows = _VIEW_BY_NO.rows(conn, golden_no=golden_no)
        return self._view(conn, rows[0]) if rows else None

    def views(
        self, conn: Reading, golden_ids: Sequence[str], golden_nos: Sequence[int] = ()
    ) -> dict[str | int, GoldenView]:
        """Map each golden ID, and each golden number, -> what `resolve` says of it, for those published."""
        found: dict[str | int, GoldenView] = {}
        for at in range(0, len(golden_ids), LIST_LIMIT):
            part = list(golden_ids[at : at + LIST_LIMIT])
            views = (self._view(conn, row) for row in _VIEWS_BY_ID.rows(conn, golden_ids=part))
            found.update((view.golden_id, view) for view in views)
        for numbers in slices(golden_nos):
            views = (self._view(conn, row) for row in _VIEWS_BY_NO.rows(conn, golden_nos=numbers))
            found.update((view.golden_no, view) for view in views)
        return found

    def names(self, conn: Reading, golden_nos: Iterable[int]) -> dict[int, GoldenId]:
        """Map golden number -> golden ID, for those that exist."""
        found: dict[int, GoldenId] = {}
        for part in slices(sorted(set(golden_nos))):
            found.update(_NAMES.rows(conn, golden_nos=part))
        return found

    def links(self, conn: Reading, record_nos: Sequence[int]) -> list[Link]:
        """Return the stored scored pairs with an end in `record_nos` (the best 20 a record), ascending."""
        found: dict[tuple[int, int], float] = {}
        for part in slices(record_nos):
            for one, other, weight in _LINKS.rows(conn, record_nos=part):
                found[min(one, other), max(one, other)] = weight
        return [Link(*pair, weight) for pair, weight in sorted(found.items())]

    def lineage(self, conn: Reading, golden_no: int) -> list[Ancestry]:
        """Return every published merge and split that this golden ID took part in, oldest first."""
        return [Ancestry(*row) for row in _LINEAGE.rows(conn, golden_no=golden_no)]

    def export(self, conn: Connection, *, batch_size: int = 20_000) -> Iterator[list[tuple[int, str, float]]]:
        """Yield every record in batches, ascending: record number, golden ID, confidence."""
        return _EXPORT.chunks(conn, batch_size)

    def counts(self, conn: Reading) -> tuple[int, int]:
        """Count how many records have a golden ID, and how many active golden IDs they have."""
        records, golden_ids = _COUNT.rows(conn)[0]
        return int(records), int(golden_ids)

    def changes_after(self, conn: Reading, cursor: str | None, limit: int) -> list[Change]:
        """Up to `limit` published changes after `cursor` (None: from the start), in commit order.

        A poller that passes on the last cursor it got sees every change once, whenever it polls.
        Raises CursorError for a cursor this feed never gave.
        """
        version, seq = _position(cursor)
        rows = _CHANGES.rows(conn, version=version, seq=seq, count=limit)
        return [
            Change(f"{version}.{seq}", kind, golden_no, golden_id, json.loads(details), recorded_at)
            for version, seq, kind, golden_no, golden_id, details, recorded_at in rows
        ]

    def head(self, conn: Reading) -> str | None:
        """Return the cursor of the newest published change: where a poller that wants no history starts."""
        rows = _HEAD.rows(conn)
        return f"{rows[0][0]}.{rows[0][1]}" if rows else None

    def _view(self, conn: Reading, row: Sequence[Any]) -> GoldenView:
        golden_no, golden_id, status, created_version, anchor_no, redirect_no = row
        redirect, successors = None, ()
        if status == "merged":  # one step: redirects are stored compressed; more if its records are gone
            redirect = self.view(conn, redirect_no)
        elif status == "split":
            successors = tuple(row[0] for row in _SUCCESSORS.rows(conn, golden_no=golden_no))
        return GoldenView(golden_no, golden_id, status, created_version, anchor_no, redirect, successors)


def _position(cursor: str | None) -> tuple[int, int]:
    if cursor is None:
        return (-1, -1)
    version, _, seq = cursor.partition(".")
    if not (version.isascii() and version.isdigit() and seq.isascii() and seq.isdigit()):
        raise CursorError("this is no cursor of the change feed")
    if max(len(version), len(seq)) > 18:  # past what the store can count to
        raise CursorError("this is no cursor of the change feed")
    return int(version), int(seq)
