"""Errors as RFC 9457 problems: one table from domain error to HTTP answer, and nothing personal in any.

A problem's `detail` is written here or comes from an error class that promises to hold no value of a
person. Validation answers name the field and the rule, never the input. Request ids travel in a header,
so that two 404 bodies are equal to the byte.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, cast

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match

from consent.errors import (
    AccessLogError,
    CheckpointError,
    ConsentError,
    DestructionIncompleteError,
    KeyringError,
    KeyUnavailableError,
    LedgerCorruptError,
    NotPermittedError,
    PolicyError,
    ReceiptError,
    RecordHeldError,
    RecordRejectedError,
    RequestBlockedError,
    RequestConflictError,
    RequestStateError,
    UnknownHoldError,
    UnknownPurposeError,
    UnknownRequestError,
    UnknownSubjectError,
    VaultError,
)
from consent.merkle import ProofError
from identity.errors import (
    ContradictionError,
    CursorError,
    IdentityError,
    NoModelError,
    NotJudgeableError,
    RunInProgressError,
    StaleScoresError,
    StoreBusyError,
    StoreDamagedError,
    StoreFullError,
    StoreUnreachableError,
)

if TYPE_CHECKING:
    from fastapi.exceptions import RequestValidationError  # every command would pay for all of FastAPI

MEDIA_TYPE: Final = "application/problem+json"


@dataclass(frozen=True, slots=True)
class Problem:
    """One kind of error answer. `type` is `urn:aurea:problem:<slug>`."""

    status: int
    slug: str
    title: str
    detail: str | None = None

    def body(self, extra: Mapping[str, Any] | None = None) -> bytes:
        """Return the JSON of this problem with the extension members of `extra`."""
        members: dict[str, Any] = {
            "type": f"urn:aurea:problem:{self.slug}",
            "title": self.title,
            "status": self.status,
        }
        if self.detail is not None:
            members["detail"] = self.detail
        return orjson.dumps(members | dict(extra or {}))


class ProblemError(Exception):
    """Raised by routes where no domain error fits; carries its own answer."""

    def __init__(
        self,
        problem: Problem,
        *,
        headers: Mapping[str, str] | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(problem.title)
        self.problem = problem
        self.headers = dict(headers or {})
        self.extra = dict(extra or {})


# To a consumer an unknown, erased, restricted and not-permitted person look the same: this, to the byte.
NOT_FOUND: Final = Problem(404, "not-found", "Not found", "Nothing is available under that name.")
UNAUTHENTICATED: Final = Problem(
    401, "unauthenticated", "Not authenticated", "A valid access token from POST /v1/token is needed."
)
FORBIDDEN_ROLE: Final = Problem(403, "forbidden", "Not allowed", "The role of this client may not do this.")
FORBIDDEN_PURPOSE: Final = Problem(
    403, "forbidden-purpose", "Not allowed", "The access token does not carry the purpose that was named."
)
FORBIDDEN_SUBJECT: Final = Problem(
    403, "forbidden-subject", "Not allowed", "This role names a record or a contact, not a golden ID."
)
FORBIDDEN_METHOD: Final = Problem(
    403, "forbidden-method", "Not allowed", "The method `verified` is an officer's word."
)
INVALID: Final = Problem(422, "invalid-request", "The request is not as documented")
TOO_LARGE: Final = Problem(413, "too-large", "The request body is too large")
KEY_REUSED: Final = Problem(
    422, "idempotency-key-reused", "Idempotency-Key was used before",
    "The same Idempotency-Key came with another body within 24 hours.",
)  # fmt: skip
KEY_IN_USE: Final = Problem(
    409, "idempotency-key-in-use", "Idempotency-Key is in use",
    "The first request with this Idempotency-Key is still under way; ask again shortly.",
)  # fmt: skip
TOO_OFTEN: Final = Problem(
    429, "too-many-requests", "Too many requests", "Ask again after the seconds in Retry-After."
)
QUOTA_SPENT: Final = Problem(
    429, "people-quota", "Quota of people is spent",
    "This client was told of as many people as it may on one day; the next begins at midnight UTC.",
)  # fmt: skip
ISSUER_UNAVAILABLE: Final = Problem(
    503, "issuer-unavailable", "Not available", "The issuer of this access token does not answer."
)
INTERNAL: Final = Problem(
    500, "internal", "Internal error", "The failure was recorded under the id in the X-Request-Id header."
)
_BUSY: Final = Problem(503, "busy", "The store is busy", "Another writer holds the store; try again shortly.")
_RETRY_AFTER: Final = "5"  # seconds: what keeps the service from answering passes, or is looked at
_UNAVAILABLE: Final = Problem(503, "unavailable", "Not available", "The service cannot answer this now.")

# Looked up by the error's class, then its bases. `detail=None` with `_SAFE` takes the error's own sentence.
TABLE: Final[dict[type[Exception], Problem]] = {
    UnknownSubjectError: NOT_FOUND,
    NotPermittedError: NOT_FOUND,
    UnknownPurposeError: Problem(
        422, "unknown-purpose", "No such purpose", "The policy has no such purpose."
    ),
    RecordRejectedError: Problem(422, "record-rejected", "The record breaks the input contract"),
    UnknownRequestError: NOT_FOUND,
    UnknownHoldError: NOT_FOUND,
    RecordHeldError: Problem(409, "record-held", "The record is held"),
    RequestStateError: Problem(409, "request-state", "The request is not in a state for this"),
    RequestConflictError: Problem(409, "request-active", "Such a request is active"),
    RequestBlockedError: Problem(409, "request-blocked", "The request cannot be fulfilled as it stands"),
    PolicyError: _UNAVAILABLE,
    KeyUnavailableError: NOT_FOUND,  # destroyed while the request was under way
    VaultError: INTERNAL,
    KeyringError: _UNAVAILABLE,
    LedgerCorruptError: Problem(500, "ledger-corrupt", "The consent ledger does not verify"),
    AccessLogError: Problem(
        503, "access-log", "Not available", "The access log cannot be written, so no data may leave."
    ),
    ConsentError: INTERNAL,
    StoreBusyError: _BUSY,
    StaleScoresError: _BUSY,
    StoreFullError: Problem(
        503, "storage-full", "Not available", "The disk is full; nothing of this request was kept."
    ),
    StoreDamagedError: Problem(
        503, "storage-damaged", "Not available", "A store is damaged, so nothing of it is served."
    ),
    StoreUnreachableError: Problem(
        503, "store-unreachable", "Not available", "The database does not answer; send the request again."
    ),
    ProofError: Problem(404, "no-such-entry", "The ledger has no such entry or size"),
    DestructionIncompleteError: Problem(
        503, "destruction-incomplete", "Not finished", "The keys are being destroyed; send the request again."
    ),
    CheckpointError: Problem(422, "invalid-checkpoint", "This is no checkpoint of the ledger"),
    ReceiptError: Problem(422, "invalid-receipt", "This is no receipt of the ledger"),
    CursorError: Problem(422, "invalid-cursor", "This is no cursor of the change feed"),
    RunInProgressError: Problem(409, "run-in-progress", "A linkage run is under way"),
    NoModelError: Problem(409, "no-model", "There is no model yet", "Run `aurea link` once."),
    ContradictionError: Problem(409, "contradiction", "This contradicts other judgements"),
    NotJudgeableError: Problem(409, "not-judgeable", "This cannot be judged"),
    IdentityError: INTERNAL,
}
DOMAIN_ERRORS: Final = (ConsentError, IdentityError, ProofError)
# Their message names a column, an index, a request by its id, or records and judgements by number.
_SAFE: Final = (
    RecordRejectedError, LedgerCorruptError, ContradictionError, NotJudgeableError, RequestStateError,
    RequestConflictError, RequestBlockedError, RecordHeldError,
)  # fmt: skip


def too_often(seconds: float, problem: Problem = TOO_OFTEN) -> ProblemError:
    """Return a 429 that says after how many seconds, at least one, to ask again."""
    return ProblemError(problem, headers={"Retry-After": str(max(1, math.ceil(seconds)))})


def problem_of(error: Exception) -> Problem:
    """Return the answer to `error`: the entry of its class or of its nearest base."""
    for kind in type(error).__mro__:
        found = TABLE.get(kind)
        if found is not None:
            return replace(found, detail=str(error)) if isinstance(error, _SAFE) else found
    return INTERNAL


def respond(
    problem: Problem, *, headers: Mapping[str, str] | None = None, extra: Mapping[str, Any] | None = None
) -> Response:
    """Return `problem` as an HTTP answer; every 503 says when to ask again."""
    later = {"Retry-After": _RETRY_AFTER} if problem.status == 503 else {}
    return Response(problem.body(extra), problem.status, later | dict(headers or {}), MEDIA_TYPE)


async def answer_problem(_request: Request, error: Exception) -> Response:
    """Handle ProblemError."""
    assert isinstance(error, ProblemError)  # noqa: S101 - narrows what the handler is registered for
    return respond(error.problem, headers=error.headers, extra=error.extra)


async def answer_domain_error(_request: Request, error: Exception) -> Response:
    """Handle every error of `consent` and `identity` by the table."""
    return respond(problem_of(error))


async def answer_http_error(request: Request, error: Exception) -> Response:
    """Handle what the framework raises itself: no such route, wrong method, unreadable body."""
    assert isinstance(error, HTTPException)  # noqa: S101 - narrows what the handler is registered for
    slug, title = _FRAMEWORK.get(error.status_code, ("refused", "The request was refused"))
    headers = dict(error.headers or {})
    if error.status_code == 405:  # the framework names only the methods of the first route of that path
        headers["Allow"] = ", ".join(sorted(_methods(request)))
    return respond(Problem(error.status_code, slug, title), headers=headers)


def _methods(request: Request) -> set[str]:
    """Return every method that is served at the path of `request`."""
    at_path = [each for each in request.app.state.routes if each.matches(request.scope)[0] is not Match.NONE]
    # Of `/lookup` and `/{golden_id}` the first is meant, whichever is tried first.
    exact = [each for each in at_path if "{" not in each.path] or at_path
    same = [each for each in exact if each.path == exact[0].path]
    return {method for each in same for method in each.methods or ()}


async def answer_invalid(_request: Request, error: Exception) -> Response:
    """Handle a request that does not fit its schema: which field, which rule, never what was sent."""
    invalid = cast("RequestValidationError", error)  # what the handler is registered for
    errors = [{"field": _field(one["loc"]), "rule": rule(one)} for one in invalid.errors()]
    return respond(INVALID, extra={"errors": errors[:20]})


_FRAMEWORK: Final = {
    400: ("bad-request", "The request cannot be read"),
    401: ("unauthenticated", "Not authenticated"),
    404: ("no-such-route", "No such route"),
    405: ("method-not-allowed", "Method not allowed"),
    413: ("too-large", "The request body is too large"),
}
# Rules whose message is the same for every input, or states only what would have been accepted.
_PLAIN_RULES: Final = frozenset({
    "missing", "json_invalid", "literal_error", "string_type", "string_too_long", "string_too_short",
    "string_pattern_mismatch", "too_long", "too_short", "list_type", "dict_type", "model_attributes_type",
    "int_parsing", "int_type", "greater_than_equal", "less_than_equal", "bool_type", "value_error",
    "extra_forbidden",
})  # fmt: skip
# Words that may stand in a field path; anything else (a key the caller chose) shows as `*`.
_FIELDS: Final = frozenset({
    "body", "query", "path", "header", "records", "channel", "source_id", "observed_at", "attributes",
    "traits", "verified", "consents", "purpose", "state", "notice", "method", "subject", "golden_id",
    "record", "contact", "type", "value", "identifiers", "event_time", "as_of", "after", "limit", "n",
    "first", "second", "grant_type", "scope", "client_id", "client_secret", "Idempotency-Key",
    "idempotency-key", "number", "verdict", "reason", "judgement", "proof", "jurisdiction", "received_at",
    "corrections", "purposes", "members", "until", "lifted", "decision", "outcome", "evidence", "id",
    "format",
})  # fmt: skip


def _field(path: Sequence[int | str]) -> str:
    return ".".join(str(part) if isinstance(part, int) or part in _FIELDS else "*" for part in path)


def rule(error: Mapping[str, Any]) -> str:
    """Return the rule that a value breaks, in words that hold nothing of the value."""
    return str(error["msg"]) if error["type"] in _PLAIN_RULES else "This value is not acceptable"
