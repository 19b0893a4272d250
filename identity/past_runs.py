"""What the last published run left behind: the figures that the next one is judged by."""

import json
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection

from identity.gates import Figures
from identity.model import Model
from identity.statements import Statement

_LAST: Final = Statement("""
    SELECT run_id, snapshot_sequence, summary
    FROM runs
    WHERE status = 'published' AND model_version IS NOT NULL
    ORDER BY version DESC, finished_at DESC
    LIMIT 1
""")

_MODEL: Final = Statement("""
    SELECT m.model
    FROM models m
    WHERE m.model_version = :name
       OR m.model_version = (SELECT r.model_version FROM runs r WHERE r.run_id = :name)
""")

_MODELS: Final = Statement("SELECT model FROM models")


@dataclass(frozen=True, slots=True)
class LastRun:
    """The last published run that compared anything. `figures`: None if an earlier release published it."""

    run_id: str
    sequence: int  # of its snapshot: records changed after it are not as that run saw them
    figures: Figures | None
    declared: frozenset[str] = frozenset()  # channels that were declared to hold no duplicates


def last_run(conn: Connection) -> LastRun | None:
    """Return the last published run that had a model; None before the first."""
    rows = _LAST.rows(conn)
    if not rows:
        return None
    run_id, sequence, summary = rows[0]
    said = json.loads(summary or "{}")
    declared = frozenset(each["channel"] for each in said.get("sources", ()))
    return LastRun(run_id, int(sequence or 0), _figures(said), declared)


def _figures(summary: dict[str, Any]) -> Figures | None:
    found = summary.get("figures")
    if found is None:
        return None
    return Figures(found["largest"], tuple(found["weights"]), found["weights_from"])


def model_of(conn: Connection, name: str) -> Model | None:
    """Return the stored model of that name, or of the run of that name; None if there is none.

    Raises ValueError if another release made it.
    """
    rows = _MODEL.rows(conn, name=name)
    return Model.from_json(rows[0][0]) if rows else None


def stored_models(conn: Connection) -> list[Model]:
    """Return every stored model that this release can read."""
    found = []
    for (content,) in _MODELS.rows(conn):
        try:
            found.append(Model.from_json(content))
        except ValueError:
            continue
    return found
