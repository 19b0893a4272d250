"""Publishing: readers see the old state or the new one, whatever breaks off and whoever writes meanwhile."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import text

from identity.errors import CursorError
from identity.leases import Lease
from identity.publishing import LOCK_MS, Publisher
from identity.tables import FOREVER
from tests.identity.population import Population, consistent

ROOT = Path(__file__).parents[2]


@pytest.fixture
def people(tmp_path):
    population = Population(tmp_path)
    yield population
    population.db.close()


def crowd(count: int) -> dict[int, str]:
    return {number: f"person{number // 2}" for number in range(2, count + 2)}


def regrouped(count: int) -> dict[int, str]:
    return {number: f"person{number // 3}" for number in range(2, count + 2)}


def test_a_reader_sees_the_old_state_until_the_switch_and_then_the_new_one(people):
    people.put_all(crowd(60))
    people.link()
    old = people.export()
    people.put_all(regrouped(60))
    seen = []
    people.link(lambda step: seen.append((step, people.export())))
    after = {"review", "compact"}
    assert all(state == old for step, state in seen if step not in after)
    assert all(state == people.export() for step, state in seen if step in after)
    assert {"stage", "stage changes", "switch", "compact"} <= {step for step, _ in seen}
    assert people.groups() == people.expected()


def test_a_snapshot_opened_before_the_switch_stays_whole_through_compaction(people):
    people.put_all(crowd(60))
    people.link()
    with people.db.read() as conn:
        before = [row for batch in people.memberships.export(conn) for row in batch]
        people.put_all(regrouped(60))
        people.link()
        assert [row for batch in people.memberships.export(conn) for row in batch] == before
    assert people.export() != before


def test_after_a_run_only_rows_that_somebody_may_read_are_left(people):
    people.put_all(crowd(60))
    people.link()
    people.put_all(regrouped(60))
    people.link()
    people.link()
    with people.db.read() as conn:
        for table in (
            "memberships",
            "members",
            "links",
            "overridden_links",
            "golden_states",
            "former_members",
        ):
            found = conn.execute(
                text(
                    f"SELECT COUNT(*) FROM {table} WHERE valid_to <= "  # noqa: S608 - names of our tables
                    "(SELECT value FROM counters WHERE name = 'published_version')"
                )
            ).scalar()
            assert found == 0, table


CHILD = """
import os, signal, sys
from pathlib import Path
from tests.identity.population import Population
people, left, wanted = Population(Path(sys.argv[1])), int(sys.argv[2]), sys.argv[3]
def stop(step):
    global left
    if wanted not in step:
        return
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
people.link(stop)
"""


def run_and_kill(folder: Path, after: int, step: str = "") -> bool:
    """Whether a run in a process of its own was killed before its transaction number `after` (of `step`)."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(folder), str(after), step],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode in {0, -signal.SIGKILL}, done.stderr.decode()
    return done.returncode != 0


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_kill_9_before_any_transaction_leaves_the_old_state_and_the_next_run_finishes(tmp_path):
    people = Population(tmp_path)
    people.put_all(crowd(40))
    people.link()
    old, feed = people.export(), people.feed()
    people.put_all(regrouped(40))
    step, published = 0, False
    while run_and_kill(tmp_path, step):
        consistent(people)
        published = published or people.export() != old
        if not published:
            assert people.feed() == feed
        assert people.groups() == people.expected() or not published
        step += 1
    assert step > 15
    assert published
    people.link()
    assert people.groups() == people.expected()
    consistent(people)
    people.db.close()


def test_what_a_killed_run_staged_is_removed_before_the_next_one_publishes(people, tmp_path):
    people.put_all(crowd(40))
    people.link()
    people.put_all(regrouped(40))
    assert run_and_kill(tmp_path, 0, "switch")
    with people.db.read() as conn:
        assert conn.execute(text("SELECT COUNT(*) FROM members WHERE valid_from > 1")).scalar()
    lease = Lease.acquire(people.db, lambda: people.now)
    Publisher(people.db, lambda: people.now).recover(lease)
    with people.db.read() as conn:
        for table in (
            "memberships",
            "members",
            "links",
            "overridden_links",
            "golden_states",
            "former_members",
        ):
            spans = conn.execute(text(f"SELECT valid_from, valid_to FROM {table}")).all()  # noqa: S608 - names of our tables
            assert all(start <= 1 and (end <= 1 or end == FOREVER) for start, end in spans)
        assert conn.execute(text("SELECT COUNT(*) FROM golden_ids WHERE created_version > 1")).scalar() == 0
        names = conn.execute(text("SELECT golden_id FROM golden_names ORDER BY 1")).all()
        assert names == conn.execute(text("SELECT golden_id FROM golden_ids ORDER BY 1")).all()
        assert conn.execute(text("SELECT COUNT(*) FROM changes WHERE version > 1")).scalar() == 0
    consistent(people)


