"""A Spark session that writes nothing readable, says nothing and leaves nothing behind.

Spark writes to disk in any run: every shuffle does, memory pressure or not. So:

- whatever it writes there is encrypted (`spark.io.encryption`, AES with 256 bits) under a key that Spark
  draws for the session and that never leaves its processes;
- in local mode all of it lies in the run's private folder, Java's own temporary files too;
- no event log, no web page, no log at all: plans and errors may quote values;
- the Java process, with whatever it holds in memory, ends with the session.

On a cluster what executors and driver tell each other is encrypted as well, which Spark refuses without
authentication: on YARN and Kubernetes it makes the secret itself, on a standalone cluster
`spark.authenticate.secret` must be in its `spark-defaults.conf`.
"""

import logging
import os
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pyspark import SparkConf, SparkContext
from pyspark.errors import PySparkRuntimeError
from pyspark.java_gateway import launch_gateway
from pyspark.sql import SparkSession

from identity.errors import EngineError

LOCAL: Final = "local"
_LOCAL_PARTITIONS: Final = "16"
"""Of a shuffle on one machine; adaptive execution joins small ones. A cluster keeps Spark's own number."""

_SILENT: Final = "status = off\nrootLogger.level = off\n"
_JAVA: Final = "-XX:-UsePerfData -XX:-HeapDumpOnOutOfMemoryError -XX:+SuppressFatalErrorMessage"
"""A Java process that writes neither a heap nor its counters to a file, not even when it dies."""

_TALKATIVE: Final = ("DataFrameQueryContextLogger", "SQLQueryContextLogger", "py4j")
"""Python's side of Spark prints errors on its own, with what they quote."""

_NO_JAVA: Final = (
    "Java did not start: the Spark engine needs Java 17 or newer; install it or set JAVA_HOME,"
    " or use --engine duckdb"
)
_NO_MASTER: Final = "Spark did not start on its master: see AUREA_SPARK_MASTER and spark-defaults.conf"


@dataclass(frozen=True, slots=True)
class Running:
    """A session, and the Java process that it alone talks to."""

    session: SparkSession
    gateway: Any

    def close(self) -> None:
        """End the session and its Java process; return when it is gone."""
        try:
            self.session.stop()
        finally:
            _end(self.gateway)


def start(*, master: str, memory: str | None, folder: Path) -> Running:
    """Start Spark; `memory` is the driver's, in Spark's form ("4g").

    Raises EngineError, with the remedy, where Java or the master is not there.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    conf = SparkConf(loadDefaults=False)
    conf.setAll(list(configuration(master, memory, folder).items()))
    os.environ["SPARK_LOCAL_DIRS"] = str(folder)  # would come before `spark.local.dir`
    for name in _TALKATIVE:
        logging.getLogger(name).disabled = True
    # its output could quote values, and warns of things that are as they should be
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    try:
        gateway = launch_gateway(conf, popen_kwargs=quiet)
    except (PySparkRuntimeError, OSError):
        raise EngineError(_NO_JAVA) from None
    try:
        context = SparkContext(conf=conf, gateway=gateway)
    except Exception:  # noqa: BLE001 - of whatever kind: its message may quote the configuration
        _end(gateway)
        raise EngineError(_NO_MASTER) from None
    if master.startswith(LOCAL):
        context.pythonExec = sys.executable  # and not whatever `python3` is
    return Running(SparkSession(context), gateway)


def configuration(master: str, memory: str | None, folder: Path) -> dict[str, str]:
    """Return Spark's settings; those of `spark-defaults.conf` stand where this says nothing."""
    log = folder / "log4j2.properties"
    log.write_text(_SILENT, encoding="utf-8")
    own = (f"-Djava.io.tmpdir={folder}", f"-Dlog4j2.configurationFile={log}")
    found = {
        "spark.app.name": "aurea",
        "spark.master": master,
        "spark.io.encryption.enabled": "true",
        "spark.io.encryption.keySizeBits": "256",
        "spark.eventLog.enabled": "false",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.extraJavaOptions": " ".join([_JAVA, *map(shlex.quote, own)]),
        "spark.sql.catalogImplementation": "in-memory",
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
        "spark.sql.ansi.enabled": "false",  # DuckDB's lists end where they end, without an error
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.maxPlanStringLength": "0",
    }
    if memory is not None:
        found["spark.driver.memory"] = memory
    if master.startswith(LOCAL):
        return found | {
            "spark.local.dir": str(folder),
            "spark.driver.host": "127.0.0.1",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.sql.shuffle.partitions": _LOCAL_PARTITIONS,
        }
    return found | {
        "spark.executor.extraJavaOptions": _JAVA,
        "spark.authenticate": "true",
        "spark.network.crypto.enabled": "true",
        "spark.network.crypto.cipher": "AES/GCM/NoPadding",
    }


def _end(gateway: Any) -> None:
    gateway.shutdown()
    gateway.proc.stdin.close()  # it ends when nobody holds the other end
    try:
        gateway.proc.wait(timeout=30)
    except subprocess.TimeoutExpired:
        gateway.proc.kill()
        gateway.proc.wait()
    SparkContext._gateway = SparkContext._jvm = None  # noqa: SLF001 - the next session starts its own process
