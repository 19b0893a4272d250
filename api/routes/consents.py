"""POST /v1/consents and /v1/consents/query: what people permit, and what is permitted."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query
from starlette.responses import Response

from api.auth import Caller
from api.consent_schemas import ConsentAnswer, RenewalsOut
from api.consents import check_method, consent_receipt, list_renewals, query_consent, record_consent
from api.dependencies import IdempotencyKey, ServicesOf, check_purpose, permit, resume
from api.problems import FORBIDDEN_SUBJECT, ProblemError
from api.schemas import ConsentIn, ConsentOut, ConsentQuery, problems
from consent.events import RENEWAL_DAYS

router = APIRouter(tags=["consents"])
Recorder = Annotated[Caller, Depends(permit("record consents"))]
ReceiptReader = Annotated[Caller, Depends(permit("read receipts"))]
Renewer = Annotated[Caller, Depends(permit("see what to ask again"))]
Inquirer = Annotated[Caller, Depends(permit("query consents"))]


@router.post(
    "/v1/consents",
    status_code=201,
    response_model=ConsentOut,
    responses=problems(401, 403, 404, 409, 413, 422, 503),
)
def record(body: ConsentIn, caller: Recorder, services: ServicesOf, key: IdempotencyKey) -> Response:
    """Record what a person says about a purpose: effective on the next read of every worker."""
    check_purpose(caller, body.purpose)
    check_method(caller, body.method)
    return resume(
        services, caller, key, lambda begun: record_consent(services, caller, body, begun), status=201
    )


@router.post(
    "/v1/consents/query",
    responses=problems(401, 403, 404, 413, 422, 503),
    response_model_exclude_unset=True,  # what is told to officers only is not even named to others
)
def query(body: ConsentQuery, caller: Inquirer, services: ServicesOf) -> ConsentAnswer:
    """Tell what is permitted, or was by what had been recorded at `as_of`, and why."""
    check_purpose(caller, body.purpose)
    if caller.role == "ingest" and body.subject.golden_id is not None:
        # A channel may show its own customers what they said; it may not look into other channels.
        raise ProblemError(FORBIDDEN_SUBJECT)
    return query_consent(services, caller, body)


@router.get("/v1/consents/due", responses=problems(401, 403, 422), response_model_exclude_none=True)
def due(
    caller: Renewer,
    services: ServicesOf,
    within: Annotated[int, Query(ge=1, le=366, description="Days")] = RENEWAL_DAYS,
    after: Annotated[int, Query(ge=-1, lt=2**62)] = -1,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> RenewalsOut:
    """List permissions that end soon, for people to be asked again; never of whoever denied."""
    return list_renewals(services, caller, within, after, limit)


@router.get("/v1/consents/events/{n}/receipt", responses=problems(401, 403, 404, 422, 503))
def receipt(
    n: Annotated[int, Path(ge=0, lt=2**62)], caller: ReceiptReader, services: ServicesOf
) -> dict[str, Any]:
    """Give the receipt of one statement: ISO/IEC TS 27560 in DPV JSON-LD, signed, with its proof."""
    return consent_receipt(services, caller, n)
