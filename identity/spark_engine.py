"""The linkage engine on Spark: the same statements, Splink's Spark backend, golden IDs as from DuckDB.

A table is a data frame that is computed once and kept by the executors, in memory and, beyond it, encrypted
on their disks (`identity.spark_session`). Statements come in DuckDB's SQL (`identity.spark_sql`); tables are
created, appended to and dropped, and never updated, for data frames are values.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Self

import pyarrow as pa
from pyspark import StorageLevel
from pyspark.sql import DataFrame
from pyspark.sql.functions import arrow_udf
from splink.internals.spark.database_api import SparkAPI
from sqlglot import exp

from identity.errors import EngineError
from identity.spark_session import LOCAL, Running, start
from identity.spark_similarity import SIMILARITIES
from identity.spark_sql import Parameters, parsed, spark_condition, spark_sql
from identity.splink_bridge import Backend

_MEMORY_SHORT: Final = ("OutOfMemory", "UNABLE_TO_ACQUIRE_MEMORY", "maxResultSize")


def open_spark(
    *, master: str = "local[*]", threads: int | None = None, memory: str | None = None, folder: Path
) -> "SparkEngine":
    """Open an engine on the Spark of `master`; `folder` is where it may write, encrypted.

    `threads` counts in local mode only. Raises EngineError where pyspark, Java or the master is not there.
    """
    if threads is not None and master.startswith(LOCAL):
        master = f"{LOCAL}[{threads}]"
    running = start(master=master, memory=memory, folder=folder)
    try:
        return SparkEngine(running)
    except BaseException:
        running.close()
        raise


class SparkRows:
    """What a query found, brought to the driver when it is asked for."""

    def __init__(self, collected: Callable[[], pa.Table]) -> None:
        self._collected = collected

    def fetchone(self) -> tuple[Any, ...] | None:
        """Return the first row, or None."""
        rows = self.fetchall()
        return rows[0] if rows else None

    def fetchall(self) -> list[tuple[Any, ...]]:
        """Return all rows."""
        return list(zip(*(column.to_pylist() for column in self._collected().columns), strict=True))

    def fetchnumpy(self) -> dict[str, Any]:
        """Return the columns by name, as arrays."""
        found = self._collected()
        return {name: found.column(name).to_numpy() for name in found.column_names}


class SparkEngine:
    """An `identity.engine.Engine`. One at a time in a process: Spark allows no more."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self._session = running.session
        self._tables: dict[str, list[DataFrame]] = {}  # the parts that each consists of
        for name, function in SIMILARITIES.items():
            self._session.udf.register(name, arrow_udf(function, "double"))

    def execute(self, statement: str, parameters: Parameters = (), /) -> SparkRows:
        """Execute a statement in DuckDB's SQL. Raises EngineError, without what Spark may quote."""
        tree = parsed(statement, parameters)
        if isinstance(tree, exp.Create) and isinstance(tree.this, exp.Schema):
            return self._done(self._create, tree.this)
        if isinstance(tree, exp.Create):
            return self._done(self._keep, tree.this.name, tree.expression)
        if isinstance(tree, exp.Insert):
            return self._done(self._append, tree.this.name, tree.expression)
        if isinstance(tree, exp.Drop):
            return self._done(self._drop, *(table.name for table in tree.find_all(exp.Table)))
        frame = _guarded(self._session.sql, spark_sql(tree))
        return SparkRows(lambda: _guarded(frame.toArrow))

    def register(self, name: str, table: pa.Table, /) -> None:
        """Send a table to the executors; not through a file, as the session's encryption sees to."""
        _guarded(lambda: self._session.createDataFrame(table).createOrReplaceTempView(name))

    def unregister(self, name: str, /) -> None:
        """Forget the name."""
        self._session.catalog.dropTempView(name)

    def backend(self) -> Backend:
        """Return Splink's Spark backend. It breaks no lineage by way of files; what it makes is kept here."""
        api = SparkAPI(  # type: ignore[no-untyped-call]  # Splink has no types here
            spark_session=self._session, break_lineage_method="persist", register_udfs_automatically=False
        )
        return Backend(api, spark_condition, lambda name: self._done(self._keep_made, name))

    def close(self) -> None:
        """End the session, its processes and all that they hold."""
        self._running.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _done(self, change: Callable[..., None], *given: Any) -> SparkRows:
        _guarded(change, *given)
        return SparkRows(lambda: pa.table({}))

    def _create(self, schema: exp.Schema) -> None:
        columns = ", ".join(column.sql(dialect="spark") for column in schema.expressions)
        self._set(schema.this.name, [_computed(self._session.createDataFrame([], columns))])

    def _keep(self, name: str, query: exp.Expression) -> None:
        self._set(name, [_computed(self._session.sql(spark_sql(query)))])

    def _keep_made(self, name: str) -> None:
        self._set(name, [_computed(self._session.table(name))])

    def _append(self, name: str, query: exp.Expression) -> None:
        parts = self._tables[name]
        found = self._session.sql(spark_sql(query))
        types = zip(found.columns, parts[0].schema.fields, strict=True)
        columns = [
            found[place].cast(field.dataType).alias(field.name) for place, (_, field) in enumerate(types)
        ]
        self._view(name, [*parts, _computed(found.select(columns))])

    def _set(self, name: str, parts: list[DataFrame]) -> None:
        before = self._tables.get(name, [])
        self._view(name, parts)
        for part in before:
            _let_go(part)

    def _view(self, name: str, parts: list[DataFrame]) -> None:
        whole = parts[0]
        for part in parts[1:]:
            whole = whole.union(part)
        whole.createOrReplaceTempView(name)
        self._tables[name] = parts

    def _drop(self, name: str) -> None:
        self._session.catalog.dropTempView(name)
        for part in self._tables.pop(name, []):
            _let_go(part)


def _computed(frame: DataFrame) -> DataFrame:
    """Compute a data frame now and let the executors keep it, without how it came about.

    What plans of plans of plans refer to many times over, Spark would otherwise analyse as often.
    """
    return frame.localCheckpoint(eager=True, storageLevel=StorageLevel.MEMORY_AND_DISK_DESER)


def _let_go(part: DataFrame) -> None:
    """Free what the executors keep of a part, which `unpersist` knows nothing of."""
    part._jdf.queryExecution().analyzed().rdd().unpersist(False)  # noqa: SLF001 - has no other name


def _guarded(work: Callable[..., Any], *given: Any) -> Any:
    """Do something with Spark; say what failed without its message, which may quote values or a plan."""
    try:
        return work(*given)
    except Exception as error:  # noqa: BLE001 - py4j, pyspark and pyarrow each have their own
        short = any(word in str(error) for word in _MEMORY_SHORT)
        what = "Spark ran out of memory" if short else "Spark could not carry out a step of the linkage"
        kind = getattr(error, "getCondition", lambda: None)() or type(error).__name__
    raise EngineError(f"{what} ({kind})")
