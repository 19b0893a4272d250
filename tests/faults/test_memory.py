"""Memory stays level over mixed load: in short here, over an hour with `benchmarks/soak.py`."""

import sys
from pathlib import Path

import pytest

from benchmarks.soak import is_level, soak

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads memory from /proc")


@pytest.mark.parametrize("seconds", [12, pytest.param(120, marks=pytest.mark.slow)])
def test_memory_stays_level_over_mixed_load(seconds: int) -> None:
    figures = soak(seconds, clients=2, people=20)
    sys.stdout.write(f"{figures}\n")
    assert figures["failed"] == 0
    assert figures["requests"] > 20
    assert is_level(figures)


def test_growth_is_seen() -> None:
    assert not is_level({"grew_mb": 40.0, "warm_mb": 200.0})
    assert is_level({"grew_mb": 8.0, "warm_mb": 200.0})
