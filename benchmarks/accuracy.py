"""How good is the linkage? Every labelled set beside the checkout, no labels used, one fixed threshold.

    python benchmarks/accuracy.py [SET ...]

Prints pairwise and B-cubed F1 of the clusters (all pairs implied by the golden IDs), and for the
kanoniv files, which have no truth, the number of golden IDs beside the published counts.
"""

import sys
import time

from labelled import LABELLED, kanoniv, labelled

from identity.clustering import Clusters, cluster
from identity.engine import open_engine
from identity.evaluation import evaluate
from identity.linking import score
from identity.records import OpenedBatch

COLUMNS = ("records", "people", "golden", "prec.", "recall", "F1", "B3 F1", "s")
HEADER = f"{'set':<27}" + "".join(f"{column:>9}" for column in COLUMNS)


def main() -> None:
    wanted = sys.argv[1:] or [*LABELLED, "kanoniv"]
    print(HEADER)
    for name in wanted:
        if name == "kanoniv":
            continue
        batch, people = labelled(name)
        clusters, seconds = link(batch)
        found = dict(zip(clusters.record_nos.tolist(), clusters.label.tolist(), strict=True))
        metrics = evaluate(found, people)
        pairwise, bcubed = metrics.pairwise, metrics.bcubed
        print(
            f"{name:<27}{metrics.records:>9,}{metrics.true_entities:>9,}{metrics.golden_ids:>9,}"
            f"{pairwise.precision:>9.3f}{pairwise.recall:>9.3f}{pairwise.f1:>9.3f}{bcubed.f1:>9.3f}{seconds:>9.1f}",
            flush=True,
        )
    if "kanoniv" in wanted:
        clusters, seconds = link(kanoniv())
        golden_ids, records = len(set(clusters.label.tolist())), len(clusters.label)
        print(
            f"kanoniv_5source: {golden_ids:,} golden IDs of {records:,} records"
            f" (published: Splink 2,233, Kanoniv 2,270, exact rules 3,583), {seconds:.1f} s"
        )


def link(batch: OpenedBatch) -> tuple[Clusters, float]:
    started = time.perf_counter()
    with open_engine() as engine:
        scored = score([batch], engine=engine, model=None, seed=1)
    clusters = cluster(batch.record_nos, scored.pairs, scored.model.threshold)
    return clusters, time.perf_counter() - started


if __name__ == "__main__":
    main()
