"""What links below the match threshold would do inside golden IDs, if they were kept there (ADR 15).

    python benchmarks/weak_links.py [SET ...]

Links a labelled set and takes out, in every golden ID of three records or more, each record once. Where
the rest then falls into parts, the pairs between them that were scored from the review threshold on are
looked at: how many of these partings they would mend, and in how many of them the parts are in truth (most of
their records) one person. Labels are read for that alone. Prints one line of JSON for each set.
"""

import argparse
import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping

import numpy as np
from labelled import batch_of, labelled_rows

from identity.clustering import Clusters, Pairs, cluster
from identity.engine import open_engine
from identity.hysteresis import MARGIN
from identity.linking import score

SETS = ("pp_dev", "splink_historical_50k_dev", "dupehell_ecom_100k", "messy_20k")

COUNTED = (
    "partings", "mended", "mended_rightly", "mended_within_margin", "mended_rightly_within_margin",
)  # fmt: skip

Links = list[tuple[int, int, float]]


def main() -> None:
    """Measure the chosen sets."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("sets", nargs="*", default=SETS)
    for name in arguments.parse_args().sets:
        print(json.dumps({"benchmark": "weak_links", "set": name, **measured(name)}), flush=True)


def measured(name: str) -> dict[str, float]:
    """Return the counts of one set."""
    rows, people = labelled_rows(name)
    batch = batch_of(rows)
    with open_engine() as engine:
        scored = score([batch], engine=engine, model=None, seed=1)
    threshold = scored.model.threshold
    clusters = cluster(batch.record_nos, scored.pairs, threshold)
    label = np.zeros(max(batch.record_nos) + 1, dtype=np.int64)
    label[clusters.record_nos] = clusters.label
    inside = label[scored.pairs.record_a] == label[scored.pairs.record_b]
    weak = scored.pairs.where(inside & (scored.pairs.weight < threshold))
    found = Counter[str]()
    for parting, between in partings(clusters, weak):
        found["partings"] += 1
        if not between:
            continue
        is_right = len({Counter(people[no] for no in part).most_common(1)[0][0] for part in parting}) == 1
        found["mended"] += 1
        found["mended_rightly"] += is_right
        if max(between) >= threshold - MARGIN:
            found["mended_within_margin"] += 1
            found["mended_rightly_within_margin"] += is_right
    return {
        "records": len(rows),
        "links": len(clusters.links),
        "weak_links": len(weak),
        **{key: found[key] for key in COUNTED},
    }


def partings(clusters: Clusters, weak: Pairs) -> Iterator[tuple[list[set[int]], list[float]]]:
    """Yield the parts that the loss of one record leaves of a golden ID, and the weak pairs between them."""
    members, strong, faint = defaultdict(list), defaultdict(list), defaultdict(list)
    label: Mapping[int, int] = dict(zip(clusters.record_nos.tolist(), clusters.label.tolist(), strict=True))
    for number, of in label.items():
        members[of].append(number)
    for pairs, into in ((clusters.links, strong), (weak, faint)):
        for link in zip(pairs.record_a.tolist(), pairs.record_b.tolist(), pairs.weight.tolist(), strict=True):
            into[label[link[0]]].append(link)
    for of, numbers in members.items():
        for lost in numbers if len(numbers) > 2 else ():
            parts = connected([no for no in numbers if no != lost], strong[of])
            if len(parts) > 1:
                where = {no: place for place, part in enumerate(parts) for no in part}
                yield (
                    parts,
                    [w for a, b, w in faint[of] if lost not in {a, b} and where[a] != where[b]],
                )


def connected(numbers: list[int], links: Links) -> list[set[int]]:
    """Return the parts that these records are in by the links between them."""
    part = {number: {number} for number in numbers}
    for one, other, _ in links:
        if one in part and other in part and part[one] is not part[other]:
            part[one] |= part[other]
            for number in part[other]:
                part[number] = part[one]
    return list({id(each): each for each in part.values()}.values())


if __name__ == "__main__":
    main()
