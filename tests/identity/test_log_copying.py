"""SQLite's log is copied beside the commits: nobody waits for it, and nothing of it is lost."""

from pathlib import Path
from threading import Event

import pytest
from sqlalchemy import text

from identity.database import Database, open_database
from identity.errors import StoreFullError
from identity.log_copying import COMMITS_AT_ONCE, LogCopying


def commit(copying: LogCopying, times: int) -> None:
    for _ in range(times):
        copying.committed()


def test_the_log_is_copied_after_some_commits_and_never_twice_at_once() -> None:
    begun, go_on, copied = Event(), Event(), []

    def checkpoint() -> None:
        begun.set()
        assert go_on.wait(10)
        copied.append(1)

    copying = LogCopying(checkpoint)
    commit(copying, COMMITS_AT_ONCE - 1)
    assert not begun.is_set()
    commit(copying, 1)
    assert begun.wait(10)
    commit(copying, 3 * COMMITS_AT_ONCE)
    go_on.set()
    copying.wait()
    assert len(copied) == 1
    commit(copying, 1)  # what was committed meanwhile is not forgotten
    copying.wait()
    assert len(copied) == 2


def test_a_failure_of_it_is_left_to_the_next_commit() -> None:
    def checkpoint() -> None:
        raise StoreFullError("full")

    copying = LogCopying(checkpoint)
    commit(copying, COMMITS_AT_ONCE)
    copying.wait()


@pytest.fixture
def db(tmp_path: Path) -> Database:
    db = open_database(f"sqlite:///{tmp_path / 'store.db'}")
    with db.write() as conn:
        conn.execute(text("CREATE TABLE said (word TEXT)"))
    return db


def test_many_commits_leave_a_short_log_and_all_they_wrote(db: Database, tmp_path: Path) -> None:
    for number in range(20 * COMMITS_AT_ONCE):
        with db.write() as conn:
            conn.execute(text("INSERT INTO said VALUES (:word)"), {"word": f"{number}" * 900})
    db.close()
    with open_database(f"sqlite:///{tmp_path / 'store.db'}").read() as conn:
        assert conn.execute(text("SELECT count(*) FROM said")).scalar() == 20 * COMMITS_AT_ONCE


def test_bulk_writers_copy_the_log_themselves(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    copied: list[int] = []
    monkeypatch.setattr(db, "_copying", LogCopying(lambda: copied.append(1)))
    for _ in range(3 * COMMITS_AT_ONCE):
        with db.write(checkpoint=False) as conn:
            conn.execute(text("INSERT INTO said VALUES ('bulk')"))
    db.close()
    assert not copied
