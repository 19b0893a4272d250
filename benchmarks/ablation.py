"""What each technique gains: pairwise F1 on every set with one of them left out, and what it costs in time.

    python benchmarks/ablation.py [--sets A,B]

Each line links all sets again with one part of the linkage taken away, everything else as it is. The last
column is the time of all sets against the whole linkage's.
"""

import argparse
import dataclasses
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

from labelled import LABELLED, batch_of, labelled_rows

from identity import blocking_rules, comparisons, latent_classes, linking, record_table
from identity.clustering import Pairs, cluster
from identity.comparison import SEVERAL, Comparison
from identity.engine import open_engine
from identity.evaluation import evaluate
from identity.model import Model
from identity.records import OpenedBatch

SETS = (*LABELLED, "messy_20k")
FUZZY = ("typing error", "spelled alike", "similar", "digit", "swapped", "domain", "country", "short form")


def main() -> None:
    given = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    given.add_argument("--sets", default=",".join(SETS))
    wanted = given.parse_args().sets.split(",")
    records = {}
    for name in wanted:
        rows, people = labelled_rows(name)
        records[name] = (batch_of(rows), people)
    print(f"{'left out':<34}" + "".join(f"{name[:12]:>13}" for name in wanted) + f"{'time':>8}")
    whole = 0.0
    for title, without in WITHOUT.items():
        started = time.perf_counter()
        with without():
            found = [_f1(*records[name], guarded=title != "the guard") for name in wanted]
        seconds = time.perf_counter() - started
        whole = whole or seconds
        print(
            f"{title:<34}" + "".join(f"{f1:>13.3f}" for f1 in found) + f"{seconds / whole:>8.2f}", flush=True
        )


def _f1(batch: OpenedBatch, people: dict[int, str], *, guarded: bool) -> float:
    with open_engine() as engine:
        scored = linking.score([batch], engine=engine, model=None, seed=1)
    pairs = scored.pairs
    if not guarded:
        pairs = Pairs(pairs.record_a, pairs.record_b, pairs.weight)
    clusters = cluster(batch.record_nos, pairs, scored.model.threshold)
    found = dict(zip(clusters.record_nos.tolist(), clusters.label.tolist(), strict=True))
    return evaluate(found, people).pairwise.f1


@contextmanager
def nothing() -> Iterator[None]:
    yield


def setting(owner: Any, name: str, value: object) -> Callable[[], Any]:
    """Return what sets a constant while the sets are linked."""
    return lambda: patch.object(owner, name, value)


@contextmanager
def unjudged_contacts() -> Iterator[None]:
    """Every contact is taken for its record's own, save the placeholders and those of very many names."""
    judge = record_table.judge

    def blind(engine: Any) -> Any:
        found = judge(engine)
        for column in SEVERAL.values():
            engine.execute(f"UPDATE records SET {column} = NULL")
        return found

    with patch.object(record_table, "judge", blind):
        yield


@contextmanager
def edited(change: Callable[[Comparison], Comparison]) -> Iterator[None]:
    """Every comparison is changed so."""
    with patch.object(comparisons, "CATALOGUE", tuple(change(item) for item in comparisons.CATALOGUE)):
        yield


def _exact(item: Comparison) -> Comparison:
    return dataclasses.replace(
        item, levels=tuple(level for level in item.levels if not any(word in level.label for word in FUZZY))
    )


def _common(item: Comparison) -> Comparison:
    levels = tuple(dataclasses.replace(level, frequency=None) for level in item.levels)
    return dataclasses.replace(item, levels=levels)


def _ordinary(item: Comparison) -> Comparison:
    return dataclasses.replace(item, unique=False)


@contextmanager
def whole_contacts_only() -> Iterator[None]:
    """No blocking by parts of telephone numbers and e-mail addresses."""
    rules = tuple(rule for rule in blocking_rules.CATALOGUE if " of " not in rule.name)
    with ExitStack() as stack:
        stack.enter_context(patch.object(blocking_rules, "CATALOGUE", rules))
        yield


WITHOUT: dict[str, Callable[[], Any]] = {
    "(nothing)": nothing,
    "the guard": nothing,
    "the household class": setting(latent_classes, "LEAST_HOUSEHOLDS", float("inf")),
    "whose a contact is": unjudged_contacts,
    "own values' chance of an error": lambda: edited(_ordinary),
    "term frequencies": lambda: edited(_common),
    "own records off term frequencies": setting(Model, "repeated", lambda _model: 0.0),
    "the order of levels": setting(latent_classes, "ordered", lambda m, _u, _levels: m),
    "levels short of equality": lambda: edited(_exact),
    "placeholder dates": setting(record_table, "empty_placeholder_dates", lambda _engine: None),
    "blocking by parts of contacts": whole_contacts_only,
}


if __name__ == "__main__":
    main()
