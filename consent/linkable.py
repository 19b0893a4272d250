"""The reader that linkage is given: comparable forms of records whose linking is permitted, nothing else.

Implements `identity.records.RecordReader`. A record comes out only while the stored permission holds, has
not lapsed by the clock, and the record's key still opens it: whatever is uncertain stays out.
"""

import marshal
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

from consent.errors import KeyUnavailableError
from consent.prepared_records import RecordStores
from consent.vault import COMPARABLE
from consent.worker_stores import StoreAccess, in_workers, stores_of_this_worker
from consent.wrapped_keys import wrapped_keys
from identity.records import OpenedBatch
from identity.statements import Reading, Statement, slices

_WORTH_WORKERS: Final = 150_000  # records; below, starting processes costs more than it saves

_SEQUENCE: Final = Statement("SELECT value FROM counters WHERE name = 'change_sequence'")
_LAST: Final = Statement("SELECT coalesce(max(record_no), 0) FROM records")
# A noted destruction of a key in use is a deletion under way: that record is no longer live.
_LIVE: Final = Statement("""
    SELECT record_no, linking = 1 AND (linking_until IS NULL OR linking_until > :now)
    FROM records
    WHERE key_id NOT IN (SELECT key_id FROM pending_destructions)
    ORDER BY record_no
""")
_PERMITTED: Final = Statement("""
    SELECT record_no, channel, key_id, comparable
    FROM records
    WHERE record_no >= :first AND record_no <= :last
      AND linking = 1 AND (linking_until IS NULL OR linking_until > :now)
    ORDER BY record_no
""")
_SOME: Final = Statement("""
    SELECT record_no, channel, key_id, comparable
    FROM records
    WHERE record_no IN :record_nos
      AND linking = 1 AND (linking_until IS NULL OR linking_until > :now)
    ORDER BY record_no
""")
_UNDER: Final = Statement("""
    SELECT record_no, channel, key_id, comparable
    FROM records
    WHERE key_id IN :key_ids
      AND linking = 1 AND (linking_until IS NULL OR linking_until > :now)
    ORDER BY record_no
""")
_CHANGED: Final = Statement("""
    SELECT record_no FROM records WHERE change_sequence > :sequence
    UNION ALL
    SELECT record_no FROM departures WHERE change_sequence > :sequence
""")


class LinkableRecords:
    """Reads the records that may be linked at the time of `clock` (ms since the epoch, UTC)."""

    def __init__(
        self, stores: RecordStores, clock: Callable[[], int], *, access: StoreAccess | None = None
    ) -> None:
        """With `access`, worker processes open large numbers of records."""
        self._stores, self._clock, self._access = stores, clock, access

    def sequence(self) -> int:
        """Return the store's current change sequence."""
        with self._stores.db.snapshot(single=True) as conn:
            return self.sequence_in(conn)

    def sequence_in(self, conn: Reading) -> int:
        """Do as `sequence`, in the caller's snapshot."""
        return int(_SEQUENCE.rows(conn)[0][0])

    def live(self) -> Iterator[tuple[int, bool]]:
        """Yield every live record number, ascending, with whether it may be linked now."""
        with self._stores.db.read() as conn:
            for rows in _LIVE.chunks(conn, 20_000, now=self._clock()):
                for record_no, permitted in rows:
                    yield record_no, bool(permitted)

    def permitted(self, *, batch_size: int = 20_000) -> Iterator[OpenedBatch]:
        """Yield all records that may be linked now, opened, ascending by record number."""
        with self._stores.db.read() as conn:
            last = int(_LAST.rows(conn)[0][0])
        ranges = [(first, first + batch_size - 1) for first in range(1, last + 1, batch_size)]
        access = self._access if last > _WORTH_WORKERS else None
        for batch in self._here(ranges) if access is None else self._by_workers(ranges, access):
            if batch.record_nos:
                yield batch

    def _here(self, ranges: Sequence[tuple[int, int]]) -> Iterator[OpenedBatch]:
        for first, last in ranges:
            yield open_range(self._stores, first, last, self._clock())

    def _by_workers(self, ranges: Sequence[tuple[int, int]], access: StoreAccess) -> Iterator[OpenedBatch]:
        """Open ranges in worker processes, a few ahead of the caller, who has work of its own."""
        given = ((first, last, self._clock()) for first, last in ranges)
        for batch in in_workers(access, _work, given):
            yield OpenedBatch(*marshal.loads(batch))  # noqa: S302 - written by our own worker

    def opened(self, record_nos: Iterable[int]) -> OpenedBatch:
        """Open those of `record_nos` that are live and may be linked, ascending."""
        wanted = sorted(set(record_nos))
        with self._stores.db.snapshot() as conn:
            rows = [
                row for part in slices(wanted) for row in _SOME.rows(conn, record_nos=part, now=self._clock())
            ]
        return _opened(self._stores, rows)

    def opened_under(self, key_ids: Iterable[int]) -> dict[int, tuple[int, bytes]]:
        """Open the records whose present content is under one of these keys, as `opened` does.

        Returns key id -> record number and comparable form, ascending by record number.
        """
        wanted, now = sorted(set(key_ids)), self._clock()
        with self._stores.db.snapshot() as conn:
            rows = [row for part in slices(wanted) for row in _UNDER.rows(conn, key_ids=part, now=now)]
        opened = _plain(self._stores, sorted(rows))
        return {key_id: (record_no, comparable) for record_no, _, key_id, comparable in opened}

    def changed_since(self, sequence: int) -> set[int]:
        """Return records created, updated, deleted or changed in linking permission after `sequence`."""
        with self._stores.db.read() as conn:
            return {record_no for (record_no,) in _CHANGED.rows(conn, sequence=sequence)}


def open_range(stores: RecordStores, first: int, last: int, now: int) -> OpenedBatch:
    """Open the permitted records with first <= record number <= last."""
    with stores.db.read() as conn:
        rows = _PERMITTED.rows(conn, first=first, last=last, now=now)
    return _opened(stores, rows)


def _opened(stores: RecordStores, rows: Sequence[Any]) -> OpenedBatch:
    opened = list(_plain(stores, rows))
    return OpenedBatch([row[0] for row in opened], [row[1] for row in opened], [row[3] for row in opened])


def _plain(stores: RecordStores, rows: Sequence[Any]) -> Iterator[tuple[int, str, int, bytes]]:
    """Yield record number, channel, key id and comparable form of the rows whose key still opens them."""
    keys = wrapped_keys(stores, [row[2] for row in rows])
    open_key = stores.vault.open_key
    for record_no, channel, key_id, sealed in rows:
        wrapped = keys.get(key_id)
        if wrapped is None:
            continue  # destroyed, or replaced since the row was read: then it has changed anyway
        try:
            key = open_key(record_no=record_no, key_id=key_id, epoch=wrapped.epoch, wrapped=wrapped.key)
        except KeyUnavailableError:
            continue  # its epoch was destroyed
        yield record_no, channel, key_id, key.open(COMPARABLE, sealed)


def _work(first: int, last: int, now: int) -> bytes:
    batch = open_range(stores_of_this_worker(), first, last, now)
    return marshal.dumps((list(batch.record_nos), list(batch.channels), list(batch.comparables)))
