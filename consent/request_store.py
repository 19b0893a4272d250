"""The tables of data-subject requests. Functions run in the caller's transaction of the operational store."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

from sqlalchemy import Connection

from consent.request_rules import ACTIVE, DenialReason, ExtensionReason, Progress, RequestType, State
from identity.rows import count_up
from identity.statements import Statement


@dataclass(frozen=True, slots=True)
class StoredRequest:
    """One request. Times are ms since the epoch, UTC; the three deadlines are ISO dates."""

    request_no: int
    request_id: str
    type: RequestType
    asked: str
    jurisdiction: str
    purposes: tuple[str, ...]
    golden_no: int | None
    progress: Progress
    members: tuple[int, ...] | None  # approved
    received_at: int
    opened_at: int
    confirm_by: str | None
    due: str
    extended_due: str | None
    sealed: bytes = field(repr=False)
    closed_at: int | None = None
    forget_at: int | None = None
    forgotten: bool = False
    outcome: dict[str, Any] | None = None

    @property
    def answer_by(self) -> str:
        """The deadline in force."""
        extended = self.progress.extension is not None and self.extended_due is not None
        return cast("str", self.extended_due) if extended else self.due


@dataclass(frozen=True, slots=True)
class Step:
    """Something done with a request."""

    step: str
    client: str
    recorded_at: int
    detail: str | None = None
    sealed: bytes | None = field(default=None, repr=False)


_COLUMNS: Final = """request_no, request_id, type, asked, jurisdiction, purposes, golden_no, state, failures,
    verified, approved, members, denial, extension, received_at, opened_at, confirm_by, due, extended_due,
    sealed, closed_at, forget_at, forgotten, outcome"""

_INSERT: Final = Statement(f"""
    INSERT INTO requests ({_COLUMNS})
    VALUES (:request_no, :request_id, :type, :asked, :jurisdiction, :purposes, :golden_no, :state, :failures,
            :verified, :approved, :members, :denial, :extension, :received_at, :opened_at, :confirm_by, :due,
            :extended_due, :sealed, :closed_at, :forget_at, :forgotten, :outcome)
""")  # noqa: S608 - constants of this module are joined, values are bound
_BY_ID: Final = Statement(f"SELECT {_COLUMNS} FROM requests WHERE request_id = :request_id")  # noqa: S608 - constants only, as above
_ACTIVE_OF_TYPE: Final = Statement("""
    SELECT request_id, golden_no FROM requests
    WHERE state IN :states AND type = :type AND golden_no IS NOT NULL ORDER BY request_no
""")
_PAGE: Final = Statement(f"""
    SELECT {_COLUMNS} FROM requests WHERE state IN :states AND request_no > :after
    ORDER BY request_no LIMIT :count
""")  # noqa: S608 - constants only, as above
_SAVE: Final = Statement("""
    UPDATE requests
    SET state = :state, failures = :failures, verified = :verified, approved = :approved, members = :members,
        golden_no = :golden_no, denial = :denial, extension = :extension, closed_at = :closed_at,
        forget_at = :forget_at, outcome = :outcome
    WHERE request_no = :request_no
""")
_TO_FORGET: Final = Statement("""
    SELECT request_no FROM requests WHERE forgotten = 0 AND forget_at <= :now ORDER BY request_no
""")
_FORGET_ENDED: Final = Statement("""
    UPDATE requests SET forget_at = :now
    WHERE golden_no = :golden_no AND forgotten = 0 AND forget_at > :now
""")
_FORGOTTEN: Final = Statement(
    "UPDATE requests SET forgotten = 1, sealed = :empty WHERE request_no = :request_no"
)
_BLANK_STEPS: Final = Statement("UPDATE request_steps SET sealed = NULL WHERE request_no = :request_no")
_ERASING: Final = Statement("SELECT 1 FROM erasures WHERE request_id = :request_id")
_NEXT_STEP: Final = Statement(
    "SELECT coalesce(max(seq) + 1, 0) FROM request_steps WHERE request_no = :request_no"
)
_ADD_STEP: Final = Statement("""
    INSERT INTO request_steps (request_no, seq, step, client, recorded_at, detail, sealed)
    VALUES (:request_no, :seq, :step, :client, :recorded_at, :detail, :sealed)
""")
_STEPS: Final = Statement("""
    SELECT step, client, recorded_at, detail, sealed FROM request_steps
    WHERE request_no = :request_no ORDER BY seq
