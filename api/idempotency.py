"""Idempotency-Key: the same request twice is done once, and answered the same, for 24 hours.

Key and body are kept as keyed hashes: a caller may put anything into either. Stored answers hold
statuses, IDs and event numbers only. What a crash leaves behind: a claim without an answer, which gives
way after a minute. What it was for may have been done. So operations are safe to repeat, or look for what
they did since the first attempt, of whose time they are told.
"""

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from sqlalchemy import text
from starlette.responses import Response

from api.problems import KEY_IN_USE, KEY_REUSED, ProblemError
from consent.key_providers import SecretBytes
from identity.database import Database

REPLAYED: Final = "idempotency-replayed"
_CLAIM_MS: Final = 60_000

_PURGE = text("DELETE FROM idempotency WHERE created_at < :before")
_CLAIM = text("""
    INSERT INTO idempotency (client_id, route, key_hash, body_hash, status, response, created_at)
    VALUES (:client_id, :route, :key_hash, :body_hash, NULL, NULL, :now)
    ON CONFLICT (client_id, route, key_hash) DO NOTHING
""")
_SELECT = text("""
    SELECT body_hash, status, response, created_at FROM idempotency
    WHERE client_id = :client_id AND route = :route AND key_hash = :key_hash
""")
_RENEW = text("""
    UPDATE idempotency SET response = :since
    WHERE client_id = :client_id AND route = :route AND key_hash = :key_hash AND status IS NULL
""")
_FINISH = text("""
    UPDATE idempotency SET status = :status, response = :response
    WHERE client_id = :client_id AND route = :route AND key_hash = :key_hash
""")
_RELEASE = text("""
    DELETE FROM idempotency
    WHERE client_id = :client_id AND route = :route AND key_hash = :key_hash AND status IS NULL
""")


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request that carries an Idempotency-Key."""

    route: str  # method and template
    key: str
    body: bytes

    def __repr__(self) -> str:
        return f"Attempt({self.route})"


class Idempotency:
    """Runs an operation at most once per client, route and key."""

    def __init__(self, db: Database, root: SecretBytes, clock: Callable[[], int], *, hours: int) -> None:
        self._db = db
        self._clock = clock
        self._kept_ms = hours * 3_600_000
        self._mac_key = HKDF(
            algorithm=hashes.SHA256(), length=32, salt=None, info=b"aurea idempotency 1"
        ).derive(root.reveal())

    def once(self, client_id: str, attempt: Attempt, operation: Callable[[int | None], Response]) -> Response:
        """Return the stored answer to this attempt of a client, or run `operation` and store its answer.

        `operation` is given when the first attempt began (ms) where it may have done all but to keep its
        answer, else None.

        Raises a 422 problem if the key came with another body, 409 while another attempt is under way.
        """
        row: dict[str, object] = {
            "client_id": client_id,
            "route": attempt.route,
            "key_hash": self._mac(attempt.key.encode()),
        }
        claimed = self._claim(row, self._mac(attempt.body))
        if isinstance(claimed, Response):
            return claimed
        try:
            response = operation(claimed)
        except BaseException:
            with self._db.write(counted=False) as conn:
                if claimed is None:
                    conn.execute(_RELEASE, row)
                else:  # free for the next one, who still has to know of the first
                    conn.execute(_RENEW, row | {"since": None})
            raise
        with self._db.write(counted=False) as conn:
            conn.execute(_FINISH, row | {"status": response.status_code, "response": bytes(response.body)})
        return response

    def _claim(self, row: dict[str, object], body_hash: bytes) -> Response | int | None:
        """Return the answer there is, or when an attempt without one began (ms); None: this is the first."""
        now = self._clock()
        with self._db.write(counted=False) as conn:
            conn.execute(_PURGE, {"before": now - self._kept_ms})
            if conn.execute(_CLAIM, row | {"body_hash": body_hash, "now": now}).rowcount == 1:
                return None
            found = conn.execute(_SELECT, row).one()
            if not hmac.compare_digest(found.body_hash, body_hash):
                raise ProblemError(KEY_REUSED)
            if found.status is None:
                if now - int(found.response or found.created_at) < _CLAIM_MS:
                    raise ProblemError(KEY_IN_USE, headers={"Retry-After": "1"})
                conn.execute(_RENEW, row | {"since": b"%d" % now})  # the other died; this takes its place
                return int(found.created_at)
        return Response(found.response, found.status, {REPLAYED: "true"}, "application/json")

    def _mac(self, message: bytes) -> bytes:
        return hmac.digest(self._mac_key, sha256(message).digest(), "sha256")
