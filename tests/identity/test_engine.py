"""The engine that holds plaintext: it spills nothing readable and reaches nothing outside."""

import threading
import time

import duckdb
import pytest

from identity.engine import open_engine

MARKER = "Rosalind-Marker-Quintanilla"

# A sort far larger than the memory limit, with the marker in every row.
SPILLING = f"""
    SELECT sum(n) FROM (
        SELECT i AS n, row_number() OVER (ORDER BY hash(i), name) AS position
        FROM (SELECT i, '{MARKER}-' || i AS name FROM range(1500000) AS t(i))
    ) WHERE position > 0
"""  # noqa: S608 - a constant


def bytes_spilled_by(connection, directory):
    """Run the spilling query and return what lay in `directory` meanwhile."""
    seen = bytearray()
    done = threading.Event()

    def watch():
        while not done.is_set():
            for path in directory.glob("*"):
                try:
                    seen.extend(path.read_bytes()[:4_000_000])
                except FileNotFoundError:  # the query removed it again
                    continue
            time.sleep(0.02)

    watcher = threading.Thread(target=watch)
    watcher.start()
    connection.execute(SPILLING).fetchall()
    done.set()
    watcher.join()
    return bytes(seen)


def test_a_forced_spill_leaves_no_readable_value(tmp_path):
    with open_engine(threads=2, memory_limit="60MB", spill_dir=tmp_path / "spill") as engine:
        spilled = bytes_spilled_by(engine, tmp_path / "spill")
    assert len(spilled) > 100_000, "nothing was spilled, so nothing was tested"
    assert MARKER.encode() not in spilled


def test_the_same_spill_without_encryption_is_readable(tmp_path):
    with duckdb.connect(":memory:") as engine:
        engine.execute("SET memory_limit = '60MB'")
        engine.execute("SET threads = 2")
        engine.execute(f"SET temp_directory = '{tmp_path / 'spill'}'")
        spilled = bytes_spilled_by(engine, tmp_path / "spill")
    assert MARKER.encode() in spilled


def test_without_a_spill_directory_it_fails_rather_than_writes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with open_engine(threads=2, memory_limit="60MB") as engine, pytest.raises(duckdb.Error, match="memory"):
        engine.execute(SPILLING).fetchall()
    assert list(tmp_path.iterdir()) == []


FORBIDDEN = {
    "writing a file": "COPY (SELECT 1) TO 'leak.csv'",
    "reading a file": "SELECT * FROM read_text('/etc/hostname')",
    "attaching a database": "ATTACH 'leak.duckdb'",
    "loading an extension": "LOAD sqlite_scanner",
    "installing an extension": "INSTALL spatial",
    "reading a URL": "SELECT * FROM 'https://example.org/x.csv'",
    "unlocking": "SET lock_configuration = false",
    "allowing the outside again": "SET enable_external_access = true",
    "turning encryption off": "SET temp_file_encryption = false",
    "moving the spill": "SET temp_directory = '.'",
}


@pytest.mark.parametrize("attempt", FORBIDDEN)
def test_a_locked_engine_refuses(attempt, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with open_engine(spill_dir=tmp_path / "spill") as engine, pytest.raises(duckdb.Error):
        engine.execute(FORBIDDEN[attempt])
