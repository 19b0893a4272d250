"""What every benchmark shares: time something, and print the figures as JSON beside the machine's cores."""

import json
import os
import time
from collections.abc import Callable
from statistics import median
from typing import Any


def microseconds(call: Callable[[], Any], *, seconds: float = 0.5, rounds: int = 3) -> float:
    """Return the duration of one `call` in microseconds: the best of `rounds` rounds, warm.

    The best round, because what else the machine does can only make a call slower.
    """
    call()
    best = float("inf")
    for _ in range(rounds):
        calls, start = 0, time.perf_counter()
        while (spent := time.perf_counter() - start) < seconds / rounds:
            call()
            calls += 1
        best = min(best, spent / calls)
    return best * 1e6


def percentiles(samples: list[float]) -> dict[str, float]:
    """Return the median, the 99th percentile and the maximum of durations in seconds, as milliseconds."""
    ordered = sorted(samples)
    return {
        "median_ms": round(median(ordered) * 1e3, 3),
        "p99_ms": round(ordered[int(len(ordered) * 0.99)] * 1e3, 3),
        "max_ms": round(ordered[-1] * 1e3, 3),
    }


def report(benchmark: str, **figures: object) -> None:
    """Print one line of JSON: which benchmark, on how many cores, what it measured."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    print(json.dumps({"benchmark": benchmark, "cores": cores, **figures}), flush=True)


def rounded(value: float) -> float:
    """Three significant digits: more would pretend to a precision that a shared machine does not have."""
    return float(f"{value:.3g}")
