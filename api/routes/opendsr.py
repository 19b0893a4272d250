"""OpenDSR 2.0: requests of data controllers under their own ids. Every answer is signed; errors are 400."""

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request
from pydantic import BaseModel
from starlette.responses import Response

from api.auth import Caller
from api.dependencies import ServicesOf, permit
from api.opendsr_schemas import (
    CancelledOut,
    DiscoveryOut,
    OpenDsrIn,
    ReceivedOut,
    StatusOut,
    SubjectRequestId,
)
from api.problems import MEDIA_TYPE, Problem, problem_of
from api.schemas import REFERENCE, problems
from api.services import Services
from consent.errors import ConsentError

router = APIRouter(prefix="/opendsr/v2", tags=["opendsr"])

Controller = Annotated[Caller, Depends(permit("handle requests"))]
Id = Annotated[SubjectRequestId, Path(alias="id")]


async def _body(request: Request) -> bytes:
    return await request.body()


@router.get("/discovery", response_model=DiscoveryOut)
def discovery(services: ServicesOf) -> Response:
    """Tell what is supported, and where the certificate of the signatures is."""
    return _signed(services, services.opendsr.discovery, 200)


@router.get(
    "/certificate",
    response_class=Response,
    responses={200: {"content": {"application/x-pem-file": {}}, "description": "The certificate chain"}},
)
def certificate(services: ServicesOf) -> Response:
    """Return the certificate that signatures are checked against."""
    return Response(services.opendsr.signer.certificates, media_type="application/x-pem-file")


@router.post(
    "/requests",
    status_code=201,
    response_model=ReceivedOut,
    responses=problems(400, 401, 403, 413, 503),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": OpenDsrIn.model_json_schema(ref_template=REFERENCE)}},
        }
    },
)
def open_one(caller: Controller, services: ServicesOf, body: Annotated[bytes, Depends(_body)]) -> Response:
    """Open an access, portability or erasure request; the same id again is answered alike."""
    return _signed(services, lambda: services.opendsr.open(caller, body), 201)


@router.get("/requests/{id}", response_model=StatusOut, responses=problems(400, 401, 403, 422))
def show_one(subject_request_id: Id, caller: Controller, services: ServicesOf) -> Response:
    """Tell how far a request of this controller is."""
    return _signed(services, lambda: services.opendsr.status(caller, subject_request_id), 200)


@router.delete(
    "/requests/{id}",
    status_code=202,
    response_model=CancelledOut,
    responses=problems(400, 401, 403, 413, 422, 503),
)
def cancel(subject_request_id: Id, caller: Controller, services: ServicesOf) -> Response:
    """Cancel a request that is still pending."""
    return _signed(services, lambda: services.opendsr.cancel(caller, subject_request_id), 202)


def _signed(services: Services, operation: Callable[[], BaseModel], status: int) -> Response:
    """Answer with what `operation` returns, or with its error as OpenDSR has them (7.5): 400, and why."""
    try:
        body, media = operation().model_dump_json().encode(), "application/json"
    except ConsentError as error:
        found = problem_of(error)
        if found.status >= 500:
            raise
        body, media, status = _error(found), MEDIA_TYPE, 400
    return Response(body, status, services.opendsr.signer.headers(body), media)


def _error(found: Problem) -> bytes:
    """Return a problem that holds OpenDSR's error object too."""
    message = found.detail or found.title
    detail = {"domain": "Validation", "reason": found.slug, "message": message}
    error = {"code": 400, "message": message, "errors": [detail]}
    return replace(found, status=400).body({"error": error})
