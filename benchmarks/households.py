"""Who lives together: whether it is true, how much of it is found, and what it costs.

    python benchmarks/households.py [--records N] [--seed S]

A town made by the demo's generator, whose homes are known. Two people are said to live together if they have
records in one household. Prints precision and recall over pairs of people, with the model's household class
and by the rule that stands in for it; recall is of all pairs that live together and are customers, though
most channels write no address down. People are those of the linkage itself: `of_one_person` counts the
households made of one person whom it took for two.
"""

import argparse
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
from labelled import batch_of
from measure import report, rounded

from api.demo.channels import COLUMNS
from api.demo.generator import generate
from api.demo.people import Population
from identity.attributes import is_standard
from identity.clustering import Pairs, cluster
from identity.engine import open_engine
from identity.household_pairs import household_pairs
from identity.households import group
from identity.linking import score


def town(records: int, seed: int) -> tuple[list[dict[str, Any]], list[int], dict[int, int]]:
    """Return the records, the person of each, and the home of each person."""
    rows, people = [], []
    for chunk in generate(records=records, seed=seed):
        for values, person in chunk:
            given = dict(zip(COLUMNS, values, strict=True))
            rows.append({name: value for name, value in given.items() if value and is_standard(name)})
            people.append(person)
    homes: dict[int, int] = {}
    for number, household in enumerate(Population(seed).households()):
        homes.update((person.number, number) for person in household)
        if household[-1].number >= max(people):
            break
    return rows, people, homes


def pairs_of(homes: Mapping[Any, Iterable[int]]) -> set[tuple[int, int]]:
    """Return every two people under one of `homes`."""
    return {pair for people in homes.values() for pair in combinations(sorted(set(people)), 2)}


def judged(found: Pairs, label: np.ndarray, people: list[int], homes: dict[int, int]) -> dict[str, Any]:
    """Return how true and how complete the households are that `found` makes of the clusters."""
    numbers = np.arange(1, len(people) + 1, dtype=np.int64)
    grouped = group(found, numbers, label)
    said, true = defaultdict(set), defaultdict(set)
    for record_no, household in zip(grouped.record_nos.tolist(), grouped.label.tolist(), strict=True):
        said[household].add(people[record_no - 1])
    for person in people:
        true[homes[person]].add(person)
    together, living = pairs_of(said), pairs_of(true)
    return {
        "households": len(said),
        "records_in_one": len(grouped.record_nos),
        "of_one_person": sum(len(members) == 1 for members in said.values()),
        "precision": round(len(together & living) / max(len(together), 1), 4),
        "recall": round(len(together & living) / max(len(living), 1), 4),
    }


def main() -> None:
    """Measure, and print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--records", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rows, people, homes = town(options.records, options.seed)
    with open_engine() as engine:
        started = time.perf_counter()
        scored = score([batch_of(rows)], engine=engine, model=None, seed=1)
        whole = time.perf_counter() - started
        label = cluster(np.arange(1, len(rows) + 1), scored.pairs, scored.model.threshold).label
        for how, model in (
            ("model", scored.model),
            ("rule", replace(scored.model, household_prior=None)),
        ):
            started = time.perf_counter()
            found = household_pairs(engine, model)
            seconds = time.perf_counter() - started
            report(
                "households", records=len(rows), how=how, has_class=scored.model.household_prior is not None,
                pairs=len(found), **judged(found, label, people, homes),
                seconds=rounded(seconds), seconds_of_scoring=rounded(whole),
            )  # fmt: skip


if __name__ == "__main__":
    main()
