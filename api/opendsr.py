"""OpenDSR 2.0 between the border's vocabulary and the requests of `consent`.

A controller is a client with the role officer. What it asks becomes a request like any other, under the
controller's own id besides: verified, decided and fulfilled as those are, with the same states and deadlines.
"""

import base64
import json
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING, Final, get_args

from pydantic import ValidationError

from api.auth import Caller
from api.opendsr_schemas import (
    CancelledOut,
    DiscoveryOut,
    IdentityOut,
    OpenDsrIn,
    ReceivedOut,
    StatusOut,
)
from api.problems import rule
from api.settings import SettingsError
from api.times import milliseconds, rfc3339
from api.webhook_sending import check_new_url
from consent.errors import RecordRejectedError, RequestStateError, UnknownRequestError
from consent.opendsr import (
    IDENTITIES,
    JURISDICTIONS,
    STATUSES,
    VERSION,
    Format,
    RequestKind,
    Status,
    identifier,
    told,
)
from consent.opendsr_store import Asked, Controllers, insert
from consent.request_opening import Opening
from consent.request_store import StoredRequest

if TYPE_CHECKING:
    from api.opendsr_signing import OpenDsrSigner
    from api.services import Services


class OpenDsr:
    """Takes requests of controllers and tells them of every change of state."""

    def __init__(self, services: "Services") -> None:
        self._services = services
        self.controllers = Controllers(services.db, services.recipients)

    @cached_property
    def signer(self) -> "OpenDsrSigner":
        """Signs what is answered. Raises SettingsError."""
        from api.opendsr_signing import OpenDsrSigner  # noqa: PLC0415 - X.509: only where something is signed

        return OpenDsrSigner.of(self._services.settings)

    def discovery(self) -> DiscoveryOut:
        """Tell what is supported (6.3)."""
        return DiscoveryOut(
            api_version=VERSION,
            supported_identities=[
                IdentityOut(identity_type=name, identity_format=form)
                for name in IDENTITIES
                for form in get_args(Format)
            ],
            supported_subject_request_types=list(get_args(RequestKind)),
            processor_certificate=f"https://{self.signer.domain}/opendsr/v2/certificate",
            self_signed=not self.signer.trusted,
        )

    def open(self, caller: Caller, body: bytes) -> ReceivedOut:
        """Open a request; the same id with the same content again is answered alike.

        Raises RecordRejectedError, and what opening a request raises.
        """
        asked = _parsed(body)
        self._check_callbacks(asked)
        said_hash = _hash(asked)
        known = self.controllers.find(caller.client_id, asked.subject_request_id)
        if known is None:
            known = self._open(caller, asked, said_hash)
        elif known.said_hash != said_hash:
            raise RecordRejectedError("subject_request_id", "was used for another request")
        return ReceivedOut(
            controller_id=caller.client_id,
            expected_completion_time=_completion(self._request(known)),
            received_time=rfc3339(known.received_at),
            encoded_request=base64.b64encode(body).decode(),
            subject_request_id=asked.subject_request_id,
        )

    def status(self, caller: Caller, subject_request_id: str) -> StatusOut:
        """Tell how far a request of this controller is. Raises UnknownRequestError."""
        asked = self._known(caller, subject_request_id)
        request = self._request(asked)
        return StatusOut(
            controller_id=caller.client_id,
            expected_completion_time=_completion(request),
            subject_request_id=subject_request_id,
            request_status=STATUSES[request.progress.state],
            api_version=VERSION,
            results_url=self._results(request, STATUSES[request.progress.state]),
        )

    def cancel(self, caller: Caller, subject_request_id: str) -> CancelledOut:
        """Cancel a request that is still pending (9). Raises UnknownRequestError and RequestStateError."""
        asked, now = self._known(caller, subject_request_id), self._services.clock()
        if STATUSES[self._request(asked).progress.state] != "pending":
            raise RequestStateError("only a pending request can be cancelled")
        self._services.desk.requests.cancel(asked.request_id, client=caller.client_id, now=now)
        return CancelledOut(
            controller_id=caller.client_id,
            received_time=rfc3339(now),
            subject_request_id=subject_request_id,
            api_version=VERSION,
        )

    def queue(self) -> None:
        """Queue what controllers have not been told; `api.webhooks` delivers it."""
        now = self._services.clock()
        for asked in self.controllers.behind():
            self._queue(asked, now)

    def _open(self, caller: Caller, asked: OpenDsrIn, said_hash: str) -> Asked:
        now = self._services.clock()
        opening = Opening(
            asked=asked.subject_request_type,
            jurisdiction=JURISDICTIONS[asked.regulation],
            identifiers=tuple(
                identifier(each.identity_type, each.identity_value, each.identity_format)
                for each in asked.subject_identities
            ),
            client=caller.client_id,
            received_at=milliseconds(asked.submitted_time, "submitted_time"),
        )
        urls = json.dumps(asked.status_callback_urls)
        made = Asked(caller.client_id, asked.subject_request_id, 0, said_hash, urls, now, 0, "")
        request = self._services.desk.requests.open(
            opening, now, also=lambda conn, number: insert(conn, made._replace(request_no=number))
        )
        return made._replace(request_no=request.request_no, request_id=request.request_id)

    def _check_callbacks(self, asked: OpenDsrIn) -> None:
        for url in asked.status_callback_urls:
            try:
                check_new_url(url, private=self._services.settings.webhooks_private)
            except SettingsError as error:
                raise RecordRejectedError("status_callback_urls", f"cannot be told: {error}") from None

    def _queue(self, asked: Asked, now: int) -> None:
        request = self._request(asked)
        steps = self._services.desk.requests.steps(request)
        messages = [
            (url, self._callback(asked, request, status, url))
            for status in told(steps, asked.told_steps, request.progress.state)
            for url in asked.urls()
        ]
        self.controllers.tell(asked, len(steps), messages, now)

    def _callback(self, asked: Asked, request: StoredRequest, status: Status, url: str) -> bytes:
        return json.dumps({
            "controller_id": asked.client_id,
            "expected_completion_time": _completion(request),
            "status_callback_url": url,
            "subject_request_id": asked.subject_request_id,
            "request_status": status,
            "api_version": VERSION,
            "results_url": self._results(request, status),
        }).encode()  # fmt: skip

    def _known(self, caller: Caller, subject_request_id: str) -> Asked:
        asked = self.controllers.find(caller.client_id, subject_request_id)
        if asked is None:
            raise UnknownRequestError("this controller made no such request")
        return asked

    def _request(self, asked: Asked) -> StoredRequest:
        return self._services.desk.requests.find(asked.request_id)

    def _results(self, request: StoredRequest, status: Status) -> str | None:
        """Return where the bundle is; who fetches it is authenticated as for every other."""
        if request.type == "erasure" or status != "completed":
            return None
        return f"https://{self.signer.domain}/v1/requests/{request.request_id}/bundle"


def _parsed(body: bytes) -> OpenDsrIn:
    """Read a body. Raises RecordRejectedError with the field and the rule, never the input."""
    try:
        return OpenDsrIn.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        known = [str(part) for part in first["loc"] if isinstance(part, int) or part in _FIELDS]
        raise RecordRejectedError(".".join(known) or "body", rule(dict(first))) from None


_FIELDS: Final = frozenset({
    *OpenDsrIn.model_fields, "identity_type", "identity_value", "identity_format",
})  # fmt: skip


def _hash(asked: OpenDsrIn) -> str:
    """Hash what was asked but for the identities: a hash of those could be guessed at after an erasure."""
    said = asked.model_dump(exclude={"subject_identities", "extensions"})
    return sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _completion(request: StoredRequest) -> str:
    return f"{request.answer_by}T23:59:59Z"
