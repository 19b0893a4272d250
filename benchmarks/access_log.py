"""Entries a second of the access log, each durable before its append returns (ADR 10).

    python benchmarks/access_log.py

Prints one line of JSON: one thread alone, sixteen threads that share disk writes, and the time of a bare
append and sync beside them.
"""

import os
import tempfile
import threading
import time
from pathlib import Path

from measure import microseconds, report, rounded

from consent.access_log import AccessEntry, AccessLog
from consent.access_log_reading import verify

SECONDS = 3.0
ENTRY = AccessEntry(
    1_790_000_000_000, "c_bench", "personalization", "revealed", ("email", "city"), 7, (1, 2, 3)
)


def main() -> None:
    """Measure in a folder beside this file: a temporary file system might not write to a disk at all."""
    with tempfile.TemporaryDirectory(dir=Path(__file__).parent) as folder:
        root = Path(folder)
        figures = {f"threads_{count}_per_s": rate(root / str(count), count) for count in (1, 16)}
        report("access_log", bare_sync_us=rounded(bare(root / "bare")), **figures)


def rate(folder: Path, threads: int) -> int:
    """Append from `threads` threads for SECONDS; return entries a second, all of them verified."""
    log = AccessLog(folder)
    end = time.monotonic() + SECONDS

    def work() -> None:
        while time.monotonic() < end:
            log.append(ENTRY)

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    log.close()
    verified = verify(folder)
    if verified.problems:
        raise SystemExit(f"the log does not verify: {verified.problems[0]}")
    return round(verified.entries / SECONDS)


def bare(path: Path) -> float:
    """Return the microseconds of one append of an entry's length and one sync."""
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def once() -> None:
        os.write(handle, b"x" * 300)
        os.fdatasync(handle)

    return microseconds(once)


if __name__ == "__main__":
    main()
