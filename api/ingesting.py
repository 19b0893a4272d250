"""Files into the stores, one after the other, each through the same mapping."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from api.ingest.mapping import FileMapping, load_mapping
from api.ingest.pipeline import ingest_file
from api.ingest.progress import IngestProgress
from api.ingest.report import IngestReport, RejectedRows

if TYPE_CHECKING:
    from api.services import Services


@dataclass(slots=True)
class Ingested:
    """What became of the rows of all files, and where the rejected ones are listed."""

    report: IngestReport = field(default_factory=IngestReport)
    rejected_files: list[Path] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Return the contract's JSON object."""
        return self.report.as_json()


def ingest_files(
    services: "Services",
    files: Sequence[Path],
    *,
    mapping: Path | None = None,
    channel: str | None = None,
    grants: Sequence[str] = (),
    workers: int | None = None,
    progress: Callable[[str], IngestProgress] | None = None,
) -> Ingested:
    """Store the records of `files`. Raises IngestInputError before anything of a file is written."""
    rules = None if mapping is None else _rules(services, mapping)
    done = Ingested()
    for path in files:
        report = ingest_file(
            services.writer,
            services.keyring,
            path,
            clock=services.clock,
            mapping=rules,
            channel=channel,
            grants=grants,
            progress=None if progress is None else progress(path.name),
            workers=workers,
        )
        done.report.add(report)
        if report.rejected:
            done.rejected_files.append(RejectedRows(path).path)
    return done


def _rules(services: "Services", mapping: Path) -> FileMapping:
    purposes = services.purposes.by_name
    opt_out = {name for name, purpose in purposes.items() if purpose.regime == "opt_out"}
    return load_mapping(mapping, purposes=frozenset(purposes), opt_out=opt_out)
