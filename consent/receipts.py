"""Consent receipts: what was said, in a form that others read, with the proof that it was recorded (pure).

The record is one of ISO/IEC TS 27560 in JSON-LD, written with the terms of the W3C Data Privacy Vocabulary
and Dublin Core alone; what the ledger adds is under `proof`. The proof opens the leaf's commitment (payload
and salt), shows that the leaf is in a signed checkpoint, and the ledger's key signs the whole, so that
`consent.receipt_verification` needs nothing but the public key. The receipt outlives an erasure where its
holder keeps it: it names the subject by a tag and an internal number, never by a value.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from consent.events import ConsentEvent
from consent.purposes import Purpose
from consent.receipt_verification import DOMAIN, KIND, canonical

PROFILE: Final = "https://w3id.org/dpv/schema/dpv-27560#record"
CONTEXT: Final[Mapping[str, str]] = {
    "dpv": "https://w3id.org/dpv#",
    "dct": "http://purl.org/dc/terms/",
    "proof": "urn:aurea:proof",
}
BASES: Final[Mapping[str, str]] = {
    "consent": "dpv:Consent",
    "legitimate_interest": "dpv:LegitimateInterest",
    "contract": "dpv:Contract",
    "legal_obligation": "dpv:LegalObligation",
}
# A refusal or withdrawal is heard as an objection where the basis is not consent.
CONSENT_STATES: Final[Mapping[str, str]] = {
    "granted": "dpv:ConsentGiven",
    "refused": "dpv:ConsentRefused",
    "withdrawn": "dpv:ConsentWithdrawn",
    "objected": "dpv:ObjectingToProcess",
    "restricted": "dpv:Restrict",
}
RENEWED: Final = "dpv:RenewedConsentGiven"
OTHER_STATES: Final[Mapping[str, str]] = {
    "granted": "dpv:LegitimateInterestNotObjected",
    "refused": "dpv:LegitimateInterestObjected",
    "withdrawn": "dpv:LegitimateInterestObjected",
    "objected": "dpv:LegitimateInterestObjected",
    "restricted": "dpv:Restrict",
}


@dataclass(frozen=True, slots=True)
class Proof:
    """Where the event stands in the ledger, and what its leaf commits to."""

    origin: str
    verifier_key: str
    leaf: bytes
    payload: bytes
    salt: bytes
    index: int
    size: int
    hashes: Sequence[bytes]
    checkpoint: str


def receipt(
    event: ConsentEvent,
    purpose: Purpose | None,
    subject_tag: bytes,
    proof: Proof,
    *,
    notice_sha256: str | None = None,
    renewed: bool = False,
) -> dict[str, Any]:
    """Return the receipt of `event`, unsigned. `purpose` is None where the policy no longer has it.

    `notice_sha256`: of the text of the notice that was shown, where the policy states it. `renewed`: the
    grant renews one that was about to end (`consent.renewals`).
    """
    return {
        "@context": dict(CONTEXT),
        "@id": f"urn:aurea:{proof.origin}:{proof.index}",
        "@type": "dpv:ConsentRecord",
        "dct:conformsTo": PROFILE,
        "dct:identifier": f"{proof.origin}/{proof.index}",
        "dpv:hasDataController": {"@type": "dpv:DataController", "dpv:hasName": proof.origin},
        "dpv:hasDataSubject": {
            "@type": "dpv:DataSubject",
            "dpv:hasIdentifier": subject_tag.hex(),
        },
        "dpv:hasProcess": _process(event, purpose, notice_sha256),
        "dpv:hasConsentStatus": _status(event, purpose, renewed=renewed) | _evidence(proof.payload),
        "proof": _proof(proof),
    }


def signed(unsigned: Mapping[str, Any], signature: bytes) -> dict[str, Any]:
    """Return the receipt with the signature over `to_sign(unsigned)`."""
    return {**unsigned, "proof": {**unsigned["proof"], "signature": _b64(signature)}}


def to_sign(unsigned: Mapping[str, Any]) -> bytes:
    """Return the bytes that the ledger's key signs: a domain of their own, then RFC 8785 JSON."""
    return DOMAIN + canonical(unsigned)


def _process(event: ConsentEvent, purpose: Purpose | None, notice_sha256: str | None) -> dict[str, Any]:
    process: dict[str, Any] = {"@type": "dpv:Process", "dct:identifier": event.purpose}
    if event.notice is not None:
        process["dpv:hasNotice"] = {
            "@type": "dpv:PrivacyNotice",
            "dct:identifier": event.notice,
        }
        if notice_sha256 is not None:
            process["dpv:hasNotice"]["dct:hasVersion"] = f"sha256:{notice_sha256}"
    if purpose is None:
        return process
    data = [{"@type": "dpv:PersonalData", "dct:title": name} for name in purpose.disclosed]
    process |= {
        "dct:title": purpose.title,
        "dpv:hasPurpose": f"dpv:{purpose.dpv}",
        "dpv:hasLegalBasis": BASES[purpose.legal_basis],
        "dpv:hasPersonalData": data,
    }
    if purpose.retention_days is not None:
        process["dpv:hasStorageCondition"] = {
            "@type": "dpv:StorageDuration",
            "dpv:hasDuration": f"P{purpose.retention_days}D",
        }
    return process


def _status(event: ConsentEvent, purpose: Purpose | None, *, renewed: bool) -> dict[str, Any]:
    by_consent = purpose is None or purpose.legal_basis == "consent"
    states = CONSENT_STATES if by_consent else OTHER_STATES
    status: dict[str, Any] = {
        "@type": RENEWED if by_consent and renewed else states[event.state],
        "dct:identifier": event.state,
        "dpv:isIndicatedAtTime": _time(event.event_time),
        "dpv:hasIndicationMethod": event.method,
        "dpv:isIndicatedBy": event.source,
        "dct:dateSubmitted": _time(event.recorded_at),
    }
    if event.expires_at is not None:
        status["dpv:hasDuration"] = {
            "@type": "dpv:UntilTimeDuration",
            "dct:valid": _time(event.expires_at),
        }
    return status


def _evidence(payload: bytes) -> dict[str, Any]:
    """State what proves the statement: DPV has no term for it, Dublin Core calls it the source."""
    stated = json.loads(payload).get("evidence")
    if stated is None:
        return {}
    return {"dct:source": {"dct:type": stated["type"], "dct:identifier": stated["value"]}}


def _proof(proof: Proof) -> dict[str, Any]:
    return {
        "kind": KIND,
        "verifier_key": proof.verifier_key,
        "leaf": _b64(proof.leaf),
        "payload": _b64(proof.payload),
        "salt": _b64(proof.salt),
        "index": proof.index,
        "size": proof.size,
        "hashes": [_b64(hash_) for hash_ in proof.hashes],
        "checkpoint": proof.checkpoint,
    }


def _time(ms: int) -> str:
    moment = datetime.fromtimestamp(ms / 1000, UTC).replace(tzinfo=None)
    return moment.isoformat(timespec="milliseconds") + "Z"


def _b64(value: bytes) -> str:
    return base64.b64encode(value).decode()
