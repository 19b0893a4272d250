"""What a benchmark's figures should be, as the project states it, and whether they are.

    python benchmarks/targets.py [FIGURES.jsonl]

Prints a table of the figures that `make bench` kept (benchmarks/results/figures.jsonl), in the order in which
they were measured. Figures without a target are not in it.
"""

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

Figures = dict[str, Any]
"""One line that a benchmark printed."""


class Target(NamedTuple):
    """One figure of a benchmark and its bound: at least, or at most."""

    what: str
    figure: Callable[[Figures], float]
    bound: float
    at_least: bool = False
    records: int = 0  # stated for so many

    def row(self, figures: Figures) -> tuple[str, str, str, str]:
        """Return what, the figure, its bound, and whether it is met."""
        found = self.figure(figures)
        met = found >= self.bound if self.at_least else found <= self.bound
        sign = ">=" if self.at_least else "<="
        return self.what, f"{found:,.4g}", f"{sign} {self.bound:,.4g}", "yes" if met else "NO"


def _part(*path: str) -> Callable[[Figures], float]:
    def figure(figures: Figures) -> float:
        found: Any = figures
        for name in path:
            found = found[name]
        return float(found)

    return figure


TARGETS: Final[dict[str, list[Target]]] = {
    "read": [
        Target("profile reads, part of a bare route's", lambda each: 1 / each["ratio"], 0.5, at_least=True),
        Target(
            "their p99, times the bare route's",
            lambda each: each["profile_ms"]["p99"] / each["bare_ms"]["p99"],
            3,
        ),
        Target("profiles/s in batches", _part("profiles_per_second_in_batches"), 20_000, at_least=True),
        Target("reads that open all, part", lambda each: 1 / each["opened"]["ratio"], 0.5, at_least=True),
        Target(
            "profiles/s in batches that open all",
            _part("opened", "profiles_per_second_in_batches"),
            20_000,
            at_least=True,
        ),
    ],
    "limits": [Target("access control a read, us", _part("total_us"), 20)],
    "not_found": [Target("medians of the causes of a 404 differ, %", _part("spread_percent"), 5)],
    "online": [
        Target("an arrival in process, median ms", _part("whole", "p50"), 3, records=1_000_000),
        Target("an arrival in process, p99 ms", _part("whole", "p99"), 20, records=1_000_000),
    ],
    "arrivals_http": [Target("arrivals/s over HTTP", _part("records_per_second"), 495, at_least=True)],
    "link.ratio": [Target("a full rerun, times bare Splink", _part("median"), 2)],
    "link.pair": [Target("longest lock of a run, ms", _part("longest_lock_ms"), 20)],
    "link.first": [
        Target(
            "1M records, file to golden IDs, s",
            lambda each: each["ingest_seconds"] + each["link_seconds"],
            123.5,  # half of what custmatch took
            records=1_000_000,
        )
    ],
    "consent_events.http": [Target("a consent event, median ms", _part("median_ms"), 10)],
    "decisions.personalization": [Target("a decision, us a person", _part("median_us"), 100)],
    "decisions.marketing_email": [
        Target("a decision bound to contacts, us a person", _part("median_us"), 100)
    ],
    "erasure": [Target("an erasure to its receipt, median ms", _part("to_receipt", "median_ms"), 200)],
    "rotation": [Target("a rotation of a million keys, s", _part("seconds"), 30)],
}


def table(lines: Iterable[str]) -> Iterator[str]:
    """Yield the rows of the table for lines of JSON."""
    rows = [("figure", "measured", "target", "met")]
    for line in lines:
        figures = json.loads(line)
        targets = TARGETS.get(figures.get("benchmark", ""), ())
        rows += [each.row(figures) for each in targets if figures.get("records", 0) >= each.records]
    width = max(len(row[0]) for row in rows)
    for what, found, bound, met in rows:
        yield f"{what:<{width}}  {found:>10}  {bound:>10}  {met}"


def main() -> None:
    kept = Path(__file__).parent / "results" / "figures.jsonl"
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else kept
    with path.open(encoding="utf-8") as lines:
        print("\n".join(table(lines)))


if __name__ == "__main__":
    main()
