"""Who is told of changes (GDPR 19), and what still has to be told: webhooks, and the queue of deliveries.

Callbacks of requests (`consent.opendsr_store`) wait in the same queue, with a URL of their own.

`notify` writes into the change feed, in the caller's transaction or its own, what a linkage run does not
know of: a withdrawal, an erasure, a rectification. Everything a webhook is sent comes from that feed, so
that what is delivered and what is polled cannot disagree. A delivery is claimed by moving its time ahead:
a worker that dies after it lets another try, so a message may arrive twice under one ID, but is not lost.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from sqlalchemy import Connection

from identity.database import Database
from identity.rows import count_up, write_changes
from identity.statements import Statement, slices
from identity.store import MembershipReader

KINDS: Final = ("withdrawn", "erased", "rectified")
"""What `notify` adds to the change feed."""

# Seconds to wait after each failed attempt, as Standard Webhooks advises; after the last one it is dead.
BACKOFF_SECONDS: Final = (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
CALLBACK: Final = 0
"""Stands for the webhook of a delivery that has none: the callback of a request."""
_CLAIM_MS: Final = 60_000  # longer than an attempt may take

_ADD = Statement("""
    INSERT INTO webhooks (webhook_no, client_id, url, cursor, created_at)
    VALUES (:webhook_no, :client_id, :url, :cursor, :created_at)
""")
_WEBHOOKS = Statement("SELECT webhook_no, client_id, url, cursor FROM webhooks ORDER BY webhook_no")
_REMOVE = Statement("DELETE FROM webhooks WHERE webhook_no = :webhook_no")
_REMOVE_QUEUED = Statement("DELETE FROM deliveries WHERE webhook_no = :webhook_no")
_MOVE = Statement("""
    UPDATE webhooks SET cursor = :cursor WHERE webhook_no = :webhook_no AND cursor = :before
""")
_QUEUE = Statement("""
    INSERT INTO deliveries
        (delivery_no, webhook_no, golden_no, url, body, attempts, due_at, created_at, dead)
    VALUES (:delivery_no, :webhook_no, :golden_no, :url, :body, 0, :due_at, :created_at, 0)
""")
_DUE = Statement("""
    SELECT d.delivery_no, d.webhook_no, d.body, d.attempts, COALESCE(d.url, w.url)
    FROM deliveries d LEFT JOIN webhooks w ON w.webhook_no = d.webhook_no
    WHERE d.dead = 0 AND d.due_at <= :now ORDER BY d.due_at, d.delivery_no LIMIT :count
""")
_CLAIM = Statement("""
    UPDATE deliveries SET due_at = :until WHERE delivery_no = :delivery_no AND dead = 0 AND due_at <= :now
""")
_DONE = Statement("DELETE FROM deliveries WHERE delivery_no = :delivery_no")
_FAILED = Statement("""
    UPDATE deliveries SET attempts = :attempts, due_at = :due_at, dead = :dead, error = :error
    WHERE delivery_no = :delivery_no
""")
_DEAD = Statement("""
    SELECT delivery_no, webhook_no, attempts, created_at, error FROM deliveries
    WHERE dead = 1 ORDER BY delivery_no LIMIT :count
""")
_REVIVE = Statement("UPDATE deliveries SET dead = 0, attempts = 0, due_at = :now WHERE dead = 1")
_FORGET = Statement("DELETE FROM deliveries WHERE golden_no IN :golden_nos")


_NOBODY: Final = 0  # whom a callback is about: an erasure forgets what is queued of its golden ID, not this


class Webhook(NamedTuple):
    """Where a client is told of changes; `cursor` is the place in its feed up to which it is queued."""

    webhook_no: int
    client_id: str
    url: str
    cursor: str


class Delivery(NamedTuple):
    """A message that waits."""

    delivery_no: int
    webhook_no: int
    body: bytes
    attempts: int
    url: str

    @property
    def message_id(self) -> str:
        """The same for every attempt, so that a recipient can tell a repetition."""
        return f"msg_{self.delivery_no}"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message given up. `error` is a status or a kind of error."""

    delivery_no: int
    webhook_no: int
    attempts: int
    created_at: int
    error: str | None