""")


def new_number(conn: Connection) -> int:
    """Take the next request number; numbers are never reused."""
    return count_up(conn, "request_no", 1)


def insert(conn: Connection, request: StoredRequest) -> None:
    """Add a request."""
    _INSERT.run(
        conn,
        request_no=request.request_no,
        request_id=request.request_id,
        type=request.type,
        asked=request.asked,
        jurisdiction=request.jurisdiction,
        purposes=",".join(request.purposes),
        received_at=request.received_at,
        opened_at=request.opened_at,
        confirm_by=request.confirm_by,
        due=request.due,
        extended_due=request.extended_due,
        sealed=request.sealed,
        forgotten=int(request.forgotten),
        **_changing(request),
    )


def save(conn: Connection, request: StoredRequest) -> None:
    """Store how far a request has come."""
    _SAVE.run(conn, request_no=request.request_no, **_changing(request))


def find(conn: Connection, request_id: str) -> StoredRequest | None:
    """Return the request of that id."""
    rows = _BY_ID.rows(conn, request_id=request_id)
    return _request(rows[0]) if rows else None


def active_of_type(conn: Connection, kind: RequestType) -> list[tuple[str, int]]:
    """Return id and golden number of the active requests of a type that somebody was found for."""
    return [tuple(row) for row in _ACTIVE_OF_TYPE.rows(conn, states=sorted(ACTIVE), type=kind)]


def page(conn: Connection, states: Sequence[State], after: int, count: int) -> list[StoredRequest]:
    """Return up to `count` requests in these states, in the order in which they were opened."""
    return [_request(row) for row in _PAGE.rows(conn, states=list(states), after=after, count=count)]


def to_forget(conn: Connection, now: int) -> list[int]:
    """Return the requests whose key has reached its date."""
    return [number for (number,) in _TO_FORGET.rows(conn, now=now)]


def forget_ended(conn: Connection, golden_no: int, now: int) -> None:
    """Bring forward to `now` when the keys of a person's requests that have ended are destroyed."""
    _FORGET_ENDED.run(conn, golden_no=golden_no, now=now)


def forgotten(conn: Connection, request_no: int) -> None:
    """Note that the key of a request is destroyed, and drop what it had sealed."""
    _FORGOTTEN.run(conn, request_no=request_no, empty=b"")
    _BLANK_STEPS.run(conn, request_no=request_no)


def erasing(conn: Connection, request_id: str) -> bool:
    """Whether the erasure that a request asks for has begun."""
    return bool(_ERASING.rows(conn, request_id=request_id))


def add_step(conn: Connection, request_no: int, step: Step) -> None:
    """Add what was done with a request."""
    _ADD_STEP.run(
        conn,
        request_no=request_no,
        seq=next_step(conn, request_no),
        step=step.step,
        client=step.client,
        recorded_at=step.recorded_at,
        detail=step.detail,
        sealed=step.sealed,
    )


def next_step(conn: Connection, request_no: int) -> int:
    """Return the place that the next step of a request will have."""
    return int(_NEXT_STEP.rows(conn, request_no=request_no)[0][0])


def steps(conn: Connection, request_no: int) -> list[Step]:
    """Return everything that was done with a request, in order."""
    return [Step(*row) for row in _STEPS.rows(conn, request_no=request_no)]


def _changing(request: StoredRequest) -> dict[str, Any]:
    progress = request.progress
    return {
        "state": progress.state,
        "failures": progress.failures,
        "verified": int(progress.verified),
        "approved": int(progress.approved),
        "denial": progress.denial,
        "extension": progress.extension,
        "golden_no": request.golden_no,
        "members": None if request.members is None else json.dumps(request.members),
        "closed_at": request.closed_at,
        "forget_at": request.forget_at,
        "outcome": None if request.outcome is None else json.dumps(request.outcome),
    }


def _request(row: Sequence[Any]) -> StoredRequest:
    (number, request_id, kind, asked, jurisdiction, purposes, golden_no, state, failures, verified, approved,
     members, denial, extension, received_at, opened_at, confirm_by, due, extended_due, sealed, closed_at,
     forget_at, gone, outcome) = row  # fmt: skip
    return StoredRequest(
        request_no=number,
        request_id=request_id,
        type=kind,
        asked=asked,
        jurisdiction=jurisdiction,
        purposes=tuple(purposes.split(",")) if purposes else (),
        golden_no=golden_no,
        progress=Progress(
            state=cast("State", state),
            failures=failures,
            verified=bool(verified),
            approved=bool(approved),
            denial=cast("DenialReason | None", denial),
            extension=cast("ExtensionReason | None", extension),
        ),
        members=None if members is None else tuple(json.loads(members)),
        received_at=received_at,
        opened_at=opened_at,
        confirm_by=confirm_by,
        due=due,
        extended_due=extended_due,
        sealed=sealed,
        closed_at=closed_at,
        forget_at=forget_at,
        forgotten=bool(gone),
        outcome=None if outcome is None else json.loads(outcome),
    )
