"""Access tokens: who is calling, by what the service itself has signed.

A client authenticates once (POST /v1/token) and then carries a JWT of at most ten minutes that names its
role and its purposes. Every refusal happens before anyone is looked up. What becomes of a token at a request
is in `api.access`.
"""

import secrets
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

import jwt

from api.roles import PERMITTED, Role
from api.store import Client
from consent.key_providers import KeyProvider

ALGORITHM: Final = "HS256"  # and no other: what other issuers sign never meets this secret
ISSUER: Final = "aurea"
_AHEAD_SECONDS: Final = 60
"""How far the clock of the host that issued a token may lie ahead of ours. A token of a later time is of a
clock that was set back since, and would outlive its ten minutes."""
_CLAIMS: Final = ["iss", "sub", "role", "purposes", "iat", "exp", "jti"]


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
    rate: int | None = None  # requests a second; None: as many as there are
    people_per_day: int | None = None  # golden IDs that it may be told a day; None: all

    @property
    def quota(self) -> int | None:
        """Return how many people it may be told of a day, which only consumers are bound by."""
        return self.people_per_day if self.role == "consumer" else None

    def may(self, operation: str) -> bool:
        """Whether the role permits `operation` (see `api.roles`)."""
        return self.role in PERMITTED[operation]

    def may_name(self, purpose: str) -> bool:
        """Whether a request of this caller may name `purpose`."""
        return purpose in self.purposes or unbounded(self.role, self.purposes)


def unbounded(role: Role, purposes: Collection[str]) -> bool:
    """Whether a client may name any purpose: one made without purposes that reads no profiles."""
    return role != "consumer" and not purposes


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A token as issued."""

    token: str
    seconds: int
    purposes: tuple[str, ...]

    def __repr__(self) -> str:
        return f"AccessToken(<secret>, {self.seconds} s)"


class Tokens:
    """Issues and reads the access tokens of this service; any worker that holds the keyring can do both."""

    def __init__(self, keyring: KeyProvider, clock: Callable[[], int], *, seconds: int) -> None:
        self._keyring = keyring
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
            "iss": ISSUER,
            "sub": client.client_id,
            "role": client.role,
            "purposes": list(purposes),
            "pairwise": client.pairwise,
            "iat": now,
            "exp": now + self._seconds,
            "jti": secrets.token_urlsafe(12),
        }
        key = self._keyring.token_keys()[0]
        header = {"kid": str(key.number)}
        token = jwt.encode(claims, key.secret.reveal(), algorithm=ALGORITHM, headers=header)
        return AccessToken(token, self._seconds, purposes)

    def read(self, token: str) -> Caller:
        """Return who carries `token`, by the token alone. Raises InvalidTokenError."""
        try:
            claims = jwt.decode(
                token,
                self._key(jwt.get_unverified_header(token)),
                algorithms=[ALGORITHM],
                issuer=ISSUER,
                # The lifetime is checked below against the service's own clock.
                options={"require": _CLAIMS, "verify_exp": False, "verify_iat": False},
            )
        except jwt.InvalidTokenError:
            raise InvalidTokenError from None
        expires_at = int(claims["exp"]) * 1000
        now = self._clock()
        if now >= expires_at or int(claims["iat"]) * 1000 > now + _AHEAD_SECONDS * 1000:
            raise InvalidTokenError
        return Caller(
            client_id=claims["sub"],
            role=claims["role"],
            purposes=frozenset(claims["purposes"]),
            pairwise=bool(claims.get("pairwise", False)),
            expires_at=expires_at,
        )

    def _key(self, header: Mapping[str, Any]) -> bytes:
        """Return the secret that the header names, while it is taken. Raises InvalidTokenError."""
        number = header.get("kid", "1")  # of the first release none was named
        keys = self._keyring.token_keys()
        if all(str(key.number) != number for key in keys):
            keys = self._keyring.token_keys(now=True)
        for key in keys:
            if str(key.number) == number and (key.until is None or self._clock() < key.until):
                return key.secret.reveal()
        raise InvalidTokenError


def bearer(header: str | None) -> str:
    """Return the token of an `Authorization` header; an empty one, which nobody was given, if none."""
    kind, _, token = (header or "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else ""
