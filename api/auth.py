"""Clients, their secrets and the access tokens they trade them for: who is calling.

A client authenticates once (POST /v1/token) and then carries a JWT of at most ten minutes that names its
role and its purposes. Every refusal happens before anyone is looked up.
"""

import base64
import secrets
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

import jwt
from argon2 import PasswordHasher
from argon2.exceptions import VerificationError

from api.roles import PERMITTED, Role
from api.store import Client, count_clients, find_client, insert_client
from consent.key_providers import SecretBytes
from identity.database import Database

_ALGORITHM: Final = "HS256"
_ISSUER: Final = "aurea"
_CLAIMS: Final = ["iss", "sub", "role", "purposes", "iat", "exp", "jti"]

# OWASP's smallest Argon2id profile: 19 MiB, 2 passes, 1 lane. The secrets are 256 random bits, so the
# hash only has to keep a stolen table useless; a larger one would let token requests exhaust the memory.
_HASHER: Final = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)


@cache
def _nobody() -> str:
    """Return a hash that no secret fits: checked for an unknown client, so that it takes as long."""
    return _HASHER.hash(secrets.token_urlsafe(32))


class ClientExistsError(Exception):
    """The name of the new client is taken."""


class InvalidClientError(Exception):
    """Unknown client or wrong secret; which of the two is not said."""


class InvalidScopeError(Exception):
    """The scope names a purpose that the client does not have."""


class InvalidTokenError(Exception):
    """The access token is missing, altered, expired or was made elsewhere."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who a valid token says is calling."""

    client_id: str
    role: Role
    purposes: frozenset[str]
    pairwise: bool
    expires_at: int  # ms

    def may(self, operation: str) -> bool:
        """Whether the role permits `operation` (see `api.roles`)."""
        return self.role in PERMITTED[operation]

    def may_name(self, purpose: str) -> bool:
        """Whether a request of this caller may name `purpose`."""
        return purpose in self.purposes or unbounded(self.role, self.purposes)


def unbounded(role: Role, purposes: Collection[str]) -> bool:
    """Whether a client may name any purpose: one made without purposes that reads no profiles."""
    return role != "consumer" and not purposes


class Clients:
    """Creates clients and checks their secrets."""

    def __init__(self, db: Database, clock: Callable[[], int]) -> None:
        self._db = db
        self._clock = clock

    def create(
        self, name: str, role: Role, purposes: Sequence[str] = (), *, pairwise: bool = False
    ) -> tuple[Client, str]:
        """Make a client; return it with its secret, which exists nowhere else. Raises ClientExistsError."""
        secret = "s_" + secrets.token_urlsafe(32)
        client = Client(
            client_id="c_" + base64.b32encode(secrets.token_bytes(10)).decode().lower(),
            name=name,
            role=role,
            purposes=tuple(dict.fromkeys(purposes)),
            pairwise=pairwise,
            secret_hash=_HASHER.hash(secret),
            created_at=self._clock(),
        )
        with self._db.write() as conn:
            if not insert_client(conn, client):
                raise ClientExistsError(name)
        return client, secret

    def exist(self) -> bool:
        """Whether any client was made."""
        with self._db.read() as conn:
            return count_clients(conn) > 0

    def authenticate(self, client_id: str, secret: str) -> Client:
        """Return the client whose secret this is. Raises InvalidClientError, after the same work."""
        with self._db.read() as conn:
            client = find_client(conn, client_id)
        try:
            _HASHER.verify(client.secret_hash if client else _nobody(), secret)
        except VerificationError:
            client = None
        if client is None:
            raise InvalidClientError
        return client


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A token as issued."""

    token: str
    seconds: int
    purposes: tuple[str, ...]

    def __repr__(self) -> str:
        return f"AccessToken(<secret>, {self.seconds} s)"


class Tokens:
    """Issues and reads access tokens; any worker that holds the keyring can do both."""

    def __init__(self, secret: SecretBytes, clock: Callable[[], int], *, seconds: int) -> None:
        self._secret = secret
        self._clock = clock
        self._seconds = seconds

    def issue(self, client: Client, scope: str | None = None) -> AccessToken:
        """Return a token for `client`, narrowed to the purposes in `scope`. Raises InvalidScopeError."""
        purposes = client.purposes
        if scope is not None and scope.split():
            purposes = tuple(dict.fromkeys(scope.split()))
            if not (set(purposes) <= set(client.purposes) or unbounded(client.role, client.purposes)):
                raise InvalidScopeError
        now = self._clock() // 1000
        claims = {
            "iss": _ISSUER,
            "sub": client.client_id,
            "role": client.role,
            "purposes": list(purposes),
            "pairwise": client.pairwise,
            "iat": now,
            "exp": now + self._seconds,
            "jti": secrets.token_urlsafe(12),
        }
        token = jwt.encode(claims, self._secret.reveal(), algorithm=_ALGORITHM)
        return AccessToken(token, self._seconds, purposes)

    def of_header(self, header: str | None) -> Caller:
        """Return who sends this `Authorization` header. Raises InvalidTokenError."""
        kind, _, token = (header or "").partition(" ")
        return self.read(token.strip() if kind.lower() == "bearer" else "")

    def read(self, token: str) -> Caller:
        """Return who carries `token`. Raises InvalidTokenError."""
        try:
            claims = jwt.decode(
                token,
                self._secret.reveal(),
                algorithms=[_ALGORITHM],
                issuer=_ISSUER,
                # The lifetime is checked below against the service's own clock.
                options={"require": _CLAIMS, "verify_exp": False, "verify_iat": False},
            )
        except jwt.InvalidTokenError:
            raise InvalidTokenError from None
        expires_at = int(claims["exp"]) * 1000
        if self._clock() >= expires_at:
            raise InvalidTokenError
        return Caller(
            client_id=claims["sub"],
            role=claims["role"],
            purposes=frozenset(claims["purposes"]),
            pairwise=bool(claims.get("pairwise", False)),
            expires_at=expires_at,
        )
