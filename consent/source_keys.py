"""The channels' own identifiers of all records, for the memberships file and for `aurea evaluate`.

Nothing but these is opened. A record whose key is destroyed or being replaced is left out.
"""

import marshal
from collections.abc import Iterator
from typing import Final

import orjson

from consent.errors import KeyUnavailableError
from consent.prepared_records import RecordStores
from consent.vault import SOURCE_ID
from consent.worker_stores import StoreAccess, in_workers, stores_of_this_worker
from consent.wrapped_keys import wrapped_keys
from identity.statements import Statement

_WORTH_WORKERS: Final = 150_000  # records; below, starting processes costs more than it saves

_LAST: Final = Statement("SELECT coalesce(max(record_no), 0) FROM records")
_SEALED: Final = Statement("""
    SELECT record_no, channel, key_id, sealed FROM records
    WHERE record_no >= :first AND record_no <= :last ORDER BY record_no
""")

Named = tuple[int, str, str]
"""Record number, channel, the channel's identifier of the record. Personal data: it is printed nowhere."""


class SourceKeys:
    """Reads the record keys of every live record; with `access`, worker processes open large numbers."""

    def __init__(self, stores: RecordStores, *, access: StoreAccess | None = None) -> None:
        self._stores, self._access = stores, access

    def every(self, *, batch_size: int = 20_000) -> Iterator[Named]:
        """Yield them, ascending by record number. Raises VaultError where a stored value was altered."""
        with self._stores.db.read() as conn:
            last = int(_LAST.rows(conn)[0][0])
        ranges = [(first, first + batch_size - 1) for first in range(1, last + 1, batch_size)]
        if last > _WORTH_WORKERS and self._access is not None:
            for batch in in_workers(self._access, _work, ranges):
                yield from marshal.loads(batch)  # noqa: S302 - written by our own worker
        else:
            for first, end in ranges:
                yield from _opened(self._stores, first, end)


def _opened(stores: RecordStores, first: int, last: int) -> list[Named]:
    with stores.db.read() as conn:
        rows = _SEALED.rows(conn, first=first, last=last)
    keys = wrapped_keys(stores, [row[2] for row in rows])
    open_key, found = stores.vault.open_key, []
    for record_no, channel, key_id, sealed in rows:
        wrapped = keys.get(key_id)
        if wrapped is None:
            continue
        try:
            key = open_key(record_no=record_no, key_id=key_id, epoch=wrapped.epoch, wrapped=wrapped.key)
        except KeyUnavailableError:
            continue  # its epoch was destroyed
        source_id = key.open_fields(sealed, (SOURCE_ID,)).get(SOURCE_ID)
        if source_id is not None:
            found.append((record_no, channel, str(orjson.loads(source_id))))
    return found


def _work(first: int, last: int) -> bytes:
    return marshal.dumps(_opened(stores_of_this_worker(), first, last))
