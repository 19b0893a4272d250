"""A 404 takes as long whatever its cause: the benchmark that measures it, held to its bound."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_unknown_erased_restricted_and_not_permitted_take_the_same_time() -> None:
    command = [sys.executable, "benchmarks/not_found.py", "--rounds", "2000"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert set(found["median_ms"]) == {"unknown", "erased", "restricted", "not permitted"}
    assert found["rounds"] == 2000
    assert found["spread_percent"] < 5
