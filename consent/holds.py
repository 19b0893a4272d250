"""Records that must be kept, or must not be served, until somebody decides: two kinds of hold.

`law`: an officer declares that the law has a record kept (a claim, an investigation: GDPR 17(3)(b) and (e)).
It is neither deleted nor erased while the hold stands. An erasure that meets it restricts the record to
storage, and goes on when the last hold is over (`consent.fulfilment.Fulfilment.go_on`).

`doubt`: an erasure left the record out because nothing proves that it is the requester's own. Until an
officer settles whose it is, nobody is served from its golden ID: were it theirs, the erased would live on.

Rows are never removed: who declared and who lifted a hold, when and why, stays. The reasons are a closed list
and the rest are numbers, so that no row says anything of a person.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final, Literal, NamedTuple

from sqlalchemy import Connection

from consent.errors import RecordHeldError, RecordRejectedError, UnknownHoldError, UnknownSubjectError
from consent.request_rules import HoldReason
from identity.attributes import is_standard
from identity.database import Database
from identity.rows import count_up
from identity.statements import Statement, slices

Kind = Literal["law", "doubt"]

_COLUMNS: Final = (
    "hold_no, record_no, kind, reason, attributes, request_id, until, declared_by, declared_at, lifted_by,"
    " lifted_at"
)
_ADD: Final = Statement("""
    INSERT INTO holds
        (hold_no, record_no, kind, reason, attributes, request_id, until, declared_by, declared_at)
    VALUES
        (:hold_no, :record_no, :kind, :reason, :attributes, :request_id, :until, :declared_by, :declared_at)
""")
_SELECT: Final = f"SELECT {_COLUMNS} FROM holds"  # noqa: S608 - constants of this module; values are bound
_OF: Final = Statement(_SELECT + " WHERE record_no IN :record_nos AND lifted_at IS NULL ORDER BY hold_no")
_ONE: Final = Statement(_SELECT + " WHERE hold_no = :hold_no")
_PAGE: Final = Statement(
    _SELECT + " WHERE hold_no > :after AND (:all = 1 OR lifted_at IS NULL) ORDER BY hold_no LIMIT :count"
)
_LIFT: Final = Statement("""
    UPDATE holds SET lifted_by = :client, lifted_at = :now WHERE hold_no = :hold_no AND lifted_at IS NULL
""")
_MET: Final = Statement("UPDATE holds SET request_id = :request_id WHERE hold_no = :hold_no")
# What an erasure wanted and a hold kept, or had kept.
_WAITING: Final = Statement("""
    SELECT DISTINCT record_no, request_id FROM holds
    WHERE kind = 'law' AND request_id IS NOT NULL ORDER BY record_no
""")
# One whose key is noted for destruction is being deleted: no hold could keep it any more.
_LIVE: Final = Statement("""
    SELECT record_no FROM records
    WHERE record_no IN :record_nos AND key_id NOT IN (SELECT key_id FROM pending_destructions)
