"""POST /v1/records and /v1/records/delete: records arrive and leave."""

import json
import re
from collections.abc import Callable, Coroutine
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from api.auth import Caller
from api.dependencies import (
    IdempotencyKey,
    OptedOut,
    ServicesOf,
    answer,
    opted_out_of,
    permit,
    run_once,
    services_of,
)
from api.records import delete_records, objecting, receive, received
from api.schemas import DeleteIn, DeleteOut, DeleteResult, RecordsIn, RecordsOut, problems
from identity.records import RecordKey

router = APIRouter(tags=["records"])
_writer = permit("write records")
Writer = Annotated[Caller, Depends(_writer)]
Deleter = Annotated[Caller, Depends(permit("delete records"))]


_LENGTH: Final = re.compile(r"[0-9]{1,5}", re.ASCII)
"""Of a body that costs little to look at before it is known who sends it."""


class _Direct(APIRoute):
    """Hands a well-formed request to the endpoint below itself; anything else is the framework's to refuse.

    Solving the endpoint's dependencies costs the framework as much as storing a tenth of the record.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what answers a request."""
        by_the_framework = super().get_route_handler()

        async def respond(request: Request) -> Response:
            headers = request.headers
            plain = headers.get("content-type") == "application/json" and "idempotency-key" not in headers
            if not plain or not _LENGTH.fullmatch(headers.get("content-length", "")):
                return await by_the_framework(request)
            try:
                body = RecordsIn.model_validate(json.loads(await request.body()))
            except (
                ValueError,
                RecursionError,
                ClientDisconnect,
            ):  # no JSON, or not of this shape, or not whole
                return await by_the_framework(request)
            caller = await _writer(request, headers.get("authorization") or None)
            services = await services_of(request)
            opted_out = await opted_out_of(headers.get("sec-gpc"))
            return await write(body, caller, services, None, opted_out=opted_out)

        return respond


async def write(
    body: RecordsIn, caller: Writer, services: ServicesOf, key: IdempotencyKey, *, opted_out: OptedOut
) -> Response:
    """Seal and store records and resolve each at once. The same record key replaces the whole record."""
    records = [objecting(services, each) for each in body.records] if opted_out else body.records
    if key is None:
        return answer(RecordsOut(results=await received(services, caller, records)))
    return await run_in_threadpool(
        run_once, services, caller, key, lambda: RecordsOut(results=receive(services, caller, records))
    )


router.add_api_route(
    "/v1/records",
    write,
    methods=["POST"],
    response_model=RecordsOut,
    responses=problems(401, 403, 409, 413, 422, 503),
    route_class_override=_Direct,
)


@router.post("/v1/records/delete", responses=problems(401, 403, 409, 413, 422, 503))
def delete(body: DeleteIn, _caller: Deleter, services: ServicesOf) -> DeleteOut:
    """Delete records: their keys are destroyed when this returns. The same record may come again."""
    keys = [RecordKey(each.channel, each.source_id) for each in body.records]
    deleted = delete_records(services, keys)
    return DeleteOut(results=[DeleteResult(status="deleted" if one else "absent") for one in deleted])
