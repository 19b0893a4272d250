"""Statements and questions about consent, between the border's vocabulary and `consent.recording`."""

from typing import TYPE_CHECKING, Any

from api.auth import Caller
from api.consent_schemas import (
    ConsentAnswer,
    ConsentEventOut,
    ConsentReason,
    RecordOutside,
    RenewalOut,
    RenewalsOut,
)
from api.incoming import stated
from api.problems import FORBIDDEN_METHOD, ProblemError
from api.proofs import consent_proof
from api.schemas import ConsentIn, ConsentOut, ConsentQuery, SubjectIn
from api.times import milliseconds, rfc3339
from consent.errors import UnknownSubjectError
from consent.events import VERIFIED_METHODS, ConsentEvent
from consent.recording import Saying
from consent.subjects import ContactRef, GoldenRef, RecordRef, SubjectRef
from identity.records import RecordKey

if TYPE_CHECKING:
    from api.services import Services


def check_method(caller: Caller, method: str | None) -> None:
    """Refuse with 403 a method that is not this caller's to claim. Before anyone is looked up."""
    if method in VERIFIED_METHODS and not caller.may("record verified consents"):
        raise ProblemError(FORBIDDEN_METHOD)


def record_consent(
    services: "Services", caller: Caller, said: ConsentIn, begun: int | None = None
) -> ConsentOut:
    """Record a statement; effective for every reader once this returns.

    `begun`: since when (ms) the same request may have recorded it; what it did is not done again. Raises
    UnknownSubjectError, UnknownPurposeError, RecordRejectedError.
    """
    saying = Saying(
        purpose=said.purpose,
        state=said.state,
        method=said.method or "api",
        source=f"client:{caller.client_id}",
        notice=said.notice,
        event_time=None if said.event_time is None else milliseconds(said.event_time, "event_time"),
        evidence=stated(said.evidence),
        begun=begun,
    )
    events = services.recorder.record(subject(services, caller, said.subject), saying, services.clock())
    return ConsentOut(
        event=_index(events[-1]),
        events=[_index(event) for event in events],
        recorded_at=rfc3339(events[-1].recorded_at),
    )


def query_consent(services: "Services", caller: Caller, asked: ConsentQuery) -> ConsentAnswer:
    """Answer what a purpose may do with a subject, and on what that rests.

    `out_of_view` is left unset for those who may not know it, and answers leave out what is unset.
    """
    answer = services.recorder.query(
        subject(services, caller, asked.subject),
        asked.purpose,
        services.clock(),
        as_of=None if asked.as_of is None else milliseconds(asked.as_of, "as_of"),
    )
    said = ConsentAnswer(
        state=answer.state,
        allowed=answer.allowed,
        rule=answer.rule,
        reasons=[ConsentReason(event=reason.event, text=reason.text) for reason in answer.reasons],
        events=[_event(event) for event in answer.events],
    )
    if caller.may("see what is out of view"):
        said.out_of_view = [
            RecordOutside(record=each.record_no, confidence=max(each.confidence, 0.0), why=each.why)
            for each in answer.outside
        ]
    if asked.proof:
        said.proof = consent_proof(services, [_index(event) for event in answer.events])
    return said


def consent_receipt(services: "Services", caller: Caller, index: int) -> dict[str, Any]:
    """Return the signed receipt of an event. Raises UnknownSubjectError.

    An ingest client is given receipts of what it said itself, and nobody those of a purpose that the
    client does not carry: to them such an event is none.
    """
    event = services.receipts.event(index)
    own = event.source == f"client:{caller.client_id}"
    if not caller.may_name(event.purpose) or (caller.role == "ingest" and not own):
        raise UnknownSubjectError("there is no such event, or its subject has been erased")
    return services.receipts.consent_receipt(index, services.clock())


def list_renewals(services: "Services", caller: Caller, within: int, after: int, limit: int) -> RenewalsOut:
    """List what a purpose may do now and, if nobody says anything, not `within` days from now."""
    found, following = services.renewals.page(within, after, limit, services.clock())
    return RenewalsOut(
        renewals=[
            RenewalOut(
                golden_id=services.names.shown(caller, each.golden_id),
                purpose=each.purpose,
                event=each.event,
                expires_at=rfc3339(each.expires_at),
            )
            for each in found
        ],
        next=following,
    )


def subject(services: "Services", caller: Caller, named: SubjectIn) -> SubjectRef:
    """Return whom `named` is about, golden IDs in the caller's own form."""
    if named.record is not None:
        return RecordRef(RecordKey(named.record.channel, named.record.source_id))
    if named.contact is not None:
        return ContactRef(named.contact.type, named.contact.value)
    return GoldenRef(services.names.meant(caller, named.golden_id or ""))


def _event(event: ConsentEvent) -> ConsentEventOut:
    return ConsentEventOut(
        event=_index(event),
        purpose=event.purpose,
        state=event.state,
        method=event.method,
        source=event.source,
        notice=event.notice,
        event_time=rfc3339(event.event_time),
        recorded_at=rfc3339(event.recorded_at),
        expires_at=None if event.expires_at is None else rfc3339(event.expires_at),
    )


def _index(event: ConsentEvent) -> int:
    assert event.index is not None  # noqa: S101 - events of the ledger have their place
    return event.index