def test_a_crash_while_recovering_is_recovered_from(people, tmp_path):
    people.put_all(crowd(40))
    people.link()
    old = people.export()
    people.put_all(regrouped(40))
    assert run_and_kill(tmp_path, 0, "switch")
    for step in range(3):
        assert run_and_kill(tmp_path, step, "recover")
        assert people.export() == old
    people.link()
    assert people.groups() == people.expected()
    consistent(people)


class Background:
    """Threads that repeat their work until the block ends; the first problem of any fails the test."""

    def __init__(self, *works) -> None:
        self._stop, self._problems = threading.Event(), []
        self._threads = [threading.Thread(target=self._loop, args=(work,)) for work in works]

    def __enter__(self) -> None:
        for thread in self._threads:
            thread.start()

    def __exit__(self, *_raised: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        assert self._problems == []

    def _loop(self, work) -> None:
        try:
            while not self._stop.is_set():
                work()
        except BaseException as error:  # noqa: BLE001 - reported by the test
            self._problems.append(error)


def test_online_writes_raced_with_runs_all_survive_and_no_poller_misses_or_repeats_a_change(people):
    people.put_all(crowd(300))
    people.link()
    seen = []
    arrivals = iter(range(1_000, 10_000))

    def arrive():
        number = next(arrivals)
        people.arrive(number, f"person{number % 150} visitor{number % 150 // 3}")
        time.sleep(0.005)

    def poll():
        page = people.feed(seen[-1].cursor if seen else None, limit=7)
        seen.extend(page)
        time.sleep(0.001)

    def look():
        consistent(people)
        time.sleep(0.05)

    with Background(arrive, poll, look):
        for round_no in range(4):
            people.put_all(regrouped(30 + round_no) if round_no % 2 else crowd(30 + round_no))
            people.link()
    while page := people.feed(seen[-1].cursor, limit=7):
        seen.extend(page)
    assert seen == people.feed(limit=100_000)
    assert len({change.cursor for change in seen}) == len(seen)
    consistent(people)
    people.link()
    assert people.groups() == people.expected()


def test_a_change_written_online_while_a_run_stages_comes_before_what_the_run_publishes(people):
    people.put_all(crowd(20))
    people.link()
    people.put_all(regrouped(20))
    cursors = []

    def meanwhile(step):
        if step == "stage changes" and not cursors:
            people.arrive(900, "visitor")
            cursors.extend(change.cursor for change in people.feed())

    people.link(meanwhile)
    after = [change.cursor for change in people.feed()]
    assert after[: len(cursors)] == cursors
    assert len(after) > len(cursors)
    positions = [tuple(map(int, cursor.split("."))) for cursor in after]
    assert positions == sorted(positions)


@pytest.mark.parametrize("cursor", ["", "1", "a.b", "1.-2", "1.2.3", "1.٣", f"{10**19}.1"])
def test_a_cursor_that_the_feed_never_gave_is_refused(people, cursor):
    with pytest.raises(CursorError):
        people.feed(cursor)


def test_the_lock_is_paused_for_as_long_as_it_was_held(people):
    publisher = Publisher(people.db, lambda: people.now)
    with publisher.locked("one"):
        time.sleep(0.05)
    began = time.perf_counter()
    with publisher.locked("two"):
        pass
    assert time.perf_counter() - began >= 0.05
    assert publisher.longest_ms >= 50


def test_batches_shrink_until_they_fit_the_limit(people):
    publisher, sizes = Publisher(people.db, lambda: people.now), []

    def slow(_conn, batch):
        sizes.append(len(batch))
        time.sleep(len(batch) * 0.0001)  # 200 rows would take 20 ms

    publisher.in_batches("slow", iter(range(2_000)), slow, None)
    assert sum(sizes) == 2_000
    assert max(sizes[2:]) * 0.1 < LOCK_MS
