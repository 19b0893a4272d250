"""One file into the stores: worker processes prepare, this process writes, in the order of the file.

    file -> chunks -> [workers: rows -> records -> normalised, sealed, consent events] -> writer

At most a few chunks are under way, so memory does not grow with the file. The writer is the only one that
writes, so record numbers follow the order of rows, and the result equals handling the rows one by one:
what turns out to depend on an earlier row (the same record key again) is prepared once more, here.

Restart after a crash is running the same file again: what landed is found unchanged.
"""

import gc
import os
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from itertools import chain, islice
from pathlib import Path
from typing import Final, NamedTuple

from api.ingest.chunks import CHUNK_ROWS, Chunk
from api.ingest.mapping import FileMapping, fit
from api.ingest.preparing import (
    RARE_COLLECTIONS,
    Prepared,
    Preparing,
    Rejected,
    arrived,
    mapped,
    start_worker,
    work,
)
from api.ingest.progress import IngestProgress, Silent
from api.ingest.reading import open_reader
from api.ingest.report import IngestReport, RejectedRows
from api.ingest.rows import RowMapper
from consent.key_providers import FileKeyring
from consent.prepared_records import PreparedBatch
from consent.record_keys import Keyed
from consent.records import Numbers, RecordWriter
from consent.worker_processes import WorkerPool
from consent.worker_stores import StoreAccess

_NUMBERS_AT_ONCE: Final = 50 * CHUNK_ROWS
_WORTH_WORKERS: Final = 8  # chunks: starting a process takes a second
_AHEAD: Final = 3  # chunks under way for each worker
_CHECKPOINT_EVERY: Final = 8  # chunks, about 16 MB of write-ahead log
_FINISH_EVERY: Final = 20  # chunks between destructions of replaced keys, each of which empties a log


class _Job(NamedTuple):
    """A chunk under way."""

    chunk: Chunk
    share: float
    now: int
    prepared: Callable[[], Prepared]  # waits for it


class _Keying(NamedTuple):
    """A chunk whose keys are being written."""

    job: _Job
    rejected: list[Rejected]
    keyed: "Future[Keyed]"


Prepare = Callable[[Chunk, int, int], Callable[[], Prepared]]
"""Chunk, its first key number, time of arrival (ms) -> the prepared chunk, when it is called for."""


def ingest_file(
    writer: RecordWriter,
    keyring: FileKeyring,
    path: Path,
    *,
    clock: Callable[[], int],
    mapping: FileMapping | None = None,
    channel: str | None = None,
    grants: Sequence[str] = (),
    progress: IngestProgress | None = None,
    workers: int | None = None,
) -> IngestReport:
    """Store the records of the file at `path` and return what became of its rows.

    `mapping` says which column means what (None: the standard names), `channel` and `grants` are
    `--channel` and `--grant`. `workers`: processes that prepare, by default one for each core and none
    for a small file. Raises IngestInputError or UnknownPurposeError before anything is written.
    """
    for purpose in grants:
        writer.stores.purposes[purpose]  # raises UnknownPurposeError
    reader = open_reader(path)
    reader.seek_columns((mapping or FileMapping()).used | {"source_id", "channel", "observed_at"})
    if not path.stat().st_size and not reader.columns:  # JSON Lines without a line: nothing to fit
        RejectedRows(path).finish()
        return IngestReport()
    fitted = fit(mapping, reader.columns, channel=channel, order=reader.order)
    mapper = RowMapper(fitted, tuple(dict.fromkeys(grants)))
    rejected = RejectedRows(path)
    ingest = _Ingest(writer, mapper, rejected, clock)
    with ExitStack() as stack:
        stack.callback(rejected.abandon)
        stack.callback(gc.set_threshold, *gc.get_threshold())
        gc.set_threshold(*RARE_COLLECTIONS)
        shown = stack.enter_context(progress or Silent())
        chunks = reader.chunks(CHUNK_ROWS)
        first = list(islice(chunks, _WORTH_WORKERS))
        count = workers if workers is not None else os.cpu_count() or 1
        if workers is None and len(first) < _WORTH_WORKERS:
            count = 0
        prepare = ingest.here() if count == 0 else ingest.pool(stack, count, keyring)
        ingest.run(chain(first, chunks), prepare, ahead=count * _AHEAD or 1, shown=shown)
        rejected.finish()
    return ingest.report


