"""Taking turns at writing to an SQLite store, in one process and among several."""

import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from statistics import median

import pytest

from identity.database import BUSY_TIMEOUT_MS, open_database
from identity.errors import StoreBusyError
from identity.write_turns import WriteTurns, begin_write


def connected(file: Path, patience_ms: int = 10_000) -> sqlite3.Connection:
    connection = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute(f"PRAGMA busy_timeout={patience_ms}")
    return connection


def test_a_writer_begins_soon_after_another_let_go(tmp_path: Path) -> None:
    """SQLite's own handler would try 53 ms after the first attempt, and then after 78."""
    late: list[float] = []
    with closing(connected(tmp_path / "a.db")) as one, closing(connected(tmp_path / "a.db")) as other:
        for _ in range(9):
            one.execute("BEGIN IMMEDIATE")
            with ThreadPoolExecutor(1) as pool:
                waiting = pool.submit(begin_write, other)
                time.sleep(0.057)
                assert not waiting.done()
                one.execute("ROLLBACK")
                let_go = time.perf_counter()
                waiting.result(10)
                late.append(time.perf_counter() - let_go)
            assert other.in_transaction
            other.execute("ROLLBACK")
    assert median(late) < 0.012


def test_a_writer_waits_as_long_as_its_connection_says_and_says_who_was_in_its_way(tmp_path: Path) -> None:
    with closing(connected(tmp_path / "a.db")) as one, closing(connected(tmp_path / "a.db", 150)) as other:
        one.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        with pytest.raises(sqlite3.OperationalError) as refused:
            begin_write(other)
        assert refused.value.sqlite_errorcode == sqlite3.SQLITE_BUSY
        assert time.monotonic() - began >= 0.15
        assert other.execute("PRAGMA busy_timeout").fetchone() == (150,), "others still wait as long"
        one.execute("ROLLBACK")
        begin_write(other)
        assert other.execute("PRAGMA busy_timeout").fetchone() == (150,)


def test_what_is_no_lock_is_told_at_once(tmp_path: Path) -> None:
    with closing(connected(tmp_path / "a.db")) as one:
        begin_write(one)
        with pytest.raises(sqlite3.OperationalError, match="within a transaction"):
            begin_write(one)


def test_threads_queue_and_one_that_waits_too_long_is_told(tmp_path: Path) -> None:
    turns, held, let_go = WriteTurns(100), threading.Event(), threading.Event()

    def hold() -> None:
        with turns.taken():
            held.set()
            assert let_go.wait(10)

    with ThreadPoolExecutor(1) as pool:
        holding = pool.submit(hold)
        assert held.wait(10)
        with pytest.raises(StoreBusyError), turns.taken():
            pass
        let_go.set()
        holding.result(10)
    with turns.taken():
        pass


def test_the_time_spent_in_the_queue_counts() -> None:
    """A patience for the thread's turn and one for the file's lock would be twice what is promised."""
    turns = WriteTurns(400)

    def queue() -> tuple[float, float]:
        entered = time.monotonic()
        with turns.taken() as until:
            return entered, until

    with ThreadPoolExecutor(1) as pool:
        with turns.taken():
            queued = pool.submit(queue)
            time.sleep(0.3)
        entered, until = queued.result(10)
    assert until < entered + 0.4 + 0.15


def test_a_write_gives_up_when_its_turn_has_no_time_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    db = open_database(f"sqlite:///{tmp_path / 'a.db'}")
    with db.write():
        pass
    monkeypatch.setattr(db, "_turns", WriteTurns(100))  # where the file's own patience is 30 s
    with closing(connected(tmp_path / "a.db")) as another:
        another.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        with pytest.raises(StoreBusyError), db.write():
            pass
        assert 0.1 <= time.monotonic() - began < BUSY_TIMEOUT_MS / 1000 / 3
        another.execute("ROLLBACK")
    with db.write():
        pass
    db.close()
