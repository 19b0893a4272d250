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
from identity.distinct import distinct
from identity.evaluation_groups import in_ranges
from identity.linking import ScoredPairs
from identity.model import Model
from identity.notices import notices
from identity.report_page import SCRIPT_NAME, chart_script, render_page
from identity.run_history import read_history
from identity.weight_figures import histogram, threshold_choice


def build_report(
    scored: ScoredPairs,
    clusters: Clusters,
    *,
    run_id: str,
    finished_at: int = 0,
    more: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the report as JSON-ready values; `more` adds what only the caller knows (counts, seconds).

    `finished_at`: milliseconds since the epoch, by which reports are put in order.
    """
    found, model = scored.report, scored.model
    weights = scored.pairs.weight
    links = weights[weights >= model.threshold]
    accepted = len(links)
    return {
        "run_id": run_id,
        "finished_at": finished_at,
        "records": found.profile.records,
        "golden_ids": len(distinct(clusters.label)),
        "compared_pairs": found.compared_pairs,
        "accepted_pairs": accepted,
        "review_pairs": len(scored.pairs) - accepted,
        "cluster_sizes": cluster_sizes(clusters),
        "largest": int(np.unique(clusters.label, return_counts=True)[1].max(initial=0)),
        "match_weights": histogram(weights, model.review_threshold),
        "median_weight": round(float(np.median(links)), 2) if accepted else None,
        "threshold_choice": threshold_choice(weights, model.review_threshold),
        "coverage": {
            name: {"coverage": round(column.coverage, 4), "distinct": column.distinct}
            for name, column in found.profile.columns.items()
        },
        "shared_values": found.profile.shared_values,
        "contact_classes": found.profile.contact_classes,
        "blocking": [asdict(rule) for rule in found.blocking],
        "notices": [notice.text for notice in notices(found.profile, found.blocking, model, clusters)],
        "trained": found.trained,
        "seconds": found.seconds,
        "peak_rss_mb": peak_rss_mb(),
        "model": json.loads(model.to_json()),
        **(more or {}),
    }


def cluster_sizes(clusters: Clusters) -> dict[str, int]:
    """Return how many clusters there are of each size, in ranges."""
    _, sizes = np.unique(clusters.label, return_counts=True)
    return {name: int(mask.sum()) for name, mask in in_ranges(sizes).items()}


def peak_rss_mb() -> int:
    """Return the largest resident memory of this process so far, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak / 2**20 if sys.platform == "darwin" else peak / 2**10)  # macOS counts bytes


def write_report(folder: Path, report: Mapping[str, Any], model: Model) -> tuple[Path, Path]:
    """Write `<run_id>.json` and `<run_id>.html` into `folder`, readable by the owner only.

    The page shows the earlier runs whose JSON lies in the folder, too.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    data, page = folder / f"{report['run_id']}.json", folder / f"{report['run_id']}.html"
    _write(data, json.dumps(report, indent=1))
    _write(page, render_page(report, model, _script_of(folder), read_history(folder)))
    return data, page


def _script_of(folder: Path) -> str:
    """Return the script of the pages: an earlier run's, kept beside them, or one made now."""
    kept = folder / SCRIPT_NAME
    if not kept.exists():
        unfinished = kept.with_suffix(".part")
        _write(unfinished, chart_script())
        unfinished.replace(kept)
    return kept.read_text(encoding="utf-8")


def _write(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
