"""Assigning and publishing golden IDs: seconds, longest lock, memory, by how much of the state changes.

    python benchmarks/publish.py [--records 1000000]

Clusters are made up (1.4 records each on average); everything from the clustering on is the real thing, on
a store of its own.
"""

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np

from api.migrations import OPERATIONAL, upgrade
from identity.clustering import Pairs
from identity.database import Database, open_database
from identity.difference import difference
from identity.golden_events import Ints
from identity.golden_ids import assign_golden_ids
from identity.judged_clusters import cluster_judged
from identity.judgements import Judged
from identity.leases import Lease
from identity.publishing import Publisher
from identity.snapshot import load_all
from identity.store import MembershipReader

HEADER = ("change", "cluster", "load", "assign", "differ", "rows", "stage", "compact", "longest ms", "RSS MB")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--records", type=int, default=1_000_000)
    count = arguments.parse_args().records
    random = np.random.default_rng(1)
    people = random.integers(0, int(count * 1.05), count)  # so that about 64% of the labels are in use
    print(" ".join(f"{name:>10}" for name in HEADER))
    with tempfile.TemporaryDirectory() as folder:
        db = open_database(f"sqlite:///{Path(folder) / 'publish.db'}")
        upgrade(db, OPERATIONAL)
        publish(db, "first run", people)
        publish(db, "0%", people)
        moved = random.choice(count, count // 100, replace=False)
        people[moved] = random.integers(0, int(count * 1.05), len(moved))
        publish(db, "1%", people)
        publish(db, "100%", people // 2)
        db.close()


def publish(db: Database, name: str, people: Ints) -> None:
    clock = Clock()
    records = np.arange(1, len(people) + 1, dtype=np.int64)
    found = cluster_judged(records, chained(records, people), 0.0, [], Judged.of())
    clusters = found.clusters
    clock.lap()
    with db.read() as conn:
        version = MembershipReader().version(conn)
        before = load_all(conn, version)
    clock.lap()
    assignment = assign_golden_ids(before.state, clusters.record_nos, clusters.label)
    clock.lap()
    rows = difference(before, assignment, found)
    clock.lap()
    lease = Lease.acquire(db, now)
    publisher = Publisher(db, now)
    publisher.reserve_golden_nos(lease, len(assignment.created))
    publisher.stage(lease, rows, version + 1)
    with publisher.locked("switch") as conn:
        publisher.switch(conn, version + 1)
        lease.finish(conn, "published", version=version + 1)
    clock.lap()
    publisher.compact()
    clock.lap()
    seconds = [f"{lap:10.2f}" for lap in clock.laps]
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(
        f"{name:>10}", *seconds[:4], f"{len(rows):10}", *seconds[4:],
        f"{publisher.longest_ms:10.1f} {memory:10}", flush=True,
    )  # fmt: skip


def chained(records: Ints, people: Ints) -> Pairs:
    """Link each record to the next of the same person."""
    order = np.lexsort((records, people))
    same = people[order][1:] == people[order][:-1]
    left, right = records[order][:-1][same], records[order][1:][same]
    return Pairs(left, right, np.full(len(left), 12.0))


class Clock:
    """Seconds of one step after another."""

    def __init__(self) -> None:
        self.laps: list[float] = []
        self._last = time.perf_counter()

    def lap(self) -> None:
        """Note how long the step took that ends here."""
        self.laps.append(time.perf_counter() - self._last)
        self._last = time.perf_counter()


def now() -> int:
    return time.time_ns() // 1_000_000


if __name__ == "__main__":
    main()
