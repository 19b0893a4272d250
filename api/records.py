"""Records that arrive or leave one by one: seal and store, then resolve at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from starlette.concurrency import run_in_threadpool

from api.arrivals import Arrived
from api.auth import Caller
from api.incoming import column_shown, incoming
from api.observability import RECORDS
from api.schemas import ConsentOfRecord, RecordIn, RecordResult, Rejection
from consent.errors import RecordRejectedError
from consent.imported_consents import would_link
from consent.incoming import SIGNAL, IncomingRecord
from consent.records import WriteResult
from consent.request_purposes import is_sale
from identity.online import Decision
from identity.records import RecordKey, new_golden_id

if TYPE_CHECKING:
    from api.services import Services


FEW: Final = 8
"""Records of a request that are taken in and told of on the event loop, as long as a read or two takes."""


async def received(services: "Services", caller: Caller, records: Sequence[RecordIn]) -> list[RecordResult]:
    """Store `records` and give each its golden ID; answer in their order.

    Where storing and resolving are two commits (ADR 20), a crash between them leaves records that the next
    linkage run, or the same request again, resolves.
    """
    if len(records) > FEW:
        return await run_in_threadpool(receive, services, caller, records)
    taken = _Taken.of(records)
    return taken.told(services, caller, await services.arrivals.received(taken.accepted))


def receive(services: "Services", caller: Caller, records: Sequence[RecordIn]) -> list[RecordResult]:
    """Do as `received`, in a thread of its own."""
    taken = _Taken.of(records)
    return taken.told(services, caller, services.arrivals.receive(taken.accepted))


def objecting(services: "Services", record: RecordIn) -> RecordIn:
    """Return the record of somebody whose browser sends a Global Privacy Control: an opt-out of every sale.

    It comes after whatever consents the record brings: the browser speaks at this moment.
    """
    signal = [
        ConsentOfRecord(purpose=purpose.name, state="objected", notice=SIGNAL)
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


@dataclass(frozen=True, slots=True)
class _Taken:
    """The records of a request as `consent` takes them; for each, None or why it is none."""

    rejected: Sequence[RecordResult | None]
    accepted: Sequence[IncomingRecord]

    @classmethod
    def of(cls, records: Sequence[RecordIn]) -> "_Taken":
        rejected: list[RecordResult | None] = []
        accepted: list[IncomingRecord] = []
        for record in records:
            try:
                accepted.append(incoming(record))
                rejected.append(None)
            except RecordRejectedError as error:
                rejected.append(_rejected(error.column, error.reason))
        return cls(rejected, accepted)

    def told(self, services: "Services", caller: Caller, found: Sequence[Arrived]) -> list[RecordResult]:
        """Return what the caller is told of every record; `found` is of the accepted ones."""
        arrived = (
            _told(services, caller, record, each) for record, each in zip(self.accepted, found, strict=True)
        )
        results = [next(arrived) if result is None else result for result in self.rejected]
        for result in results:
            RECORDS.labels(result.status, result.decision or "none").inc()
        return results


def _told(services: "Services", caller: Caller, record: IncomingRecord, arrived: Arrived) -> RecordResult:
    written, golden_id, decision = arrived
    if written.status == "rejected":
        return _rejected(written.column or "", written.reason or "")
    if golden_id is None or decision is None:  # suppressed
        return _like_created(services, caller, record)
    return _result(services, caller, written, golden_id, decision)


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
