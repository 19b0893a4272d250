"""Real keyrings, key stores and ledgers on temporary files, for the tests of this folder."""

from pathlib import Path

import pytest

import consent.tables  # registers the ledger's tables
from consent.events import ConsentEvent, Subject
from consent.key_providers import FileKeyring
from consent.key_store import KeyStore
from consent.key_tables import key_metadata
from consent.ledger import Ledger
from consent.vault import Vault
from identity.database import Database, open_database
from identity.tables import metadata
from tests.stores import ON_POSTGRESQL, store_url

NOW = 1_790_000_000_000  # September 2026
ORIGIN = "aurea.test/ledger"

assert consent.tables.ledger.metadata is metadata


class KeyRoom:
    """One home's keyring, key store, operational store and ledger, without the rest of the service."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ring = FileKeyring.create(folder / "keyring.json")
        self.vault = Vault(self.ring)
        self.keys = open_database(store_url(folder, "keys"), secure_delete=True)
        self.db = open_database(store_url(folder, "aurea"))
        key_metadata.create_all(self.keys.engine)
        metadata.create_all(self.db.engine)
        self.store = KeyStore(self.keys)
        self.store.initialise(self.ring.home_id)
        self.ledger = self.a_ledger(self.db)

    def a_ledger(self, db: Database) -> Ledger:
        return Ledger(db, self.vault, self.store, self.ring.signing_key(), ORIGIN)

    def say(self, *events: ConsentEvent, ledger: Ledger | None = None, db: Database | None = None) -> int:
        """Append events, making the evidence keys they need; return the first index."""
        ledger = ledger or self.ledger
        with self.keys.write() as conn:
            opened = self.store.evidence.open_or_create(conn, [e.subject for e in events], self.vault)
        with (db or self.db).write() as conn:
            return ledger.append(conn, [ledger.prepare(event, opened[event.subject]) for event in events])

    def key_store_files(self) -> bytes:
        """Return every byte of the key store on disk. Skips the test where that is not ours to read."""
        if ON_POSTGRESQL:
            pytest.skip("about SQLite: the bytes of its files (docs/erasure.md says what PostgreSQL keeps)")
        return b"".join(path.read_bytes() for path in sorted(self.folder.glob("keys.db*")))

    def close(self) -> None:
        self.keys.close()
        self.db.close()


def event(no: int = 1, state: str = "granted", *, at: int = NOW, kind: int = 1) -> ConsentEvent:
    return ConsentEvent(
        index=None,
        subject=Subject(kind, no),
        purpose="personalization",
        state=state,
        method="direct",
        source="channel:web",
        notice="web-2026-01",
        event_time=at,
        recorded_at=at,
        expires_at=None,
    )
