"""DuckDB against SQLite for the operational store, and what DuckDB leaves on disk (ADRs 1, 2 and 7).

    python benchmarks/engines.py [point|commit|share|spill|deleted]...

Without arguments all of them; each prints one line of JSON.
"""

import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import duckdb
from measure import microseconds, report, rounded
from sqlalchemy import text

from identity.database import open_database
from identity.engine import open_engine

ROWS = 1_000_000
MARKER = b"Marisol-Quintanilla-Remanent"  # a made-up name that must not be found on disk
FILL = f"SELECT i AS id, i % 997 AS golden, 'x' || i AS payload FROM range({ROWS}) AS r(i)"


def point(folder: Path) -> None:
    """Read a row by its key, out of a million: each engine's own driver, and SQLAlchemy Core."""
    duck = duckdb.connect(str(folder / "point.duckdb"))
    duck.execute("CREATE TABLE t (id BIGINT PRIMARY KEY, golden BIGINT, payload VARCHAR)")
    duck.execute(f"INSERT INTO t {FILL}")
    lite = sqlite3.connect(folder / "point.sqlite", isolation_level=None)
    lite.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, golden INTEGER, payload TEXT)")
    lite.execute("BEGIN")
    lite.executemany("INSERT INTO t VALUES (?, ?, ?)", ((i, i % 997, f"x{i}") for i in range(ROWS)))
    lite.execute("COMMIT")
    ids = Cycle()
    duck_us = microseconds(lambda: duck.execute("SELECT * FROM t WHERE id = ?", [ids.next()]).fetchone())
    lite_us = microseconds(lambda: lite.execute("SELECT * FROM t WHERE id = ?", (ids.next(),)).fetchone())
    database = open_database(f"sqlite:///{folder / 'point.sqlite'}")
    query = text("SELECT * FROM t WHERE id = :id")
    with database.read() as conn:
        core_us = microseconds(lambda: conn.execute(query, {"id": ids.next()}).fetchone())
        driver_us = microseconds(
            lambda: conn.exec_driver_sql("SELECT * FROM t WHERE id = ?", (ids.next(),)).fetchone()
        )
    database.close()
    report(
        "engines.point",
        rows=ROWS,
        duckdb_us=rounded(duck_us),
        sqlite_us=rounded(lite_us),
        sqlalchemy_text_us=rounded(core_us),
        sqlalchemy_driver_sql_us=rounded(driver_us),
    )


def commit(folder: Path) -> None:
    """Insert one row and make it durable. Aurea opens SQLite with synchronous=FULL; NORMAL for comparison.

    In WAL mode NORMAL does not sync each commit, so a commit may be lost with the power.
    """
    duck = duckdb.connect(str(folder / "commit.duckdb"))
    duck.execute("CREATE TABLE t (id BIGINT PRIMARY KEY, payload VARCHAR)")
    lite = sqlite3.connect(folder / "commit.sqlite", isolation_level=None)
    lite.execute("PRAGMA journal_mode=WAL")
    lite.execute("PRAGMA synchronous=FULL")
    lite.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, payload TEXT)")
    ids = Cycle(step=1)
    duck_us = microseconds(lambda: duck.execute("INSERT INTO t VALUES (?, 'x')", [ids.next()]))
    full_us = microseconds(lambda: lite.execute("INSERT INTO t VALUES (?, 'x')", (ids.next(),)))
    lite.execute("PRAGMA synchronous=NORMAL")
    normal_us = microseconds(lambda: lite.execute("INSERT INTO t VALUES (?, 'x')", (ids.next(),)))
    report(
        "engines.commit",
        duckdb_us=rounded(duck_us),
        sqlite_full_us=rounded(full_us),
        sqlite_normal_us=rounded(normal_us),
    )


def share(folder: Path) -> None:
    """See whether a second process may read a file that one process has open for writing."""
    holder = duckdb.connect(str(folder / "share.duckdb"))
    holder.execute("CREATE TABLE t (id BIGINT)")
    lite = sqlite3.connect(folder / "share.sqlite", isolation_level=None)
    lite.execute("PRAGMA journal_mode=WAL")
    lite.execute("CREATE TABLE t (id INTEGER)")
    lite.execute("BEGIN IMMEDIATE")
    lite.execute("INSERT INTO t VALUES (1)")
    read = "import sys, {m}; {m}.connect(sys.argv[1]{o}).execute('SELECT count(*) FROM t').fetchall()"
    outcomes = {}
    for module, path, options in (
        ("duckdb", "share.duckdb", ", read_only=True"),
        ("sqlite3", "share.sqlite", ""),
    ):
        command = [sys.executable, "-c", read.format(m=module, o=options), str(folder / path)]
        outcomes[f"{module}_second_process_may_read"] = (
            subprocess.run(command, capture_output=True, check=False).returncode == 0
        )
    report("engines.share", **outcomes)
    holder.close()