class Recipients:
    """Webhooks, their queue, and what is added to the change feed."""

    def __init__(self, db: Database, memberships: MembershipReader) -> None:
        self._db, self._memberships = db, memberships

    def notify(self, kind: str, golden_no: int, now: int, *, purpose: str | None = None) -> None:
        """Tell recipients of what happened to a golden ID, by one of KINDS, in a transaction of its own."""
        with self._db.write() as conn:
            self.notify_in(conn, kind, [golden_no], now, purpose=purpose)

    def notify_in(
        self, conn: Connection, kind: str, golden_nos: Sequence[int], now: int, *, purpose: str | None = None
    ) -> None:
        """Do the same in the caller's write transaction; a `purpose` is told to its consumers alone."""
        if kind not in KINDS:
            raise ValueError("no such kind of change")
        version = self._memberships.version(conn)
        details = json.dumps({} if purpose is None else {"purpose": purpose})
        write_changes(conn, [(version, kind, number, details, now) for number in sorted(set(golden_nos))])

    def withdrawn(self, conn: Connection, record_nos: Sequence[int], purpose: str | None, now: int) -> None:
        """Tell that people deny a purpose now, or all of them (None)."""
        found = self._memberships.goldens_of(conn, list(record_nos))
        self.notify_in(conn, "withdrawn", list(found.values()), now, purpose=purpose)

    def forget(self, golden_nos: Sequence[int]) -> None:
        """Remove what is queued about golden IDs: the erased are told of by the change feed alone."""
        with self._db.write() as conn:
            for part in slices(sorted(golden_nos)):
                _FORGET.run(conn, golden_nos=part)

    def add(self, client_id: str, url: str, cursor: str, now: int) -> int:
        """Store a webhook that is told of everything after `cursor`; return its number."""
        with self._db.write() as conn:
            number = count_up(conn, "webhook_no", 1)
            _ADD.many(conn, [(number, client_id, url, cursor, now)])
        return number

    def webhooks(self) -> list[Webhook]:
        """Return every webhook."""
        with self._db.read() as conn:
            return [Webhook(*row) for row in _WEBHOOKS.rows(conn)]

    def remove(self, webhook_no: int) -> bool:
        """Remove a webhook and what waits for it; whether there was one."""
        with self._db.write() as conn:
            _REMOVE_QUEUED.run(conn, webhook_no=webhook_no)
            return _REMOVE.run(conn, webhook_no=webhook_no) == 1

    def queue(self, webhook: Webhook, messages: Sequence[tuple[int, bytes]], cursor: str, now: int) -> bool:
        """Queue messages (golden number, body) and move the webhook's cursor; False if another did."""
        with self._db.write(counted=False) as conn:
            if not _MOVE.run(conn, cursor=cursor, webhook_no=webhook.webhook_no, before=webhook.cursor):
                return False
            rows = [(webhook.webhook_no, golden_no, None, body) for golden_no, body in messages]
            _add(conn, rows, now)
        return True

    def call_back(self, conn: Connection, messages: Sequence[tuple[str, bytes]], now: int) -> None:
        """Queue callbacks (URL, body) in the caller's write transaction."""
        _add(conn, [(CALLBACK, _NOBODY, url, body) for url, body in messages], now)

    def claim(self, now: int, limit: int) -> list[Delivery]:
        """Return up to `limit` deliveries that are due, for this process to attempt."""
        with self._db.read() as conn:
            due = [Delivery(*row) for row in _DUE.rows(conn, now=now, count=limit)]
        if not due:
            return []
        with self._db.write(counted=False) as conn:
            until = now + _CLAIM_MS
            return [
                each for each in due if _CLAIM.run(conn, until=until, delivery_no=each.delivery_no, now=now)
            ]

    def delivered(self, delivery: Delivery) -> None:
        """Note that a message arrived."""
        with self._db.write(counted=False) as conn:
            _DONE.run(conn, delivery_no=delivery.delivery_no)

    def failed(self, delivery: Delivery, error: str, now: int) -> None:
        """Note a failed attempt: it is tried again later, or given up."""
        dead = delivery.attempts >= len(BACKOFF_SECONDS)
        wait = 0 if dead else BACKOFF_SECONDS[delivery.attempts] * 1000
        with self._db.write(counted=False) as conn:
            _FAILED.run(
                conn, attempts=delivery.attempts + 1, due_at=now + wait, dead=int(dead), error=error,
                delivery_no=delivery.delivery_no,
            )  # fmt: skip

    def dead(self, limit: int = 100) -> list[DeadLetter]:
        """Return messages that were given up, the oldest first."""
        with self._db.read() as conn:
            return [DeadLetter(*row) for row in _DEAD.rows(conn, count=limit)]

    def revive(self, now: int) -> int:
        """Try again what was given up; return how many."""
        with self._db.write() as conn:
            return _REVIVE.run(conn, now=now)


def _add(conn: Connection, rows: Sequence[tuple[int, int, str | None, bytes]], now: int) -> None:
    """Queue rows of webhook, golden number, URL and body."""
    if rows:
        first = count_up(conn, "delivery_no", len(rows))
        numbered = enumerate(rows, start=first)
        _QUEUE.many(conn, [(number, *row, now, now) for number, row in numbered])
