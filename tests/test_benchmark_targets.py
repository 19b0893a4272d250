"""The table that `make bench` ends with: which figures meet their targets."""

import json
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
FIGURES = [
    {"benchmark": "limits", "total_us": 13.56},
    {"benchmark": "not_found", "spread_percent": 5.9},
    {"benchmark": "online", "records": 20_000, "whole": {"p50": 2.0, "p99": 9.0}},
    {"benchmark": "online", "records": 1_001_750, "whole": {"p50": 15.2, "p99": 19.9}},
    {"benchmark": "matching", "candidates": 20},
]


def test_every_figure_is_held_against_its_own_target(tmp_path: Path) -> None:
    kept = tmp_path / "figures.jsonl"
    kept.write_text("".join(json.dumps(each) + "\n" for each in FIGURES))
    command = [sys.executable, HERE / "benchmarks" / "targets.py", kept]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    head, *rows = [line.split() for line in done.stdout.splitlines()]
    assert head == ["figure", "measured", "target", "met"]
    assert [
        (row[-4], row[-1]) for row in rows
    ] == [  # what a target says of a million records is not asked of fewer
        ("13.56", "yes"),
        ("5.9", "NO"),
        ("15.2", "NO"),
        ("19.9", "yes"),
    ]
