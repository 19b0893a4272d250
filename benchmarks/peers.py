"""The programs that benchmarks/accuracy.py puts beside ours, each a process in an environment of its own.

The environment is made with pip, apart from the project's: no peer is a dependency. What each peer is told
is in benchmarks/peer_programs; every one gets the same plain columns, and only custmatch gets labels.
"""

import json
import subprocess
import time
import venv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

PEERS: Final = ("splink", "goldenmatch", "custmatch")
PACKAGES: Final = ("splink==5.0.0", "goldenmatch==3.22.0", "custmatch==0.1.2", "pyarrow>=20")
PROGRAMS: Final = Path(__file__).parent / "peer_programs"
LONGEST: Final = 1800  # seconds


@dataclass(frozen=True, slots=True)
class Answer:
    """Record number -> label of a cluster; None, and why, where the peer failed."""

    labels: Mapping[int, str] | None
    seconds: float
    note: str = ""


def environment(folder: Path) -> Path:
    """Return the Python of the peers' environment in `folder`; make it if it is not there."""
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
    return python


def write_input(folder: Path, rows: list[dict[str, Any]], people: Mapping[int, str]) -> None:
    """Write `records.parquet`: a row a record in order, texts; further values of a list as `email_2` and on.

    Writes `truth.json` beside it (the person of each row), for the labels that custmatch is given.
    """
    flat = [dict(_flat(row)) for row in rows]
    names = list(dict.fromkeys(name for row in flat for name in row))
    columns = {name: pa.array([row.get(name) for row in flat], pa.string()) for name in names}
    filled = {name: column for name, column in columns.items() if column.null_count < len(flat)}
    pq.write_table(pa.table(filled), folder / "records.parquet")
    truth = [people[number] for number in range(1, len(rows) + 1)]
    (folder / "truth.json").write_text(json.dumps(truth), encoding="utf-8")


def _flat(row: Mapping[str, Any]) -> list[tuple[str, str | None]]:
    found: list[tuple[str, str | None]] = []
    for name, value in row.items():
        values = value if isinstance(value, list) else [value]
        found += [
            (name if at == 1 else f"{name}_{at}", None if one is None else str(one))
            for at, one in enumerate(values, start=1)
        ]
    return found


def run(python: Path, peer: str, folder: Path) -> Answer:
    """Run one peer over the input in `folder`; what it failed of is told, not raised."""
    out = folder / f"{peer}.json"
    command = [python, PROGRAMS / f"run_{peer}.py", folder / "records.parquet", folder / "truth.json", out]
    started = time.perf_counter()
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, check=False, timeout=LONGEST
        )
    except subprocess.TimeoutExpired:
        return Answer(None, LONGEST, f"no answer within {LONGEST} s")
    seconds = time.perf_counter() - started
    if done.returncode or not out.exists():
        lines = done.stderr.strip().splitlines() or ["ended without an answer"]
        return Answer(None, seconds, f"failed: {lines[-1][:90]}")
    answer = json.loads(out.read_text(encoding="utf-8"))
    return Answer(dict(enumerate(answer["labels"], start=1)), answer["seconds"], answer["note"])
