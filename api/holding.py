"""Holds between the border's vocabulary and `consent.holds`."""

from typing import TYPE_CHECKING

from api.auth import Caller
from api.consents import subject
from api.hold_schemas import HoldIn, HoldOut, HoldsOut, LiftedOut
from api.times import milliseconds, rfc3339
from consent.errors import RecordRejectedError
from consent.holds import Hold
from consent.subjects import ContactRef

if TYPE_CHECKING:
    from api.services import Services


def declare_hold(services: "Services", caller: Caller, said: HoldIn) -> HoldsOut:
    """Declare that the law has records kept. Raises UnknownSubjectError and RecordRejectedError."""
    now = services.clock()
    named = subject(services, caller, said.subject)
    if isinstance(named, ContactRef):
        raise RecordRejectedError("subject", "must be a record or a golden ID")
    holds = services.holds.declare(
        services.subjects.numbers(named, now),
        said.reason,
        client=caller.client_id,
        now=now,
        until=None if said.until is None else milliseconds(said.until, "until"),
        attributes=said.attributes,
    )
    return HoldsOut(holds=[shown(each) for each in holds])


def lift_hold(services: "Services", caller: Caller, hold_no: int) -> LiftedOut:
    """Lift a hold, and let the erasures that it stopped go on. Raises UnknownHoldError."""
    now = services.clock()
    hold = services.holds.lift(hold_no, client=caller.client_id, now=now)
    return LiftedOut(hold=shown(hold), erased=services.desk.fulfilment.go_on(now))


def list_holds(services: "Services", after: int, limit: int, *, lifted: bool) -> HoldsOut:
    """List holds."""
    page = services.holds.page(after, limit + 1, lifted=lifted)
    following = page[limit - 1].hold_no if len(page) > limit else None
    return HoldsOut(holds=[shown(each) for each in page[:limit]], next=following)


def shown(hold: Hold) -> HoldOut:
    """Return a hold as it is answered."""
    return HoldOut(
        hold=hold.hold_no,
        record=hold.record_no,
        kind=hold.kind,
        reason=hold.reason,
        attributes=hold.names(),
        request=hold.request_id,
        until=None if hold.until is None else rfc3339(hold.until),
        declared_by=hold.declared_by,
        declared_at=rfc3339(hold.declared_at),
        lifted_by=hold.lifted_by,
        lifted_at=None if hold.lifted_at is None else rfc3339(hold.lifted_at),
    )
