"""What the margin towards the previous decision saves in churn, and what it costs in accuracy.

    python benchmarks/churn.py [SET ...] [--models N]

A set is linked with the model trained on all of it. Then come N other models, each trained on a random half
of the records, as a retraining on other records would give them: how many golden IDs change their records,
on average, with no margin and with several, and which F1 have the clusters that the last model leaves behind.
"""

import argparse
from collections.abc import Iterable

import numpy as np
from labelled import labelled

from identity import hysteresis
from identity.clustering import Clusters, Pairs, cluster
from identity.engine import open_engine
from identity.evaluation import evaluate
from identity.linking import ScoredPairs, score
from identity.model import Model
from identity.model_comparison import compare
from identity.records import OpenedBatch

SETS = ("splink_fake_1000", "pp_multi_dev", "senzing_truthset", "messy_20k")
MARGINS = (0.0, 0.5, 1.0, 2.0)


def scored(batch: OpenedBatch, model: Model | None) -> ScoredPairs:
    with open_engine() as engine:
        return score([batch], engine=engine, model=model, seed=1)


def half(batch: OpenedBatch, seed: int) -> OpenedBatch:
    chosen = np.flatnonzero(np.random.default_rng(seed).random(len(batch.record_nos)) < 0.5).tolist()
    columns = (batch.record_nos, batch.channels, batch.comparables)
    return OpenedBatch(*([column[place] for place in chosen] for column in columns))


def settled(numbers: Iterable[int], pairs: Pairs, threshold: float, before: Clusters | None) -> Clusters:
    clusters = cluster(list(numbers), pairs, threshold)
    if before is None:
        return clusters
    known = (before.record_nos, before.label)
    return hysteresis.settled(clusters, pairs, threshold, known, cluster)[0]


def f1(clusters: Clusters, people: dict[int, str]) -> float:
    found = dict(zip(clusters.record_nos.tolist(), clusters.label.tolist(), strict=True))
    return evaluate(found, people).pairwise.f1


def report(name: str, models: int) -> None:
    batch, people = labelled(name)
    first = scored(batch, None)
    later = [scored(batch, scored(half(batch, seed), None).model) for seed in range(1, models + 1)]
    for margin in MARGINS:
        hysteresis.MARGIN = margin  # type: ignore[misc]  # what this benchmark is about
        state = settled(batch.record_nos, first.pairs, first.model.threshold, None)
        changed, total = 0, 0
        for run in later:
            after = settled(batch.record_nos, run.pairs, run.model.threshold, state)
            change = compare(state.label, after.label)
            changed, total = changed + change.golden_ids - change.kept, total + change.golden_ids
            state = after
        churn = f"{100 * changed / total:.2f} %"
        print(f"{name:<27}{margin:>8g}{changed / models:>12,.1f}{churn:>9}{f1(state, people):>8.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sets", nargs="*", metavar="SET")
    parser.add_argument("--models", type=int, default=4, metavar="N", help="other models; default 4")
    arguments = parser.parse_args()
    print(f"{'set':<27}{'margin':>8}{'changed IDs':>12}{'share':>9}{'F1':>8}")
    for name in arguments.sets or SETS:
        report(name, arguments.models)


if __name__ == "__main__":
    main()
