"""GET /v1/changes: what happened to golden IDs, in commit order, by cursor."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from api.auth import Caller
from api.dependencies import ServicesOf, permit
from api.schemas import MAX_CHANGES, ChangesOut, problems

router = APIRouter(tags=["changes"])
Reader = Annotated[Caller, Depends(permit("read changes"))]


@router.get(
    "/v1/changes",
    responses=problems(401, 403, 422),
    response_model_exclude_none=True,
)
def changes(
    caller: Reader,
    services: ServicesOf,
    after: Annotated[str | None, Query(max_length=120, description="`next` of the last answer")] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_CHANGES)] = 100,
) -> ChangesOut:
    """List changes after a cursor. A consumer sees only golden IDs it was told before."""
    with services.db.read() as conn:
        found, following = services.changes.after(conn, caller, after, limit)
    return ChangesOut(changes=found, next=following)
