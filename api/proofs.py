"""Proofs of the consent ledger, in the border's form: base64 hashes and signed notes."""

import base64
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from api.consent_schemas import ConsentProof, ProvenEvent
from api.schemas import CheckpointOut, ConsistencyProof, EntryProof

if TYPE_CHECKING:
    from api.services import Services


def checkpoint(services: "Services") -> CheckpointOut:
    """Sign the ledger as it is. Raises LedgerCorruptError rather than sign what does not extend it."""
    note = services.ledger.checkpoint(services.clock())
    origin, size, root = note.split("\n", 3)[:3]
    return CheckpointOut(
        origin=origin,
        size=int(size),
        root=root,
        checkpoint=note,
        verifier_key=services.ledger.verifier_key(),
    )


def entry_proof(services: "Services", index: int) -> EntryProof:
    """Prove that an entry is in the ledger as now signed. Raises ProofError if there is none."""
    signed = checkpoint(services)
    with services.db.read() as conn:
        leaf = services.ledger.leaf(conn, index)
    return EntryProof(
        index=index,
        size=signed.size,
        leaf=_b64(leaf),
        hashes=[_b64(hash_) for hash_ in services.ledger.inclusion_proof(index, signed.size)],
        checkpoint=signed.checkpoint,
    )


def consent_proof(services: "Services", indexes: Sequence[int]) -> ConsentProof:
    """Prove that these entries are in the ledger as now signed."""
    signed = checkpoint(services)
    with services.db.read() as conn:
        leaves = {index: services.ledger.leaf(conn, index) for index in indexes}
    proven = [
        ProvenEvent(
            index=index,
            leaf=_b64(leaf),
            hashes=[_b64(hash_) for hash_ in services.ledger.inclusion_proof(index, signed.size)],
        )
        for index, leaf in leaves.items()
    ]
    return ConsentProof(size=signed.size, checkpoint=signed.checkpoint, entries=proven)


def consistency_proof(services: "Services", first: int, second: int) -> ConsistencyProof:
    """Prove that the first `second` entries extend the first `first`. Raises ProofError."""
    hashes = services.ledger.consistency_proof(first, second)
    return ConsistencyProof(first=first, second=second, hashes=[_b64(hash_) for hash_ in hashes])


def verify_ledger(services: "Services", checkpoint_text: str | None) -> dict[str, Any]:
    """Recompute everything and return the findings."""
    report = asdict(services.ledger.verify(checkpoint_text))
    return report | {"root": _b64(report["root"])}


def _b64(value: bytes) -> str:
    return base64.b64encode(value).decode()
