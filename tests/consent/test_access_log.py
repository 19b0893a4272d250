"""The access log: durable, chained, and closed when it cannot be written."""

import json
import multiprocessing
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from consent.access_log import AccessEntry, AccessLog
from consent.access_log_reading import entries, verify
from consent.errors import AccessLogError


def entry(number: int = 0) -> AccessEntry:
    return AccessEntry(
        1_790_000_000_000 + number, "c_1", "personalization", "revealed", ("email",), 7, (1, 2)
    )


def written(folder: Path, count: int = 5, **settings: int) -> list[Path]:
    log = AccessLog(folder, "w1", **settings)
    for number in range(count):
        log.append(entry(number))
    log.close()
    return sorted(folder.iterdir())


def test_what_was_appended_can_be_read_back_and_verifies(tmp_path: Path) -> None:
    log = AccessLog(tmp_path, "w1")
    log.append(entry(0))
    log.append(AccessEntry(1, "c_2", "service", "withheld", (), None, ()))

    assert list(entries(tmp_path)) == [entry(0), AccessEntry(1, "c_2", "service", "withheld", (), None, ())]
    report = verify(tmp_path)
    assert (report.entries, report.segments, report.problems) == (2, 1, ())


def test_an_entry_is_on_disk_when_append_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[bytes] = []
    real = os.fdatasync

    def watch(handle: int) -> None:
        real(handle)
        synced.append(next(tmp_path.glob("*.jsonl")).read_bytes())

    monkeypatch.setattr(os, "fdatasync", watch)
    AccessLog(tmp_path).append(entry(3))

    assert str(entry(3).time).encode() in synced[-1]


def test_folder_and_segments_are_the_owners_alone(tmp_path: Path) -> None:
    (segment,) = written(tmp_path / "log")

    assert stat.S_IMODE((tmp_path / "log").stat().st_mode) == 0o700
    assert stat.S_IMODE(segment.stat().st_mode) == 0o600


def test_segments_rotate_and_the_chain_runs_on(tmp_path: Path) -> None:
    segments = written(tmp_path, 20, segment_bytes=1_000)

    assert len(segments) > 3
    report = verify(tmp_path)
    assert (report.entries, report.segments, report.problems) == (20, len(segments), ())


def test_many_threads_share_disk_writes_and_lose_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    syncs = 0
    real = os.fdatasync

    def count(handle: int) -> None:
        nonlocal syncs
        syncs += 1
        real(handle)

    monkeypatch.setattr(os, "fdatasync", count)
    log = AccessLog(tmp_path)

    def work(worker: int) -> None:
        for number in range(25):
            log.append(entry(worker * 100 + number))

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    expected = {entry(worker * 100 + number).time for worker in range(16) for number in range(25)}
    assert {each.time for each in entries(tmp_path)} == expected
    assert verify(tmp_path).problems == ()
    assert syncs < 400


def test_a_forked_worker_writes_a_chain_of_its_own(tmp_path: Path) -> None:
    log = AccessLog(tmp_path)
    log.append(entry(0))

    child = multiprocessing.get_context("fork").Process(target=log.append, args=(entry(1),))
    child.start()
    child.join()
    log.append(entry(2))

    report = verify(tmp_path)
    assert (child.exitcode, report.entries, len(report.heads), report.problems) == (0, 3, 2, ())


def test_a_process_killed_while_it_writes_leaves_a_log_that_verifies(tmp_path: Path) -> None:
    acknowledged = multiprocessing.get_context("fork").Value("i", 0)

    def work() -> None:
        log = AccessLog(tmp_path, segment_bytes=5_000)
        while True:
            log.append(entry(acknowledged.value))
            acknowledged.value += 1

    child = multiprocessing.get_context("fork").Process(target=work)
    child.start()
    while acknowledged.value < 100:
        child.join(0.01)
    child.kill()
    child.join()

    report = verify(tmp_path)
    assert report.problems == ()
    assert report.entries >= acknowledged.value


