"""Clients of the API: made, given another secret, limited, revoked; and who of them presents a secret.

A secret exists in plain only where it is printed. After a rotation the one before works until its grace ends.
A revoked client stays in the store, so that the access log and past judgements keep naming it.
"""

import base64
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError

from api.roles import Role
from api.store import (
    Client,
    all_clients,
    count_clients,
    find_by_subject,
    find_client,
    find_named,
    insert_client,
    update_client,
)
from identity.database import Database

# OWASP's smallest Argon2id profile: 19 MiB, 2 passes, 1 lane. The secrets are 256 random bits, so the
# hash only has to keep a stolen table useless; a larger one would let token requests exhaust the memory.
_HASHER: Final = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
SUBJECT_CLAIMS: Final = ("sub", "azp", "client_id")
HOUR_MS: Final = 3_600_000


@cache
def _nobody() -> str:
    """Return a hash that no secret fits: checked where there is none, so that it takes as long."""
    return _HASHER.hash(secrets.token_urlsafe(32))


class ClientExistsError(Exception):
    """The name of the new client is taken."""


class SubjectTakenError(Exception):
    """Another client is registered with that subject of the outside issuer."""


class UnknownClientError(Exception):
    """No client has that name or ID, or it is revoked."""


class InvalidClientError(Exception):
    """Unknown client or wrong secret; which of the two is not said."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a client may do a second and a day. None: as the settings say; 0: no limit."""

    rate: int | None = None  # requests a second
    people_per_day: int | None = None  # different golden IDs


def subject_of(text: str) -> str:
    """Return a subject as it is stored: `claim=value`, of the claim `sub` unless another one is named."""
    claim, equals, value = text.partition("=")
    return text if equals and value and claim in SUBJECT_CLAIMS else f"sub={text}"


class Clients:
    """Creates clients, changes what may change of them, and checks their secrets."""

    def __init__(self, db: Database, clock: Callable[[], int]) -> None:
        self._db = db
        self._clock = clock

    def create(
        self,
        name: str,
        role: Role,
        purposes: Sequence[str] = (),
        *,
        pairwise: bool = False,
        limits: Limits | None = None,
        oidc_subject: str | None = None,
    ) -> tuple[Client, str]:
        """Make a client; return it with its secret, which exists nowhere else.

        Raises ClientExistsError or SubjectTakenError.
        """
        secret, limits = _secret(), limits or Limits()
        client = Client(
            client_id="c_" + base64.b32encode(secrets.token_bytes(10)).decode().lower(),
            name=name,
            role=role,
            purposes=tuple(dict.fromkeys(purposes)),
            pairwise=pairwise,
            secret_hash=_HASHER.hash(secret),
            created_at=self._clock(),
            rate=limits.rate,
            people_per_day=limits.people_per_day,
            oidc_subject=None if oidc_subject is None else subject_of(oidc_subject),
        )
        with self._db.write() as conn:
            if client.oidc_subject is not None and find_by_subject(conn, client.oidc_subject) is not None:
                raise SubjectTakenError
            if not insert_client(conn, client):
                raise ClientExistsError(name)
        return client, secret

    def rotate(self, name: str, *, grace_hours: int) -> tuple[Client, str]:
        """Give a client another secret; the one before works for so many hours more.

        Raises UnknownClientError. Of two rotations within the grace the first secret ends at the second.
        """
        secret = _secret()
        hashed, until = _HASHER.hash(secret), self._clock() + grace_hours * HOUR_MS
        changed = self._change(
            name,
            lambda client: replace(
                client,
                secret_hash=hashed,
                previous_hash=client.secret_hash if grace_hours else None,
                previous_until=until if grace_hours else None,
            ),
        )
        return changed, secret

    def revoke(self, name: str) -> Client:
        """Take a client's secrets and tokens no more, for good. Raises UnknownClientError.

        Its name stays taken; its subject of the outside issuer may be given to another client.
        """
        now = self._clock()
        return self._change(
            name,
            lambda client: replace(
                client, revoked_at=now, previous_hash=None, previous_until=None, oidc_subject=None
            ),
        )

    def limit(self, name: str, limits: Limits) -> Client:
        """Give a client other limits; None is as the settings say. Raises UnknownClientError."""
        return self._change(
            name, lambda client: replace(client, rate=limits.rate, people_per_day=limits.people_per_day)
        )

    def _change(self, name: str, change: Callable[[Client], Client]) -> Client:
        with self._db.write() as conn:
            client = find_named(conn, name)
            if client is None or client.revoked_at is not None:
                raise UnknownClientError
            changed = change(client)
            update_client(conn, changed)
        return changed

    def every(self) -> list[Client]:
        """Return every client, the oldest first."""
        with self._db.read() as conn:
            return all_clients(conn)

    def exist(self) -> bool:
        """Whether any client was made."""
        with self._db.read() as conn:
            return count_clients(conn) > 0

    def find(self, client_id: str) -> Client | None:
        """Return the client of that ID as it is now, revoked or not."""
        with self._db.read() as conn:
            return find_client(conn, client_id)

    def of_subject(self, subject: str) -> Client | None:
        """Return the client registered with `subject` (`claim=value`) of the outside issuer."""
        with self._db.read() as conn:
            return find_by_subject(conn, subject)

    def authenticate(self, client_id: str, secret: str) -> Client:
        """Return the client whose secret this is. Raises InvalidClientError, always after the same work."""
        client = self.find(client_id)
        hashed = former = _nobody()
        if client is not None and client.revoked_at is None:
            hashed = client.secret_hash
            if client.previous_hash and self._clock() < (client.previous_until or 0):
                former = client.previous_hash
        if not (_fits(hashed, secret) or _fits(former, secret)) or client is None:
            raise InvalidClientError
        return client


def _secret() -> str:
    return "s_" + secrets.token_urlsafe(32)


def _fits(hashed: str, secret: str) -> bool:
    try:
        return _HASHER.verify(hashed, secret)
    except VerificationError:
        return False
