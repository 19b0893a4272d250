"""How good is the linkage? Every labelled set beside the checkout, no labels used, one fixed threshold.

    python benchmarks/accuracy.py [SET ...] [--sets A,B] [--json] [--peers] [--environment DIR]

Prints pairwise and B-cubed F1 of the clusters (all pairs implied by the golden IDs), and for the kanoniv
files, which have no truth, the number of golden IDs beside the published counts. `messy_20k`, `messy_100k`
and so on are made here, by the demo's generator: families, shared contacts, fathers and sons, twins. With
--peers each set also goes to the programs of benchmarks/peers.py. --json prints a line for each set instead.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import peers
from labelled import LABELLED, Row, batch_of, kanoniv, labelled_rows

from identity.clustering import Clusters, cluster
from identity.engine import open_engine
from identity.evaluation import Metrics, evaluate
from identity.linking import score
from identity.records import OpenedBatch

SETS = (*LABELLED, "messy_20k", "kanoniv")
COLUMNS = ("records", "people", "golden", "prec.", "recall", "F1", "B3 F1", "s")
HEADER = f"{'set':<27}" + "".join(f"{column:>9}" for column in COLUMNS)


@dataclass(frozen=True, slots=True)
class Result:
    """What one program made of one set; `note` says how it was run, or why it could not be."""

    name: str
    program: str
    metrics: Metrics | None
    seconds: float
    note: str = ""

    def line(self) -> str:
        """Return the row of the table."""
        label = self.name if self.program == "aurea" else f"  {self.program}"
        if self.metrics is None:
            return f"{label:<27} {self.note}"
        found, pairwise = self.metrics, self.metrics.pairwise
        return (
            f"{label:<27}{found.records:>9,}{found.true_entities:>9,}{found.golden_ids:>9,}"
            f"{pairwise.precision:>9.3f}{pairwise.recall:>9.3f}{pairwise.f1:>9.3f}{found.bcubed.f1:>9.3f}"
            f"{self.seconds:>9.1f}"
        )

    def as_json(self) -> dict[str, Any]:
        """Return the same for machines."""
        figures = {} if self.metrics is None else self.metrics.as_dict()
        return {"benchmark": "accuracy", "set": self.name, "program": self.program, **figures,
                "seconds": round(self.seconds, 2), "note": self.note}  # fmt: skip


def main() -> None:
    given = _arguments()
    wanted = [*given.set, *filter(None, given.sets.split(","))] or list(SETS)
    if not given.json:
        print(HEADER)
    for name in wanted:
        if name == "kanoniv":
            _kanoniv(as_json=given.json)
            continue
        for result in _results(name, given):
            print(json.dumps(result.as_json()) if given.json else result.line(), flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("set", nargs="*", help=f"default: {' '.join(SETS)}; also messy_<N>k")
    parser.add_argument("--sets", default="", help="the same, separated by commas")
    parser.add_argument("--json", action="store_true", help="one line of JSON a set and program")
    parser.add_argument("--peers", action="store_true", help="compare: " + ", ".join(peers.PEERS))
    parser.add_argument("--environment", type=Path, help="the peers' environment; made if absent, then kept")
    return parser.parse_args()


def _results(name: str, given: argparse.Namespace) -> Iterator[Result]:
    rows, people = labelled_rows(name)
    clusters, seconds = link(batch_of(rows))
    found = dict(zip(clusters.record_nos.tolist(), clusters.label.tolist(), strict=True))
    yield Result(name, "aurea", evaluate(found, people), seconds)
    if given.peers:
        yield from _peers(name, rows, people, given.environment)


def _peers(name: str, rows: list[Row], people: dict[int, str], kept: Path | None) -> Iterator[Result]:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        python = peers.environment(kept or folder / "environment")
        peers.write_input(folder, rows, people)
        for peer in peers.PEERS:
            answer = peers.run(python, peer, folder)
            metrics = None if answer.labels is None else evaluate(answer.labels, people)
            yield Result(name, peer, metrics, answer.seconds, answer.note)


def _kanoniv(*, as_json: bool) -> None:
    clusters, seconds = link(kanoniv())
    golden_ids, records = len(set(clusters.label.tolist())), len(clusters.label)
    if as_json:
        figures = {"records": records, "golden_ids": golden_ids, "seconds": round(seconds, 2)}
        print(json.dumps({"benchmark": "accuracy", "set": "kanoniv", "program": "aurea", **figures}))
    else:
        print(
            f"kanoniv_5source: {golden_ids:,} golden IDs of {records:,} records"
            f" (published: Splink 2,233, Kanoniv 2,270, exact rules 3,583), {seconds:.1f} s"
        )


def link(batch: OpenedBatch) -> tuple[Clusters, float]:
    """Return the clusters at the model's own threshold, and the seconds from opened records to clusters."""
    started = time.perf_counter()
    with open_engine() as engine:
        scored = score([batch], engine=engine, model=None, seed=1)
    clusters = cluster(batch.record_nos, scored.pairs, scored.model.threshold)
    return clusters, time.perf_counter() - started


if __name__ == "__main__":
    main()
