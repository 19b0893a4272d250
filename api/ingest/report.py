"""What an ingest did, in the contract's words, and the rows it could not take."""

import json
import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO


@dataclass(slots=True)
class IngestReport:
    """Counts of rows. `unreadable`: records whose value of that attribute is kept but never compared."""

    read: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    suppressed: int = 0
    rejected: int = 0
    unreadable: Counter[str] = field(default_factory=Counter)

    def count(self, status: str, unreadable: Iterable[str]) -> None:
        """Count one record by what became of it."""
        setattr(self, status, getattr(self, status) + 1)
        self.unreadable.update(unreadable)

    def add(self, other: "IngestReport") -> None:
        """Add the counts of another file."""
        for name in ("read", "created", "updated", "unchanged", "suppressed", "rejected"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.unreadable.update(other.unreadable)

    def as_json(self) -> dict[str, Any]:
        """Return the contract's JSON object."""
        return {
            "read": self.read,
            "created": self.created,
            "updated": self.updated,
            "unchanged": self.unchanged,
            "suppressed": self.suppressed,
            "rejected": self.rejected,
            "unreadable": dict(sorted(self.unreadable.items())),
        }


class RejectedRows:
    """`FILE.rejected.jsonl`: line, column and reason of each rejected row, never a value.

    Written beside the file under another name and put in place at the end, so that it always belongs to
    one complete run; a run without rejected rows removes it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.with_name(path.name + ".rejected.jsonl")
        self._partial = path.with_name(path.name + ".rejected.jsonl.partial")
        self._file: TextIO | None = None

    @property
    def path(self) -> Path:
        """Where the rows are listed once the run is complete."""
        return self._path

    def add(self, line: int, column: str, reason: str) -> None:
        """List one row."""
        if self._file is None:
            self._partial.unlink(missing_ok=True)
            # Owner only from the first byte on; O_EXCL: never through a link someone else has placed.
            descriptor = os.open(self._partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            self._file = os.fdopen(descriptor, "w", encoding="utf-8")
        self._file.write(json.dumps({"line": line, "column": column, "reason": reason}) + "\n")

    def finish(self) -> None:
        """Put the list in place, or remove an earlier run's."""
        if self._file is None:
            self._path.unlink(missing_ok=True)
            self._partial.unlink(missing_ok=True)
            return
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._file = None
        self._partial.replace(self._path)

    def abandon(self) -> None:
        """Drop the list of a run that did not complete."""
        if self._file is not None:
            self._file.close()
            self._file = None
            self._partial.unlink(missing_ok=True)
