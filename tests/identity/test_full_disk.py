"""A store without room says so, keeps what was committed, and goes on once there is room."""

from pathlib import Path

import pytest

from identity.database import open_database
from identity.errors import StoreFullError


def test_a_full_store_names_the_remedy_loses_nothing_and_goes_on(tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path / 'store.db'}")
    with database.write() as conn:
        conn.exec_driver_sql("CREATE TABLE kept (value BLOB)")
        conn.exec_driver_sql("INSERT INTO kept VALUES (zeroblob(1000))")

    def fill() -> None:
        with database.write() as conn:
            conn.exec_driver_sql("PRAGMA max_page_count = 20")  # SQLite then answers as on a full disk
            conn.exec_driver_sql("INSERT INTO kept VALUES (zeroblob(1000000))")

    with pytest.raises(StoreFullError, match="free some space"):
        fill()

    with database.write() as conn:
        conn.exec_driver_sql("PRAGMA max_page_count = 1000000")
        conn.exec_driver_sql("INSERT INTO kept VALUES (zeroblob(1000000))")
        assert conn.exec_driver_sql("SELECT count(*) FROM kept").scalar_one() == 2
    database.close()
