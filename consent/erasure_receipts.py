"""What an erasure's receipt states, and the signed document around it.

The document holds numbers, golden IDs that resolve to nothing, times and proofs; nothing of the person.
`consent.erasure_receipt_verification` checks it with the ledger's public key and nothing else.
"""

import base64
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from consent.checkpoints import size_of, verifier_key
from consent.erasure_job import Job
from consent.erasure_receipt_verification import FINISHED, KIND, STARTED, signed_bytes
from consent.ledger import Ledger
from consent.retention import DAY_MS

SUPPRESSION: Final = "keyed hashes by which the person is known again, so as not to be recorded again"


def backups(epochs: Collection[int], now: int, days: int, *, sqlite: bool) -> dict[str, Any]:
    """Say until when old copies of the key store open what was erased.

    Copies of the key store are kept for `days`, so says the operator; the destruction of every epoch that
    existed ends it earlier, and on PostgreSQL it is the only sure end.
    """
    return {
        "key_epochs": sorted(epochs),
        "key_store_copies_kept_days": days,
        "unreadable_after": rfc3339(now + days * DAY_MS),
        "or_once_epochs_are_destroyed": True,
        "store_keeps_deleted_rows": not sqlite,
    }


def statement(job: Job, now: int, suppression_days: int, held: dict[str, Any]) -> dict[str, Any]:
    """Return what the receipt states, and the last entry commits to."""
    evidence = dict(job.outcome["evidence"])
    if evidence["kept_until"] is not None:
        evidence["kept_until"] = rfc3339(evidence["kept_until"])
    return {
        "backups": held,
        "contact_points": job.outcome["contact_points"],
        "destroyed_keys": job.destroyed,
        "erasure": job.erasure_no,
        "evidence": evidence,
        "finished_at": rfc3339(now),
        "golden_ids": job.outcome["golden_ids"],
        "kept": {
            "suppression": {
                "entries": job.entries,
                "until": rfc3339(job.started_at + suppression_days * DAY_MS),
                "what": SUPPRESSION,
            }
        },
        "golden_ids_told_to_recipients": job.outcome["told"],
        "records": job.records,
        "request": job.request_id,
        "started_at": rfc3339(job.started_at),
    }


def sign(job: Job, ledger: Ledger, note: str, key: Ed25519PrivateKey) -> dict[str, Any]:
    """Return the receipt: the statement, both entries with their proofs, checkpoint, signature."""
    size = size_of(note)
    document = {
        "kind": KIND,
        "statement": job.proofs[FINISHED]["said"],
        "entries": {kind: _entry(job, kind, ledger, size) for kind in (STARTED, FINISHED)},
        "checkpoint": note,
        "verifier_key": verifier_key(ledger.origin, key.public_key()),
    }
    return document | {"signature": base64.b64encode(key.sign(signed_bytes(document))).decode()}


def _entry(job: Job, kind: str, ledger: Ledger, size: int) -> dict[str, Any]:
    proof = job.proofs[kind]
    leaf, hashes = ledger.proven_leaf(proof["index"], size)
    entry = {
        "index": proof["index"],
        "leaf": base64.b64encode(leaf).decode(),
        "salt": proof["salt"],
        "hashes": [base64.b64encode(hash_).decode() for hash_ in hashes],
    }
    return entry if kind == FINISHED else entry | {"said": proof["said"]}


def rfc3339(at: int) -> str:
    """Return RFC 3339 of a time in ms since the epoch."""
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
