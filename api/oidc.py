"""Access tokens of an outside issuer (OpenID Connect), as an alternative to our own.

What such a token says is who it was made for; what that client may do stands in our own table. Nothing in a
token's header is followed: the key that `kid` names decides the algorithm; `jku`, `jwk`, `x5u` are not read.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import jwt

from api.auth import InvalidTokenError
from api.clients import SUBJECT_CLAIMS
from api.oidc_keys import IssuerKey

LEEWAY_MS: Final = 10_000  # between the issuer's clock and ours
_CLAIMS: Final = ["iss", "sub", "aud", "iat", "exp"]


class Keys(Protocol):
    """Where the issuer's keys come from (`api.oidc_keys.IssuerKeys`)."""

    def find(self, kid: str) -> IssuerKey | None:
        """Return the key of that ID, None if there is none. Raises IssuerUnavailableError."""
        ...


@dataclass(frozen=True, slots=True)
class OutsideToken:
    """What a valid token of the outside issuer says."""

    subjects: tuple[str, ...]  # `claim=value`, as clients are registered with
    scope: frozenset[str]
    expires_at: int  # ms


class OutsideIssuer:
    """Reads the tokens of one issuer that are meant for this service."""

    def __init__(self, issuer: str, audience: str, keys: Keys, clock: Callable[[], int]) -> None:
        self._issuer, self._audience, self._keys, self._clock = issuer, audience, keys, clock

    def read(self, token: str) -> OutsideToken:
        """Return what `token` says. Raises InvalidTokenError or IssuerUnavailableError."""
        try:
            header = jwt.get_unverified_header(token)
            key = self._key(header)
            claims = jwt.decode(
                token,
                key.key,
                algorithms=[key.algorithm],
                audience=self._audience,
                issuer=self._issuer,
                # Times are checked below against the service's own clock.
                options={"require": _CLAIMS, "verify_exp": False, "verify_iat": False, "verify_nbf": False},
            )
        except jwt.PyJWTError:
            raise InvalidTokenError from None
        return OutsideToken(
            subjects=tuple(
                f"{claim}={claims[claim]}"
                for claim in SUBJECT_CLAIMS
                if isinstance(claims.get(claim), str) and claims[claim]
            ),
            scope=_scope(claims),
            expires_at=self._lifetime(claims),
        )

    def _key(self, header: Mapping[str, Any]) -> IssuerKey:
        kid, algorithm = header.get("kid"), header.get("alg")
        if (
            not isinstance(kid, str) or "crit" in header
        ):  # we understand no critical extension (RFC 7515 4.1.11)
            raise InvalidTokenError
        # Before the issuer is asked for anything. No set: whoever sends it may have written a list there.
        if algorithm not in ("RS256", "ES256", "EdDSA"):
            raise InvalidTokenError
        key = self._keys.find(kid)
        if key is None or key.algorithm != algorithm:
            raise InvalidTokenError
        return key

    def _lifetime(self, claims: Mapping[str, Any]) -> int:
        """Return when the token ends (ms). Raises InvalidTokenError unless now is within its time."""
        now, ends = self._clock(), _ms(claims["exp"]) + LEEWAY_MS
        begins = max(_ms(claims["iat"]), _ms(claims.get("nbf", 0))) - LEEWAY_MS
        if not begins <= now < ends:
            raise InvalidTokenError
        return ends


def _ms(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InvalidTokenError
    return int(value * 1000)


def _scope(claims: Mapping[str, Any]) -> frozenset[str]:
    """Return the words of `scope` (RFC 8693 4.2: one string; some issuers send a list, or `scp`)."""
    said = claims.get("scope", claims.get("scp", ""))
    words = said.split() if isinstance(said, str) else said if isinstance(said, list) else []
    return frozenset(word for word in words if isinstance(word, str))
