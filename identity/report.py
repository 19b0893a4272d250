"""The report of a linkage run: JSON for machines and one self-contained page for people. No values.

Everything in it is a count, a parameter or the name of a column, so it may be kept and shown to whoever
operates the service.
"""

import json
import os
import resource
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from identity.clustering import Clusters
from identity.linking import ScoredPairs
from identity.model import Model
from identity.report_page import render_page

_SIZES = ((1, 1), (2, 2), (3, 3), (4, 5), (6, 10), (11, 20), (21, 50), (51, None))


def build_report(
    scored: ScoredPairs, clusters: Clusters, *, run_id: str, more: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the report as JSON-ready values; `more` adds what only the caller knows (counts, seconds)."""
    found, model = scored.report, scored.model
    accepted = int((scored.pairs.weight >= model.threshold).sum())
    return {
        "run_id": run_id,
        "records": found.profile.records,
        "golden_ids": len(np.unique(clusters.label)),
        "compared_pairs": found.compared_pairs,
        "accepted_pairs": accepted,
        "review_pairs": len(scored.pairs) - accepted,
        "cluster_sizes": cluster_sizes(clusters),
        "coverage": {
            name: {"coverage": round(column.coverage, 4), "distinct": column.distinct}
            for name, column in found.profile.columns.items()
        },
        "shared_values": found.profile.shared_values,
        "blocking": [asdict(rule) for rule in found.blocking],
        "notices": notices(scored),
        "trained": found.trained,
        "seconds": found.seconds,
        "peak_rss_mb": peak_rss_mb(),
        "model": json.loads(model.to_json()),
        **(more or {}),
    }


def cluster_sizes(clusters: Clusters) -> dict[str, int]:
    """Return how many clusters there are of each size, in ranges."""
    _, sizes = np.unique(clusters.label, return_counts=True)
    counts = {}
    for low, high in _SIZES:
        name = f"{low}" if low == high else f"{low}-{high}" if high else f"{low} and more"
        counts[name] = int(((sizes >= low) & (sizes <= (high or np.inf))).sum())
    return counts


def notices(scored: ScoredPairs) -> list[str]:
    """Return what a reader should know about this run, one sentence each."""
    found = [
        f"{count} {column} value(s) belong to nobody in particular and were not compared"
        for column, count in scored.report.profile.shared_values.items()
    ]
    found += [
        f"rule '{rule.rule}' dropped {rule.dropped_blocks:,} blocks too large to compare"
        f" ({rule.dropped_pairs:,} pairs)"
        for rule in scored.report.blocking
        if rule.dropped_blocks
    ]
    if scored.model.household_prior is None:
        found.append("the data show no households, so none were modelled")
    return found


def peak_rss_mb() -> int:
    """Return the largest resident memory of this process so far, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak / 2**20 if sys.platform == "darwin" else peak / 2**10)  # macOS counts bytes


def write_report(folder: Path, report: Mapping[str, Any], model: Model) -> tuple[Path, Path]:
    """Write `<run_id>.json` and `<run_id>.html` into `folder`, readable by the owner only."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    texts = (json.dumps(report, indent=1), render_page(report, model))
    paths = (folder / f"{report['run_id']}.json", folder / f"{report['run_id']}.html")
    for path, text in zip(paths, texts, strict=True):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
    return paths