class _Ingest:
    """The writing side of one run."""

    def __init__(
        self,
        writer: RecordWriter,
        mapper: RowMapper,
        rejected: RejectedRows,
        clock: Callable[[], int],
    ) -> None:
        self._writer, self._mapper = writer, mapper
        self._rejected, self._clock = rejected, clock
        self._numbers = Numbers(writer.stores.key_store.allocate, _NUMBERS_AT_ONCE)
        self._now = self._batches = 0
        self._waiting: _Keying | None = None
        self.report = IngestReport()

    def here(self) -> Prepare:
        """Return a way to prepare chunks in this process, at once."""
        preparing = Preparing(self._writer.stores, self._mapper)

        def prepare(chunk: Chunk, first_key_id: int, now: int) -> Callable[[], Prepared]:
            prepared = preparing(chunk, first_key_id, now)
            return lambda: prepared

        return prepare

    def pool(self, stack: ExitStack, workers: int, keyring: FileKeyring) -> Prepare:
        """Return a way to prepare chunks in worker processes, which end with `stack`."""
        access = StoreAccess.to(self._writer.stores, keyring)
        pool = WorkerPool(workers, start_worker, access, self._mapper)
        stack.callback(pool.close)

        def prepare(chunk: Chunk, first_key_id: int, now: int) -> Callable[[], Prepared]:
            future = pool.submit(work, chunk, first_key_id, now)
            return lambda: arrived(future.result())

        return prepare

    def run(
        self,
        chunks: Iterable[tuple[Chunk, float]],
        prepare: Prepare,
        *,
        ahead: int,
        shown: IngestProgress,
    ) -> None:
        """Write all chunks in order, at most `ahead` of them under way."""
        under_way: deque[_Job] = deque()
        self._writer.finish_destructions(self._tick())  # of an earlier run that was killed
        with ThreadPoolExecutor(1) as key_writer:
            for number, (chunk, share) in enumerate(chunks, start=1):
                now = self._tick()
                first = self._numbers.take(len(chunk))
                under_way.append(_Job(chunk, share, now, prepare(chunk, first, now)))
                if len(under_way) >= ahead:
                    self._write(under_way.popleft(), key_writer, shown)
                if number % _FINISH_EVERY == 0:
                    self._writer.finish_destructions(now)
            while under_way:
                self._write(under_way.popleft(), key_writer, shown)
            self._write(None, key_writer, shown)
        self._writer.finish_destructions(self._tick())

    def _write(self, job: _Job | None, key_writer: ThreadPoolExecutor, shown: IngestProgress) -> None:
        """Write the keys of a chunk while the records of the one before are written.

        Both wait for the disk most of the time; each chunk's keys are still committed before its records.
        """
        waiting, self._waiting = self._waiting, None
        if job is not None:
            prepared = job.prepared()
            self._waiting = _Keying(
                job, prepared.rejected, key_writer.submit(self._write_keys, prepared.batch)
            )
        if waiting is not None:
            self._store(waiting)
            shown.advance(self.report.read, waiting.job.share)

    def _write_keys(self, batch: PreparedBatch) -> Keyed:
        """Write a batch's keys, and let both stores tidy up outside the write lock of records."""
        keyed = self._writer.committer.keys.write(batch)
        self._writer.stores.key_store.merge_recent()
        self._batches += 1
        if self._batches % _CHECKPOINT_EVERY == 0:
            self._writer.stores.db.checkpoint()
        return keyed

    def _store(self, waiting: _Keying) -> None:
        job = waiting.job
        written = self._writer.committer.finish(waiting.keyed.result(), checkpoint=False)
        for each in written:
            if each is not None:
                self.report.count(each.outcome.name.lower(), each.unreadable)
        again = [position for position, each in enumerate(written) if each is None]
        if again:
            self._write_again(job, again)
        for row in waiting.rejected:
            self._rejected.add(*row)
        self.report.rejected += len(waiting.rejected)
        self.report.read += len(job.chunk)

    def _write_again(self, job: _Job, positions: Sequence[int]) -> None:
        """Store the records at `positions` of a chunk by themselves: an earlier row has their record key."""
        records = mapped(job.chunk, self._mapper, job.now)[0]
        for result in self._writer.write([records[position] for position in positions], now=self._tick()):
            self.report.count(result.status, result.unreadable)

    def _tick(self) -> int:
        # Never backwards within a run: an arrival without a time must not look older than the last.
        self._now = max(self._now, self._clock())
        return self._now
