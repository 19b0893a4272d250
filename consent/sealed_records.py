"""Opening sealed records. Callers are listed in tests/test_architecture.py: profiles and linkage, no others.

Fails closed: a record whose key is destroyed, superseded or not in the keyring is left out, and a value
that does not open raises.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice
from typing import Final

import orjson

from consent.key_store import KeyStore
from consent.record_contents import TRAIT, OpenedRecord, field_values
from consent.stored_contents import StoredContent, identifiers
from consent.vault import SOURCE_ID, TRAITS, Vault
from identity.database import Database
from identity.statements import Statement

_BATCH: Final = 500  # key rows read in one go: a few ms, so that a destruction is never kept waiting

_ROWS = Statement("""
    SELECT key_id, record_no, channel, observed_at, verified, sealed
    FROM records WHERE record_no IN :record_nos ORDER BY record_no
""")


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
            with self._db.snapshot() as conn:
                rows = _ROWS.rows(conn, record_nos=batch)
            with self._keys.snapshot() as conn:
                keys = self._key_store.fetch(conn, [row[0] for row in rows])
            contents = [
                StoredContent(
                    record_no=record_no,
                    channel=channel,
                    observed_at=observed_at,
                    verified=verified,
                    sealed=sealed,
                    key=keys[key_id],
                )
                for key_id, record_no, channel, observed_at, verified, sealed in rows
                if key_id in keys
            ]
            opened |= {record.record_no: record for _, record in self._all(contents, names)}
        return opened

    def open_contents(
        self, contents: Sequence[StoredContent], names: Sequence[str]
    ) -> dict[int, OpenedRecord]:
        """Do the same with contents that were read before, by key id; those whose key is gone left out."""
        gone = self.destroyed([content.key.key_id for content in contents])
        left = {content.key.key_id: content for content in contents if content.key.key_id not in gone}
        return dict(self._all(left.values(), names))

    def destroyed(self, key_ids: Sequence[int]) -> set[int]:
        """Return those of the keys that were destroyed."""
        with self._keys.snapshot(single=True) as conn:
            return self._key_store.destroyed(conn, key_ids)

    def _all(
        self, contents: Iterable[StoredContent], names: Sequence[str]
    ) -> Iterator[tuple[int, OpenedRecord]]:
        """Yield key id and opened record."""
        asked = frozenset(name[len(TRAIT) :] for name in names if name.startswith(TRAIT))
        # Traits are one field; no field's name begins with TRAIT.
        sealed_under = {*(name for name in names if not name.startswith(TRAIT)), *([TRAITS] if asked else [])}
        for content in contents:
            record = self._opened(content, sealed_under, asked, every=TRAITS in names)
            if record is not None:
                yield content.key.key_id, record

    def _opened(
        self, content: StoredContent, sealed_under: Collection[str], asked: Collection[str], *, every: bool
    ) -> OpenedRecord | None:
        fields = content.open_named(self._vault, sealed_under)
        if fields is None:
            return None  # its epoch was destroyed
        source_id, sealed_traits = fields.pop(SOURCE_ID, None), fields.pop(TRAITS, None)
        traits: dict[str, str] = {} if sealed_traits is None else orjson.loads(sealed_traits)
        if traits and not every:
            traits = {name: value for name, value in traits.items() if name in asked}
        return OpenedRecord(
            content.record_no,
            content.channel,
            content.observed_at,
            identifiers(content.verified),
            {name: field_values(value) for name, value in fields.items()},
            traits,
            None if source_id is None else field_values(source_id)[0],
        )


def _batches(record_nos: Iterable[int]) -> Iterator[list[int]]:
    remaining = iter(record_nos)
    while batch := list(islice(remaining, _BATCH)):
        yield batch
