"""Records that arrive or leave one by one: seal and store, then resolve at once."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Literal

from api.auth import Caller
from api.incoming import column_shown, incoming
from api.observability import RECORDS
from api.schemas import ConsentOfRecord, RecordIn, RecordResult, Rejection
from consent.errors import RecordRejectedError
from consent.imported_consents import would_link
from consent.incoming import IncomingRecord
from consent.records import WriteResult
from consent.request_purposes import is_sale
from identity.online import Decision
from identity.records import RecordKey, new_golden_id

if TYPE_CHECKING:
    from api.services import Services


GPC: Final = "Sec-GPC"
"""The notice of an objection that the browser made: what the person saw is the browser's own setting."""


def receive(services: "Services", caller: Caller, records: Sequence[RecordIn]) -> list[RecordResult]:
    """Store `records` and give each its golden ID; answer in their order.

    Storing is one durable step per store, resolution another, so a crash between them leaves records that the
    next linkage run, or the same request again, resolves.
    """
    results: list[RecordResult | None] = []
    accepted: list[IncomingRecord] = []
    for record in records:
        try:
            accepted.append(incoming(record))
            results.append(None)
        except RecordRejectedError as error:
            results.append(_rejected(error.column, error.reason))
    written = iter(_store(services, caller, accepted))
    answers = [next(written) if result is None else result for result in results]
    for answer in answers:
        RECORDS.labels(answer.status, answer.decision or "none").inc()
    return answers


def objecting(services: "Services", record: RecordIn) -> RecordIn:
    """Return the record of somebody whose browser sends a Global Privacy Control: an opt-out of every sale.

    It comes after whatever consents the record brings: the browser speaks at this moment.
    """
    signal = [
        ConsentOfRecord(purpose=purpose.name, state="objected", notice=GPC)
        for purpose in services.purposes
        if is_sale(purpose)
    ]
    kept = [each for each in record.consents if each.purpose not in {one.purpose for one in signal}]
    return record.model_copy(update={"consents": [*kept, *signal]})


def delete_records(services: "Services", keys: Sequence[RecordKey]) -> list[bool]:
    """Delete records: destroy their keys, detach them from their golden IDs; whether each existed."""
    now = services.clock()
    numbers = services.writer.delete(keys, now)
    services.online.detach([number for number in numbers if number is not None], now)
    return [number is not None for number in numbers]


def _store(services: "Services", caller: Caller, records: Sequence[IncomingRecord]) -> list[RecordResult]:
    results = []
    for record, (each, golden_id, decision) in zip(records, services.arrivals.receive(records), strict=True):
        if each.status == "rejected":
            results.append(_rejected(each.column or "", each.reason or ""))
        elif golden_id is None or decision is None:  # suppressed
            results.append(_like_created(services, caller, record))
        else:
            results.append(_result(services, caller, each, golden_id, decision))
    return results


def _result(
    services: "Services", caller: Caller, written: WriteResult, golden_id: str, decision: Decision
) -> RecordResult:
    return RecordResult.model_validate(
        {
            "status": written.status,
            "golden_id": services.names.shown(caller, golden_id),
            "decision": decision,
            "linking": "permitted" if written.linking else "not_permitted",
        }
    )


def _like_created(services: "Services", caller: Caller, record: IncomingRecord) -> RecordResult:
    """Answer for an erased person as for anybody new who says the same; the ID resolves to nothing."""
    golden_id = services.names.shown(caller, new_golden_id())
    linking: Literal["permitted", "not_permitted"] = (
        "permitted" if would_link(record, services.purposes, services.clock()) else "not_permitted"
    )
    return RecordResult(status="created", golden_id=golden_id, decision="new", linking=linking)


def _rejected(column: str, reason: str) -> RecordResult:
    error = Rejection(column=column_shown(column), reason=reason)
    return RecordResult(status="rejected", error=error)
