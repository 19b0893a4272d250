"""Snapshots on the driver: one state, no lock, nothing left open, and errors as everywhere."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, OperationalError

from identity.database import Database, open_database
from identity.statements import Statement

COUNT = Statement("SELECT COUNT(*) FROM t")
AMONG = Statement("SELECT n FROM t WHERE n IN :numbers AND n > :least ORDER BY n")


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    database = open_database(f"sqlite:///{tmp_path / 'a.db'}")
    with database.write() as conn:
        conn.execute(text("CREATE TABLE t (n INTEGER)"))
        conn.execute(text("INSERT INTO t (n) VALUES (1), (2), (3)"))
    yield database
    database.close()


def add(db: Database) -> None:
    with db.write() as conn:
        conn.execute(text("INSERT INTO t (n) VALUES (4)"))


def test_a_snapshot_does_not_see_what_is_committed_after_its_first_statement(db: Database) -> None:
    with db.snapshot() as snapshot:
        assert COUNT.rows(snapshot) == [(3,)]
        add(db)
        assert COUNT.rows(snapshot) == [(3,)]
    with db.snapshot() as snapshot:
        assert COUNT.rows(snapshot) == [(4,)]


def test_single_statements_see_what_is_committed_by_then(db: Database) -> None:
    with db.snapshot(single=True) as snapshot:
        assert COUNT.rows(snapshot) == [(3,)]
        add(db)
        assert COUNT.rows(snapshot) == [(4,)]


@pytest.mark.parametrize("count", [0, 1, 2, 3, 5, 500])
def test_lists_of_any_length_are_bound(db: Database, count: int) -> None:
    numbers = list(range(count))
    expected = [(n,) for n in numbers if 1 < n <= 3]
    with db.snapshot() as snapshot, db.read() as conn:
        assert AMONG.rows(snapshot, numbers=numbers, least=1) == expected
        assert AMONG.rows(conn, numbers=numbers, least=1) == expected


def test_an_error_names_no_value_and_leaves_no_transaction_open(db: Database) -> None:
    broken = Statement("SELECT * FROM missing WHERE n = :n")
    with pytest.raises(OperationalError) as failed, db.snapshot() as snapshot:
        broken.rows(snapshot, n="secret-value")
    assert isinstance(failed.value, DBAPIError)
    assert "secret-value" not in str(failed.value)
    add(db)
    with db.snapshot() as snapshot:
        assert COUNT.rows(snapshot) == [(4,)]


def test_an_exception_of_the_reader_leaves_no_transaction_open(db: Database) -> None:
    def read() -> None:
        with db.snapshot() as snapshot:
            COUNT.rows(snapshot)
            raise KeyError

    with pytest.raises(KeyError):
        read()
    add(db)
    with db.snapshot() as snapshot:
        assert COUNT.rows(snapshot) == [(4,)]
    assert db.truncate_log(1.0)


def test_many_threads_read_at_once(db: Database) -> None:
    def read(_: int) -> list[tuple[int]]:
        with db.snapshot() as snapshot:
            return COUNT.rows(snapshot)

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(read, range(200))) == [[(3,)]] * 200


def test_a_forked_child_opens_connections_of_its_own(db: Database) -> None:
    with db.snapshot() as snapshot:
        COUNT.rows(snapshot)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            with db.snapshot() as snapshot:
                status = 0 if COUNT.rows(snapshot) == [(3,)] else 2
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
