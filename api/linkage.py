"""A linkage run over this home: the parts that `identity.rerun` works with, and its report."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from api.resolution import frequency_token
from api.spill import spill_folder
from identity.clustering import Clusters
from identity.report import build_report, write_report
from identity.rerun import Rerun, RunOutcome
from identity.scoring import EngineScorer, Scores

if TYPE_CHECKING:
    from api.services import Services


@dataclass(frozen=True, slots=True)
class LinkRequest:
    """What a run is asked to do."""

    dry_run: bool = False
    retrain: bool = False
    seed: int = 1
    threads: int | None = None  # None: all; the result is the same
    memory_limit: str | None = None  # DuckDB's form; beyond it the engine spills, encrypted


def _silent(_step: str) -> None:
    """Report no progress."""


def run_link(
    services: "Services", request: LinkRequest, progress: Callable[[str], None] = _silent
) -> dict[str, Any]:
    """Link every permitted record, publish the difference, and return the run's counts.

    Raises RunInProgressError, RunLostError.
    """
    with spill_folder(services.settings.home) as spill:
        scorer = EngineScorer(
            seed=request.seed,
            token=frequency_token(services.stores.index),
            threads=request.threads,
            memory_limit=request.memory_limit,
            spill_dir=spill,
        )
        rerun = Rerun(
            db=services.db,
            reader=services.linkable,
            facts=services.facts,
            scorer=scorer,
            clock=services.clock,
            progress=progress,
            report=lambda outcome, scores, clusters: _write(
                services.settings.runs_dir, outcome, scores, clusters
            ),
        )
        return asdict(rerun.run(dry_run=request.dry_run, retrain=request.retrain))


def _write(folder: Path, outcome: RunOutcome, scores: Scores | None, clusters: Clusters) -> None:
    """Write the run's report, JSON and a page. A run that compared nothing, or a dry one, has none."""
    if scores is not None and not outcome.dry_run:
        counts = asdict(outcome)
        run_id = counts.pop("run_id")
        more = {"outcome": counts}
        write_report(
            folder, build_report(scores.scored, clusters, run_id=run_id, more=more), scores.scored.model
        )