class TestFailsClosed:
    def test_a_folder_that_cannot_be_written_is_an_error(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("no folder")

        with pytest.raises(AccessLogError, match="no data may leave"):
            AccessLog(tmp_path / "file").append(entry())

    @pytest.mark.parametrize("call", ["write", "fdatasync"])
    def test_a_full_or_broken_disk_is_an_error_and_a_mended_one_is_not(
        self, call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        log = AccessLog(tmp_path)
        log.append(entry(0))

        def broken(*_: object) -> int:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(os, call, broken)
            for _ in range(2):
                with pytest.raises(AccessLogError):
                    log.append(entry(1))
        log.append(entry(2))

        times = [each.time for each in entries(tmp_path)]
        assert times[0] == entry(0).time
        assert times[-1] == entry(2).time

    def test_a_write_that_stops_half_way_leaves_a_torn_line_and_the_rest_intact(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        log = AccessLog(tmp_path)
        log.append(entry(0))
        real = os.write

        def half(handle: int, data: bytes) -> int:
            real(handle, data[: len(data) // 2])
            raise OSError(5, "Input/output error")

        with monkeypatch.context() as patch:
            patch.setattr(os, "write", half)
            with pytest.raises(AccessLogError):
                log.append(entry(1))
        log.append(entry(2))

        report = verify(tmp_path)
        assert (report.entries, report.torn, report.problems) == (2, 1, ())

    def test_everybody_who_shared_the_failed_write_hears_of_it(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        log = AccessLog(tmp_path)
        log.append(entry(0))
        failures = []

        def broken(_: int) -> None:
            raise OSError(5, "Input/output error")

        def work() -> None:
            try:
                log.append(entry(1))
            except AccessLogError as error:
                failures.append(error)

        with monkeypatch.context() as patch:
            patch.setattr(os, "fdatasync", broken)
            threads = [threading.Thread(target=work) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

        assert len(failures) == 8


def edit(lines: list[bytes]) -> list[bytes]:
    return [lines[0], lines[1].replace(b"c_1", b"c_9"), *lines[2:]]


def respace(lines: list[bytes]) -> list[bytes]:
    return [lines[0], json.dumps(json.loads(lines[1])).encode(), *lines[2:]]


ATTACKS: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "an edited entry": edit,
    "an entry written in another form": respace,
    "a dropped entry": lambda lines: lines[:2] + lines[3:],
    "an entry put in twice": lambda lines: [*lines[:2], lines[1], *lines[2:]],
    "two entries in another order": lambda lines: [lines[0], lines[2], lines[1], *lines[3:]],
    "a dropped header": lambda lines: lines[1:],
    "an entry after the end": lambda lines: [*lines, lines[1]],
    "no JSON": lambda lines: [lines[0], b"{", *lines[2:]],
}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())
def test_verification_detects(attack: Callable[[list[bytes]], list[bytes]], tmp_path: Path) -> None:
    (segment,) = written(tmp_path)
    lines = segment.read_bytes().splitlines()
    segment.write_bytes(b"".join(line + b"\n" for line in attack(lines)))

    problems = verify(tmp_path).problems
    assert len(problems) == 1
    assert problems[0].startswith(segment.name)


@pytest.mark.parametrize("kept", range(1, 6))
def test_a_finished_segment_cannot_lose_its_tail(kept: int, tmp_path: Path) -> None:
    first, *_ = written(tmp_path, 20, segment_bytes=1_000)
    lines = first.read_bytes().splitlines(keepends=True)
    first.write_bytes(b"".join(lines[: min(kept, len(lines) - 1)]))

    assert verify(tmp_path).problems


def test_a_segment_in_the_middle_cannot_go_missing(tmp_path: Path) -> None:
    segments = written(tmp_path, 20, segment_bytes=1_000)
    segments[1].unlink()

    assert verify(tmp_path).problems


def test_a_lost_tail_or_a_lost_chain_shows_against_the_heads_noted_before(tmp_path: Path) -> None:
    (segment,) = written(tmp_path)
    heads = verify(tmp_path).heads
    lines = segment.read_bytes().splitlines(keepends=True)

    segment.write_bytes(b"".join(lines[:3]))
    assert verify(tmp_path).problems == ()
    assert verify(tmp_path, heads).problems == (f"{next(iter(heads))}: its end, noted earlier, is missing",)

    segment.unlink()
    assert verify(tmp_path, heads).problems == (f"{next(iter(heads))}: the whole chain is missing",)


@pytest.mark.parametrize("begun", [b"", b'{"chain":'], ids=["empty", "torn"])
def test_a_crash_while_a_segment_begins_is_no_fault_of_the_chain(begun: bytes, tmp_path: Path) -> None:
    segments = written(tmp_path, 20, segment_bytes=1_000)
    following = segments[-1].name.replace(f"{len(segments) - 1:06d}", f"{len(segments):06d}")
    (tmp_path / following).write_bytes(begun)

    report = verify(tmp_path)
    assert (report.entries, report.torn, report.problems) == (20, 1, ())
    segments[0].write_bytes(begun)
    assert verify(tmp_path).problems


def test_a_chain_that_grew_since_its_head_was_noted_still_verifies(tmp_path: Path) -> None:
    log = AccessLog(tmp_path)
    log.append(entry(0))
    heads = verify(tmp_path).heads
    log.append(entry(1))
    log.close()

    assert verify(tmp_path, heads).problems == ()
