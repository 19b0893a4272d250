"""How SQLite behaves in the places the design turns on (ADRs 7, 9 and 10).

    python benchmarks/sqlite.py [tokens|remains|log]...

Without arguments all of them; each prints one line of JSON.
"""

import multiprocessing
import os
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import harmonic_mean

from measure import percentiles, report, rounded

from consent.key_store import KeyStore
from consent.key_tables import key_metadata
from consent.token_index import TokenIndex
from identity.database import open_database

MARKER = b"a-destroyed-data-key-of-32-bytes"
TOKENS_A_RECORD = 12


def tokens(folder: Path) -> None:
    """Insert tokens into one large B-tree, into a small one that is merged in order, and into Aurea's index.

    A token is a random number, so each insert into the large tree dirties a page of its own.
    """
    records, batch = 250_000, 5_000
    direct = _tokens_direct(folder / "direct.sqlite", records, batch)
    merged = _tokens_merged(folder / "merged.sqlite", records, batch)
    paged = _tokens_paged(folder / "paged.sqlite", records, batch)
    report(
        "sqlite.tokens",
        records=records,
        tokens_a_record=TOKENS_A_RECORD,
        b_tree=direct,
        b_tree_merged_in_order=merged,
        sorted_runs_in_pages=paged,
    )


def _tokens_direct(path: Path, records: int, batch: int) -> dict[str, float]:
    con = _open_tokens(path)
    rates = []
    for start in range(0, records, batch):
        rows = _token_rows(start, batch)
        began = time.perf_counter()
        con.execute("BEGIN IMMEDIATE")
        con.executemany("INSERT INTO tokens VALUES (?, ?)", rows)
        con.execute("COMMIT")
        rates.append(batch / (time.perf_counter() - began))
    return _first_and_last(rates)


def _tokens_merged(path: Path, records: int, batch: int) -> dict[str, float]:
    """Batches append to `recent`; every ten batches it moves into the large tree in key order."""
    con = _open_tokens(path)
    con.execute(
        "CREATE TABLE recent (prefix INTEGER, key_id INTEGER, PRIMARY KEY (prefix, key_id)) WITHOUT ROWID"
    )
    rates, window = [], 10
    began = time.perf_counter()
    for count, start in enumerate(range(0, records, batch), start=1):
        rows = _token_rows(start, batch)
        con.execute("BEGIN IMMEDIATE")
        con.executemany("INSERT INTO recent VALUES (?, ?)", rows)
        con.execute("COMMIT")
        if count % window == 0:
            con.execute("BEGIN IMMEDIATE")
            con.execute("INSERT INTO tokens SELECT prefix, key_id FROM recent ORDER BY prefix, key_id")
            con.execute("DELETE FROM recent")
            con.execute("COMMIT")
            rates.append(batch * window / (time.perf_counter() - began))
            began = time.perf_counter()
    return _first_and_last(rates)


def _tokens_paged(path: Path, records: int, batch: int) -> dict[str, float]:
    """Use `consent.token_index` as ingest does: every batch one run, merged when that is worth it."""
    keys = open_database(f"sqlite:///{path}", secure_delete=True)
    key_metadata.create_all(keys.engine)
    KeyStore(keys).initialise()
    index, rates = TokenIndex(), []
    for start in range(0, records, batch):
        rows = _token_rows(start, batch)
        began = time.perf_counter()
        with keys.write() as conn:
            index.add(conn, [prefix for prefix, _ in rows], [number for _, number in rows])
        index.merge_recent(keys)
        rates.append(batch / (time.perf_counter() - began))
    keys.close()
    return _first_and_last(rates)


def _open_tokens(path: Path) -> sqlite3.Connection:
    con = sqlite3.connect(path, isolation_level=None)
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON", f"cache_size=-{64 * 1024}"):
        con.execute(f"PRAGMA {pragma}")
    con.execute(
        "CREATE TABLE tokens (prefix INTEGER, key_id INTEGER, PRIMARY KEY (prefix, key_id)) WITHOUT ROWID"
    )
    return con


