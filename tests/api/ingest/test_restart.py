"""kill -9 in the middle of an ingest, again and again, loses nothing and doubles nothing."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.api.ingest.room import Room, write_csv

ROOT = Path(__file__).resolve().parents[3]
CHUNKS = 14


def rows() -> list[dict[str, object]]:
    made = [
        {
            "channel": "web",
            "source_id": f"c{number}",
            "observed_at": f"2026-01-01T00:00:{number % 60:02}Z",
            "first_name": f"Name {number}",
            "email": f"customer{number}@example.com",
            "shop": "Norte",
        }
        for number in range(CHUNKS * 500 - 600)
    ]
    again = [row | {"observed_at": "2026-02-01T00:00:00Z", "shop": "Sur"} for row in made[:600]]
    return [*made, *again]


def killed_run(home: Path, path: Path, chunks: int, delay: float) -> bool:
    """Run one ingest and kill it `delay` seconds after `chunks` chunks are stored; False if it was done."""
    command = [sys.executable, "-m", "tests.api.ingest.room", str(home), str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for _ in range(chunks):
            process.stdout.readline()
        time.sleep(delay)
        done = process.poll() is not None
        children = _children(process.pid)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    for _ in range(100):
        if not any(Path(f"/proc/{child}").exists() for child in children):
            return not done
        time.sleep(0.1)
    pytest.fail("a worker process outlived its parent")


def _children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in listed.read_text().split()] if listed.exists() else []


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self").exists(), reason="watches processes through /proc")
def test_an_ingest_killed_at_random_moments_ends_as_an_uninterrupted_one(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "in.csv", rows())
    home = tmp_path / "killed"
    Room(home).close()
    chance = random.Random(7)  # noqa: S311 - repeatable moments, nothing secret
    moments = [(0, 1.0), (0, 2.0), (1, 0.05), (3, 0.05), (6, 0.05), (10, 0.05)]  # chunks, then seconds
    killed_runs = [killed_run(home, path, chunks, chance.uniform(0, most)) for chunks, most in moments]
    assert sum(killed_runs) >= 4
    killed, whole = Room(home), Room(tmp_path / "whole")
    finished = killed.ingest(path, grants=["identity_linking"])
    assert finished.read == CHUNKS * 500
    assert finished.created < CHUNKS * 500 - 600, "no killed run had stored anything"
    whole.ingest(path, grants=["identity_linking"])
    assert killed.landed() == whole.landed()
    assert killed.stores.ledger.verify().ok
    killed.stores.key_store.sweep_orphans(killed.stores.db, killed.now + 10 * 365 * 86_400_000)
    assert killed.key_rows() == whole.key_rows() == len(whole.landed())
    killed.close()
    whole.close()
