"""Data-subject requests: opened, verified, decided and fulfilled by officers. Values are in a bundle only."""

from dataclasses import replace
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Depends, Path, Query
from starlette.responses import Response

from api.auth import Caller
from api.dependencies import IdempotencyKey, ServicesOf, permit, run_once
from api.idempotency import Attempt
from api.request_schemas import (
    MAX_REQUESTS,
    DecideIn,
    FulfilIn,
    RequestIn,
    RequestOut,
    RequestsOut,
    SettleIn,
    VerifyIn,
)
from api.requests import (
    bundle_file,
    bundle_of,
    decide_request,
    fulfil_request,
    list_requests,
    open_request,
    settle_held,
    show_request,
    verify_request,
)
from api.schemas import problems
from consent.request_rules import State

router = APIRouter(tags=["requests"])

Officer = Annotated[Caller, Depends(permit("handle requests"))]
Reader = Annotated[Caller, Depends(permit("read requests"))]
RequestId = Annotated[str, Path(alias="id", max_length=64)]

_MEDIA: Final = {"json": "application/json", "pdf": "application/pdf"}
_CHANGED: Final = problems(401, 403, 404, 409, 413, 422, 503)


@router.post(
    "/v1/requests",
    status_code=201,
    response_model=RequestOut,
    responses=problems(401, 403, 404, 409, 413, 422, 503),
)
def open_one(body: RequestIn, caller: Officer, services: ServicesOf, key: IdempotencyKey) -> Response:
    """Open a request; the answer has its id and its deadlines."""
    return run_once(services, caller, key, lambda: open_request(services, caller, body), status=201)


@router.get("/v1/requests", responses=problems(401, 403, 422), response_model_exclude_none=True)
def list_them(
    caller: Reader,
    services: ServicesOf,
    state: State | None = None,
    after: Annotated[int, Query(ge=0, lt=2**62)] = 0,
    limit: Annotated[int, Query(ge=1, le=MAX_REQUESTS)] = 50,
) -> RequestsOut:
    """List requests in the order in which they were opened."""
    return list_requests(services, caller, state, after, limit)


@router.get("/v1/requests/{id}", responses=problems(401, 403, 404, 422), response_model_exclude_none=True)
def show_one(request_id: RequestId, caller: Reader, services: ServicesOf) -> RequestOut:
    """Show a request, the records it leads to with their evidence, and every step so far."""
    return show_request(services, caller, request_id)


@router.post("/v1/requests/{id}/verify", response_model=RequestOut, responses=_CHANGED)
def verify(
    request_id: RequestId, body: VerifyIn, caller: Officer, services: ServicesOf, key: IdempotencyKey
) -> Response:
    """Record an attempt to verify the requester; the third that fails denies the request."""
    attempt = _of(key, request_id)
    return run_once(services, caller, attempt, lambda: verify_request(services, caller, request_id, body))


@router.post("/v1/requests/{id}/decide", response_model=RequestOut, responses=_CHANGED)
def decide(
    request_id: RequestId, body: DecideIn, caller: Officer, services: ServicesOf, key: IdempotencyKey
) -> Response:
    """Approve a request for the records that are the person's, deny, extend or cancel it."""
    attempt = _of(key, request_id)
    return run_once(services, caller, attempt, lambda: decide_request(services, caller, request_id, body))


@router.post("/v1/requests/{id}/fulfil", response_model=RequestOut, responses=_CHANGED)
def fulfil(
    request_id: RequestId,
    caller: Officer,
    services: ServicesOf,
    key: IdempotencyKey,
    _body: FulfilIn | None = None,
) -> Response:
    """Do what an approved request asks for, and close it with the outcome."""
    attempt = _of(key, request_id)
    return run_once(services, caller, attempt, lambda: fulfil_request(services, caller, request_id))


@router.post("/v1/requests/{id}/settle", response_model=RequestOut, responses=_CHANGED)
def settle(
    request_id: RequestId, body: SettleIn, caller: Officer, services: ServicesOf, key: IdempotencyKey
) -> Response:
    """Settle whose a record is that an erasure left out as doubtful; until then nobody is served it."""
    attempt = _of(key, request_id)
    return run_once(services, caller, attempt, lambda: settle_held(services, caller, request_id, body))


@router.get(
    "/v1/requests/{id}/bundle",
    responses={
        **problems(401, 403, 404, 409, 422, 503),
        200: {"content": {"application/json": {}, "application/pdf": {}}, "description": "The bundle"},
    },
    response_class=Response,
)
def fetch_bundle(
    request_id: RequestId,
    caller: Officer,
    services: ServicesOf,
    form: Annotated[Literal["json", "pdf"], Query(alias="format")] = "json",
) -> Response:
    """Prepare the bundle of an approved access or portability request; logged, and stored nowhere."""
    content = bundle_file(bundle_of(services, caller, request_id), form)
    headers = {"Cache-Control": "no-store", "Content-Disposition": f'attachment; filename="bundle.{form}"'}
    return Response(content, media_type=_MEDIA[form], headers=headers)


def _of(key: Attempt | None, request_id: str) -> Attempt | None:
    """Tie an Idempotency-Key to its request: the route's template is the same for all."""
    return None if key is None else replace(key, route=f"{key.route} {request_id}")
