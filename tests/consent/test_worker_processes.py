"""Work in other processes: answers, failures, and an end that is never missed."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from consent.errors import RecordRejectedError
from consent.worker_processes import WorkerError, WorkerPool

STARTED: list[str] = []


def start(word: str) -> None:
    STARTED.append(word)


def start_badly() -> None:
    raise RecordRejectedError("column", "reason")


def said(number: int) -> tuple[str, int, int]:
    sys.stdout.write("this goes to standard error\n")
    return STARTED[0], number, os.getpid()


def fail() -> None:
    raise ValueError("no value is named here")


def end_at_once() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"


def test_workers_start_once_and_answer_what_they_are_asked() -> None:
    pool = WorkerPool(2, start, "hello")
    answers = [future.result() for future in [pool.submit(said, number) for number in range(20)]]
    pool.close()
    assert [answer[:2] for answer in answers] == [("hello", number) for number in range(20)]
    assert os.getpid() not in {pid for _, _, pid in answers}


def test_what_work_raises_is_raised_where_the_result_is_asked_for() -> None:
    pool = WorkerPool(1, start, "hello")
    failing, next_one = pool.submit(fail), pool.submit(said, 1)
    with pytest.raises(ValueError, match="no value is named here"):
        failing.result()
    assert next_one.result()[1] == 1
    pool.close()


def test_a_worker_that_cannot_start_fails_all_its_work() -> None:
    pool = WorkerPool(1, start_badly)
    with pytest.raises(WorkerError, match="RecordRejectedError"):
        pool.submit(said, 1).result()
    pool.close()


def test_a_worker_that_was_killed_is_an_error_and_no_endless_wait() -> None:
    pool = WorkerPool(1, start, "hello")
    with pytest.raises(WorkerError):
        pool.submit(end_at_once).result()
    with pytest.raises(WorkerError):
        pool.submit(said, 1).result()
    pool.close()


def test_closing_ends_the_processes() -> None:
    pool = WorkerPool(2, start, "hello")
    pids = {pool.submit(said, number).result()[2] for number in range(5)}
    pool.close()
    until = time.monotonic() + 10
    while any(alive(pid) for pid in pids) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(alive(pid) for pid in pids)
