"""Data-subject requests: opened, verified, decided. What a fulfilment does is in `consent.fulfilment`.

The rules are those of `consent.request_rules`; every step is one transaction that reads the request, applies
its rule, and stores the outcome with who did it. What the person said and what proves them (identifiers,
corrections, evidence) is sealed under the request's own key, which is destroyed some time after the end:
at once for an erasure that was fulfilled, else after the policy's `[requests] retention_days`.

A crash while a request is opened leaves a key that opens nothing. A request that has ended and whose key
still exists is swept by `forget_due`, which may run at any time and in any process.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any, Final

from sqlalchemy import Connection

from consent import request_questions, request_rules, request_store
from consent.deadlines import deadlines, jurisdiction, today
from consent.decisions import CLOCK_SKEW_MS
from consent.errors import (
    RecordRejectedError,
    RequestBlockedError,
    RequestConflictError,
    RequestStateError,
    UnknownRequestError,
)
from consent.events import REQUEST, Subject
from consent.key_store import KeyStore
from consent.purposes import Purposes
from consent.request_opening import Opening, kind_of
from consent.request_purposes import purposes_of
from consent.request_recognition import CONTENT, Recognised, Recognition
from consent.request_rules import DenialReason, ExtensionReason, Progress, RequestType, State
from consent.request_store import Step, StoredRequest
from consent.vault import Vault
from identity.database import Database
from identity.records import new_golden_ids
from identity.store import MembershipReader

BUNDLE_DAYS: Final = 30
"""How long after fulfilment the bundle can be prepared again."""
DAY_MS: Final = 86_400_000
APPROVED: Final = "approved"
BEGUN: Final = "fulfilment_begun"
_NAMED: Final = "named "


@dataclass(frozen=True, slots=True)
class Approved:
    """A request that may be fulfilled: the requester is verified, and an officer approved these records."""

    request_no: int
    request_id: str
    type: RequestType
    golden_no: int
    record_nos: tuple[int, ...]  # first the one through which the requester was recognised
    purposes: tuple[str, ...]
    corrections: Mapping[str, Sequence[str]] = field(repr=False)
    named: bool = False  # an officer named the records, and so judged the others to be somebody else's


class Requests:
    """Opens requests and takes them from step to step. Threads and processes may share the stores."""

    def __init__(
        self,
        *,
        db: Database,
        keys: Database,
        key_store: KeyStore,
        vault: Vault,
        purposes: Purposes,
        memberships: MembershipReader,
        recognition: Recognition,
    ) -> None:
        self._db, self._keys, self._key_store, self._vault = db, keys, key_store, vault
        self._purposes, self._memberships, self._recognition = purposes, memberships, recognition

    def open(
        self,
        opening: Opening,
        now: int,
        *,
        also: Callable[[Connection, int], None] = lambda _conn, _request_no: None,
    ) -> StoredRequest:
        """Open a request and return it; `also` runs in the transaction that stores it.

        Raises RecordRejectedError, UnknownPurposeError, and RequestConflictError where the person has an
        active request of the same type.
        """
        kind = kind_of(opening, self._purposes)
        where = jurisdiction(opening.jurisdiction)
        received_at = now if opening.received_at is None else opening.received_at
        if received_at > now + CLOCK_SKEW_MS:
            raise RecordRejectedError("received_at", "is more than 5 minutes in the future")
        if received_at < 0:  # no calendar of deadlines reaches everywhere back
            raise RecordRejectedError("received_at", "is before 1970")
        by = deadlines(received_at, where, opt_out=opening.asked == "opt_out")
        golden_no = self._recognition.found(opening.identifiers)
        with self._db.write() as conn:
            number = request_store.new_number(conn)
        with self._keys.write() as conn:
            subject = Subject(REQUEST, number)
            key = self._key_store.evidence.open_or_create(conn, [subject], self._vault)[subject]
        request = StoredRequest(
            request_no=number,
            request_id="r_" + new_golden_ids(1)[0].removeprefix("g_"),
            type=kind,
            asked=opening.asked,
            jurisdiction=opening.jurisdiction.strip().upper(),
            purposes=purposes_of(kind, opening.asked, opening.purposes, self._purposes),
            golden_no=golden_no,
            progress=Progress(),
            members=None,
            received_at=received_at,
            opened_at=now,
            confirm_by=None if by.confirm is None else by.confirm.isoformat(),
            due=by.due.isoformat(),
            extended_due=None if by.extended is None else by.extended.isoformat(),
            sealed=key.seal(CONTENT, opening.content()),
        )
        try:
            with self._db.write() as conn:
                self._refuse_second(conn, request)
                request_store.insert(conn, request)
                also(conn, number)
                step = Step("opened", opening.client, now, opening.asked)
                request_store.add_step(conn, number, step)
        except RequestConflictError:
            self._key_store.destroy([], evidence={subject: None})
            raise
        return request

    def verify(
        self, request_id: str, *, passed: bool, method: str, evidence: Any, client: str, now: int
    ) -> StoredRequest:
        """Record an attempt to verify the requester; `evidence` is kept sealed.

        Raises UnknownRequestError and RequestStateError.
        """
        key = self._recognition.key(self.find(request_id))

        def attempt(conn: Connection, request: StoredRequest) -> tuple[StoredRequest, Step]:
            place = _evidence_place(request_store.next_step(conn, request.request_no))
            sealed = None if evidence is None else key.seal(place, json.dumps(evidence).encode())
            progress = request_rules.verification(request.progress, passed=passed)
            step = "verified" if passed else "verification_failed"
            return replace(request, progress=progress), Step(step, client, now, method, sealed)

        return self._asking(self._step(request_id, attempt, now), now)

    def approve(
        self, request_id: str, *, members: Sequence[int] | None, client: str, now: int
    ) -> StoredRequest:
        """Approve a request for these records, by default for those that are certain.

        Raises UnknownRequestError, RequestStateError, RequestBlockedError where nobody is found or a record
        waits for a run, RequestConflictError as `open`, and RecordRejectedError for a record that is not one
        of the person's.
        """
        request = self.find(request_id)
        request_rules.approval(request.progress)
        recognised = self._recognition.of(request, now)
        recognised.refuse_waiting()
        if recognised.golden_no is None:
            raise RequestBlockedError(_nobody(recognised))
        known = {each.record_no for each in recognised.members}
        word = "" if members is None else _NAMED
        if members is None:
            members = [each.record_no for each in recognised.members if each.certain]
        elif set(members) - known:
            raise RecordRejectedError("members", "names a record that the identifiers do not lead to")
        if not members:
            raise RequestBlockedError("no record is the requester's: deny the request as no_match")
        chosen = tuple(sorted(set(members)))

        def approved(conn: Connection, request: StoredRequest) -> tuple[StoredRequest, Step]:
            _refuse_begun(conn, request)
            progress = request_rules.approval(request.progress)
            detail = word + ",".join(str(number) for number in chosen)
            chosen_for = replace(request, progress=progress, members=chosen, golden_no=recognised.golden_no)
            self._refuse_second(conn, chosen_for)  # who was nobody's when it was opened may be known now
            return chosen_for, Step(APPROVED, client, now, detail)

        return self._asking(self._step(request_id, approved, now), now)

    def deny(self, request_id: str, reason: DenialReason, *, client: str, now: int) -> StoredRequest:
        """Deny a request. Raises UnknownRequestError and RequestStateError, as the next two do."""

        def denied(conn: Connection, request: StoredRequest) -> tuple[StoredRequest, Step]:
            _refuse_begun(conn, request)
            progress = request_rules.denial(request.progress, reason)
            return replace(request, progress=progress), Step("denied", client, now, reason)

        return self._step(request_id, denied, now)

    def cancel(self, request_id: str, *, client: str, now: int) -> StoredRequest:
        """Note that the person has taken the request back."""

        def cancelled(conn: Connection, request: StoredRequest) -> tuple[StoredRequest, Step]:
            _refuse_begun(conn, request)
            progress = request_rules.cancellation(request.progress)
            return replace(request, progress=progress), Step("cancelled", client, now)

        return self._step(request_id, cancelled, now)

    def extend(self, request_id: str, reason: ExtensionReason, *, client: str, now: int) -> StoredRequest:
        """Put the answer off, once and before the first deadline."""

        def extended(_conn: Connection, request: StoredRequest) -> tuple[StoredRequest, Step]:
            if request.extended_due is None:
                raise RequestStateError("an opt-out cannot be put off")
            day = today(now, jurisdiction(request.jurisdiction))
            due = date.fromisoformat(request.due)
            progress = request_rules.extension(request.progress, reason, today=day, due=due)
            return replace(request, progress=progress), Step("extended", client, now, reason)

        return self._step(request_id, extended, now)

    def begin(self, request_id: str, *, client: str, now: int) -> tuple[Approved, StoredRequest]:
        """Return what is to be fulfilled; the records are final from here on, however often it is repeated.

        Records that were approved and have left the golden ID since are left out. Raises
        UnknownRequestError, RequestStateError and RequestBlockedError.
        """
        request = self.find(request_id)
        request_rules.fulfilment(request.progress)
        steps = self.steps(request)
        last = next(step for step in reversed(steps) if step.step == APPROVED)
        named = (last.detail or "").startswith(_NAMED)
        if any(step.step == BEGUN for step in steps):
            return replace(self._approved(request), named=named), request
        approved = replace(self.approved(request, now), named=named)

        def begun_with(_conn: Connection, request: StoredRequest) -> tuple[StoredRequest, Step]:
            request_rules.fulfilment(request.progress)
            narrowed = replace(request, members=approved.record_nos, golden_no=approved.golden_no)
            return narrowed, Step(BEGUN, client, now)

        return approved, self._step(request_id, begun_with, now)

    def approved(self, request: StoredRequest, now: int) -> Approved:
        """Return whose request this is, if it is approved or was fulfilled a short time ago.

        Raises RequestStateError and RequestBlockedError.
        """
        if request.progress.state == "fulfilled":
            if request.closed_at is None or now > request.closed_at + BUNDLE_DAYS * DAY_MS:
                raise RequestStateError(
                    f"the request was fulfilled over {BUNDLE_DAYS} days ago: open another"
                )
        else:
            request_rules.fulfilment(request.progress)
        recognised = self._recognition.of(request, now)
        if request.progress.active:
            recognised.refuse_waiting()
        present = [each for each in recognised.members if each.record_no in (request.members or ())]
        if recognised.golden_no is None or not present:
            raise RequestBlockedError(_nobody(recognised))
        first = sorted(present, key=lambda each: (not each.entry, each.record_no))
        kept = tuple(each.record_no for each in first)
        return self._approved(replace(request, members=kept, golden_no=recognised.golden_no))

    def fulfilled(self, request_id: str, outcome: dict[str, Any], *, client: str, now: int) -> StoredRequest:
        """Close a request with what was done: numbers and names, never values."""

        def done(_conn: Connection, request: StoredRequest) -> tuple[StoredRequest, Step]:
            progress = request_rules.fulfilment(request.progress)
            return replace(request, progress=progress, outcome=outcome), Step("fulfilled", client, now)

        return self._step(request_id, done, now)

    def find(self, request_id: str) -> StoredRequest:
        """Return a request. Raises UnknownRequestError."""
        with self._db.read() as conn:
            return _known(conn, request_id)

    def bundled(self, request_id: str) -> StoredRequest:
        """Return a request whose answer is a bundle. Raises UnknownRequestError and RequestStateError."""
        request = self.find(request_id)
        if request.type not in {"access", "portability"}:
            raise RequestStateError(f"the answer to a request for {request.type} is no bundle")
        return request

    def steps(self, request: StoredRequest) -> list[Step]:
        """Return everything that was done with a request, in order."""
        with self._db.read() as conn:
            return request_store.steps(conn, request.request_no)

    def page(self, states: Sequence[State], after: int, count: int) -> list[StoredRequest]:
        """Return requests in these states, in the order in which they were opened."""
        with self._db.read() as conn:
            return request_store.page(conn, states, after, count)

    def forget_due(self, now: int) -> int:
        """Destroy the keys of requests that have ended and reached their date; return how many.

        Raises DestructionIncompleteError when a reader of the key store does not end: repeat it.
        """
        with self._db.read() as conn:
            due = request_store.to_forget(conn, now)
        if due:
            self._key_store.destroy([], evidence={Subject(REQUEST, number): None for number in due})
        for number in due:
            with self._db.write() as conn:
                request_store.forgotten(conn, number)
        return len(due)

    def _step(
        self,
        request_id: str,
        rule: Callable[[Connection, StoredRequest], tuple[StoredRequest, Step]],
        now: int,
    ) -> StoredRequest:
        """Apply `rule` to the request as it stands, under the write lock."""
        with self._db.write() as conn:
            changed, step = rule(conn, _known(conn, request_id))
            if not changed.progress.active:
                changed = self._closed(changed, now)
                members = self._memberships.members(conn, changed.golden_no or 0)
                request_questions.withdraw(conn, [each.record_no for each in members])
            request_store.save(conn, changed)
            request_store.add_step(conn, changed.request_no, step)
            if changed.forget_at == now and changed.golden_no is not None:
                # what the erased said in other requests says who they were, too
                request_store.forget_ended(conn, changed.golden_no, now)
        return changed

    def _asking(self, request: StoredRequest, now: int) -> StoredRequest:
        """Put the request's doubtful records before the stewards, and return it."""
        if request.progress.active and request.progress.verified:
            members = self._recognition.of(request, now).members
            with self._db.write() as conn:
                request_questions.ask(conn, members, now)
        return request

    def _closed(self, request: StoredRequest, now: int) -> StoredRequest:
        erased = request.type == "erasure" and request.progress.state == "fulfilled"
        kept = 0 if erased else self._purposes.requests.retention_days * DAY_MS
        return replace(request, closed_at=now, forget_at=now + kept)

    def _refuse_second(self, conn: Connection, request: StoredRequest) -> None:
        """Raise RequestConflictError if the person has another active request of this type."""
        if request.golden_no is None:
            return
        for other_id, golden_no in request_store.active_of_type(conn, request.type):
            if other_id == request.request_id:
                continue
            view = self._memberships.view(conn, golden_no)
            now_no = golden_no if view is None else view.final.golden_no  # merged since it was opened
            if now_no == request.golden_no:
                raise RequestConflictError(
                    f"{other_id} is active for the same person and type: complete or cancel it first"
                )

    def _approved(self, request: StoredRequest) -> Approved:
        return Approved(
            request_no=request.request_no,
            request_id=request.request_id,
            type=request.type,
            golden_no=request.golden_no or 0,
            record_nos=request.members or (),
            purposes=request.purposes,
            corrections=self._recognition.content(request).corrections,
        )


def _known(conn: Connection, request_id: str) -> StoredRequest:
    request = request_store.find(conn, request_id)
    if request is None:
        raise UnknownRequestError("there is no such request")
    return request


def _refuse_begun(conn: Connection, request: StoredRequest) -> None:
    """Raise RequestStateError once the erasure has begun: what is destroyed is taken back by no decision."""
    if request_store.erasing(conn, request.request_id):
        raise RequestStateError("its erasure has begun: fulfil the request to complete it")


def _evidence_place(seq: int) -> bytes:
    return b"request evidence %d" % seq


def _nobody(recognised: Recognised) -> str:
    if recognised.shared:
        return "the identifiers fit several people: open a request with one that decides"
    return (
        "nobody fits the identifiers, or none of the approved records is theirs any more: deny it as no_match"
    )
