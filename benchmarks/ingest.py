"""How fast a file becomes sealed, indexed, linkable records, and whether that changes with size.

    python benchmarks/ingest.py [--records N] [--workers N] [--linkable] [--table]

Generates a file of N records of the demo's fictional customers (seven channels; about eight attributes, up to
four lookup tokens and six blocking tokens, one or two consent events a record), then runs its ingest as a
process of its own into a new home. Prints records per second over the whole process, start-up included, the
rates of the first and the last 100,000 records, processor time, the peak memory of all its processes
together, and the size of the stores. `--linkable` also times opening every permitted record, as `aurea link`
does first.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from api.demo.generator import write_one
from api.ingest.mapping import load_mapping
from api.ingest.pipeline import ingest_file
from api.ingest.progress import Silent
from api.services import open_services
from api.settings import Settings
from api.stores import create_home
from benchmarks.measure import report, rounded
from consent.linkable import LinkableRecords
from consent.worker_stores import StoreAccess

PART = 100_000
MAPPING = Path(__file__).resolve().parents[1] / "api" / "demo" / "mappings" / "all.toml"


def settings_of(home: str) -> Settings:
    return Settings.from_environment({"AUREA_HOME": home})


class Marks(Silent):
    """Notes how many rows were stored when."""

    def __init__(self) -> None:
        self.marks: list[tuple[float, int]] = [(time.perf_counter(), 0)]

    def advance(self, rows: int, share: float) -> None:  # noqa: ARG002 - the rows suffice
        """Note it."""
        self.marks.append((time.perf_counter(), rows))

    def rate(self, first: int, last: int) -> float:
        """Return the records a second between two row counts."""
        start = next(at for at, rows in self.marks if rows >= first)
        end = next(at for at, rows in self.marks if rows >= last)
        return (last - first) / (end - start)


def ingest(home: str, file: str, workers: int | None) -> None:
    """Do what is measured and print its own figures as JSON."""
    settings = settings_of(home)
    create_home(settings)
    services = open_services(settings)
    # Two events a record: the mapping without the purpose that binds to addresses.
    text = MAPPING.read_text(encoding="utf-8")
    mapping_file = Path(home) / "map.toml"
    mapping_file.write_text("".join(line for line in text.splitlines(True) if "marketing" not in line))
    mapping = load_mapping(mapping_file, purposes=frozenset(services.purposes.by_name))
    marks = Marks()
    result = ingest_file(
        services.writer,
        services.keyring,
        Path(file),
        clock=services.clock,
        mapping=mapping,
        workers=workers,
        progress=marks,
    )
    part = min(PART, result.read // 2)
    first, last = marks.rate(0, part), marks.rate(result.read - part, result.read)
    services.close()
    print(json.dumps({**result.as_json(), "first": first, "last": last}))


def resident_mb(pid: int) -> float:
    """Resident memory of a process and its children; shared pages count once for each."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        pages = sum(int(Path(f"/proc/{p}/statm").read_text().split()[1]) for p in (pid, *children))
    except (OSError, IndexError):
        return 0.0
    return pages * 4096 / 1e6


def watch(pid: int, samples: list[float], stop: threading.Event) -> None:
    while not stop.wait(0.25):
        samples.append(resident_mb(pid))


def measure(records: int, workers: int | None, *, linkable: bool, table: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file, home = Path(folder) / "in.csv", Path(folder) / "home"
        write_one(file, records=records)
        command = [sys.executable, __file__, "--home", str(home), "--file", str(file)]
        command += [] if workers is None else ["--workers", str(workers)]
        samples: list[float] = []
        stop = threading.Event()
        start = time.perf_counter()
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            watcher = threading.Thread(target=watch, args=(process.pid, samples, stop))
            watcher.start()
            printed = process.communicate()[0]
            seconds = time.perf_counter() - start
            stop.set()
            watcher.join()
        used = resource.getrusage(resource.RUSAGE_CHILDREN)  # the process and its workers
        if process.returncode:
            raise SystemExit(process.returncode)
        inside = json.loads(printed)
        figures = {
            "records": inside["read"],
            "created": inside["created"],
            "seconds": rounded(seconds),
            "records_per_second": rounded(inside["read"] / seconds),
            "cpu_us_per_record": rounded((used.ru_utime + used.ru_stime) / inside["read"] * 1e6),
            "first_100k_per_second": rounded(inside["first"]),
            "last_100k_per_second": rounded(inside["last"]),
            "first_to_last": rounded(inside["first"] / inside["last"]),
            "peak_rss_mb": rounded(max(samples)),
            "rss_mb_at_a_quarter": rounded(samples[len(samples) // 4]),
            "rss_mb_at_the_end": rounded(samples[-4]) if len(samples) > 4 else None,
            "input_mb": rounded(file.stat().st_size / 1e6),
            "operational_mb": rounded(sum(p.stat().st_size for p in home.glob("aurea.db*")) / 1e6),
            "keys_mb": rounded(sum(p.stat().st_size for p in home.glob("keys.db*")) / 1e6),
        }
        if linkable:
            figures |= opening(str(home))
    report("ingest", **figures)
    if table:
        for name, value in figures.items():
            print(f"{name:>24}  {value}")


def opening(home: str) -> dict[str, float]:
    """Time opening every permitted record in this process."""
    services = open_services(settings_of(home))
    access = StoreAccess.to(services.stores, services.keyring)
    figures: dict[str, float] = {}
    for name, how in (("here", None), ("by_workers", access)):
        reader = LinkableRecords(services.stores, services.clock, access=how)
        start = time.perf_counter()
        figures["opened"] = sum(len(batch.record_nos) for batch in reader.permitted())
        figures[f"opening_{name}_seconds"] = rounded(time.perf_counter() - start)
    services.close()
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--linkable", action="store_true")
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--home", help=argparse.SUPPRESS)
    parser.add_argument("--file", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.home:
        ingest(chosen.home, chosen.file, chosen.workers)
    else:
        measure(chosen.records, chosen.workers, linkable=chosen.linkable, table=chosen.table)


if __name__ == "__main__":
    main()
