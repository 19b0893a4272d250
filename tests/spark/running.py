"""Spark as these tests use it: two threads, a small heap, a folder of its own that can be watched."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

pytest.importorskip("pyspark", reason="needs pyspark: run `make test-spark`")

from identity.spark_engine import open_spark
from identity.spark_session import configuration

# pyspark leaves the sockets that it sends tables through to the collector
QUIET = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)


def spark(folder: Path):
    return open_spark(master="local[2]", memory="1g", folder=folder)


@contextmanager
def watched(folder: Path) -> Iterator[bytearray]:
    """Collect the bytes of whatever lies in `folder` while the block runs, each file's first megabytes."""
    seen, done = bytearray(), threading.Event()

    def watch():
        while not done.wait(0.2):
            for inside, _, names in os.walk(folder):  # which minds nothing that is gone again
                for name in names:
                    with suppress(OSError):
                        seen.extend(Path(inside, name).read_bytes()[:2_000_000])

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield seen
    finally:
        done.set()
        watcher.join()


def java_processes() -> set[int]:
    """The Java processes that this process started and that live."""
    found = set()
    for status in Path("/proc").glob("[0-9]*/status"):
        with suppress(OSError):
            lines = dict(line.split(":\t", 1) for line in status.read_text().splitlines() if ":\t" in line)
            if lines["Name"] == "java" and int(lines["PPid"]) == os.getpid() and lines["State"][0] != "Z":
                found.add(int(lines["Pid"]))
    return found


__all__ = ["QUIET", "configuration", "java_processes", "spark", "watched"]
