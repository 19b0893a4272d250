"""From the records of an erasure: how the person is known again, and which contacts are theirs alone.

Made while the records' keys live, because it is made of their tokens. Nothing is opened but, where somebody
else's record carries an identifier too, the comparable form, for the first name and birth date in it.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Final, NamedTuple

from sqlalchemy import Connection

from consent.key_store import KeyRow
from consent.packed_tokens import kind_of, unpack_tokens
from consent.prepared_records import RecordStores
from consent.purposes import CONTACT_ATTRIBUTES
from consent.suppression import identifying, names_of, together
from consent.vault import COMPARABLE
from identity.comparable import Comparable
from identity.statements import Statement, slices

_SEALED: Final = Statement("""
    SELECT record_no, key_id, comparable FROM records WHERE record_no IN :record_nos
""")
_LIVE: Final = Statement("SELECT record_no, key_id FROM records WHERE key_id IN :key_ids")


class Marks(NamedTuple):
    """Entries as (entry, named), see `SuppressionStore`, and the contact points that nobody else carries."""

    entries: tuple[tuple[bytes, bool], ...]
    contact_nos: tuple[int, ...]

    def __repr__(self) -> str:
        return f"<{len(self.entries)} marks>"


def marks_of(stores: RecordStores, record_nos: Sequence[int]) -> Marks:
    """Return what the live ones of `record_nos` leave behind."""
    with stores.db.read() as conn:
        rows = [row for part in slices(record_nos) for row in _SEALED.rows(conn, record_nos=part)]
        with stores.keys.read() as keys_conn:
            keys = stores.key_store.fetch(keys_conn, [key_id for _, key_id, _ in rows])
            found = {
                token: entry
                for key in keys.values()
                for _, token, entry in identifying(stores.index, key.tokens)
            }
            shared = _shared(stores, conn, keys_conn, found, frozenset(record_nos))
            contacts = {token for key in keys.values() for token in _contacts(key)} - shared
            numbers = stores.key_store.evidence.find_contacts(keys_conn, contacts)
    entries = {entry: token in shared for token, entry in found.items()}
    for record_no, key_id, sealed in rows if shared else ():
        key = keys.get(key_id)
        if key is None:
            continue
        own = [token for _, token, _ in identifying(stores.index, key.tokens) if token in shared]
        for entry in together(stores.index, own, _names(stores, record_no, key, sealed)) if own else ():
            entries.setdefault(entry, False)
    return Marks(tuple(entries.items()), tuple(sorted(numbers.values())))


def _shared(
    stores: RecordStores,
    conn: Connection,
    keys_conn: Connection,
    tokens: Iterable[bytes],
    leaving: Collection[int],
) -> set[bytes]:
    """Return the tokens that a live record outside the erasure carries too."""
    carriers = stores.key_store.find_many(keys_conn, tokens)
    ids = sorted({row.key_id for rows in carriers.values() for row in rows})
    staying = {
        key_id
        for part in slices(ids)
        for record_no, key_id in _LIVE.rows(conn, key_ids=part)
        if record_no not in leaving
    }
    return {token for token, rows in carriers.items() if any(row.key_id in staying for row in rows)}


def _contacts(key: KeyRow) -> list[bytes]:
    return [token for code, token in unpack_tokens(key.tokens) if kind_of(code) in CONTACT_ATTRIBUTES]


def _names(stores: RecordStores, record_no: int, key: KeyRow, sealed: bytes) -> list[str]:
    opened = stores.vault.open_key(
        record_no=record_no, key_id=key.key_id, epoch=key.epoch, wrapped=key.wrapped
    )
    return names_of(Comparable.decode(opened.open(COMPARABLE, sealed)))
