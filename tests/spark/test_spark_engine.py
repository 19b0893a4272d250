"""The Spark engine keeps plaintext to itself: on disk, in messages, and when it has ended."""

import shutil
import tempfile

import numpy as np
import pyarrow as pa
import pytest

pytest.importorskip("pyspark", reason="needs pyspark: run `make test-spark`")

from identity import spark_session
from identity.errors import EngineError
from tests.spark.running import QUIET, configuration, java_processes, spark, watched

pytestmark = [QUIET, pytest.mark.slow, pytest.mark.timeout(900)]

MARKER = "Rosalind-Marker-Quintanilla"
ROWS = 150_000


def shuffled(folder):
    """Bring rows with the marker to Spark and through a shuffle and a sort; return how many there are."""
    with spark(folder) as engine:
        names = [f"{MARKER}-{n * 7919 % ROWS}-{n}" for n in range(ROWS)]
        engine.register("named", pa.table({"n": np.arange(ROWS), "name": names}))
        engine.execute("CREATE TABLE kept AS SELECT n, name FROM named")
        engine.execute(
            "CREATE TABLE ordered AS"
            " SELECT n, name, row_number() OVER (PARTITION BY n % 7 ORDER BY name) AS place FROM kept"
        )
        (count,) = engine.execute("SELECT count(*) FROM ordered WHERE place > 0").fetchone()
    return count


def seen_while_shuffling(folder, monkeypatch):
    """What lay in Spark's folder and in Python's folder for temporary files, which is in it here."""
    python = folder / "python"
    python.mkdir(parents=True)
    monkeypatch.setattr(tempfile, "tempdir", str(python))
    with watched(folder) as seen:
        assert shuffled(folder / "spark") == ROWS
    return bytes(seen)


def test_what_it_writes_to_disk_is_not_readable(tmp_path, monkeypatch):
    seen = seen_while_shuffling(tmp_path, monkeypatch)
    assert len(seen) > 2_000_000, "nothing was written, so nothing was tested"
    assert MARKER.encode() not in seen


def test_without_the_encryption_it_would_be(tmp_path, monkeypatch):
    def plain(*given):
        return configuration(*given) | {"spark.io.encryption.enabled": "false"}

    monkeypatch.setattr(spark_session, "configuration", plain)
    assert MARKER.encode() in seen_while_shuffling(tmp_path, monkeypatch)


def test_when_it_has_ended_its_processes_and_files_are_gone(tmp_path, monkeypatch):
    here, elsewhere = tmp_path / "here", tmp_path / "spill"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setattr(tempfile, "tempdir", str(here))
    before = java_processes()
    with spark(elsewhere) as engine:
        engine.register("t", pa.table({"name": [MARKER]}))
        assert engine.execute("SELECT name FROM t").fetchall() == [(MARKER,)]
        assert len(java_processes() - before) == 1
        assert oct(elsewhere.stat().st_mode)[-3:] == "700"
    assert java_processes() <= before
    assert list(here.iterdir()) == []
    assert {path.name for path in elsewhere.rglob("*") if path.is_file()} <= {"log4j2.properties"}


FAILING = {
    "an error that quotes a value": "SELECT raise_error(name) FROM t",
    "a table that is not there, in a statement with a value": f"SELECT a FROM nowhere WHERE a = '{MARKER}'",  # noqa: S608 - of this test
    "a value that Python can't take": "SELECT jaro_similarity(n, name) FROM t",
}


def test_a_failure_quotes_no_value(tmp_path, capfd):
    with spark(tmp_path) as engine:
        engine.register("t", pa.table({"name": [MARKER], "n": [[1]]}))
        for case, statement in FAILING.items():
            with pytest.raises(EngineError) as failed:
                engine.execute(statement).fetchall()
            assert MARKER not in str(failed.value), case
            assert failed.value.__cause__ is failed.value.__context__ is None, "nor may a traceback"
        with pytest.raises(EngineError):
            engine.execute("CREATE TABLE made AS SELECT raise_error(name) FROM t")
    assert capfd.readouterr() == ("", "")


def test_two_engines_follow_each_other(tmp_path):
    for folder in ("one", "two"):
        with spark(tmp_path / folder) as engine:
            assert engine.execute("SELECT 1").fetchone() == (1,)


def test_without_java_the_remedy_is_named(tmp_path, monkeypatch):
    monkeypatch.delenv("JAVA_HOME", raising=False)
    tools = tmp_path / "tools"  # the commands that Spark's scripts need, and no java
    tools.mkdir()
    for name in ("bash", "dirname", "basename", "env", "uname", "cat", "ls", "grep", "ps"):
        if found := shutil.which(name):
            (tools / name).symlink_to(found)
    monkeypatch.setenv("PATH", str(tools))
    with pytest.raises(EngineError, match="needs Java 17 or newer"):
        spark(tmp_path / "spill")
