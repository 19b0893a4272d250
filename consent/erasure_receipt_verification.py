"""Checks an erasure's receipt with nothing but the ledger's public key: no home, no store, no secret (pure).

A receipt is JSON: `kind`, `statement`, `entries` (of each an index, the leaf, the salt and the audit path,
and what it `said` where that is not the statement), `checkpoint` (a signed note), `verifier_key` and
`signature`.

1. The signature is the ledger's, over everything else in canonical form (RFC 8785).
2. The checkpoint is signed by the same key; one kept elsewhere, of the same size, has the same root.
3. Both entries are in the tree of the checkpoint, and their leaves commit to what the receipt says they say.
4. They are the beginning and the end of one erasure, and the keys that were approved are all destroyed.

The `verifier_key` inside a receipt proves nothing: the caller names the key it trusts.
"""

import base64
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from cryptography.exceptions import InvalidSignature

from consent import checkpoints, merkle
from consent.checkpoints import Checkpoint
from consent.errors import CheckpointError, ReceiptError
from consent.receipt_verification import canonical

KIND: Final = "aurea-erasure-receipt-1"
DOMAIN: Final = b"aurea erasure receipt 1\n"
STARTED: Final = "erasure_started"
FINISHED: Final = "erasure_finished"


@dataclass(frozen=True, slots=True)
class VerifiedErasure:
    """What a receipt proves: that these keys were said to be destroyed, at this place of that ledger."""

    origin: str
    index: int  # of the entry that commits to the statement
    size: int  # of the ledger, at the checkpoint in the receipt
    statement: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Entry:
    index: int
    leaf: Mapping[str, Any]
    said: Any


def signed_bytes(document: Mapping[str, Any]) -> bytes:
    """Return the bytes that a receipt's signature is over."""
    return DOMAIN + canonical({name: value for name, value in document.items() if name != "signature"})


def is_erasure_receipt(text: str) -> bool:
    """Whether the text says that it is a receipt of this kind."""
    try:
        return bool(json.loads(text)["kind"] == KIND)
    except (ValueError, KeyError, TypeError, RecursionError):
        return False


def stated_key(text: str) -> str:
    """Return the key that a receipt itself states: to be compared with one known from elsewhere."""
    try:
        return str(json.loads(text)["verifier_key"])
    except (ValueError, KeyError, TypeError):
        raise ReceiptError("the text is no receipt") from None


def verify_erasure_receipt(text: str, verifier_key: str, checkpoint: str | None = None) -> VerifiedErasure:
    """Return what the receipt proves under `verifier_key` (as `/v1/ledger/checkpoint` states it).

    `checkpoint` is a signed note of the same ledger that was kept elsewhere. Raises ReceiptError naming the
    first check that fails.
    """
    try:
        origin, key = checkpoints.read_verifier_key(verifier_key)
        document = json.loads(text)
        if document["kind"] != KIND:
            raise ReceiptError("it is no erasure receipt of this form")
        key.verify(_bytes(document["signature"]), signed_bytes(document))
        signed = checkpoints.verify(document["checkpoint"], origin, key)
        if checkpoint is not None:
            _agree(signed, checkpoints.verify(checkpoint, origin, key))
        statement = document["statement"]
        entries = document["entries"]
        _check(statement, *(_entry(entries[kind], signed, statement) for kind in (STARTED, FINISHED)))
        finished = int(entries[FINISHED]["index"])
    except InvalidSignature:
        raise ReceiptError("it is not signed by this key: it was altered, or is another ledger's") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ReceiptError("the text is no whole receipt") from None
    except (CheckpointError, merkle.ProofError) as error:
        raise ReceiptError(str(error)) from None
    return VerifiedErasure(origin, finished, signed.size, statement)


def _agree(one: Checkpoint, other: Checkpoint) -> None:
    if one.size == other.size and one.root != other.root:
        raise ReceiptError("it is of another history of this ledger than the checkpoint that was kept")


def _entry(entry: Mapping[str, Any], signed: Checkpoint, statement: Any) -> _Entry:
    leaf, hashes = _bytes(entry["leaf"]), [_bytes(hash_) for hash_ in entry["hashes"]]
    merkle.verify_inclusion(entry["index"], signed.size, merkle.leaf_hash(leaf), hashes, signed.root)
    fields = json.loads(leaf)
    said = entry.get("said", statement)
    commitment = hmac.digest(_bytes(entry["salt"]), canonical(said), "sha256").hex()
    if not hmac.compare_digest(commitment, fields["commitment"]):
        raise ReceiptError("a leaf does not commit to what the receipt says")
    return _Entry(entry["index"], fields, said)


def _check(statement: Mapping[str, Any], started: _Entry, finished: _Entry) -> None:
    kinds = (started.leaf["type"], finished.leaf["type"]) == (STARTED, FINISHED)
    one = started.leaf["subject"] == finished.leaf["subject"] and started.index < finished.index
    approved = started.said
    same = all(approved[name] == statement[name] for name in ("erasure", "request"))
    if not (kinds and one and same and finished.said == statement):
        raise ReceiptError("its entries are not the beginning and the end of one erasure")
    if sorted(approved["records"]) != sorted(statement["records"]):
        raise ReceiptError("not the records that were approved were erased")
    if not set(approved["keys"]) <= set(statement["destroyed_keys"]):
        raise ReceiptError("not all keys of the approved records were destroyed")


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
