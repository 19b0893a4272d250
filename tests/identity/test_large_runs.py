"""What only large files show: DuckDB shares work out among threads by groups of 122,880 rows."""

import time

import numpy as np
import pytest

from benchmarks.labelled import batch_of, labelled_rows
from identity.clustering import cluster
from identity.engine import open_engine
from identity.household_pairs import household_pairs
from identity.households import group
from identity.linking import score
from identity.publishing import LOCK_MS, Publisher
from tests.identity.population import Population

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1_800)]

ROW_GROUP = 122_880


@pytest.fixture(scope="module")
def messy():
    """200,000 records of families, shared contacts, twins, fathers and sons; sparse channels."""
    rows, _ = labelled_rows("messy_200k")
    assert len(rows) > ROW_GROUP
    return batch_of(rows)


def linked(batch, threads):
    with open_engine(threads=threads) as engine:
        scored = score([batch], engine=engine, model=None, seed=1)
        living = household_pairs(engine, scored.model)
    clusters = cluster(batch.record_nos, scored.pairs, scored.model.threshold)
    return scored, clusters, living, group(living, clusters.record_nos, clusters.label)


def test_a_large_file_is_linked_alike_by_one_thread_and_by_two(messy):
    one, one_clusters, one_living, one_homes = linked(messy, 1)
    two, two_clusters, two_living, two_homes = linked(messy, 2)
    assert one.model.to_json() == two.model.to_json()
    for name in ("record_a", "record_b", "weight"):
        assert np.array_equal(getattr(one.pairs, name), getattr(two.pairs, name)), name
        assert np.array_equal(getattr(one_clusters.links, name), getattr(two_clusters.links, name)), name
        assert np.array_equal(getattr(one_living, name), getattr(two_living, name)), name
    for name in ("record_nos", "label", "anchor", "confidence"):
        assert np.array_equal(getattr(one_clusters, name), getattr(two_clusters, name)), name
    for name in ("record_nos", "label"):
        assert np.array_equal(getattr(one_homes, name), getattr(two_homes, name)), name
    assert len(one.pairs) > len(messy.record_nos)
    assert len(one_homes.label) > 0


RECORDS = 100_000


def put_everybody(people, offset):
    """Store RECORDS records, about three a person, in one transaction, as if they had been ingested."""
    numbers = range(1, RECORDS + 1)
    with people.db.write() as conn:
        conn.exec_driver_sql("UPDATE counters SET value = value + 1 WHERE name = 'change_sequence'")
        conn.exec_driver_sql(
            "INSERT INTO records (record_no, channel, key_id, observed_at, recorded_at, linking, verified,"
            " sealed, comparable, change_sequence) VALUES (?, 'web', ?, 0, 0, 1, '', x'', ?,"
            " (SELECT value FROM counters WHERE name = 'change_sequence'))"
            " ON CONFLICT (record_no) DO UPDATE SET comparable = excluded.comparable,"
            " change_sequence = excluded.change_sequence",
            [(number, number, f"p{(number + offset) // 3}".encode()) for number in numbers],
        )


def held_by_runs(folder, monkeypatch):
    """Publish everybody, then everybody regrouped; return how long each transaction held the lock, in ms."""
    held = []

    class Timed(Publisher):
        @property
        def _held_ms(self):
            return held[-1] if held else 0.0

        @_held_ms.setter
        def _held_ms(self, milliseconds):
            held.append(milliseconds)

    monkeypatch.setattr("identity.rerun.Publisher", Timed)
    people = Population(folder)
    runs = []
    for offset in (0, 1):
        put_everybody(people, offset)
        runs.append(people.link(force="everybody is regrouped"))
    assert [run.records for run in runs] == [RECORDS, RECORDS]
    assert runs[1].updated > 0
    assert max(run.longest_lock_ms for run in runs) <= round(max(held), 1)
    people.db.close()
    return held


def is_quiet():
    """Whether nobody else takes this process off its core: for a second, no gap of a quarter of the limit."""
    longest, now = 0.0, time.perf_counter()
    end = now + 1.0
    while now < end:
        before, now = now, time.perf_counter()
        longest = max(longest, now - before)
    return longest * 1000 < LOCK_MS / 4


def test_no_writer_waits_longer_than_the_limit_for_a_run(tmp_path, monkeypatch):
    """All but at most one transaction keep to the limit, in one of three trials on a quiet machine."""
    trials = []
    for trial in range(3):
        folder = tmp_path / str(trial)
        folder.mkdir()
        quiet = is_quiet()
        held = held_by_runs(folder, monkeypatch)
        assert len(held) > 50
        late = sum(milliseconds > LOCK_MS for milliseconds in held)
        if late <= 1:
            return
        trials.append((quiet and is_quiet(), late, len(held), round(max(held), 1)))
    if not all(quiet for quiet, *_ in trials):
        pytest.skip("others were at work on this machine, and held this process up")
    pytest.fail(f"quiet, transactions beyond the limit, all of them, the longest in ms: {trials}")
