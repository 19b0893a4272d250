"""Tables of the operational store that the HTTP layer owns: clients, disclosures, idempotency keys.

No row holds a value of a person: golden IDs appear by number, idempotency keys as keyed hashes.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, get_args

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Index,
    LargeBinary,
    Row,
    SmallInteger,
    Table,
    Text,
    text,
)

from api.roles import Role
from identity.statements import Statement
from identity.tables import metadata

clients = Table(
    "clients",
    metadata,
    Column("client_id", Text, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("role", Text, nullable=False),
    Column("purposes", Text, nullable=False),  # JSON list of purpose names
    Column("pairwise", SmallInteger, nullable=False),  # 1: sees its own form of every golden ID
    Column("secret_hash", Text, nullable=False),  # Argon2id
    Column("created_at", BigInteger, nullable=False),  # ms since the epoch, UTC
    Column("rate", BigInteger),  # requests a second; NULL: as the settings say, 0: no limit
    Column("people_per_day", BigInteger),  # golden IDs it may be told; NULL and 0 as above
    Column("oidc_subject", Text),  # `claim=value` of an outside issuer's tokens; NULL: none are taken
    Column("previous_hash", Text),  # Argon2id of the secret before the last rotation
    Column("previous_until", BigInteger),  # ms; until then that secret works too
    Column("revoked_at", BigInteger),  # ms; from then on neither secret nor token is taken
    Index("clients_by_oidc_subject", "oidc_subject", unique=True),
)

# Which golden IDs a client was ever told, so that its change feed tells it of no others.
disclosures = Table(
    "disclosures",
    metadata,
    Column("client_id", Text, primary_key=True),
    Column("golden_no", BigInteger, primary_key=True),
    sqlite_with_rowid=False,
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("client_id", Text, primary_key=True),
    Column("route", Text, primary_key=True),
    Column("key_hash", LargeBinary, primary_key=True),  # keyed: a caller may put anything into a key
    Column("body_hash", LargeBinary, nullable=False),  # keyed, for the same reason
    Column("status", SmallInteger),  # NULL while a request is under way
    # Counts, IDs and decisions, never values; while it is under way, since when (ms) if it isn't the first.
    Column("response", LargeBinary),
    Column("created_at", BigInteger, nullable=False),  # when the first request came
    Index("idempotency_by_age", "created_at"),
    sqlite_with_rowid=False,
)

ROLES: Final[tuple[Role, ...]] = get_args(Role)


@dataclass(frozen=True, slots=True)
class Client:
    """Somebody who may call the API: a role, and for reading, the purposes it may name."""

    client_id: str
    name: str
    role: Role
    purposes: tuple[str, ...]
    pairwise: bool
    secret_hash: str
    created_at: int
    rate: int | None = None
    people_per_day: int | None = None
    oidc_subject: str | None = None
    previous_hash: str | None = None
    previous_until: int | None = None
    revoked_at: int | None = None

    def __repr__(self) -> str:
        return f"Client({self.client_id}, {self.role})"


_INSERT_CLIENT = text("""
    INSERT INTO clients (client_id, name, role, purposes, pairwise, secret_hash, created_at, rate,
        people_per_day, oidc_subject)
    VALUES (:client_id, :name, :role, :purposes, :pairwise, :secret_hash, :created_at, :rate,
        :people_per_day, :oidc_subject)
    ON CONFLICT (name) DO NOTHING
""")
_SELECT_CLIENT = text("SELECT * FROM clients WHERE client_id = :client_id")
_SELECT_NAMED = text("""
    SELECT * FROM clients WHERE name = :name OR client_id = :name ORDER BY client_id = :name DESC
""")
_SELECT_SUBJECT = text("SELECT * FROM clients WHERE oidc_subject = :subject")
_SELECT_ALL = text("SELECT * FROM clients ORDER BY created_at, client_id")
_UPDATE_CLIENT = text("""
    UPDATE clients SET secret_hash = :secret_hash, previous_hash = :previous_hash,
        previous_until = :previous_until, revoked_at = :revoked_at, rate = :rate,
        people_per_day = :people_per_day, oidc_subject = :oidc_subject
    WHERE client_id = :client_id
""")
_COUNT_CLIENTS = text("SELECT COUNT(*) FROM clients")
_CONSUMERS = text("SELECT purposes FROM clients WHERE role = 'consumer' AND revoked_at IS NULL")


def insert_client(conn: Connection, client: Client) -> bool:
    """Store `client`; False where its name is taken."""
    return conn.execute(_INSERT_CLIENT, _row_of(client)).rowcount == 1


def update_client(conn: Connection, client: Client) -> None:
    """Store what may change of a client: secrets, limits, subject, revocation."""
    conn.execute(_UPDATE_CLIENT, _row_of(client))


def find_client(conn: Connection, client_id: str) -> Client | None:
    """Return the client of that ID."""
    return _client_of(conn.execute(_SELECT_CLIENT, {"client_id": client_id}).one_or_none())


def find_named(conn: Connection, name: str) -> Client | None:
    """Return the client of that name or ID."""
    return _client_of(conn.execute(_SELECT_NAMED, {"name": name}).first())


def find_by_subject(conn: Connection, subject: str) -> Client | None:
    """Return the client registered with `subject`, `claim=value` of an outside issuer's tokens."""
    return _client_of(conn.execute(_SELECT_SUBJECT, {"subject": subject}).one_or_none())


def all_clients(conn: Connection) -> list[Client]:
    """Return every client, the oldest first."""
    return [client for row in conn.execute(_SELECT_ALL) if (client := _client_of(row)) is not None]


def _row_of(client: Client) -> dict[str, Any]:
    return asdict(client) | {"purposes": json.dumps(client.purposes), "pairwise": int(client.pairwise)}


def _client_of(row: Row[Any] | None) -> Client | None:
    if row is None:
        return None
    return Client(
        client_id=row.client_id,
        name=row.name,
        role=row.role,
        purposes=tuple(json.loads(row.purposes)),
        pairwise=bool(row.pairwise),
        secret_hash=row.secret_hash,
        created_at=row.created_at,
        rate=row.rate,
        people_per_day=row.people_per_day,
        oidc_subject=row.oidc_subject,
        previous_hash=row.previous_hash,
        previous_until=row.previous_until,
        revoked_at=row.revoked_at,
    )


def count_clients(conn: Connection) -> int:
    """How many clients exist; with the first one, local commands that reveal ask for `--as`."""
    return int(conn.execute(_COUNT_CLIENTS).scalar_one())


def consumer_purposes(conn: Connection) -> list[frozenset[str]]:
    """Return the purposes of each client that reads profiles."""
    return [frozenset(json.loads(row.purposes)) for row in conn.execute(_CONSUMERS)]


_INSERT_DISCLOSURE = Statement("""
    INSERT INTO disclosures (client_id, golden_no) VALUES (:client_id, :golden_no)
    ON CONFLICT (client_id, golden_no) DO NOTHING
""")
_SELECT_DISCLOSED = text("SELECT 1 FROM disclosures WHERE client_id = :client_id AND golden_no = :golden_no")


def add_disclosures(conn: Connection, rows: Sequence[tuple[str, int]]) -> None:
    """Remember that each client was told each golden number."""
    _INSERT_DISCLOSURE.many(conn, rows)


def disclosed(conn: Connection, client_id: str, golden_nos: Sequence[int]) -> set[int]:
    """Those of `golden_nos` that the client was told before."""
    return {
        number
        for number in golden_nos
        if conn.execute(_SELECT_DISCLOSED, {"client_id": client_id, "golden_no": number}).first()
    }
