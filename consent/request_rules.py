"""What may become of a data-subject request: types, states, and the steps between them (pure).

    received -> verifying -> in_progress -> fulfilled
    any of the first three -> denied | cancelled

1. `fulfilled` is reached from `in_progress` alone, and `in_progress` by a verification that passed: nothing
   is disclosed or destroyed for somebody who was not proven to be the person (GDPR 12(6)).
2. The third verification that fails ends the request as denied, `insuf_verification`.
3. An officer's approval stands between verification and fulfilment; a denial names one of the reasons of the
   Data Rights Protocol.
4. The answer may be put off once, with a reason, while the first deadline has not passed (GDPR 12(3)).

A step that the state does not allow raises RequestStateError; the progress given is never changed in place.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Final, Literal, get_args

from consent.errors import RequestStateError

RequestType = Literal[
    "access", "rectification", "erasure", "restriction", "portability", "objection", "withdrawal"
]
TYPES: Final[tuple[RequestType, ...]] = get_args(RequestType)
ARTICLES: Final[Mapping[RequestType, str]] = {
    "access": "15",
    "rectification": "16",
    "erasure": "17",
    "restriction": "18",
    "portability": "20",
    "objection": "21",
    "withdrawal": "7(3)",
}

AskedType = Literal[RequestType, "know", "delete", "correct", "opt_out"]
"""What may be asked for: the rights of the GDPR, and those of the CCPA by their own names."""
CCPA_TYPES: Final[Mapping[str, RequestType]] = {
    "know": "access",
    "delete": "erasure",
    "correct": "rectification",
    "opt_out": "objection",
}

State = Literal["received", "verifying", "in_progress", "fulfilled", "denied", "cancelled"]
STATES: Final[tuple[State, ...]] = get_args(State)
ACTIVE: Final[frozenset[State]] = frozenset(("received", "verifying", "in_progress"))

DenialReason = Literal[
    "suspected_fraud",
    "insuf_verification",
    "no_match",
    "claim_not_covered",
    "outside_jurisdiction",
    "too_many_requests",
    "other",
]
DENIALS: Final[tuple[DenialReason, ...]] = get_args(DenialReason)
"""The reasons of the Data Rights Protocol 0.9, section 3.02.1."""

ExtensionReason = Literal["complexity", "number_of_requests"]
EXTENSIONS: Final[tuple[ExtensionReason, ...]] = get_args(ExtensionReason)
"""The two grounds of GDPR 12(3)."""

HoldReason = Literal["litigation", "investigation", "regulator", "obligation"]
"""Why the law has a record kept (GDPR 17(3))."""

MOST_FAILURES: Final = 3


def type_of(asked: str) -> RequestType | None:
    """Return the right that `asked` names, whichever law's word it is; None if it names none."""
    found = CCPA_TYPES.get(asked)
    return found or next((each for each in TYPES if each == asked), None)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a request has come. A new request is `Progress()`."""

    state: State = "received"
    failures: int = 0  # verifications that failed
    verified: bool = False
    approved: bool = False
    denial: DenialReason | None = None
    extension: ExtensionReason | None = None

    @property
    def active(self) -> bool:
        """Whether something is still to be done."""
        return self.state in ACTIVE


def verification(progress: Progress, *, passed: bool) -> Progress:
    """Return what an attempt to verify the requester leads to."""
    _require(progress, "verified", ("received", "verifying"))
    if passed:
        return replace(progress, state="in_progress", verified=True)
    failures = progress.failures + 1
    if failures >= MOST_FAILURES:
        return replace(progress, state="denied", failures=failures, denial="insuf_verification")
    return replace(progress, state="verifying", failures=failures)


def approval(progress: Progress) -> Progress:
    """Return a request that an officer has approved; a second approval replaces the first."""
    _require(progress, "approved", ("in_progress",))
    return replace(progress, approved=True)


def denial(progress: Progress, reason: DenialReason) -> Progress:
    """Return a denied request."""
    _require(progress, "denied", ("received", "verifying", "in_progress"))
    return replace(progress, state="denied", denial=reason)


def cancellation(progress: Progress) -> Progress:
    """Return a request that the person has taken back."""
    _require(progress, "cancelled", ("received", "verifying", "in_progress"))
    return replace(progress, state="cancelled")


def extension(progress: Progress, reason: ExtensionReason, *, today: date, due: date) -> Progress:
    """Return a request whose answer is put off; `due` is the first deadline, the last day to say so."""
    _require(progress, "extended", ("received", "verifying", "in_progress"))
    if progress.extension is not None:
        raise RequestStateError("the request was extended before; it can be extended only once")
    if today > due:
        raise RequestStateError(
            f"the first deadline, {due.isoformat()}, has passed: an extension had to be told before it"
        )
    return replace(progress, extension=reason)


def fulfilment(progress: Progress) -> Progress:
    """Return a fulfilled request."""
    _require(progress, "fulfilled", ("in_progress",))
    if not progress.verified:
        raise RequestStateError("the requester is not verified: record a verification that passed")
    if not progress.approved:
        raise RequestStateError("no officer has approved the request: decide it first")
    return replace(progress, state="fulfilled")


def _require(progress: Progress, what: str, states: tuple[State, ...]) -> None:
    if progress.state not in states:
        raise RequestStateError(
            f"the request is {progress.state}; only one that is {' or '.join(states)} can be {what}"
        )
