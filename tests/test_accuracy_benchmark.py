"""The benchmark that every change of the linkage is judged by: it runs, and says the same every time."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def accuracy(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command as its page says."""
    command = [sys.executable, "benchmarks/accuracy.py", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_a_messy_set_is_made_linked_and_judged_the_same_way_twice() -> None:
    first, again = (accuracy("--sets", "messy_2k", "--json") for _ in range(2))
    assert first.returncode == 0, first.stderr
    found, repeated = (json.loads(done.stdout) for done in (first, again))
    assert (found["set"], found["program"], found["records"]) == ("messy_2k", "aurea", 2000)
    assert found["pairwise"]["precision"] > 0.8
    assert {**found, "seconds": 0} == {**repeated, "seconds": 0}


@pytest.mark.slow
def test_people_get_a_row_under_the_head() -> None:
    head, row = accuracy("messy_1k").stdout.splitlines()
    assert head.split() == ["set", "records", "people", "golden", "prec.", "recall", "F1", "B3", "F1", "s"]
    assert row.split()[:2] == ["messy_1k", "1,000"]


def test_a_set_that_does_not_exist_is_named_with_those_that_do() -> None:
    done = accuracy("messy_20")
    assert done.returncode == 1
    assert "there is no set messy_20" in done.stderr
    assert "pp_dev" in done.stderr
