"""Tables of the operational store that the HTTP layer owns: clients, disclosures, idempotency keys.

No row holds a value of a person: golden IDs appear by number, idempotency keys as keyed hashes.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, get_args

from sqlalchemy import BigInteger, Column, Connection, Index, LargeBinary, SmallInteger, Table, Text, text

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
    Column("status", SmallInteger),  # NULL while the first request is under way
    Column("response", LargeBinary),  # counts, IDs and decisions, never values
    Column("created_at", BigInteger, nullable=False),
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

    def __repr__(self) -> str:
        return f"Client({self.client_id}, {self.role})"


_INSERT_CLIENT = text("""
    INSERT INTO clients (client_id, name, role, purposes, pairwise, secret_hash, created_at)
    VALUES (:client_id, :name, :role, :purposes, :pairwise, :secret_hash, :created_at)
    ON CONFLICT (name) DO NOTHING
""")
_SELECT_CLIENT = text("""
    SELECT client_id, name, role, purposes, pairwise, secret_hash, created_at
    FROM clients WHERE client_id = :client_id
""")
_COUNT_CLIENTS = text("SELECT COUNT(*) FROM clients")
_CONSUMERS = text("SELECT purposes FROM clients WHERE role = 'consumer'")


def insert_client(conn: Connection, client: Client) -> bool:
    """Store `client`; False where its name is taken."""
    row = {
        "client_id": client.client_id,
        "name": client.name,
        "role": client.role,
        "purposes": json.dumps(client.purposes),
        "pairwise": int(client.pairwise),
        "secret_hash": client.secret_hash,
        "created_at": client.created_at,
    }
    return conn.execute(_INSERT_CLIENT, row).rowcount == 1


def find_client(conn: Connection, client_id: str) -> Client | None:
    """Return the client of that ID."""
    row = conn.execute(_SELECT_CLIENT, {"client_id": client_id}).one_or_none()
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
