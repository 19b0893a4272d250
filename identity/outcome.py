"""What a run did, or would do: the counts that its row, its report and whoever started it are told. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from identity.bridges import Seams
from identity.canaries import CanaryFigures
from identity.distinct import distinct
from identity.gates import Figures
from identity.golden_events import GONE, MERGED, REACTIVATED, SPLIT, UPDATED
from identity.golden_ids import Assignment
from identity.hysteresis import Held
from identity.sources import SourceFigures


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """What a run did, or (`dry_run`) would do; counts, seconds, megabytes and milliseconds.

    `unchanged`: golden IDs without any event. `kept`: those that were active before and still are.
    `records`: live ones, of which `linkable` may be linked.
    """

    run_id: str
    dry_run: bool
    records: int
    linkable: int
    golden_ids: int
    created: int
    reactivated: int
    updated: int
    merged: int
    split: int
    gone: int
    kept: int
    unchanged: int
    households: int  # of at least two people; see identity.households
    touched_meanwhile: int
    trained: bool
    model_version: str | None
    uncompared: tuple[str, ...]  # what the records hold by now and the stored model does not compare
    sources: tuple[SourceFigures, ...]  # that are declared to hold no duplicates
    held: Held  # changes that the margin towards the previous decision held back
    drift: float | None  # of match weights since the last run; None where too little can be compared
    notices: tuple[str, ...]  # what may have cost links, or made wrong ones (`identity.notices`)
    gates: tuple[str, ...]  # why the run may not be published by itself
    forced: str | None  # the reason for which it was published nevertheless
    seams: Seams | None  # bridges and guard refusals; None where nothing was compared
    figures: Figures | None  # what the next run is judged by
    canaries: CanaryFigures | None
    risk: Mapping[str, Any] | None  # dry runs: what wrong merges would disclose
    seconds: float
    peak_rss_mb: int
    longest_lock_ms: float


@dataclass(frozen=True, slots=True)
class Compared:
    """What another model would make of the published golden IDs; `Change` says what is counted how.

    `golden_ids`: those of the records known to the last run, of which some are `kept`; `created`: groups of
    new records alone.
    """

    model_version: str
    published_model: str | None
    records: int
    golden_ids: int
    kept: int
    merged: int
    split: int
    created: int
    disagreeing_pairs: int
    drift: float | None
    canaries: CanaryFigures | None
    risk: Mapping[str, Any] | None
    seconds: float


def assigned(assignment: Assignment) -> dict[str, int]:
    """Return the counts of what became of golden IDs."""
    ended, events = assignment.ended_status, assignment.events
    active = distinct(assignment.state.golden_nos)
    return {
        "records": len(assignment.state.record_nos),
        "golden_ids": len(active),
        "created": len(assignment.created),
        "reactivated": events.count(REACTIVATED),
        "updated": events.count(UPDATED),
        "merged": int((ended == MERGED).sum()),
        "split": int((ended == SPLIT).sum()),
        "gone": int((ended == GONE).sum()),
        "kept": len(active) - len(assignment.created) - len(assignment.reactivated),
        "unchanged": assignment.unchanged,
    }
