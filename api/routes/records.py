"""POST /v1/records and /v1/records/delete: records arrive and leave."""

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from api.auth import Caller
from api.dependencies import IdempotencyKey, OptedOut, ServicesOf, permit, run_once
from api.records import delete_records, objecting, receive
from api.schemas import DeleteIn, DeleteOut, DeleteResult, RecordsIn, RecordsOut, problems
from identity.records import RecordKey

router = APIRouter(tags=["records"])
Writer = Annotated[Caller, Depends(permit("write records"))]
Deleter = Annotated[Caller, Depends(permit("delete records"))]


@router.post("/v1/records", response_model=RecordsOut, responses=problems(401, 403, 409, 413, 422, 503))
def write(
    body: RecordsIn, caller: Writer, services: ServicesOf, key: IdempotencyKey, opted_out: OptedOut
) -> Response:
    """Seal and store records and resolve each at once. The same record key replaces the whole record."""
    records = [objecting(services, each) for each in body.records] if opted_out else body.records
    return run_once(services, caller, key, lambda: RecordsOut(results=receive(services, caller, records)))


@router.post("/v1/records/delete", responses=problems(401, 403, 409, 413, 422, 503))
def delete(body: DeleteIn, _caller: Deleter, services: ServicesOf) -> DeleteOut:
    """Delete records: their keys are destroyed when this returns. The same record may come again."""
    keys = [RecordKey(each.channel, each.source_id) for each in body.records]
    deleted = delete_records(services, keys)
    return DeleteOut(results=[DeleteResult(status="deleted" if one else "absent") for one in deleted])
