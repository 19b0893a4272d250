"""The review queue: pairs of records whose scores do not decide, for a steward to judge.

A row holds record numbers, a weight and a state; never a value. It is found by a run or by the online path,
and stays `open` until somebody judges the pair, or until neither finds it doubtful any more.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from sqlalchemy import Connection

from identity.statements import Statement, slices

Cause = Literal["uncertain", "guarded"]
"""`uncertain`: the weight lies below the threshold; `guarded`: above it, but a guard refused to join."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """A pair worth a steward's look, and its match weight in bits."""

    record_a: int
    record_b: int
    weight: float
    cause: Cause = "uncertain"
    model_version: str | None = None


_INSERT: Final = Statement("""
    INSERT INTO reviews (record_a, record_b, weight, cause, state, model_version, recorded_at, seen_at)
    VALUES (:record_a, :record_b, :weight, :cause, 'open', :model_version, :now, :now)
    ON CONFLICT (record_a, record_b)
    DO UPDATE SET weight = excluded.weight, cause = excluded.cause,
                  model_version = excluded.model_version, seen_at = excluded.seen_at
""")

_DROP_BY_A: Final = Statement("DELETE FROM reviews WHERE record_a IN :nos")
_DROP_BY_B: Final = Statement("DELETE FROM reviews WHERE record_b IN :nos")


def add_reviews(conn: Connection, doubts: Sequence[Doubt], now: int) -> None:
    """Put pairs into the queue, or refresh them there; a judged pair keeps its state."""
    _INSERT.many(
        conn,
        [
            (*sorted((d.record_a, d.record_b)), round(d.weight, 6), d.cause, d.model_version, now, now)
            for d in doubts
        ],
    )


def drop_reviews(conn: Connection, record_nos: Iterable[int]) -> None:
    """Take every pair with an end in `record_nos` out of the queue."""
    for part in slices(sorted(record_nos)):
        _DROP_BY_A.run(conn, nos=part)
        _DROP_BY_B.run(conn, nos=part)
