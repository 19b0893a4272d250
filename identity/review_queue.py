"""The review queue: pairs of records whose scores do not decide, for a steward to judge.

A row holds record numbers, a weight and a state; never a value. It is found by a run or by the online path
and stays `open` until somebody judges the pair or nothing finds it doubtful any more. Whoever reads the
queue sees only pairs of records that belong to different golden IDs at that moment, and those of one golden
ID that a data-subject request asks about.
"""

import math
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final, Literal

from sqlalchemy import Connection

from identity.database import Database
from identity.doubts import Doubts
from identity.errors import CursorError
from identity.publishing import Publisher
from identity.statements import Reading, Statement, slices
from identity.store import PUBLISHED, MembershipReader

Cause = Literal["uncertain", "guarded", "request"]
"""`uncertain`: the weight lies below the threshold; `guarded`: above it, but a guard refused to join;
`request`: of one golden ID, and a data-subject request needs to know."""

State = Literal["open", "same", "different", "unsure"]

Pair = tuple[int, int]

_CURSOR: Final = re.compile(r"(-?[0-9]{1,6}\.[0-9]{1,6})_([0-9]{1,18})_([0-9]{1,18})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Doubt:
    """A pair worth a steward's look, and its match weight in bits."""

    record_a: int
    record_b: int
    weight: float
    cause: Cause = "uncertain"
    model_version: str | None = None


@dataclass(frozen=True, slots=True)
class Review:
    """A row of the queue; `record_a` < `record_b`, times in ms since the epoch, UTC."""

    record_a: int
    record_b: int
    weight: float
    cause: Cause
    state: State
    model_version: str | None
    recorded_at: int  # first found
    seen_at: int  # last found

    @property
    def cursor(self) -> str:
        """What to ask for to get the rows after this one."""
        return f"{self.weight:.6f}_{self.record_a}_{self.record_b}"


_INSERT: Final = Statement("""
    INSERT INTO reviews (record_a, record_b, weight, cause, state, model_version, recorded_at, seen_at)
    VALUES (:record_a, :record_b, :weight, :cause, 'open', :model_version, :now, :now)
    ON CONFLICT (record_a, record_b)
    DO UPDATE SET weight = excluded.weight, cause = excluded.cause,
                  model_version = excluded.model_version, seen_at = excluded.seen_at
""")

_DROP: Final = Statement("DELETE FROM reviews WHERE record_a IN :nos OR record_b IN :nos")
_DROP_OPEN: Final = Statement("""
    DELETE FROM reviews WHERE record_a = :record_a AND record_b = :record_b AND state = 'open'
""")
_SET_STATE: Final = Statement("""
    UPDATE reviews SET state = :state WHERE record_a = :record_a AND record_b = :record_b
""")
_OPEN: Final = Statement("""
    SELECT record_a, record_b FROM reviews WHERE state = 'open' AND cause <> 'request'
""")
_WITHDRAW_BY_A: Final = Statement("""
    DELETE FROM reviews WHERE record_a IN :nos AND cause = 'request' AND state = 'open'
""")
_WITHDRAW_BY_B: Final = Statement("""
    DELETE FROM reviews WHERE record_b IN :nos AND cause = 'request' AND state = 'open'
""")

_OPEN_BY_A: Final = Statement("""
    SELECT record_a, record_b FROM reviews WHERE record_a IN :nos AND state = 'open'
""")
_OPEN_BY_B: Final = Statement("""
    SELECT record_a, record_b FROM reviews WHERE record_b IN :nos AND state = 'open'
""")
_COLUMNS: Final = (
    "r.record_a, r.record_b, r.weight, r.cause, r.state, r.model_version, r.recorded_at, r.seen_at"
)
_APART: Final = f"""
    FROM reviews r
    JOIN memberships a ON a.record_no = r.record_a
    JOIN memberships b ON b.record_no = r.record_b
    WHERE a.valid_from <= {PUBLISHED} AND a.valid_to > {PUBLISHED}
      AND b.valid_from <= {PUBLISHED} AND b.valid_to > {PUBLISHED}
      AND r.state = :state AND (:judged = 1 OR a.golden_no <> b.golden_no OR r.cause = 'request')
"""
_PAGE: Final = Statement(f"""
    SELECT {_COLUMNS}
    {_APART} AND (r.weight, r.record_a, r.record_b) < (:weight, :record_a, :record_b)
    ORDER BY r.weight DESC, r.record_a DESC, r.record_b DESC
    LIMIT :count
""")
_COUNT: Final = Statement(f"SELECT COUNT(*) {_APART}")
_ONE: Final = Statement(f"""
    SELECT {_COLUMNS} FROM reviews r WHERE r.record_a = :record_a AND r.record_b = :record_b
""")  # noqa: S608 - constants of this module are joined, values are bound


def cause(weight: float, threshold: float) -> Cause:
    """Return why a pair of different golden IDs with this weight is doubtful."""
    return "uncertain" if weight < threshold else "guarded"


def page(conn: Connection, state: State, cursor: str | None, limit: int) -> list[Review]:
    """Return up to `limit` rows in `state` after `cursor`, the strongest first. Raises CursorError."""
    weight, record_a, record_b = _position(cursor)
    rows = _PAGE.rows(
        conn, state=state, judged=int(state != "open"), weight=weight, record_a=record_a, record_b=record_b,
        count=limit,
    )  # fmt: skip
    return [Review(*row) for row in rows]


def count(conn: Connection, state: State) -> int:
    """Count the rows in `state`."""
    return int(_COUNT.rows(conn, state=state, judged=int(state != "open"))[0][0])


def find(conn: Connection, pair: Pair) -> Review | None:
    """Return the row about two records, whatever its state."""
    one, other = sorted(pair)
    rows = _ONE.rows(conn, record_a=one, record_b=other)
    return Review(*rows[0]) if rows else None


def add(conn: Connection, doubts: Sequence[Doubt], now: int) -> None:
    """Put pairs into the queue, or refresh them there; a judged pair keeps its state."""
    _INSERT.many(
        conn,
        [
            (*sorted((d.record_a, d.record_b)), round(d.weight, 6), d.cause, d.model_version, now, now)
            for d in doubts
        ],
    )


def asked_about(conn: Reading, record_nos: Collection[int]) -> set[int]:
    """Return those of the records that an open question is about."""
    asked: set[int] = set()
    for part in slices(sorted(record_nos)):
        for statement in (_OPEN_BY_A, _OPEN_BY_B):
            asked.update(number for pair in statement.rows(conn, nos=part) for number in pair)
    return asked.intersection(record_nos)


def settle(conn: Connection, pair: Pair, state: State) -> None:
    """Note what became of the question about two records, if there is one."""
    one, other = sorted(pair)
    _SET_STATE.run(conn, state=state, record_a=one, record_b=other)


def close_between(conn: Connection, ones: Iterable[int], others: Iterable[int]) -> None:
    """Take the open questions between two golden IDs' records out of the queue: one answer was for all."""
    far = set(others)
    for part in slices(sorted(ones)):
        rows = [row for statement in (_OPEN_BY_A, _OPEN_BY_B) for row in statement.rows(conn, nos=part)]
        _DROP_OPEN.many(conn, sorted({(a, b) for a, b in rows if {a, b} & far}))


def withdraw_asked(conn: Connection, record_nos: Iterable[int]) -> None:
    """Take what data-subject requests asked about these records, and nobody answered, out of the queue."""
    for part in slices(sorted(record_nos)):
        _WITHDRAW_BY_A.run(conn, nos=part)
        _WITHDRAW_BY_B.run(conn, nos=part)


def drop(conn: Connection, record_nos: Iterable[int]) -> None:
    """Take every pair with an end in `record_nos` out of the queue."""
    for part in slices(sorted(record_nos)):
        _DROP.run(conn, nos=part)


def refresh(
    db: Database,
    publisher: Publisher,
    found: Doubts,
    *,
    changed: Callable[[], AbstractSet[int]],
    model_version: str | None,
    now: int,
) -> None:
    """Bring the queue to what a published run found, in small transactions; no lease is needed.

    `changed` numbers the records that changed since the run's snapshot: questions about them are the
    online path's, which goes on asking and withdrawing between these transactions. A crash leaves some old
    questions open and some new ones out, until the next run.
    """
    pairs = found.pairs
    rows = [
        Doubt(a, b, weight, "guarded" if guarded else "uncertain", model_version)
        for a, b, weight, guarded in zip(
            pairs.record_a.tolist(), pairs.record_b.tolist(), pairs.weight.tolist(), found.guarded.tolist(),
            strict=True,
        )
    ]  # fmt: skip
    asked = {(row.record_a, row.record_b) for row in rows}
    with db.read() as conn:
        known: list[Pair] = [(a, b) for a, b in _OPEN.rows(conn)]
    stale = [pair for pair in known if pair not in asked]
    changed()  # the most of it while nobody has to wait
    publisher.in_batches("review", iter(stale), lambda conn, batch: _drop(conn, batch, changed()), None)
    rows.sort(key=lambda row: (row.record_a, row.record_b))
    publisher.in_batches("review", iter(rows), lambda conn, batch: _add(conn, batch, changed(), now), None)


def _drop(conn: Connection, pairs: list[Pair], changed: AbstractSet[int]) -> None:
    """Drop those that are not the online path's."""
    _DROP_OPEN.many(conn, [pair for pair in pairs if changed.isdisjoint(pair)])


def _add(conn: Connection, doubts: list[Doubt], changed: AbstractSet[int], now: int) -> None:
    """Add those that are not the online path's, and whose records are there in different golden IDs."""
    doubts = [each for each in doubts if changed.isdisjoint((each.record_a, each.record_b))]
    ends = sorted({number for each in doubts for number in (each.record_a, each.record_b)})
    owner = MembershipReader().goldens_of(conn, ends)
    apart = [d for d in doubts if len({owner.get(d.record_a), owner.get(d.record_b), None}) == 3]
    add(conn, apart, now)


def _position(cursor: str | None) -> tuple[float, int, int]:
    if cursor is None:
        return (math.inf, 0, 0)
    found = _CURSOR.fullmatch(cursor)
    if found is None:
        raise CursorError("this is no cursor of the review queue")
    return float(found[1]), int(found[2]), int(found[3])
