"""The part of an ingest that worker processes do: chunks of rows into prepared batches.

Imports no more than that takes: every worker pays for it.
"""

import gc
from typing import Final, NamedTuple

from api.ingest.chunks import Chunk, Malformed
from api.ingest.rows import RowMapper
from consent.errors import RecordRejectedError
from consent.incoming import IncomingRecord
from consent.prepared_records import PreparedBatch, RecordStores
from consent.prepared_wire import from_bytes, to_bytes
from consent.record_preparing import RecordPreparer
from consent.worker_stores import StoreAccess

RARE_COLLECTIONS: Final = (100_000, 50, 1000)
"""Thresholds of the cyclic collector while records flow: a chunk is many objects and hardly a cycle, so the
default (700) spends a twelfth of the time looking at live records."""


class Rejected(NamedTuple):
    """A row that cannot be taken, and why."""

    line: int
    column: str
    reason: str


class Prepared(NamedTuple):
    """A chunk ready to be written."""

    batch: PreparedBatch
    rejected: list[Rejected]


class Preparing:
    """Turns chunks into prepared batches."""

    def __init__(self, stores: RecordStores, mapper: RowMapper) -> None:
        self._preparer, self._mapper = RecordPreparer(stores), mapper

    def __call__(self, chunk: Chunk, first_key_id: int, now: int) -> Prepared:
        """Prepare the rows of `chunk`; the i-th record uses key number `first_key_id + i`."""
        records, rejected = mapped(chunk, self._mapper, now)
        batch = self._preparer.prepare(records, first_key_id=first_key_id, source=None, now=now)
        return Prepared(batch, rejected)


def mapped(chunk: Chunk, mapper: RowMapper, now: int) -> tuple[list[IncomingRecord], list[Rejected]]:
    """Return the valid records of a chunk, in order, and the rows that are none."""
    records: list[IncomingRecord] = []
    rejected: list[Rejected] = []
    for line, row in chunk.rows():
        if isinstance(row, Malformed):
            rejected.append(Rejected(line, "", row.reason))
            continue
        try:
            records.append(mapper.record(row, now))
        except RecordRejectedError as error:
            rejected.append(Rejected(line, error.column, error.reason))
    return records, rejected


class _Worker:
    """What a worker process has open."""

    preparing: Preparing | None = None


def start_worker(access: StoreAccess, mapper: RowMapper) -> None:
    """Open the stores, in a worker process."""
    _Worker.preparing = Preparing(access.open(), mapper)
    gc.freeze()  # what is loaded by now is never garbage, so no collection need look at it
    gc.set_threshold(*RARE_COLLECTIONS)


def work(chunk: Chunk, first_key_id: int, now: int) -> tuple[bytes, list[Rejected]]:
    """Prepare a chunk, in a worker process."""
    if _Worker.preparing is None:
        raise RuntimeError("the worker process was not started")
    batch, rejected = _Worker.preparing(chunk, first_key_id, now)
    return to_bytes(batch), rejected


def arrived(result: tuple[bytes, list[Rejected]]) -> Prepared:
    """Return what `work` prepared, in the main process."""
    encoded, rejected = result
    return Prepared(from_bytes(encoded), rejected)
