"""What OpenDSR adds to a request: the controller's own id, where it is told, and how far it was.

No identity is stored here: those are sealed with the request. Callbacks go through the queue of the webhooks.
"""

import json
from collections.abc import Sequence
from typing import Final, NamedTuple

from sqlalchemy import Connection

from consent.errors import RequestConflictError
from consent.recipients import Recipients
from identity.database import Database
from identity.statements import Statement

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


class Asked(NamedTuple):
    """A request as its controller knows it. `said_hash`: of what was asked, identities left out."""

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


def insert(conn: Connection, asked: Asked) -> None:
    """Store what a controller asked, in the transaction that opens its request.

    Raises RequestConflictError where the same was asked this very moment.
    """
    values = asked._asdict()
    del values["told_steps"], values["request_id"]
    if not _INSERT.run(conn, **values):
        raise RequestConflictError("this request is being opened: send it again")


class Controllers:
    """The requests of controllers, and which of their steps these were told. Any number of processes may."""

    def __init__(self, db: Database, recipients: Recipients) -> None:
        self._db, self._recipients = db, recipients

    def find(self, client_id: str, subject_request_id: str) -> Asked | None:
        """Return the request that this controller made under this id."""
        with self._db.read() as conn:
            rows = _FIND.rows(conn, client_id=client_id, subject_request_id=subject_request_id)
            return Asked(*rows[0]) if rows else None

    def behind(self) -> list[Asked]:
        """Return up to 100 requests of which steps were not told yet."""
        with self._db.read() as conn:
            return [Asked(*row) for row in _BEHIND.rows(conn)]

    def tell(self, asked: Asked, steps: int, messages: Sequence[tuple[str, bytes]], now: int) -> bool:
        """Queue messages (URL, body) and note how many steps are told; False if another process did."""
        with self._db.write() as conn:
            if not _TOLD.run(conn, steps=steps, request_no=asked.request_no, before=asked.told_steps):
                return False
            self._recipients.call_back(conn, messages, now)
        return True