def spill(folder: Path) -> None:
    """Search the spill files of a table larger than the memory limit for a value."""
    report(
        "engines.spill",
        plain=_spilled(folder / "plain", encrypt=False),
        encrypted=_spilled(folder / "encrypted", encrypt=True),
        duckdb=duckdb.__version__,
    )


def _spilled(folder: Path, *, encrypt: bool) -> dict[str, object]:
    if encrypt:  # as the linkage opens it
        con = open_engine(memory_limit="150MB", spill_dir=folder)
    else:
        con = duckdb.connect(":memory:")
        con.execute(f"SET temp_directory='{folder}'")
        con.execute("SET memory_limit='150MB'")
        con.execute("SET preserve_insertion_order=false")
    con.execute(
        f"CREATE TABLE t AS SELECT i, '{MARKER.decode()}-' || i || '-' || md5(i::VARCHAR) AS name "
        "FROM range(6000000) AS r(i)"
    )
    files = [path for path in folder.rglob("*") if path.is_file()]
    outcome: dict[str, object] = {
        "spilled_mb": round(sum(path.stat().st_size for path in files) / 1e6),
        "value_readable": any(_holds(path) for path in files),
    }
    con.close()
    return outcome


def deleted(folder: Path) -> None:
    """Delete one person's row, then CHECKPOINT and VACUUM, and search the file for the value.

    DuckDB's string compression hides a value from a plain search even before it is deleted; the columns
    are kept uncompressed here so that the search can find what is there.
    """
    path = folder / "deleted.duckdb"
    duck = duckdb.connect(str(path))
    duck.execute("PRAGMA force_compression='uncompressed'")
    duck.execute(
        f"CREATE TABLE t AS SELECT i, CASE i WHEN 777 THEN '{MARKER.decode()}' ELSE md5(i::VARCHAR) END name "
        "FROM range(200000) AS r(i)"
    )
    duck.execute("CHECKPOINT")
    before = _holds(path)
    for statement in ("DELETE FROM t WHERE i = 777", "CHECKPOINT", "VACUUM", "CHECKPOINT"):
        duck.execute(statement)
    duck.close()
    figures = {"duckdb_before": before, "duckdb_after_checkpoint_and_vacuum": _holds(path)}
    for secure in ("OFF", "ON"):
        path = folder / f"deleted_{secure}.sqlite"
        lite = sqlite3.connect(path, isolation_level=None)
        lite.execute(f"PRAGMA secure_delete={secure}")
        lite.execute("CREATE TABLE t (i INTEGER PRIMARY KEY, name TEXT)")
        lite.execute("BEGIN")
        rows = ((i, MARKER.decode() if i == 777 else f"{i:032x}") for i in range(200_000))
        lite.executemany("INSERT INTO t VALUES (?, ?)", rows)
        lite.execute("COMMIT")
        figures[f"sqlite_before_secure_delete_{secure}"] = _holds(path)
        lite.execute("DELETE FROM t WHERE i = 777")
        lite.close()
        figures[f"sqlite_after_secure_delete_{secure}"] = _holds(path)
    report("engines.deleted", value_readable=figures)


def _holds(path: Path) -> bool:
    return MARKER in path.read_bytes()


class Cycle:
    """Keys in an order that no cache foresees."""

    def __init__(self, step: int = 7919) -> None:
        self._step, self._at = step, 0

    def next(self) -> int:
        """Return the next key below ROWS."""
        self._at = (self._at + self._step) % ROWS
        return self._at


MEASUREMENTS: dict[str, Callable[[Path], None]] = {
    "point": point,
    "commit": commit,
    "share": share,
    "spill": spill,
    "deleted": deleted,
}

if __name__ == "__main__":
    for name in sys.argv[1:] or MEASUREMENTS:
        with tempfile.TemporaryDirectory() as scratch:
            MEASUREMENTS[name](Path(scratch))
