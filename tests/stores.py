"""Which stores the tests run on: SQLite, or with AUREA_TEST_STORE=postgresql a server of their own.

A store belongs to a folder, as SQLite's file does: whoever names the same folder opens the same store.
"""

import os
import re
import shutil
from collections.abc import Callable
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from identity.database import Database, open_database
from tests import postgres

needs_postgresql = pytest.mark.skipif(postgres.programs() is None, reason="no PostgreSQL is installed here")
STORE = os.environ.get("AUREA_TEST_STORE", "sqlite")
ON_POSTGRESQL = STORE == "postgresql"


def only_on_sqlite(why: str) -> Callable[[Any], Any]:
    """Skip on PostgreSQL a test about SQLite itself."""
    return pytest.mark.skipif(ON_POSTGRESQL, reason=f"about SQLite: {why}")


def environment(home: Path) -> dict[str, str]:
    """Return the variables that name a home and its stores."""
    named = {"AUREA_HOME": str(home)}
    if ON_POSTGRESQL:
        named |= on_postgresql(home)
    return named


def on_postgresql(home: Path) -> dict[str, str]:
    """Return the variables that name the stores of `home` on PostgreSQL, whatever the tests run on."""
    return {
        "AUREA_DATABASE_URL": _on_postgresql(home, "aurea"),
        "AUREA_KEYS_URL": _on_postgresql(home, "keys"),
    }


def in_schemas(home: Path) -> dict[str, str]:
    """Return the variables that name the stores of `home` as two schemas of one database."""
    url = _on_postgresql(home, "aurea")
    with closing(opened(url)) as store, store.write() as conn:
        for schema in ("data", "keys"):
            conn.exec_driver_sql(f"CREATE SCHEMA IF NOT EXISTS {schema}")
    within = f"{url}&options=-csearch_path%3D"
    return {"AUREA_DATABASE_URL": f"{within}data", "AUREA_KEYS_URL": f"{within}keys"}


def store_url(folder: Path, name: str, on: str = STORE) -> str:
    """Return the URL of one store of a folder, `on` sqlite or postgresql."""
    return _on_postgresql(folder, name) if on == "postgresql" else f"sqlite:///{folder / f'{name}.db'}"


def keep_home(home: Path) -> None:
    """Keep the stores of `home`, which a test makes, for the tests after it."""
    if ON_POSTGRESQL:
        postgres.databases().kept |= {_name(home, name) for name in ("aurea", "keys")}


def copy_home(home: Path, to: Path) -> None:
    """Copy a home that nobody has open, with its stores."""
    shutil.copytree(home, to)
    if ON_POSTGRESQL:
        for name in ("aurea", "keys"):
            postgres.databases().copy(_name(home, name), _name(to, name))


def _on_postgresql(folder: Path, name: str) -> str:
    return postgres.databases().url(_name(folder, name))


def _name(folder: Path, name: str) -> str:
    return f"{name}_{sha256(str(folder.resolve()).encode()).hexdigest()[:16]}"


def spoken(sql: str) -> str:
    """Return SQL that alters bytes as SQLite does in the words of the store that the tests run on."""
    if not ON_POSTGRESQL:
        return sql
    sql = re.sub(r"zeroblob\((\d+)\)", r"decode(repeat('00', \1), 'hex')", sql)
    return re.sub(
        r"CAST\(replace\(CAST\((\w+) AS TEXT\), (.*?)\) AS BLOB\)",
        r"convert_to(replace(convert_from(\1, 'UTF8'), \2), 'UTF8')",
        sql,
    )


def opened(url: str) -> Database:
    """Open a store by its URL, beside whoever else has it open."""
    return open_database(url, lock_id=9)
