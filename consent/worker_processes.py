"""Worker processes that do CPU work for this one, over pipes.

A worker is a fresh interpreter that imports only what its work names. (multiprocessing's `spawn` would
import the parent's main module too, here the whole command line with DuckDB and Splink: seconds and 200 MB a
worker.) It ends when the pipe from its parent closes, so it cannot outlive a parent that was killed.
"""

import importlib
import pickle
import queue
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import IO, Any, Final, TypeVar

from consent.errors import ConsentError

_LENGTH_BYTES: Final = 8
Result = TypeVar("Result")
_Waiting = queue.SimpleQueue[tuple[bytes, "Future[Any]"] | None]


class WorkerError(ConsentError):
    """A worker process ended before its work was done."""


class WorkerPool:
    """Some worker processes. What is submitted is done in the order of submission, by whoever is free."""

    def __init__(self, processes: int, start: Callable[..., None], *arguments: object) -> None:
        """Every worker first calls `start(*arguments)`; arguments and results must pickle."""
        self._waiting: _Waiting = queue.SimpleQueue()
        greeting = pickle.dumps((start, arguments))
        self._workers = [_Worker(self._waiting, greeting) for _ in range(processes)]

    def submit(self, work: Callable[..., Result], *arguments: object) -> "Future[Result]":
        """Have a worker call `work(*arguments)`; both are sent by pickling, `work` by its name."""
        future: Future[Result] = Future()
        self._waiting.put((pickle.dumps((work, arguments)), future))
        return future

    def close(self) -> None:
        """End the workers. Work that has not begun is cancelled."""
        with suppress(queue.Empty):
            while (item := self._waiting.get_nowait()) is not None:
                item[1].cancel()
        for _ in self._workers:
            self._waiting.put(None)
        for worker in self._workers:
            worker.join()


class _Worker:
    """One process, and the thread of this one that talks to it."""

    def __init__(self, waiting: _Waiting, greeting: bytes) -> None:
        self._waiting, self._greeting = waiting, greeting
        # -P: a folder named like one of our packages in the working directory is not imported.
        # A process group of its own: Ctrl-C is for the main process, which then closes the pipes.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "consent.worker_processes"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            process_group=0,
        )
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def join(self) -> None:
        """Wait until it has ended."""
        self._thread.join()

    def _run(self) -> None:
        with suppress(BrokenPipeError), self._process:  # closing the pipe to one that was killed
            started: Future[None] = Future()
            self._settle(started, pickle.dumps((_find_modules_in, (sys.path,))))
            if started.exception() is None:
                started = Future()
                self._settle(started, self._greeting)
            while (item := self._waiting.get()) is not None:
                request, future = item
                if not future.set_running_or_notify_cancel():
                    continue
                if failure := started.exception():
                    future.set_exception(failure)
                else:
                    self._settle(future, request)

    def _settle(self, future: "Future[Any]", request: bytes) -> None:
        try:
            future.set_result(self._ask(request))
        except Exception as error:  # noqa: BLE001 - it is raised where the result is asked for
            future.set_exception(error)

    def _ask(self, request: bytes) -> Any:
        answer = None
        if self._process.stdin is not None and self._process.stdout is not None:
            with suppress(OSError):  # it has ended: no answer
                _send(self._process.stdin, request)
                answer = _receive(self._process.stdout)
        if answer is None:
            raise WorkerError("a worker process ended unexpectedly; what was stored is whole: run it again")
        failed, result = pickle.loads(answer)  # noqa: S301 - from the process that this one started
        if failed:
            raise result
        return result


def _send(pipe: IO[bytes], frame: bytes) -> None:
    pipe.write(len(frame).to_bytes(_LENGTH_BYTES, "big"))
    pipe.write(frame)
    pipe.flush()


def _receive(pipe: IO[bytes]) -> bytes | None:
    """Return the next frame, None at the end."""
    length = pipe.read(_LENGTH_BYTES)
    if len(length) < _LENGTH_BYTES:
        return None
    frame = pipe.read(int.from_bytes(length, "big"))
    return frame if len(frame) == int.from_bytes(length, "big") else None


def _answer(request: bytes) -> bytes:
    try:
        work, arguments = pickle.loads(request)  # noqa: S301 - from the process that started this one
        return pickle.dumps((False, work(*arguments)))
    except Exception as error:  # noqa: BLE001 - the parent raises it
        return _failure(error)


def _failure(error: Exception) -> bytes:
    try:
        answer = pickle.dumps((True, error))
        pickle.loads(answer)  # noqa: S301 - some errors pickle, but not back
    except Exception:  # noqa: BLE001 - whatever an error's own pickling raises
        answer = pickle.dumps((True, WorkerError(f"a worker process failed: {type(error).__name__}")))
    return answer


def _find_modules_in(path: list[str]) -> None:
    sys.path[:] = path


def main() -> None:
    """Answer requests from standard input on standard output until the parent closes the pipe."""
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr  # nothing printed may get between the answers
    while (request := _receive(requests)) is not None:
        try:
            _send(answers, _answer(request))
        except OSError:
            return


if __name__ == "__main__":
    # Under its own name, so that the parent can unpickle what is defined here.
    importlib.import_module("consent.worker_processes").main()
