"""What OpenDSR adds to a request: the controller's own id, and the callbacks that it is told by.

No identity is stored here: those are sealed with the request. A callback is claimed by moving its time ahead,
as webhooks are (`consent.recipients`): it may arrive twice after a crash, but is not lost.
"""

import json
from collections.abc import Sequence
from typing import Final, NamedTuple

from sqlalchemy import Connection

from consent.errors import RequestConflictError
from consent.recipients import BACKOFF_SECONDS
from identity.database import Database
from identity.rows import count_up
from identity.statements import Statement

_CLAIM_MS: Final = 60_000  # longer than an attempt may take

_INSERT: Final = Statement("""
    INSERT INTO opendsr_requests
        (client_id, subject_request_id, request_no, said_hash, callbacks, received_at, told_steps)
    VALUES (:client_id, :subject_request_id, :request_no, :said_hash, :callbacks, :received_at, 0)
    ON CONFLICT (client_id, subject_request_id) DO NOTHING
""")
_FIND: Final = Statement("""
    SELECT d.client_id, d.subject_request_id, d.request_no, d.said_hash, d.callbacks, d.received_at,
        d.told_steps, r.request_id
    FROM opendsr_requests d JOIN requests r ON r.request_no = d.request_no
    WHERE d.client_id = :client_id AND d.subject_request_id = :subject_request_id
""")
# Those with more steps than were told of.
_BEHIND: Final = Statement("""
    SELECT d.client_id, d.subject_request_id, d.request_no, d.said_hash, d.callbacks, d.received_at,
        d.told_steps, r.request_id
    FROM opendsr_requests d JOIN requests r ON r.request_no = d.request_no
    WHERE d.callbacks <> '[]' AND d.told_steps < (
        SELECT COUNT(*) FROM request_steps s WHERE s.request_no = d.request_no
    )
    ORDER BY d.request_no LIMIT 100
""")
_TOLD: Final = Statement("""
    UPDATE opendsr_requests SET told_steps = :steps WHERE request_no = :request_no AND told_steps = :before
""")
_QUEUE: Final = Statement("""
    INSERT INTO opendsr_callbacks (callback_no, request_no, url, body, attempts, due_at, created_at, dead)
    VALUES (:callback_no, :request_no, :url, :body, 0, :due_at, :created_at, 0)
""")
_DUE: Final = Statement("""
    SELECT callback_no, url, body, attempts FROM opendsr_callbacks
    WHERE dead = 0 AND due_at <= :now ORDER BY callback_no LIMIT :count
""")
_CLAIM: Final = Statement("""
    UPDATE opendsr_callbacks SET due_at = :until
    WHERE callback_no = :callback_no AND dead = 0 AND due_at <= :now
""")
_DONE: Final = Statement("DELETE FROM opendsr_callbacks WHERE callback_no = :callback_no")
_FAILED: Final = Statement("""
    UPDATE opendsr_callbacks SET attempts = :attempts, due_at = :due_at, dead = :dead, error = :error
    WHERE callback_no = :callback_no
""")
_DEAD: Final = Statement("""
    SELECT callback_no, request_no, attempts, created_at, error FROM opendsr_callbacks
    WHERE dead = 1 ORDER BY callback_no LIMIT :count
""")


class Asked(NamedTuple):
    """A request as its controller knows it. `said_hash`: SHA-256 of the body, to tell a repetition."""

    client_id: str
    subject_request_id: str
    request_no: int
    said_hash: str
    callbacks: str  # JSON list of URLs
    received_at: int
    told_steps: int  # how many of the request's steps were told of
    request_id: str

    def urls(self) -> list[str]:
        """Return where the controller is told."""
        found: list[str] = json.loads(self.callbacks)
        return found


class Callback(NamedTuple):
    """A message that waits."""

    callback_no: int
    url: str
    body: bytes
    attempts: int


class DeadCallback(NamedTuple):
    """A message given up. `error` is a status or a kind of error."""

    callback_no: int
    request_no: int
    attempts: int
    created_at: int
    error: str | None


def insert(conn: Connection, asked: Asked) -> None:
    """Store what a controller asked, in the transaction that opens its request.

    Raises RequestConflictError where the same was asked this very moment.
    """
    values = asked._asdict()
    del values["told_steps"], values["request_id"]
    if not _INSERT.run(conn, **values):
        raise RequestConflictError("this request is being opened: send it again")


class Callbacks:
    """The requests of controllers, and the queue of what they are told. Any number of processes may."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def find(self, client_id: str, subject_request_id: str) -> Asked | None:
        """Return the request that this controller made under this id."""
        with self._db.read() as conn:
            rows = _FIND.rows(conn, client_id=client_id, subject_request_id=subject_request_id)
            return Asked(*rows[0]) if rows else None

    def behind(self) -> list[Asked]:
        """Return up to 100 requests of which steps were not told yet."""
        with self._db.read() as conn:
            return [Asked(*row) for row in _BEHIND.rows(conn)]

    def queue(self, asked: Asked, steps: int, messages: Sequence[tuple[str, bytes]], now: int) -> bool:
        """Queue messages (URL, body) and note how many steps are told; False if another process did."""
        with self._db.write() as conn:
            if not _TOLD.run(conn, steps=steps, request_no=asked.request_no, before=asked.told_steps):
                return False
            for url, body in messages:
                number = count_up(conn, "callback_no", 1)
                _QUEUE.many(conn, [(number, asked.request_no, url, body, now, now)])
        return True

    def claim(self, now: int, limit: int) -> list[Callback]:
        """Return up to `limit` messages that are due, for this process to attempt."""
        with self._db.read() as conn:
            due = [Callback(*row) for row in _DUE.rows(conn, now=now, count=limit)]
        if not due:
            return []
        with self._db.write() as conn:
            until = now + _CLAIM_MS
            return [
                each for each in due if _CLAIM.run(conn, until=until, callback_no=each.callback_no, now=now)
            ]

    def delivered(self, callback: Callback) -> None:
        """Note that a message arrived."""
        with self._db.write() as conn:
            _DONE.run(conn, callback_no=callback.callback_no)

    def failed(self, callback: Callback, error: str, now: int) -> None:
        """Note a failed attempt: it is tried again later, or given up."""
        dead = callback.attempts >= len(BACKOFF_SECONDS)
        wait = 0 if dead else BACKOFF_SECONDS[callback.attempts] * 1000
        with self._db.write() as conn:
            _FAILED.run(
                conn, attempts=callback.attempts + 1, due_at=now + wait, dead=int(dead), error=error,
                callback_no=callback.callback_no,
            )  # fmt: skip

    def dead(self, limit: int = 100) -> list[DeadCallback]:
        """Return messages that were given up, the oldest first."""
        with self._db.read() as conn:
            return [DeadCallback(*row) for row in _DEAD.rows(conn, count=limit)]
