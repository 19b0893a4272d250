"""Data-subject requests between the border's vocabulary and `consent`. Values are in a bundle only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import orjson

from api.auth import Caller
from api.golden_explanation import plain_links
from api.request_schemas import (
    CandidateOut,
    DecideIn,
    RequestIn,
    RequestOut,
    RequestsOut,
    SettleIn,
    StepOut,
    VerifyIn,
)
from api.store import find_client
from api.times import milliseconds, rfc3339
from consent.corrections import Corrector
from consent.deadlines import jurisdiction, today
from consent.erasure_exceptions import Exceptions
from consent.export import Exporter, Receipts
from consent.fulfilment import Eraser, Fulfilment, Notifier
from consent.lookup import Identifier
from consent.request_opening import Opening
from consent.request_recognition import Recognition
from consent.request_rules import STATES, DenialReason, ExtensionReason, State
from consent.request_store import StoredRequest
from consent.requests import Requests
from identity.explanation import LOGIC

if TYPE_CHECKING:
    from api.services import Services

BUNDLED = frozenset({"access", "portability"})


@dataclass(frozen=True, slots=True)
class RequestDesk:
    """Everything that handles requests, built once per process."""

    recognition: Recognition
    requests: Requests
    fulfilment: Fulfilment
    exporter: Exporter


def request_desk(
    services: "Services", *, eraser: Eraser, notifier: Notifier, receipts: Receipts
) -> RequestDesk:
    """Build what handles requests from the parts of `services`."""
    vault = services.stores.vault
    recognition = Recognition(
        db=services.db,
        keys=services.keys,
        key_store=services.key_store,
        vault=vault,
        memberships=services.memberships,
        people=services.people,
        lookup=services.lookup,
        minimum=services.purposes.requests.minimum_confidence,
    )
    requests = Requests(
        db=services.db,
        keys=services.keys,
        key_store=services.key_store,
        vault=vault,
        purposes=services.purposes,
        memberships=services.memberships,
        recognition=recognition,
    )
    fulfilment = Fulfilment(
        db=services.db,
        requests=requests,
        recognition=recognition,
        recorder=services.recorder,
        corrector=Corrector(
            db=services.db,
            writer=services.writer,
            recorder=services.recorder,
            judge=services.judge,
            online=services.online,
        ),
        exceptions=Exceptions(services.db, services.purposes, services.holds),
        holds=services.holds,
        eraser=eraser,
        notifier=notifier,
    )
    exporter = Exporter(
        door=services.door,
        people=services.people,
        purposes=services.purposes,
        access_log=services.settings.access_log_dir,
        explain=lambda record_nos: _explained(services, record_nos),
        name_of=lambda client_id: _name(services, client_id),
        receipts=receipts,
    )
    return RequestDesk(recognition, requests, fulfilment, exporter)


def open_request(services: "Services", caller: Caller, asked: RequestIn) -> RequestOut:
    """Open a request and answer with its id and deadlines."""
    opening = Opening(
        asked=asked.type,
        jurisdiction=asked.jurisdiction,
        identifiers=tuple(Identifier(each.type, each.value) for each in asked.identifiers),
        client=caller.client_id,
        received_at=None if asked.received_at is None else milliseconds(asked.received_at, "received_at"),
        purposes=tuple(asked.purposes),
        corrections={
            name: [value] if isinstance(value, str) else value for name, value in asked.corrections.items()
        },
    )
    request = services.desk.requests.open(opening, services.clock())
    return shown(services, caller, request, whole=True)


def verify_request(services: "Services", caller: Caller, request_id: str, said: VerifyIn) -> RequestOut:
    """Record an attempt to verify the requester."""
    request = services.desk.requests.verify(
        request_id,
        passed=said.outcome != "failed",
        method=said.method,
        evidence=said.evidence,
        client=caller.client_id,
        now=services.clock(),
    )
    return shown(services, caller, request, whole=True)


def decide_request(services: "Services", caller: Caller, request_id: str, said: DecideIn) -> RequestOut:
    """Approve, deny, extend or cancel."""
    requests, client, now = services.desk.requests, caller.client_id, services.clock()
    if said.decision == "approve":
        request = requests.approve(request_id, members=said.members, client=client, now=now)
    elif said.decision == "deny":
        denial: DenialReason = said.reason  # type: ignore[assignment] # DecideIn has checked that they go together
        request = requests.deny(request_id, denial, client=client, now=now)
    elif said.decision == "extend":
        extension: ExtensionReason = said.reason  # type: ignore[assignment] # as above
        request = requests.extend(request_id, extension, client=client, now=now)
    else:
        request = requests.cancel(request_id, client=client, now=now)
    return shown(services, caller, request, whole=True)


def fulfil_request(services: "Services", caller: Caller, request_id: str) -> RequestOut:
    """Do what an approved request asks for."""
    now = services.clock()
    request = services.desk.fulfilment.fulfil(request_id, client=caller.client_id, now=now)
    services.desk.requests.forget_due(now)
    return shown(services, caller, request, whole=True)


def settle_held(services: "Services", caller: Caller, request_id: str, said: SettleIn) -> RequestOut:
    """Settle whose a record is that an erasure left out as doubtful."""
    now = services.clock()
    request = services.desk.fulfilment.settle(
        request_id, said.record, theirs=said.outcome == "theirs", client=caller.client_id, now=now
    )
    return shown(services, caller, request, whole=True)


def show_request(services: "Services", caller: Caller, request_id: str) -> RequestOut:
    """Show a request with its evidence and its steps."""
    return shown(services, caller, services.desk.requests.find(request_id), whole=True)


def list_requests(
    services: "Services", caller: Caller, state: State | None, after: int, limit: int
) -> RequestsOut:
    """List requests, without their evidence."""
    states = STATES if state is None else (state,)
    page = services.desk.requests.page(states, after, limit + 1)
    following = page[limit - 1].request_no if len(page) > limit else None
    return RequestsOut(requests=[shown(services, caller, each) for each in page[:limit]], next=following)


def bundle_of(services: "Services", caller: Caller, request_id: str) -> dict[str, Any]:
    """Prepare the bundle of an access or portability request: the one answer that holds a person's data."""
    now = services.clock()
    requests = services.desk.requests
    request = requests.bundled(request_id)
    return services.desk.exporter.bundle(requests.approved(request, now), caller.client_id, now)


