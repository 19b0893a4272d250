"""The runs so far, from the reports that lie in one folder: the few figures that are drawn over time."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

MOST_RUNS: Final = 40  # the latest; more would be a smear


def read_history(folder: Path) -> list[dict[str, Any]]:
    """Return the figures of the latest runs, oldest first. A file that is no report is passed over."""
    latest = sorted(folder.glob("run*.json"), key=lambda path: path.stat().st_mtime_ns)[-MOST_RUNS:]
    reports = []
    for path in latest:
        try:
            report = json.loads(path.read_text(encoding="utf-8"))
            reports.append((report["finished_at"], report["run_id"], summary(report)))
        except (ValueError, KeyError, TypeError):
            continue
    return [found for _, _, found in sorted(reports, key=lambda one: one[:2])]


def summary(report: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of a report is drawn over time; a figure that an older report lacks is left out."""
    outcome = report.get("outcome") or {}
    canaries = report.get("canaries") or outcome.get("canaries") or {}
    found = {name: report.get(name) for name in ("run_id", "records", "golden_ids", "accepted_pairs",
                                                 "review_pairs", "largest", "median_weight")}  # fmt: skip
    found |= {name: outcome.get(name) for name in ("merged", "split", "drift")}
    found |= {f"canary_{name}": canaries.get(name) for name in ("precision", "recall")}
    return {name: value for name, value in found.items() if value is not None}
