"""Checks a consent receipt with nothing but the ledger's public key: no home, no store, no secret (pure).

It needs of this project `consent.checkpoints`, `consent.merkle` and `consent.errors`, and beside Python the
package `cryptography`. Checked are, in this order: the signature over the whole receipt; the checkpoint's
signature; that the leaf is in the checkpoint's tree; that the leaf commits to the payload; and that the
readable part says what the payload says.
"""

import base64
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from cryptography.exceptions import InvalidSignature

from consent import checkpoints, merkle
from consent.errors import CheckpointError, ReceiptError

KIND: Final = "aurea-consent-receipt-1"
DOMAIN: Final = b"aurea consent receipt 1\n"


@dataclass(frozen=True, slots=True)
class Verified:
    """What a receipt proves: that this was recorded at this place of that ledger."""

    origin: str
    index: int
    size: int  # of the ledger, at the checkpoint in the receipt
    purpose: str
    state: str
    method: str
    source: str
    recorded_at: int  # ms since the epoch, UTC


def verify_receipt(text: str, verifier_key: str) -> Verified:
    """Return what the receipt proves under `verifier_key` (as `/v1/ledger/checkpoint` states it).

    Raises ReceiptError naming the first check that fails.
    """
    try:
        origin, key = checkpoints.read_verifier_key(verifier_key)
        document = json.loads(text)
        proof = document["proof"]
        signature = _bytes(proof.pop("signature"))
        if proof["kind"] != KIND:
            raise ReceiptError("it is no consent receipt of this form")
    except CheckpointError as error:
        raise ReceiptError(str(error)) from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ReceiptError("the text is no receipt") from None
    try:
        key.verify(signature, DOMAIN + canonical(document))
    except (InvalidSignature, UnicodeEncodeError):  # half a character, which nothing that is signed holds
        raise ReceiptError("it is not signed by this key: it was altered, or is another ledger's") from None
    try:
        return _verified(document, proof, origin, lambda note: checkpoints.verify(note, origin, key))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ReceiptError("its proof is malformed") from error
    except (CheckpointError, merkle.ProofError) as error:
        raise ReceiptError(str(error)) from error


def _verified(
    document: Mapping[str, Any],
    proof: Mapping[str, Any],
    origin: str,
    check: Callable[[str], checkpoints.Checkpoint],
) -> Verified:
    checkpoint = check(proof["checkpoint"])
    if checkpoint.size != proof["size"]:
        raise ReceiptError("its checkpoint is of another size")
    leaf, payload, salt = (_bytes(proof[name]) for name in ("leaf", "payload", "salt"))
    hashes = [_bytes(hash_) for hash_ in proof["hashes"]]
    merkle.verify_inclusion(proof["index"], checkpoint.size, merkle.leaf_hash(leaf), hashes, checkpoint.root)
    fields = json.loads(leaf)
    if not hmac.compare_digest(hmac.digest(salt, payload, "sha256").hex(), fields["commitment"]):
        raise ReceiptError("the leaf does not commit to what the receipt says")
    said = json.loads(payload)
    status, process = document["dpv:hasConsentStatus"], document["dpv:hasProcess"]
    readable = {
        "state": status["dct:identifier"],
        "method": status["dpv:hasIndicationMethod"],
        "source": status["dpv:isIndicatedBy"],
        "purpose": process["dct:identifier"],
    }
    times = {"event_time": "dpv:isIndicatedAtTime", "recorded_at": "dct:dateSubmitted"}
    agrees = all(said[name] == value for name, value in readable.items()) and all(
        _milliseconds(status[term]) == said[name] for name, term in times.items()
    )
    stated = said.get("evidence") and {
        "dct:type": said["evidence"]["type"],
        "dct:identifier": said["evidence"]["value"],
    }
    notice, ends = process.get("dpv:hasNotice", {}), status.get("dpv:hasDuration")
    until = None if ends is None else _milliseconds(ends["dct:valid"])
    if (
        not agrees
        or (notice.get("dct:identifier"), until) != (said["notice"], said["expires_at"])
        or document["dpv:hasDataSubject"]["dpv:hasIdentifier"] != fields["subject"]
        or status.get("dct:source") != stated
        or document["dct:identifier"] != f"{origin}/{proof['index']}"
    ):
        raise ReceiptError("its readable part is not what was recorded")
    return Verified(
        origin=origin, index=proof["index"], size=checkpoint.size, recorded_at=said["recorded_at"], **readable
    )


def stated_key(text: str) -> str:
    """Return the key that a receipt itself states: to be compared with one known from elsewhere."""
    try:
        return str(json.loads(text)["proof"]["verifier_key"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ReceiptError("the text is no receipt") from None


def canonical(value: Any) -> bytes:
    """Return what is signed of a receipt."""
    # RFC 8785 for what a receipt holds: text, whole numbers and lists under ASCII names.
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _milliseconds(text: str) -> int:
    moment = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
    return round(moment.timestamp() * 1000)
