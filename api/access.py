"""Who is calling: a token of either issuer, the client it belongs to as it is now, and its limits.

A verified token is remembered by its SHA-256 for at most two seconds and never past its end. So a client
that is revoked, a signing key that is taken back and other limits take effect within that time (a signing
key: a second more, until every worker has looked at the keyring), and nothing else has to be told of them.
"""

import asyncio
import time
from collections.abc import Callable, Collection
from hashlib import sha256
from threading import Lock
from typing import Final
from weakref import WeakKeyDictionary

import jwt
from starlette.concurrency import run_in_threadpool

from api.auth import ALGORITHM, Caller, InvalidTokenError, Tokens, bearer, unbounded
from api.clients import Clients, Limits
from api.oidc import OutsideIssuer
from api.store import Client

REMEMBERED_SECONDS: Final = 2.0
REMEMBERED: Final = 10_000  # tokens; some 5 MB


class Access:
    """Reads `Authorization` headers. Safe from many threads."""

    def __init__(
        self,
        *,
        tokens: Tokens,
        clients: Clients,
        purposes: Collection[str],
        clock: Callable[[], int],
        defaults: Limits,
        outside: OutsideIssuer | None = None,
    ) -> None:
        self._tokens, self._clients, self._outside = tokens, clients, outside
        self._purposes, self._clock, self._defaults = frozenset(purposes), clock, defaults
        self._held: dict[bytes, tuple[Caller, float]] = {}
        self._lock = Lock()
        self._reading: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[bytes, asyncio.Task[Caller]]] = (
            WeakKeyDictionary()
        )

    async def of(self, header: str | None) -> Caller:
        """Return who sends this `Authorization` header, without holding up the event loop.

        What was verified a moment ago is verified again meanwhile, so that nobody waits for that who comes
        often. Raises InvalidTokenError, and IssuerUnavailableError where the outside issuer's word can't be
        checked.
        """
        digest = _digest(header)
        held = self._valid(digest)
        if held is None:
            return await asyncio.shield(self._soon(digest, header))
        if time.monotonic() >= held[1] - REMEMBERED_SECONDS / 2:
            self._soon(digest, header)
        return held[0]

    def known(self, header: str | None) -> Caller | None:
        """Return who sends this header if that was verified a moment ago; reads nothing from anywhere."""
        held = self._valid(_digest(header))
        return None if held is None else held[0]

    def _valid(self, digest: bytes) -> tuple[Caller, float] | None:
        held = self._held.get(digest)
        if held is None or time.monotonic() >= held[1] or self._clock() >= held[0].expires_at:
            return None
        return held

    def _soon(self, digest: bytes, header: str | None) -> asyncio.Task[Caller]:
        """Have the token verified in a thread, once for all who wait for it on this event loop."""
        reading = self._reading.setdefault(asyncio.get_running_loop(), {})
        if digest not in reading:
            task = asyncio.create_task(run_in_threadpool(self.read, header))
            reading[digest] = task

            def done(ended: asyncio.Task[Caller]) -> None:
                del reading[digest]
                if not ended.cancelled():
                    ended.exception()  # seen to: whoever waits raises it, and nobody need wait

            task.add_done_callback(done)
        return reading[digest]

    def read(self, header: str | None) -> Caller:
        """Verify the token, read its client and remember both. Raises as `of`."""
        since = time.monotonic()  # what is read of the client is no older
        try:
            client, purposes, expires_at = self._live(bearer(header))
        except InvalidTokenError:
            with self._lock:
                self._held.pop(_digest(header), None)
            raise
        caller = self.caller(client, purposes, expires_at)
        with self._lock:
            while len(self._held) >= REMEMBERED:
                del self._held[next(iter(self._held))]  # the oldest
            self._held[_digest(header)] = (caller, since + REMEMBERED_SECONDS)
        return caller

    def caller(self, client: Client, purposes: Collection[str], expires_at: int) -> Caller:
        """Return a client as a caller for these of its purposes, with its limits or those of the settings."""
        rate, people = client.rate, client.people_per_day
        return Caller(
            client_id=client.client_id,
            role=client.role,
            purposes=frozenset(purposes),
            pairwise=client.pairwise,
            expires_at=expires_at,
            rate=(self._defaults.rate if rate is None else rate) or None,
            people_per_day=(self._defaults.people_per_day if people is None else people) or None,
        )

    def _live(self, token: str) -> tuple[Client, Collection[str], int]:
        client, purposes, expires_at = self._verified(token)
        if client is None or client.revoked_at is not None:
            raise InvalidTokenError
        return client, purposes, expires_at

    def _verified(self, token: str) -> tuple[Client | None, Collection[str], int]:
        """Return client, purposes and end. Which issuer is asked follows from the kind of signature alone."""
        if self._outside is None or _algorithm(token) == ALGORITHM:
            said = self._tokens.read(token)
            return self._clients.find(said.client_id), said.purposes, said.expires_at
        return self._from_outside(self._outside, token)

    def _from_outside(self, issuer: OutsideIssuer, token: str) -> tuple[Client | None, Collection[str], int]:
        said = issuer.read(token)
        found = {
            client.client_id: client
            for subject in said.subjects
            if (client := self._clients.of_subject(subject)) is not None
        }
        if len(found) != 1:  # nobody, or claims that name two clients
            raise InvalidTokenError
        (client,) = found.values()
        return client, self._narrowed(client, said.scope & self._purposes), said.expires_at

    def _narrowed(self, client: Client, named: frozenset[str]) -> Collection[str]:
        """Return the client's purposes, of them only those that the token's scope names if it names any.

        Raises InvalidTokenError if none is left: without purposes some roles may name any.
        """
        if not named or unbounded(client.role, client.purposes):
            return named or client.purposes
        left = named.intersection(client.purposes)
        if not left:
            raise InvalidTokenError
        return left


def _digest(header: str | None) -> bytes:
    return sha256(bearer(header).encode("utf-8", "surrogateescape")).digest()


def _algorithm(token: str) -> str:
    try:
        return str(jwt.get_unverified_header(token).get("alg"))
    except jwt.PyJWTError:
        raise InvalidTokenError from None
