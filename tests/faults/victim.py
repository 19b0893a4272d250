"""A process that is killed at a chosen durable step of one operation, as often as a test wants.

It waits with everything imported and forks for each order; the fork does the operation and kills itself
before the step that was named. Steps are what lasts: the begin and the commit of each write transaction, the
emptying of a log, the flushing and replacing of a file. What was acknowledged by then stands in a file.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from api import linkage
from api.ingest import pipeline
from api.ingest.progress import Silent
from api.ingesting import ingest_files
from api.records import delete_records, receive
from api.schemas import RecordIn
from api.services import Services, open_services
from api.settings import Settings
from consent.erasure import Erasure
from consent.erasure_log import ErasureLog
from consent.recording import Saying
from consent.subjects import RecordRef
from identity.database import Database
from identity.records import RecordKey
from tests.faults.checker import READER

ROOT = Path(__file__).resolve().parents[2]
Acknowledge = Callable[[object], None]


def ingest(services: Services, order: dict[str, Any], acknowledge: Acknowledge) -> None:
    class Telling(Silent):
        def advance(self, rows: int, share: float) -> None:  # noqa: ARG002 - the Protocol's signature
            acknowledge(rows)

    ingest_files(
        services, [Path(order["file"])], grants=["identity_linking", "personalization"],
        progress=lambda _: Telling(), workers=0,
    )  # fmt: skip


def send(services: Services, order: dict[str, Any], acknowledge: Acknowledge) -> None:
    for number, record in enumerate(order["records"]):
        (result,) = receive(services, READER, [RecordIn(**record)])
        assert result.status in {"created", "updated", "unchanged"}
        acknowledge(number)


def withdraw(services: Services, order: dict[str, Any], acknowledge: Acknowledge) -> None:
    key = RecordKey(*order["name"])
    for purpose in order["purposes"]:
        saying = Saying(purpose=purpose, state="withdrawn", method="direct", source="client:c_test")
        services.recorder.record(RecordRef(key), saying, services.clock())
        acknowledge(purpose)


def delete(services: Services, order: dict[str, Any], acknowledge: Acknowledge) -> None:
    assert delete_records(services, [RecordKey(*order["name"])]) == [True]
    acknowledge("gone")


def erase(services: Services, order: dict[str, Any], acknowledge: Acknowledge) -> None:
    number = services.writer.find(RecordKey(*order["name"]))
    assert number is not None
    log = ErasureLog(services.settings.erasure_log).append
    erasure = Erasure(
        services.writer, signing_key=services.keyring.signing_key(), recipients=services.recipients, log=log
    )
    erasure.erase([number], request_id="r_1", now=services.clock())
    acknowledge("gone")


def rotate(services: Services, order: dict[str, Any], acknowledge: Acknowledge) -> None:
    acknowledge(services.rotation.rotate(services.clock()).epoch)


def publish(services: Services, order: dict[str, Any], acknowledge: Acknowledge) -> None:
    acknowledge(linkage.run_link(services, linkage.LinkRequest(threads=1))["run_id"])


OPERATIONS = {one.__name__: one for one in (ingest, send, withdraw, delete, erase, rotate, publish)}


class Steps:
    """Counts the durable steps of this process and kills it before the one that was asked for."""

    def __init__(self, wanted: int) -> None:
        self._left, self._lock = wanted, threading.Lock()
        self.seen: list[str] = []

    def reach(self, step: str) -> None:
        with self._lock:
            self.seen.append(step)
            self._left -= 1
            if self._left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def install(self) -> None:
        write, truncate, fsync, replace = Database.write, Database.truncate_log, os.fsync, os.replace

        @contextmanager
        def counted(database: Database, **options: Any) -> Iterator[Any]:
            self.reach("transaction")
            with write(database, **options) as conn:
                yield conn
                self.reach("commit")

        def told(step: str, original: Callable[..., Any]) -> Callable[..., Any]:
            def replacement(*args: Any, **options: Any) -> Any:
                self.reach(step)
                return original(*args, **options)

            return replacement

        Database.write = counted  # type: ignore[method-assign,assignment]  # for the life of this process
        Database.truncate_log = told("empty the log", truncate)  # type: ignore[method-assign]  # for its life
        os.fsync, os.replace = told("flush", fsync), told("replace", replace)


def perform(order: dict[str, Any]) -> int:
    """Do what is ordered in this process, which may not outlive it."""
    pipeline.CHUNK_ROWS = 3  # type: ignore[misc]  # several chunks of a small file
    services = open_services(
        Settings.from_environment({"AUREA_HOME": order["home"]}), lambda: int(order["now"])
    )
    steps = Steps(order["step"])
    told = os.open(order["acknowledged"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    steps.install()
    OPERATIONS[order["operation"]](
        services, order, lambda what: os.write(told, json.dumps(what).encode() + b"\n") and None
    )
    return len(steps.seen)


class Victims:
    """The waiting process of one test process."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.victim"], cwd=ROOT, text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip

    def killed(self, operation: str, *, home: Path, step: int, now: int, **order: Any) -> list[Any] | None:
        """Do an operation and die before its step number `step`; None: it was done before that.

        Returns what was acknowledged.
        """
        told = home.parent / "acknowledged"
        told.unlink(missing_ok=True)
        order |= {
            "operation": operation,
            "home": str(home),
            "step": step,
            "now": now,
            "acknowledged": str(told),
        }
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        status = int(self._process.stdout.readline())
        assert status in {0, -signal.SIGKILL}, "the operation failed by itself"
        if status == 0:
            return None
        return [json.loads(line) for line in told.read_text().splitlines()] if told.exists() else []

    def close(self) -> None:
        """End the waiting process."""
        self._process.communicate()


@cache
def victims() -> Victims:
    """Return the one of this test process."""
    return Victims()


def wait() -> None:
    """Fork for each order on standard input, and print how the fork ended."""
    while line := sys.stdin.readline():
        child = os.fork()
        if child == 0:
            status = 1
            try:
                perform(json.loads(line))
                status = 0
            finally:
                sys.stderr.flush()
                os._exit(status)
        _, ended = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(ended)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    wait()
