"""The erasure log: the signed receipt of every erasure, one a line, in a file to keep apart from the stores.

A backup knows nothing of who was erased after it. Whoever restores one replays this log before anything is
served, and the person stays erased. A line holds numbers and proofs, never a value of a person; it counts
only if the ledger's key signed it, so nobody can have others erased by adding one.
"""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from consent.erasure_receipt_verification import verify_erasure_receipt
from consent.errors import BackupError, ErasureLogError, ReceiptError


class Logged(NamedTuple):
    """An erasure that the log proves. `finished_at` in ms, to the second."""

    erasure_no: int
    request_id: str | None
    record_nos: tuple[int, ...]
    finished_at: int


class ErasureLog:
    """Appends receipts to one file; several processes may."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def append(self, receipt: Mapping[str, Any]) -> None:
        """Return once the receipt is on disk. Raises ErasureLogError: then the erasure is not finished."""
        line = json.dumps(receipt, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                size = os.fstat(descriptor).st_size
                torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"  # by a crash, or a full disk
                whole = b"\n" * torn + line
                if os.write(descriptor, whole) != len(whole):
                    raise ErasureLogError(_CANNOT)
                os.fdatasync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise ErasureLogError(f"{_CANNOT} ({error.strerror})") from error


_CANNOT = "the erasure log cannot be written, so an erasure is not finished: see AUREA_ERASURE_LOG"


def read_log(path: Path, verifier_key: str) -> Iterator[Logged]:
    """Yield what the log proves. Raises BackupError where a whole line is no receipt of this ledger."""
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").split("\n")[:-1], 1):
        if not _whole(line):
            continue  # torn by a crash: the erasure was then logged again when it was resumed
        try:
            said = verify_erasure_receipt(line, verifier_key).statement
        except ReceiptError as error:
            raise BackupError(f"{path.name}, line {number}: {error}") from None
        finished = datetime.fromisoformat(said["finished_at"])
        yield Logged(
            erasure_no=said["erasure"],
            request_id=said["request"],
            record_nos=tuple(said["records"]),
            finished_at=int(finished.timestamp() * 1000),
        )


def _whole(line: str) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True
