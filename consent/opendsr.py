"""OpenDSR 2.0 in the words of the requests that it opens.

Source: github.com/opengdpr/OpenDSR, specification.md (discovery 6, requests 7, status 8, cancellation 9). The
controller has verified the person before it asks; what is done here still takes an officer's verification and
approval, so a request stays `pending` until then.
"""

import re
from collections.abc import Sequence
from typing import Final, Literal

from consent.errors import RecordRejectedError
from consent.lookup import Identifier
from consent.request_rules import State
from consent.request_store import Step

VERSION: Final = "2.0"
Status = Literal["pending", "in_progress", "completed", "cancelled"]
RequestKind = Literal["access", "portability", "erasure"]
Format = Literal["raw", "sha256"]

JURISDICTIONS: Final = {"gdpr": "EU", "ccpa": "US-CA"}

DEVICES: Final = (
    "android_advertising_id", "android_id", "fire_advertising_id", "ios_advertising_id", "ios_vendor_id",
    "microsoft_advertising_id", "microsoft_publisher_id", "roku_publisher_id", "roku_advertising_id",
)  # fmt: skip
IDENTITIES: Final = {
    "controller_customer_id": "user_id",
    "email": "email",
    **dict.fromkeys(DEVICES, "device_id"),
}
"""What OpenDSR calls an identity (5.1) -> the identifier type under which it is held."""

STATUSES: Final[dict[State, Status]] = {
    "received": "pending",
    "verifying": "pending",
    "in_progress": "in_progress",
    "fulfilled": "completed",
    "denied": "cancelled",
    "cancelled": "cancelled",
}
_TOLD_BY_STEP: Final[dict[str, Status]] = {
    "opened": "pending",
    "verified": "in_progress",
    "fulfilled": "completed",
    "denied": "cancelled",
    "cancelled": "cancelled",
}
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


def identifier(identity_type: str, value: str, form: Format) -> Identifier:
    """Return an identity as an identifier. Raises RecordRejectedError for a hash that is none.

    A hash must be that of the value as it is compared: an address in lower case without spaces around it.
    """
    if form == "sha256" and not _SHA256.fullmatch(value):
        raise RecordRejectedError("identity_value", "is no SHA-256 in lower-case hexadecimal")
    return Identifier(IDENTITIES[identity_type], value, form == "sha256")


def told(steps: Sequence[Step], since: int, state: State) -> list[Status]:
    """Return the statuses that the steps from place `since` on brought, in order: each is told once.

    The verification whose failure is the third denies the request, which no step of its own says.
    """
    found = [_TOLD_BY_STEP[step.step] for step in steps[since:] if step.step in _TOLD_BY_STEP]
    failed = len(steps) > since and steps[-1].step == "verification_failed"
    return [*found, "cancelled"] if failed and state == "denied" else found