""")
_LAST: Final = Statement("SELECT coalesce(max(hold_no), 0) FROM holds")


class Hold(NamedTuple):
    """One hold on one record. Times are ms since the epoch, UTC; `attributes`: a JSON list of those meant."""

    hold_no: int
    record_no: int
    kind: Kind
    reason: str
    attributes: str | None  # None: all of them
    request_id: str | None  # law: of the erasure that met it; doubt: of the one that left the record out
    until: int | None
    declared_by: str
    declared_at: int
    lifted_by: str | None
    lifted_at: int | None

    def stands(self, now: int) -> bool:
        """Whether it is in force."""
        return self.lifted_at is None and (self.until is None or now < self.until)

    def names(self) -> list[str] | None:
        """Return the attributes that are meant, None for all."""
        return None if self.attributes is None else json.loads(self.attributes)


class Holds:
    """Declares, finds and lifts holds. Threads and processes may share the store."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def declare(
        self,
        record_nos: Sequence[int],
        reason: HoldReason,
        *,
        client: str,
        now: int,
        until: int | None = None,
        attributes: Sequence[str] = (),
    ) -> list[Hold]:
        """Declare that the law has these records kept.

        Raises RecordRejectedError for an attribute that is none and a time that has passed, and
        UnknownSubjectError for a record that is not there, or is being deleted.
        """
        if until is not None and until <= now:
            raise RecordRejectedError("until", "has passed")
        if not all(is_standard(name) for name in attributes):
            raise RecordRejectedError("attributes", "names one that is no standard attribute")
        named = json.dumps(sorted(set(attributes))) if attributes else None
        with self._db.write() as conn:
            wanted = sorted(set(record_nos))
            live = [no for part in slices(wanted) for (no,) in _LIVE.rows(conn, record_nos=part)]
            if not wanted or len(live) < len(wanted):
                raise UnknownSubjectError("there is no such record")
            return [
                _add(conn, Hold(0, no, "law", reason, named, None, until, client, now, None, None))
                for no in live
            ]

    def doubt(self, record_nos: Collection[int], request_id: str, *, client: str, now: int) -> None:
        """Hold records that an erasure left out as doubtful; the same again adds nothing."""
        with self._db.write() as conn:
            known = {each.record_no for each in _of(conn, record_nos) if each.kind == "doubt"}
            for no in sorted(set(record_nos) - known):
                held = Hold(0, no, "doubt", "doubtful", None, request_id, None, client, now, None, None)
                _add(conn, held)

    def oblige(self, ends: Mapping[int, int], request_id: str, *, client: str, now: int) -> None:
        """Hold what an obligation keeps from an erasure until it ends (record -> ms): then that goes on.

        The same again adds nothing.
        """
        with self._db.write() as conn:
            known = {
                each.record_no
                for each in _of(conn, ends)
                if each.reason == "obligation" and each.request_id == request_id
            }
            for no in sorted(ends.keys() - known):
                _add(
                    conn,
                    Hold(0, no, "law", "obligation", None, request_id, ends[no], client, now, None, None),
                )

    def by_law(self, record_nos: Collection[int], now: int) -> dict[int, list[Hold]]:
        """Return the holds of the law that stand, by record."""
        with self._db.read() as conn:
            return by_law(conn, record_nos, now)

    def last(self) -> int:
        """Return the number of the last hold that was declared, 0 if none was."""
        with self._db.read() as conn:
            return last_of(conn)

    def doubts(self, request_id: str, record_no: int) -> Hold:
        """Return the hold by which an erasure left out a record. Raises UnknownHoldError."""
        with self._db.read() as conn:
            for each in _of(conn, [record_no]):
                if each.kind == "doubt" and each.request_id == request_id:
                    return each
        raise UnknownHoldError("this request holds no such record")

    def met(self, holds: Iterable[Hold], request_id: str) -> None:
        """Note that an erasure would have destroyed what these holds keep."""
        with self._db.write() as conn:
            _MET.many(conn, [(request_id, each.hold_no) for each in holds])

    def waiting(self, now: int) -> list[tuple[int, str]]:
        """Return (record, request) of what an erasure wanted and no hold of the law keeps any more.

        Also of what was erased since: the request's outcome says so (`consent.fulfilment`).
        """
        with self._db.read() as conn:
            rows = [(int(record_no), str(request_id)) for record_no, request_id in _WAITING.rows(conn)]
            kept = by_law(conn, [record_no for record_no, _ in rows], now)
        return [row for row in rows if row[0] not in kept]

    def lift(self, hold_no: int, *, client: str, now: int) -> Hold:
        """Lift a hold. Raises UnknownHoldError, also for one that was lifted before."""
        with self._db.write() as conn:
            if not _LIFT.run(conn, hold_no=hold_no, client=client, now=now):
                raise UnknownHoldError("there is no such hold, or it was lifted before")
            return Hold(*_ONE.rows(conn, hold_no=hold_no)[0])

    def page(self, after: int, count: int, *, lifted: bool = False) -> list[Hold]:
        """Return holds in the order in which they were declared."""
        with self._db.read() as conn:
            return [Hold(*row) for row in _PAGE.rows(conn, after=after, count=count, all=int(lifted))]


def last_of(conn: Connection) -> int:
    """Do as `Holds.last`, in the caller's transaction."""
    return int(_LAST.rows(conn)[0][0])


def by_law(conn: Connection, record_nos: Collection[int], now: int) -> dict[int, list[Hold]]:
    """Do as `Holds.by_law`, in the caller's transaction."""
    found: dict[int, list[Hold]] = {}
    for each in _of(conn, record_nos):
        if each.kind == "law" and each.stands(now):
            found.setdefault(each.record_no, []).append(each)
    return found


def refuse_held(conn: Connection, record_nos: Collection[int], now: int) -> None:
    """Raise RecordHeldError if the law has one of these records kept."""
    kept = by_law(conn, record_nos, now)
    if kept:
        numbers = ", ".join(str(each.hold_no) for holds in kept.values() for each in holds)
        raise RecordHeldError(f"an officer declared that the law has the record kept: hold {numbers}")


def _of(conn: Connection, record_nos: Collection[int]) -> list[Hold]:
    """Return the holds on these records that were not lifted."""
    return [Hold(*row) for part in slices(sorted(record_nos)) for row in _OF.rows(conn, record_nos=part)]


def _add(conn: Connection, hold: Hold) -> Hold:
    """Store a hold under the next number."""
    numbered = hold._replace(hold_no=count_up(conn, "hold_no", 1))
    _ADD.many(conn, [tuple(numbered)[:9]])
    return numbered
