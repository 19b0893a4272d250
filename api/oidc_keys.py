"""The public keys of an outside issuer, fetched by OpenID Connect discovery and kept for a while.

Fetched when first needed, again when they are ten minutes old, and for a token of an unknown key, at most
once a minute whoever sends such tokens. While the issuer does not answer the keys that are known serve for
an hour more; then nothing of that issuer is taken. Only keys of three kinds are used, each for one algorithm.
"""

import http.client
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

import jwt
import structlog

from api.outgoing import cut_after
from api.settings import SettingsError

FRESH_MS: Final = 600_000
STALE_MS: Final = 3_600_000  # since the last success, while the issuer does not answer
AGAIN_MS: Final = 60_000  # between two attempts
ATTEMPT_SECONDS: Final = 5.0  # discovery and keys have as long each
MAX_BYTES: Final = 256 * 2**10
MAX_KEYS: Final = 100
_SMALLEST_RSA: Final = 2048  # bits (RFC 7518 3.3)
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
# What kind of key is for what (RFC 7518, 8037): the algorithm follows from the key, never from the token.
_ALGORITHMS: Final[dict[tuple[str, str | None], str]] = {
    ("RSA", None): "RS256",
    ("EC", "P-256"): "ES256",
    ("OKP", "Ed25519"): "EdDSA",
}


class IssuerUnavailableError(Exception):
    """The outside issuer does not answer, or not with keys: what it has signed cannot be checked."""


class _NoKeysError(ValueError):
    """What came is no answer of this issuer, or holds no list of keys."""


@dataclass(frozen=True, slots=True)
class IssuerKey:
    """A public key and the one algorithm that it is used for."""

    algorithm: str
    key: Any  # of `cryptography`, by algorithm


def check_issuer(url: str, *, loopback: bool) -> SplitResult:
    """Return the parts of an address to ask. Raises SettingsError unless it is https (or loopback)."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise SettingsError("the issuer's address is no URL") from None
    plain = loopback and parts.scheme == "http" and parts.hostname in _LOOPBACK
    if not (parts.scheme == "https" or plain) or not parts.hostname:
        raise SettingsError("the issuer's address begins with https:// and names a host")
    if parts.username is not None or parts.password is not None or parts.fragment or parts.query:
        raise SettingsError("the issuer's address carries no user, password, query or fragment")
    return parts


class IssuerKeys:
    """The keys of one issuer, by their ID. Safe from many threads; one of them fetches."""

    def __init__(self, issuer: str, clock: Callable[[], int], *, loopback: bool = False) -> None:
        check_issuer(issuer, loopback=loopback)
        self._issuer, self._clock, self._loopback = issuer, clock, loopback
        self._keys: Mapping[str, IssuerKey] = {}
        self._fetched_at: int | None = None
        self._tried_at: int | None = None
        self._fetching = threading.Lock()

    def find(self, kid: str) -> IssuerKey | None:
        """Return the key of that ID, or None if the issuer has none such.

        Raises IssuerUnavailableError where that cannot be known now.
        """
        if not self._within(self._fetched_at, FRESH_MS) or kid not in self._keys:
            self._fetch()
        if not self._within(self._fetched_at, STALE_MS):
            raise IssuerUnavailableError
        return self._keys.get(kid)

    def _within(self, then: int | None, limit: int) -> bool:
        return then is not None and 0 <= self._clock() - then < limit

    def _fetch(self) -> None:
        """Ask the issuer, unless somebody did a moment ago or does now; a failure leaves what is known."""
        known = self._fetched_at is not None
        if self._within(self._tried_at, AGAIN_MS) or not self._fetching.acquire(blocking=not known):
            return
        try:
            if self._within(self._tried_at, AGAIN_MS):
                return
            self._keys = _usable(self._ask())
            self._fetched_at = self._clock()
        except (OSError, http.client.HTTPException, ValueError, SettingsError) as error:
            structlog.get_logger("aurea").warning("issuer_unavailable", error=type(error).__name__)
        finally:
            self._tried_at = self._clock()
            self._fetching.release()

    def _ask(self) -> Mapping[str, Any]:
        base = self._issuer.removesuffix("/")
        found = _get(check_issuer(base + "/.well-known/openid-configuration", loopback=self._loopback))
        if found.get("issuer") != self._issuer:  # OpenID Connect Discovery 4.3
            raise _NoKeysError
        address = found.get("jwks_uri")
        if not isinstance(address, str):
            raise _NoKeysError
        return _get(check_issuer(address, loopback=self._loopback))


def _get(parts: SplitResult) -> Mapping[str, Any]:
    """Return the JSON object there. A redirect is no answer; neither is one that is too large or too slow."""
    tls = parts.scheme == "https"
    host, port = parts.hostname or "", parts.port or (443 if tls else 80)
    connection = http.client.HTTPConnection(host, port, timeout=ATTEMPT_SECONDS)
    with cut_after(connection, ATTEMPT_SECONDS) as attempt:
        attempt.connect(connection, (host, port), tls=tls, timeout=ATTEMPT_SECONDS)
        connection.request("GET", parts.path or "/", headers={"accept": "application/json"})
        answer = connection.getresponse()
        body = answer.read(MAX_BYTES + 1)
    if attempt.late.is_set() or answer.status != 200 or len(body) > MAX_BYTES:
        raise _NoKeysError
    found = json.loads(body)
    if not isinstance(found, dict):
        raise _NoKeysError
    return found


def _usable(document: Mapping[str, Any]) -> dict[str, IssuerKey]:
    """Return the keys to check signatures with, by ID. An ID that comes twice names none of them."""
    listed = document.get("keys")
    if not isinstance(listed, list) or len(listed) > MAX_KEYS:
        raise _NoKeysError
    found: dict[str, IssuerKey] = {}
    twice: set[str] = set()
    for one in listed:
        key = _key(one) if isinstance(one, dict) else None
        kid = one.get("kid") if key else None
        if key is None or not isinstance(kid, str) or not kid:
            continue
        if kid in found:
            twice.add(kid)
        found[kid] = key
    return {kid: key for kid, key in found.items() if kid not in twice}


def _key(jwk: Mapping[str, Any]) -> IssuerKey | None:
    """Return a key for signatures of one of the three kinds, or None."""
    kind, curve = jwk.get("kty"), jwk.get("crv")
    if not (isinstance(kind, str) and isinstance(curve, str | None)):
        return None
    algorithm = _ALGORITHMS.get((kind, None if kind == "RSA" else curve))
    if (
        algorithm is None
        or jwk.get("use", "sig") != "sig"
        or jwk.get("alg", algorithm) != algorithm
        or "d" in jwk
    ):
        return None
    uses = jwk.get("key_ops", ["verify"])
    if not isinstance(uses, list) or "verify" not in uses:
        return None
    try:
        key = jwt.PyJWK(dict(jwk), algorithm).key
    except (jwt.PyJWTError, ValueError, TypeError):
        return None
    if algorithm == "RS256" and key.key_size < _SMALLEST_RSA:
        return None
    return IssuerKey(algorithm, key)