def bundle_file(bundle: Mapping[str, Any], form: Literal["json", "pdf"]) -> bytes:
    """Return a bundle as a file: JSON for machines, PDF for people."""
    if form == "json":
        return orjson.dumps(bundle, option=orjson.OPT_INDENT_2)
    from consent.bundle_document import document  # noqa: PLC0415 - its library, only where a page is set

    return document(bundle)


def shown(services: "Services", caller: Caller, request: StoredRequest, *, whole: bool = False) -> RequestOut:
    """Return a request as it is answered; `whole` with the records' evidence and all steps."""
    progress = request.progress
    day = today(services.clock(), jurisdiction(request.jurisdiction)).isoformat()
    fetched = request.type in BUNDLED and progress.approved and progress.state in {"in_progress", "fulfilled"}
    return RequestOut(
        id=request.request_id,
        type=request.type,
        asked=request.asked,
        jurisdiction=request.jurisdiction,
        state=progress.state,
        purposes=list(request.purposes),
        golden_id=_golden_id(services, caller, request),
        received_at=rfc3339(request.received_at),
        confirm_by=request.confirm_by,
        due=request.due,
        extended_due=request.extended_due,
        answer_by=request.answer_by,
        overdue=progress.active and day > request.answer_by,
        failures=progress.failures,
        verified=progress.verified,
        approved=progress.approved,
        denial=progress.denial,
        extension=progress.extension,
        closed_at=None if request.closed_at is None else rfc3339(request.closed_at),
        outcome=request.outcome,
        bundle=f"/v1/requests/{request.request_id}/bundle" if fetched else None,
        members=_members(services, request) if whole and progress.active else None,
        steps=_steps(services, request) if whole else None,
    )


def _members(services: "Services", request: StoredRequest) -> list[CandidateOut]:
    approved = set(request.members or ())
    return [
        CandidateOut(
            record=each.record_no,
            channel=each.channel,
            confidence=max(each.confidence, 0.0),
            carries=list(each.carries),
            entry=each.entry,
            status="approved" if each.record_no in approved else "certain" if each.certain else "doubtful",
        )
        for each in services.desk.recognition.of(request, services.clock()).members
    ]


def _steps(services: "Services", request: StoredRequest) -> list[StepOut]:
    return [
        StepOut(step=each.step, client=each.client, recorded_at=rfc3339(each.recorded_at), detail=each.detail)
        for each in services.desk.requests.steps(request)
    ]


def _golden_id(services: "Services", caller: Caller, request: StoredRequest) -> str | None:
    if request.golden_no is None:
        return None
    with services.db.read() as conn:
        view = services.memberships.view(conn, request.golden_no)
    return None if view is None else services.names.shown(caller, view.final.golden_id)


def _explained(services: "Services", record_nos: Sequence[int]) -> dict[str, Any]:
    links = [
        {
            "channels": list(link.channels),
            "certainty": link.certainty,
            "speaks_for": list(link.speaks_for),
            "speaks_against": list(link.speaks_against),
        }
        for link in plain_links(services, record_nos)
    ]
    return {"logic": LOGIC, "links": links}


def _name(services: "Services", client_id: str) -> str:
    with services.db.read() as conn:
        client = find_client(conn, client_id)
    return client_id if client is None else client.name
