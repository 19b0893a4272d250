"""Snapshots on the driver: one state, no lock, nothing left open, and errors as everywhere."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from identity.database import Database, open_database
from identity.errors import StoreUnreachableError
from identity.statements import Statement
from tests import stores

COUNT = Statement("SELECT COUNT(*) FROM t")
AMONG = Statement("SELECT n FROM t WHERE n IN :numbers AND n > :least ORDER BY n")


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=stores.needs_postgresql)])
def db(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    database = open_database(stores.store_url(tmp_path, "a", request.param))
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
    with pytest.raises(DBAPIError) as failed, db.snapshot() as snapshot:
        broken.rows(snapshot, n="secret-value")
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
    with db.snapshot() as snapshot:
        assert COUNT.rows(snapshot) == [(3,)], "the parent's connection is as it was"


def test_a_snapshot_cannot_write(db: Database) -> None:
    if db.is_sqlite:
        pytest.skip("a statement that reads cannot write; PostgreSQL's transaction refuses one that would")
    with pytest.raises(StoreUnreachableError, match="read-only"), db.snapshot() as snapshot:
        snapshot.rows("INSERT INTO t (n) VALUES (5) RETURNING n", ())


@pytest.mark.parametrize("single", [False, True])
def test_connections_that_the_server_ended_are_named_and_replaced(db: Database, single: bool) -> None:
    if db.is_sqlite:
        pytest.skip("SQLite has no server")
    with db.snapshot() as one, db.snapshot() as other:  # two connections that are kept
        assert COUNT.rows(one) == COUNT.rows(other)
    with db.write() as conn:
        conn.execute(text(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
            "AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
        ))  # fmt: skip
    with pytest.raises(StoreUnreachableError), db.snapshot(single=single) as snapshot:
        COUNT.rows(snapshot)
    with db.snapshot(single=single) as snapshot:
        assert COUNT.rows(snapshot) == [(3,)]


def test_commits_that_write_are_counted_of_whatever_process(db: Database) -> None:
    before = db.commits()
    if not db.is_sqlite:
        assert before is None, "nothing tells that is as cheap"
        return
    assert before is not None
    add(db)
    assert db.commits() == before + 1
    other = open_database(str(db.engine.url))
    add(other)
    other.close()
    assert db.commits() == before + 2
    with suppress(ZeroDivisionError), db.write() as conn:
        conn.execute(text("DELETE FROM t"))
        raise ZeroDivisionError
    with db.write() as conn:
        conn.execute(text("INSERT INTO t SELECT n FROM t WHERE n > 9"))
    with db.write(counted=False) as conn:
        conn.execute(text("DELETE FROM t WHERE n = 1"))
    assert db.commits() == before + 2
    with db.write() as conn:
        conn.execute(text("ALTER TABLE t RENAME TO moved"))
    assert db.commits() == before + 3


def test_the_count_of_commits_goes_round(tmp_path: Path) -> None:
    db = open_database(stores.store_url(tmp_path, "a", "sqlite"))
    with db.write(counted=False) as conn:
        conn.execute(text("CREATE TABLE t (n INTEGER)"))
        conn.exec_driver_sql(f"PRAGMA user_version={2**31 - 1}")
    add(db)
    assert db.commits() == 0
    db.close()
