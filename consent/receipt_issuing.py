"""Issues consent receipts: reads an event with its evidence, proves it, and has the ledger's key sign."""

from typing import Any

from consent import checkpoints, entries, receipts
from consent.errors import UnknownSubjectError
from consent.events import ConsentEvent
from consent.key_store import KeyStore
from consent.ledger import Ledger
from consent.purposes import Purposes
from consent.renewals import renews
from consent.vault import Vault
from identity.database import Database


class Receipts:
    """Receipts of one ledger. The checkpoint in a receipt is one that the ledger signed and keeps."""

    def __init__(
        self, *, db: Database, ledger: Ledger, key_store: KeyStore, vault: Vault, purposes: Purposes
    ) -> None:
        self._db, self._ledger, self._key_store = db, ledger, key_store
        self._vault, self._purposes = vault, purposes

    def event(self, index: int) -> ConsentEvent:
        """Return the event at `index`. Raises UnknownSubjectError where there is none, or none any more."""
        with self._db.read() as conn:
            found = self._ledger.events_at(conn, [index])
        if not found:
            raise UnknownSubjectError("there is no such event, or its subject has been erased")
        return found[0]

    def consent_receipt(self, index: int, now: int) -> dict[str, Any]:
        """Return the signed receipt of the event at `index`.

        Raises UnknownSubjectError as `event` does, and LedgerCorruptError if the event is not what its
        leaf commits to: nothing false is signed.
        """
        event = self.event(index)
        with self._db.read() as conn:
            leaf, sealed = self._ledger.evidence(conn, index)
        with self._key_store.read() as conn:
            row = self._key_store.evidence.fetch(conn, [event.subject]).get(event.subject)
        if row is None or sealed is None:
            raise UnknownSubjectError("there is no such event, or its subject has been erased")
        key = self._vault.open_evidence_key(*event.subject, row.epoch, row.wrapped)
        fields = entries.read_leaf(leaf)
        salt, payload = entries.opened(event, fields, leaf, sealed, key)
        note = self._ledger.checkpoint(now)
        size = checkpoints.size_of(note)
        proof = receipts.Proof(
            origin=self._ledger.origin,
            verifier_key=self._ledger.verifier_key(),
            leaf=leaf,
            payload=payload,
            salt=salt,
            index=index,
            size=size,
            hashes=self._ledger.inclusion_proof(index, size),
            checkpoint=note,
        )
        purpose = self._purposes.by_name.get(event.purpose)
        with self._db.read() as conn:
            before = [
                each
                for each in self._ledger.events_for(conn, [event.subject])
                if each.purpose == event.purpose and (each.index or 0) < index
            ]
        earlier = before[-1] if before else None
        unsigned = receipts.receipt(
            event,
            purpose,
            fields.subject_tag,
            proof,
            notice_sha256=self._purposes.notices.get(event.notice or ""),
            renewed=renews(event, earlier),
        )
        return receipts.signed(unsigned, self._ledger.sign(receipts.to_sign(unsigned)))
