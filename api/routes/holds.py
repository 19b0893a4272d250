"""What must be kept, and what is not served, until an officer decides. Record numbers, never values."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query
from starlette.responses import Response

from api.auth import Caller
from api.dependencies import IdempotencyKey, ServicesOf, permit, run_once
from api.hold_schemas import MAX_HOLDS, HoldIn, HoldsOut, LiftedOut
from api.holding import declare_hold, lift_hold, list_holds
from api.schemas import problems

router = APIRouter(tags=["requests"])

Officer = Annotated[Caller, Depends(permit("handle requests"))]
Reader = Annotated[Caller, Depends(permit("read requests"))]
Number = Annotated[int, Path(alias="id", ge=1, lt=2**62)]


@router.post(
    "/v1/holds",
    status_code=201,
    response_model=HoldsOut,
    responses=problems(401, 403, 404, 409, 413, 422, 503),
)
def declare(body: HoldIn, caller: Officer, services: ServicesOf, key: IdempotencyKey) -> Response:
    """Declare that the law has records kept: they are neither deleted nor erased while the hold stands."""
    return run_once(services, caller, key, lambda: declare_hold(services, caller, body), status=201)


@router.get("/v1/holds", responses=problems(401, 403, 422), response_model_exclude_none=True)
def list_them(
    _caller: Reader,
    services: ServicesOf,
    after: Annotated[int, Query(ge=0, lt=2**62)] = 0,
    limit: Annotated[int, Query(ge=1, le=MAX_HOLDS)] = 50,
    *,
    lifted: bool = False,
) -> HoldsOut:
    """List holds in the order in which they were declared; with `lifted` those that are over too."""
    return list_holds(services, after, limit, lifted=lifted)


@router.post(
    "/v1/holds/{id}/lift",
    response_model_exclude_none=True,
    responses=problems(401, 403, 404, 409, 413, 422, 503),
)
def lift(hold_no: Number, caller: Officer, services: ServicesOf) -> LiftedOut:
    """Lift a hold; an erasure that it stopped goes on."""
    return lift_hold(services, caller, hold_no)
