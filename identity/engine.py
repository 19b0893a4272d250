"""The linkage engine: an in-memory DuckDB that can't reach the disk or the network in the clear.

Plaintext of permitted records lives here for the length of one run. What keeps it in:

- in memory only; spill files are encrypted with a key that never leaves the process, or impossible;
- no file, URL or extension can be opened once the engine is locked (`enable_external_access`, automatic
  extension installing and loading off), and no statement can undo that (`lock_configuration`).

One exception: DuckDB lets a locked engine write and read plain files (`COPY`) in its own spill folder. Every
statement that runs here is this program's, none comes from outside, and none does that; and the folder,
which its owner alone may enter, is removed after every run and, after a crash, at the next start (api).

DuckDB refuses encrypted spill without the OpenSSL cipher of its httpfs extension; the wheel of exactly
the same version carries it, so no download happens (ADR 2).
"""

from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from identity.errors import EngineError

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa


class Rows(Protocol):
    """What a statement found."""

    def fetchone(self) -> Any:
        """Return the first row, or None."""
        ...

    def fetchall(self) -> list[Any]:
        """Return all rows, as tuples."""
        ...

    def fetchnumpy(self) -> dict[str, Any]:
        """Return the columns by name, as arrays."""
        ...


class Engine(Protocol):
    """What a run's SQL is executed by: DuckDB's connection, or `identity.spark_engine`.

    The statements are DuckDB's SQL of a subset that Spark can say too (`identity.spark_sql`); the parameters
    are numbers and names of ours, never a value of a person.
    """

    def execute(self, statement: str, parameters: Any = ..., /) -> Rows:
        """Execute one statement."""
        ...

    def register(self, name: str, table: "pa.Table", /) -> object:
        """Let statements read `table` by this name."""
        ...

    def unregister(self, name: str, /) -> object:
        """Forget the name."""
        ...

    def close(self) -> None:
        """Let go of everything that was loaded or made."""
        ...


_SPILL_LIMIT: Final = "64GB"  # of encrypted bytes on disk, per run


def open_engine(
    *, threads: int | None = None, memory_limit: str | None = None, spill_dir: Path | None = None
) -> "duckdb.DuckDBPyConnection":
    """Open a locked engine. Without `spill_dir` a run that outgrows `memory_limit` fails instead.

    `memory_limit` is DuckDB's form ("4GB"); default 80% of the machine's. Results of the linkage do not
    depend on `threads`. Raises EngineError where the cipher of the matching wheel can't be loaded.
    """
    import duckdb  # noqa: PLC0415 - slow to load, and most commands do without

    connection = duckdb.connect(":memory:")
    connection.execute("SET enable_progress_bar = false")
    connection.execute("SET preserve_insertion_order = false")
    if threads is not None:
        connection.execute("SET threads = ?", [threads])
    if memory_limit is not None:
        connection.execute("SET memory_limit = ?", [memory_limit])
    if spill_dir is not None:
        spill_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        _load_cipher(connection)
        connection.execute("SET temp_file_encryption = true")
        connection.execute("SET max_temp_directory_size = ?", [_SPILL_LIMIT])
    connection.execute("SET temp_directory = ?", [str(spill_dir) if spill_dir is not None else ""])
    _lock(connection)
    return connection


def _load_cipher(connection: "duckdb.DuckDBPyConnection") -> None:
    import duckdb  # noqa: PLC0415 - as above

    version = f"v{duckdb.__version__}"
    extension = (
        resources.files("duckdb_extension_httpfs") / "extensions" / version / "httpfs.duckdb_extension"
    )
    try:
        with resources.as_file(extension) as path:
            connection.load_extension(str(path))
    except (duckdb.Error, OSError) as error:
        raise EngineError(
            f"no httpfs wheel for DuckDB {duckdb.__version__}: install that version of it"
        ) from error


def _lock(connection: "duckdb.DuckDBPyConnection") -> None:
    connection.execute("SET autoinstall_known_extensions = false")
    connection.execute("SET autoload_known_extensions = false")
    connection.execute("SET allow_community_extensions = false")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
