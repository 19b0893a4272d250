"""GET /v1/status: counts and the last run, for the console. Nothing of anyone."""

import json
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from sqlalchemy import Connection, text

from api.auth import Caller
from api.dependencies import ServicesOf, permit
from api.schemas import Status, problems
from api.times import rfc3339

router = APIRouter(tags=["service"])
Viewer = Annotated[Caller, Depends(permit("read status"))]

_LAST_RUN = text("""
    SELECT run_id, status, started_at, finished_at, summary FROM runs ORDER BY started_at DESC LIMIT 1
""")
_LEDGER_SIZE = text("SELECT COALESCE(MAX(idx) + 1, 0) FROM ledger")


@router.get("/v1/status", responses=problems(401, 403))
def status(_caller: Viewer, services: ServicesOf) -> Status:
    """Tell how many records and golden IDs there are and how the last run went."""
    with services.db.read() as conn:
        records, golden_ids = services.memberships.counts(conn)
        return Status(
            records=records,
            golden_ids=golden_ids,
            ledger_size=int(conn.execute(_LEDGER_SIZE).scalar_one()),
            published_version=services.memberships.version(conn),
            last_run=_last_run(conn),
        )


def _last_run(conn: Connection) -> dict[str, Any] | None:
    run = conn.execute(_LAST_RUN).one_or_none()
    if run is None:
        return None
    summary = json.loads(run.summary) if run.summary else {}
    return {
        "run": run.run_id,
        "status": run.status,
        "started": rfc3339(run.started_at),
        "finished": rfc3339(run.finished_at) if run.finished_at else None,
        **{name: value for name, value in summary.items() if isinstance(value, int | float)},
    }
