"""A linkage run over this home: the parts that `identity.rerun` works with, and its report."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from api.disclosure_risk import disclosure_risk
from api.settings import Settings
from api.spill import spill_folder
from consent.run_values import RunValues
from identity.clustering import Clusters
from identity.engine import Engine, open_engine
from identity.errors import EngineError, ModelFileError
from identity.model import Model
from identity.model_files import read_model
from identity.past_runs import model_of, stored_models
from identity.report import build_report, write_report
from identity.rerun import Rerun, RunOutcome
from identity.scoring import EngineScorer, Scores
from identity.sources import sentences

if TYPE_CHECKING:
    from api.services import Services

_NO_SPARK: Final = "the Spark engine is not installed: pip install 'aurea[spark]', or use --engine duckdb"
_LARGEST_MODEL: Final = 16 * 2**20  # bytes of a model or report


@dataclass(frozen=True, slots=True)
class LinkRequest:
    """What a run is asked to do."""

    dry_run: bool = False
    retrain: bool = False
    force: str | None = None  # why to publish although a gate closes
    seed: int = 1
    threads: int | None = None  # None: all; the result is the same
    memory_limit: str | None = None  # DuckDB's form; beyond it the engine spills, encrypted
    engine: Literal["duckdb", "spark"] = "duckdb"


def _silent(_step: str) -> None:
    """Report no progress."""


def run_link(
    services: "Services", request: LinkRequest, progress: Callable[[str], None] = _silent
) -> dict[str, Any]:
    """Link every permitted record, publish the difference, and return the run's counts.

    Raises RunInProgressError, RunLostError, and RunStoppedError where a publishing gate closed.
    """
    with _rerun(services, request, progress) as rerun:
        return asdict(rerun.run(dry_run=request.dry_run, retrain=request.retrain, force=request.force))


def compare_model(
    services: "Services", name: str, request: LinkRequest, progress: Callable[[str], None] = _silent
) -> dict[str, Any]:
    """Say what the model `name` (a run, a model's version or a file) would make of the golden IDs.

    Nothing is published or stored. Raises ModelFileError.
    """
    model = _model(services, name)
    with _rerun(services, request, progress) as rerun:
        return asdict(rerun.compare(model))


@contextmanager
def _rerun(services: "Services", request: LinkRequest, progress: Callable[[str], None]) -> Iterator[Rerun]:
    values = RunValues(services.stores)
    with (
        spill_folder(services.settings.home) as spill,
        EngineScorer(
            seed=request.seed,
            token=values.token,
            opened=_opener(services.settings, request, spill),
        ) as scorer,
    ):
        yield Rerun(
            db=services.db,
            reader=services.linkable,
            facts=services.facts,
            scorer=scorer,
            clock=services.clock,
            progress=progress,
            report=lambda outcome, scores, clusters: _write(
                services.settings.runs_dir, services.clock(), outcome, scores, clusters
            ),
            risk=lambda merges: disclosure_risk(services, merges),
            forget=values.forget_uncarried,
        )


def _opener(settings: Settings, request: LinkRequest, spill: Path) -> Callable[[], Engine]:
    """Return what opens the engine of this run. Raises EngineError where Spark is not installed."""
    if request.engine == "duckdb":
        return partial(
            open_engine, threads=request.threads, memory_limit=request.memory_limit, spill_dir=spill
        )
    try:
        from identity.spark_engine import open_spark  # noqa: PLC0415 - an extra that few install
    except ModuleNotFoundError:
        raise EngineError(_NO_SPARK) from None
    memory = settings.spark_memory or (_half_the_memory() if settings.spark_master[:5] == "local" else None)
    return partial(
        open_spark, master=settings.spark_master, threads=request.threads, memory=memory, folder=spill
    )


def _half_the_memory() -> str:
    """Return half of this machine's memory: with a local master the driver is the executor too."""
    return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') // 2**21}m"


def _model(services: "Services", name: str) -> Model:
    with services.db.read() as conn:
        stored = stored_models(conn)
        try:
            found = model_of(conn, name)
        except ValueError:
            raise ModelFileError(
                "another release made the model of that run; train anew with --retrain"
            ) from None
    if found is not None:
        return found
    path = Path(name)
    if not path.is_file():
        raise ModelFileError("there is no run, model or file of that name here")
    if path.stat().st_size > _LARGEST_MODEL:
        raise ModelFileError("the file is too large to be a model")
    try:
        return read_model(path.read_text(encoding="utf-8"), stored)
    except UnicodeDecodeError:
        raise ModelFileError("the file is not a model: it is no text") from None


def _write(folder: Path, now: int, outcome: RunOutcome, scores: Scores | None, clusters: Clusters) -> None:
    """Write the run's report, JSON and a page. A run that compared nothing, or a dry one, has none."""
    if scores is not None and not outcome.dry_run:
        counts = asdict(outcome)
        run_id = counts.pop("run_id")
        more = {name: counts[name] for name in ("canaries", "drift", "held", "gates", "forced", "seams")}
        more["outcome"] = counts
        report = build_report(scores.scored, clusters, run_id=run_id, finished_at=now, more=more)
        report["notices"] += sentences(outcome.sources)
        write_report(folder, report, scores.scored.model)