def _token_rows(start: int, count: int) -> list[tuple[int, int]]:
    noise = memoryview(os.urandom(8 * count * TOKENS_A_RECORD)).cast("q")
    return [(prefix, start + at // TOKENS_A_RECORD) for at, prefix in enumerate(noise)]


def _first_and_last(rates: list[float]) -> dict[str, float]:
    """Return the rates of the first and the last fifth: the harmonic mean, as batches are of one size."""
    fifth = max(1, len(rates) // 5)
    return {
        "first_records_per_s": rounded(harmonic_mean(rates[:fifth])),
        "last_records_per_s": rounded(harmonic_mean(rates[-fifth:])),
    }


def remains(folder: Path) -> None:
    """Search for the bytes of a deleted key, before and after the write-ahead log is truncated."""
    path = folder / "keys.sqlite"
    con = sqlite3.connect(path, isolation_level=None)
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON"):
        con.execute(f"PRAGMA {pragma}")
    con.execute("CREATE TABLE keys (id INTEGER PRIMARY KEY, wrapped BLOB)")
    con.execute("INSERT INTO keys VALUES (1, ?)", (MARKER,))
    con.execute("INSERT INTO keys VALUES (2, zeroblob(32))")
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM keys").fetchall()
    con.execute("DELETE FROM keys WHERE id = 1")
    con.execute("PRAGMA busy_timeout=50")
    blocked = con.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    readable_blocked = _readable(path)
    reader.execute("COMMIT")
    free = con.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    report(
        "sqlite.remains",
        with_an_open_reader={"busy_log_checkpointed": blocked, "value_readable": readable_blocked},
        without={"busy_log_checkpointed": free, "value_readable": _readable(path)},
    )


def _readable(path: Path) -> bool:
    files = [path, path.with_name(path.name + "-wal")]
    return any(MARKER in file.read_bytes() for file in files if file.exists())


def log(folder: Path) -> None:
    """How long one access-log entry takes to be durable, beside a writer that holds the lock 40 ms at a time.

    Once as a row of a table behind SQLite's write lock, once as a line of this process's own file.
    """
    path = folder / "busy.sqlite"
    con = sqlite3.connect(path, isolation_level=None, timeout=30)
    con.execute("PRAGMA journal_mode=WAL")
    con.execute("PRAGMA synchronous=FULL")
    con.execute("CREATE TABLE log (id INTEGER PRIMARY KEY, entry TEXT)")
    con.execute("CREATE TABLE bulk (id INTEGER PRIMARY KEY, x INTEGER)")
    writer = multiprocessing.get_context("spawn").Process(target=hold_lock, args=(path, 10.0), daemon=True)
    writer.start()
    time.sleep(1.0)
    table = _durations(lambda: con.execute("INSERT INTO log (entry) VALUES (?)", ("x" * 300,)), seconds=6.0)
    with (folder / "segment.jsonl").open("ab", buffering=0) as segment:
        own_file = _durations(
            lambda: (segment.write(b"x" * 300 + b"\n"), os.fsync(segment.fileno())), seconds=2.0
        )
    writer.terminate()
    writer.join()
    report("sqlite.log", table=percentiles(table), own_file=percentiles(own_file))


def hold_lock(path: Path, seconds: float) -> None:
    """Write in transactions of 40 ms one after the other, as a bulk writer without manners does."""
    con = sqlite3.connect(path, isolation_level=None, timeout=30)
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        con.execute("BEGIN IMMEDIATE")
        until = time.perf_counter() + 0.040
        while time.perf_counter() < until:
            con.execute("INSERT INTO bulk (x) VALUES (1)")
        con.execute("COMMIT")


def _durations(call: Callable[[], object], *, seconds: float) -> list[float]:
    samples = []
    end = time.perf_counter() + seconds
    while (began := time.perf_counter()) < end:
        call()
        samples.append(time.perf_counter() - began)
        time.sleep(0.002)  # readers arrive one by one
    return samples


MEASUREMENTS: dict[str, Callable[[Path], None]] = {"tokens": tokens, "remains": remains, "log": log}

if __name__ == "__main__":
    for name in sys.argv[1:] or MEASUREMENTS:
        with tempfile.TemporaryDirectory() as scratch:
            MEASUREMENTS[name](Path(scratch))
