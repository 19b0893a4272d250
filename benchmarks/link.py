"""A full rerun (open, train, link, assign, publish) against a bare Splink script on the same plaintext.

    python benchmarks/link.py [--records N] [--pairs K] [--keep DIR]

Generates N messy records, ingests and links them once, then measures `aurea link --retrain` and
benchmarks/link_peer.py as whole processes, in turn, K times: same comparisons, same blocks. Prints a line
of JSON for each run and the median ratio. With --keep the home stays in DIR and a second call starts from it.
Peak memory is that of the largest process, in MiB.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import duckdb
import measure

from api.services import open_services
from api.settings import Settings
from identity.record_table import load

ROOT = Path(__file__).resolve().parents[1]
AUREA = [str(Path(sys.executable).with_name("aurea"))]
MAPPING = ROOT / "api" / "demo" / "mappings" / "all.toml"


def main() -> None:
    given = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    given.add_argument("--records", type=int, default=1_000_000)
    given.add_argument("--pairs", type=int, default=3)
    given.add_argument("--keep", type=Path)
    arguments = given.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (arguments.keep or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        home = folder / "home"
        if not home.exists():
            first_run(folder, home, arguments.records)
        plaintext = folder / "plain.parquet"
        export(home, plaintext)
        compare(home, plaintext, arguments.pairs)


def first_run(folder: Path, home: Path, records: int) -> None:
    """Generate, ingest and link once; print what each took."""
    made = folder / "records.parquet"
    run([sys.executable, "-m", "api.demo.generator", "--records", str(records), "--out", str(made)], home)
    run([*AUREA, "init", "--json"], home)
    _, ingest = run([*AUREA, "ingest", str(made), "--mapping", str(MAPPING), "--json"], home)
    linked, link = run([*AUREA, "link", "--json"], home)
    truth = made.with_suffix(".truth.parquet")
    accuracy, _ = run([*AUREA, "evaluate", "--truth", str(truth), "--json"], home)
    measure.report(
        "link.first",
        records=records,
        ingest_seconds=round(ingest["seconds"], 1),
        link_seconds=round(link["seconds"], 1),
        link_peak_mb=link["peak_mb"],
        golden_ids=linked["golden_ids"],
        pairwise=accuracy["pairwise"],
    )


def export(home: Path, plaintext: Path) -> None:
    """Write the opened comparable columns where the peer reads them: what a bare script would be given."""
    services = open_services(Settings.from_environment({"AUREA_HOME": str(home)}))
    with duckdb.connect() as engine:
        load(engine, services.linkable.permitted())
        engine.execute(f"COPY records TO '{plaintext}' (FORMAT parquet)")
    services.close()


def compare(home: Path, plaintext: Path, pairs: int) -> None:
    """Time the rerun and the peer in turn and print every run and the median ratio."""
    ratios = []
    for _ in range(pairs):
        ours, rerun = run([*AUREA, "link", "--retrain", "--json"], home)
        theirs, peer = run([sys.executable, str(ROOT / "benchmarks" / "link_peer.py"), str(plaintext)], home)
        ratios.append(rerun["seconds"] / peer["seconds"])
        measure.report(
            "link.pair",
            records=ours["records"],
            linkable=ours["linkable"],
            rerun_seconds=round(rerun["seconds"], 1),
            rerun_peak_mb=rerun["peak_mb"],
            longest_lock_ms=ours["longest_lock_ms"],
            changed=ours["created"] + ours["merged"] + ours["split"],
            peer_seconds=round(peer["seconds"], 1),
            peer_peak_mb=theirs["peak_rss_mb"],
            ratio=round(ratios[-1], 2),
        )
    measure.report("link.ratio", median=round(statistics.median(ratios), 2), runs=len(ratios))


def run(command: list[str], home: Path) -> tuple[Any, dict[str, Any]]:
    """Run a command as a whole process; return the JSON it printed last, its seconds and peak memory."""
    started = time.perf_counter()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env={**os.environ, "AUREA_HOME": str(home)}
    ) as process:
        output = process.stdout.read() if process.stdout else ""
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command[:4])} ended with status {process.returncode}")
    lines = [line for line in output.splitlines() if line.startswith("{")]
    figures = {"seconds": time.perf_counter() - started, "peak_mb": usage.ru_maxrss // 1024}
    return json.loads(lines[-1]) if lines else None, figures


if __name__ == "__main__":
    main()
