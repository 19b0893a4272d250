"""Who saw what of whom, for which purpose: durable before any data leaves.

Every process writes a chain of its own, so that no lock is shared between processes: append-only
segments of canonical JSON lines, each line carrying the SHA-256 of the line before it.

    {"chain": ..., "prev": 64 zeros, "segment": 0, "v": 1, "worker": ...}
    {"attributes": [...], "client": ..., "decision": ..., "golden": ..., "prev": ..., "purpose": ...,
     "records": [...], "seq": 0, "time": ...}
    {"closed": 1, "prev": ...}         a finished segment says how many entries the chain then holds

An edited, dropped, inserted or reordered line breaks the chain, and a finished segment cannot lose its
tail. What a chain alone cannot show is a lost tail of an unfinished segment, or a chain lost as a
whole: `access_log_reading.verify` returns the heads to keep elsewhere, and compares with them later.

Entries hold names of attributes and internal numbers, never a value of a person.
"""

import hashlib
import os
import secrets
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson

from consent.errors import AccessLogError
from consent.group_commit import GroupCommit

SEGMENT_BYTES: Final = 64 * 1024 * 1024
GENESIS: Final = "0" * 64
VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class AccessEntry:
    """One look at a person, granted or not. `time` is ms since the epoch, UTC."""

    time: int
    client: str
    purpose: str
    decision: str  # revealed, withheld, ...: why it was withheld is for the auditor's eyes only
    attributes: tuple[str, ...]  # names of the attributes and traits that were opened
    golden_no: int | None  # None: nobody was found
    record_nos: tuple[int, ...]  # whose fields were opened

    def as_json(self) -> dict[str, Any]:
        """Return the entry as it stands in the log, without its place in the chain."""
        return {
            "attributes": self.attributes,
            "client": self.client,
            "decision": self.decision,
            "golden": self.golden_no,
            "purpose": self.purpose,
            "records": self.record_nos,
            "time": self.time,
        }

    @classmethod
    def from_json(cls, line: dict[str, Any]) -> "AccessEntry":
        """Return the entry that `as_json` described."""
        return cls(
            line["time"],
            line["client"],
            line["purpose"],
            line["decision"],
            tuple(line["attributes"]),
            line["golden"],
            tuple(line["records"]),
        )


@dataclass(slots=True)
class _Batch:
    """Entries that share one disk write."""

    entries: list[AccessEntry] = field(default_factory=list)
    settled: threading.Event = field(default_factory=threading.Event)
    durable: bool = False


class AccessLog:
    """The chain of this process. `append` is safe from many threads, which then share disk writes.

    After a failed write nothing more is added to the broken segment: the next append opens a new
    chain, and fails in its turn if it cannot.
    """

    def __init__(self, folder: Path, worker: str = "", *, segment_bytes: int = SEGMENT_BYTES) -> None:
        self._folder = folder
        self._worker = worker
        self._segment_bytes = segment_bytes
        self._joining = threading.Lock()  # guards which batch is open
        self._writing = threading.Lock()  # guards the segment: the first of a batch writes for all of it
        self._open = _Batch()
        self._segment: _Segment | None = None
        self._together = GroupCommit[AccessEntry](lambda entries: self.append(*entries))

    def append(self, *entries: AccessEntry) -> None:
        """Return once `entries` are on disk. Raises AccessLogError if they may not be: reveal nothing."""
        with self._joining:
            batch = self._open
            leads = not batch.entries
            batch.entries.extend(entries)
        if leads:
            try:
                with self._writing:
                    self._write(self._take(batch))
            finally:  # also on an interrupt: whoever waits must hear that nothing was written
                self._take(batch).settled.set()
        else:
            batch.settled.wait()
        if not batch.durable:
            raise AccessLogError("the access log cannot be written: no data may leave until it can")

    async def appended(self, entries: Sequence[AccessEntry]) -> None:
        """Do as `append` on an event loop, which goes on meanwhile."""
        await self._together.committed(entries)

    def close(self) -> None:
        """Finish the segment, so that a tail cut off later shows."""
        with self._writing:
            segment, self._segment = self._segment, None
            if segment is not None and segment.pid == os.getpid():
                try:
                    segment.finish()
                except OSError as error:
                    raise AccessLogError("the access log's last segment could not be finished") from error

    def _take(self, batch: _Batch) -> _Batch:
        """Close `batch` to further entries."""
        with self._joining:
            if self._open is batch:
                self._open = _Batch()
        return batch

    def _write(self, batch: _Batch) -> None:
        segment, self._segment = self._segment, None  # stays None if anything below fails
        try:
            if segment is None or segment.pid != os.getpid():  # a forked child starts a chain of its own
                segment = _Segment.first(self._folder, self._worker, batch.entries[0].time)
            elif segment.size >= self._segment_bytes:
                segment = segment.next()
            segment.write(batch.entries)
        except OSError:
            return
        self._segment = segment
        batch.durable = True


class _Segment:
    """One open file of a chain. Any error leaves it unusable; the caller then forgets it."""

    def __init__(self, folder: Path, worker: str, *, chain: str, number: int, seq: int, prev: str) -> None:
        self.pid = os.getpid()
        self.size = 0
        self._folder, self._worker = folder, worker
        self._chain, self._number, self._seq, self._prev = chain, number, seq, prev
        path = folder / f"{chain}-{number:06d}.jsonl"
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
        header = {"chain": chain, "segment": number, "v": VERSION, "worker": worker}
        self._commit([self._line(header)])
        _sync_folder(folder)  # or a crash could lose the file with all that was acknowledged

    @classmethod
    def first(cls, folder: Path, worker: str, now: int) -> "_Segment":
        """Start a chain. Its name sorts by the time of its first entry and cannot meet another's."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        chain = f"{now:013d}-{secrets.token_hex(8)}"
        return cls(folder, worker, chain=chain, number=0, seq=0, prev=GENESIS)

    def next(self) -> "_Segment":
        """Finish this segment and continue its chain in a new one."""
        self.finish()
        return _Segment(
            self._folder,
            self._worker,
            chain=self._chain,
            number=self._number + 1,
            seq=self._seq,
            prev=self._prev,
        )

    def write(self, entries: Iterable[AccessEntry]) -> None:
        """Append `entries` with one write and one sync."""
        lines = []
        for entry in entries:
            lines.append(self._line({**entry.as_json(), "seq": self._seq}))
            self._seq += 1
        self._commit(lines)

    def finish(self) -> None:
        """Write the closing line and close the file."""
        self._commit([self._line({"closed": self._seq})])
        os.close(self._file)
        self._file = -1

    def __del__(self) -> None:
        if getattr(self, "_file", -1) >= 0:
            os.close(self._file)

    def _line(self, content: dict[str, Any]) -> bytes:
        line = canonical({**content, "prev": self._prev})
        self._prev = hashlib.sha256(line).hexdigest()
        return line + b"\n"

    def _commit(self, lines: list[bytes]) -> None:
        data = memoryview(b"".join(lines))
        self.size += len(data)
        while data:
            data = data[os.write(self._file, data) :]
        os.fdatasync(self._file)


def canonical(content: dict[str, Any]) -> bytes:
    """Return RFC 8785 JSON. Equal to it for what stands here: plain names, texts, integers, lists."""
    return orjson.dumps(content, option=orjson.OPT_SORT_KEYS)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
