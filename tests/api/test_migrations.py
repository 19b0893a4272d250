from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, text

from api.migrations import KEYS, OPERATIONAL, History, _run, is_current, upgrade
from api.settings import Settings
from api.stores import create_home, open_keys, open_operational
from identity.database import Database, open_database
from tests.stores import only_on_sqlite, store_url


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    one = open_database(store_url(tmp_path, "store"))
    yield one
    one.close()


def schema(database: Database) -> dict[str, set[str | None]]:
    """The names of the tables, each with those of its columns and indexes."""
    with database.read() as conn:
        seen = inspect(conn)
        return {
            table: {column["name"] for column in seen.get_columns(table)}
            | {index["name"] for index in seen.get_indexes(table)}
            for table in seen.get_table_names()
        }


@pytest.mark.parametrize("history", [OPERATIONAL, KEYS], ids=lambda history: history.name)
def test_an_upgraded_store_has_the_schema_the_code_works_with(database: Database, history: History) -> None:
    upgrade(database, history)
    with database.read() as conn:
        options = {"version_table": history.version_table, "compare_type": True}
        context = MigrationContext.configure(conn, opts=options)
        assert compare_metadata(context, history.metadata) == []


@pytest.mark.parametrize("history", [OPERATIONAL, KEYS], ids=lambda history: history.name)
def test_the_newest_schema_is_where_the_scripts_lead(history: History) -> None:
    assert history.newest() == history.scripts().get_current_head()


@only_on_sqlite("its pragma; docs/erasure.md says what PostgreSQL keeps")
def test_both_stores_overwrite_what_is_deleted(tmp_path: Path) -> None:
    settings = Settings.from_environment({"AUREA_HOME": str(tmp_path / "home")})
    create_home(settings)
    for store in (open_operational(settings), open_keys(settings)):
        with store.read() as conn:
            assert conn.execute(text("PRAGMA secure_delete")).scalar_one() == 1
        store.close()


@pytest.mark.parametrize("history", [OPERATIONAL, KEYS], ids=lambda history: history.name)
def test_upgrading_twice_changes_nothing(database: Database, history: History) -> None:
    assert not is_current(database, history)
    upgrade(database, history)
    upgrade(database, history)
    assert is_current(database, history)


def test_counters_start_at_zero_and_exist(database: Database) -> None:
    upgrade(database, OPERATIONAL)
    with database.read() as conn:
        found: dict[str, int] = dict(list(conn.execute(text("SELECT name, value FROM counters"))))
    names = "published_version change_sequence change_seq golden_no judgement_no household_no "
    names += "ledger_time webhook_no delivery_no request_no hold_no"
    assert found == dict.fromkeys(names.split(), 0)


@only_on_sqlite("its tables without row numbers")
def test_tables_without_row_numbers_are_created_as_such(database: Database) -> None:
    """compare_metadata does not look at WITHOUT ROWID, which the large tables' size depends on."""
    upgrade(database, OPERATIONAL)
    upgrade(database, KEYS)
    with database.read() as conn:
        ddl: dict[str, str] = dict(
            list(conn.execute(text("SELECT name, sql FROM sqlite_master WHERE sql > ''")))
        )
    tables = {**OPERATIONAL.metadata.tables, **KEYS.metadata.tables}
    for name, table in tables.items():
        expected = table.dialect_options["sqlite"]["with_rowid"] is False
        assert ("WITHOUT ROWID" in ddl[name]) == expected, name


def test_the_review_queue_of_the_first_release_is_kept_one_row_for_two_records(database: Database) -> None:
    scripts = OPERATIONAL.scripts()
    with database.write() as conn:
        _run(conn, OPERATIONAL, scripts, lambda revision, _context: scripts._upgrade_revs("0001", revision))
        conn.execute(text("INSERT INTO reviews VALUES (7, 3, 1.5, 100), (3, 7, 1.0, 50), (2, 9, 0.5, 10)"))
    upgrade(database, OPERATIONAL)
    with database.read() as conn:
        rows = conn.execute(
            text(
                "SELECT record_a, record_b, weight, cause, state, recorded_at FROM reviews ORDER BY record_a"
            )
        ).all()
    assert [tuple(row) for row in rows] == [
        (2, 9, 0.5, "uncertain", "open", 10), (3, 7, 1.5, "uncertain", "open", 100),
    ]  # fmt: skip


def test_taking_the_newest_migration_back_leaves_the_schema_before_it(
    database: Database, tmp_path: Path
) -> None:
    scripts = OPERATIONAL.scripts()
    upgrade(database, OPERATIONAL)
    with database.write() as conn:
        _run(conn, OPERATIONAL, scripts, lambda revision, _context: scripts._downgrade_revs("0001", revision))
    with closing(open_database(store_url(tmp_path, "fresh"))) as fresh:
        with fresh.write() as conn:
            _run(
                conn, OPERATIONAL, scripts, lambda revision, _context: scripts._upgrade_revs("0001", revision)
            )
        assert schema(database) == schema(fresh)
