"""Opening sealed records. Callers are listed in tests/test_architecture.py: profiles and linkage, no others.

Fails closed: a record whose key is destroyed, superseded or not in the keyring is left out, and a value
that does not open raises.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

import orjson
from sqlalchemy import Connection, Row, bindparam, text

from consent.errors import KeyUnavailableError
from consent.key_store import KeyRow, KeyStore
from consent.record_contents import TRAIT, field_values
from consent.vault import SOURCE_ID, TRAITS, Vault
from identity.database import Database

_BATCH: Final = 500  # key rows read in one go: a few ms, so that a destruction is never kept waiting

_ROWS = text("""
    SELECT record_no, channel, key_id, observed_at, verified, sealed
    FROM records WHERE record_no IN :nos ORDER BY record_no
""").bindparams(bindparam("nos", expanding=True))


@dataclass(frozen=True, slots=True)
class OpenedRecord:
    """The opened fields of one record: only those that were asked for and that it has."""

    record_no: int
    channel: str
    observed_at: int  # ms since the epoch, UTC
    verified: tuple[str, ...]
    attributes: dict[str, list[str]]
    traits: dict[str, str]
    source_id: str | None  # only when SOURCE_ID was asked for

    def __repr__(self) -> str:
        return f"<opened record {self.record_no}>"


class SealedRecords:
    """Reads records by number and opens their fields."""

    def __init__(self, db: Database, keys: Database, key_store: KeyStore, vault: Vault) -> None:
        self._db = db
        self._keys = keys
        self._key_store = key_store
        self._vault = vault

    def open_fields(self, record_nos: Iterable[int], names: Sequence[str]) -> dict[int, OpenedRecord]:
        """Open the fields `names` of live records, by record number.

        Names are those of `record_contents.field_names`, SOURCE_ID, and TRAITS for every trait. Nothing but
        these is decrypted; traits are one sealed field, of which only those asked for are returned.
        Raises VaultError where a stored value was altered.
        """
        opened: dict[int, OpenedRecord] = {}
        for batch in _batches(record_nos):
            with self._db.read() as conn:
                rows = conn.execute(_ROWS, {"nos": batch}).all()
            with self._keys.read() as conn:
                keys = self._key_store.fetch(conn, [row.key_id for row in rows])
            for row in rows:
                record = self._opened(row, keys.get(row.key_id), names)
                if record is not None:
                    opened[record.record_no] = record
        return opened

    def open_in(
        self, db_conn: Connection, keys_conn: Connection, record_nos: Iterable[int], names: Sequence[str]
    ) -> dict[int, OpenedRecord]:
        """Do the same inside the caller's snapshots, for a few records: the profile read."""
        rows = [r for batch in _batches(record_nos) for r in db_conn.execute(_ROWS, {"nos": batch})]
        keys = self._key_store.fetch(keys_conn, [row.key_id for row in rows])
        found = (self._opened(row, keys.get(row.key_id), names) for row in rows)
        return {record.record_no: record for record in found if record is not None}

    def _opened(
        self, row: Row[tuple[int, str, int, int, str, bytes]], key_row: KeyRow | None, names: Sequence[str]
    ) -> OpenedRecord | None:
        if key_row is None:
            return None
        try:
            key = self._vault.open_key(
                record_no=row.record_no, key_id=row.key_id, epoch=key_row.epoch, wrapped=key_row.wrapped
            )
        except KeyUnavailableError:
            return None  # its epoch was destroyed
        asked = [name[len(TRAIT) :] for name in names if name.startswith(TRAIT)]
        sealed_under = [*names, TRAITS] if asked else names  # no field's name begins with TRAIT
        fields = key.open_fields(row.sealed, sealed_under)
        source_id, sealed_traits = fields.pop(SOURCE_ID, None), fields.pop(TRAITS, None)
        traits = {} if sealed_traits is None else orjson.loads(sealed_traits)
        shown = traits if TRAITS in names else {name: traits[name] for name in asked if name in traits}
        return OpenedRecord(
            record_no=row.record_no,
            channel=row.channel,
            observed_at=row.observed_at,
            verified=tuple(name for name in row.verified.split(",") if name),
            attributes={name: field_values(value) for name, value in fields.items()},
            traits=shown,
            source_id=None if source_id is None else field_values(source_id)[0],
        )


def _batches(record_nos: Iterable[int]) -> Iterator[list[int]]:
    remaining = iter(record_nos)
    while batch := list(islice(remaining, _BATCH)):
        yield batch
