"""The key store's half of writing records, always committed first.

Data keys with their tokens, evidence keys, contact points. Until the operational half is committed, nothing
of it counts.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from consent.errors import EpochClosedError
from consent.events import CONTACT, RECORD, Subject
from consent.key_store import KeyRow
from consent.permission import Member
from consent.prepared_records import Outcome, PreparedBatch, PreparedRecord, RecordStores
from consent.vault import EvidenceKey


class Keyed(NamedTuple):
    """A batch whose keys are written, and what the operational half needs to know of them.

    `speaking` are the records with statements that are compared and recorded under the write lock.
    """

    batch: PreparedBatch
    records: Sequence[PreparedRecord]  # without those whose key came earlier in the batch
    speaking: Sequence[PreparedRecord] = ()
    contacts: Mapping[bytes, int] = {}  # token -> contact number
    evidence: Mapping[Subject, EvidenceKey] = {}
    stale: bool = False  # nothing was written: all of it is to be prepared again

    def about(self, record: PreparedRecord, contact: bytes | None) -> Subject:
        """Return the subject of a statement of `record`."""
        if contact is None:
            return Subject(RECORD, record.record_no)
        return Subject(CONTACT, self.contacts[contact])

    def member(self, record: PreparedRecord) -> Member:
        """Return the record with its contact points, by itself."""
        contacts = frozenset(self.contacts[token] for token in record.contacts if token in self.contacts)
        return Member(record.record_no, "", 1.0, contacts=contacts)


class RecordKeys:
    """Writes the keys of batches."""

    def __init__(self, stores: RecordStores) -> None:
        self._keys, self._key_store, self._vault = stores.keys, stores.key_store, stores.vault

    def write(self, batch: PreparedBatch) -> Keyed:
        """Write the keys of a batch in one transaction."""
        records = [each for each in batch.records if each.outcome is not Outcome.REPEATED]
        rows = [each.key_row for each in records if each.key_row is not None]
        speaking = [each for each in records if each.statements]
        if not rows and not speaking:
            return Keyed(batch, records)
        try:
            return self._write(batch, records, rows, speaking)
        except EpochClosedError:  # prepared before its epoch was closed
            return Keyed(batch, [], stale=True)

    def _write(
        self,
        batch: PreparedBatch,
        records: Sequence[PreparedRecord],
        rows: Sequence[KeyRow],
        speaking: Sequence[PreparedRecord],
    ) -> Keyed:
        released = [number for each in records for number in each.released]
        with self._keys.write() as conn:
            self._key_store.suppressions.release(conn, released, batch.now)
            self._key_store.insert(conn, rows)
            evidence = [each.evidence for each in records if each.evidence is not None]
            self._key_store.evidence.insert(conn, evidence)
            return self._with_evidence(conn, Keyed(batch, records, speaking))

    def _with_evidence(self, conn: Connection, keyed: Keyed) -> Keyed:
        """Add the contact points that are spoken of and every subject's evidence key, made where missing."""
        if not keyed.speaking:
            return keyed
        evidence = self._key_store.evidence
        tokens = {s.contact for each in keyed.speaking for s in each.statements if s.contact is not None}
        contacts = dict(evidence.contacts(conn, tokens))
        carried = {token for each in keyed.speaking for token in each.contacts}
        contacts |= evidence.find_contacts(conn, carried - tokens)
        keyed = keyed._replace(contacts=contacts)
        subjects = (keyed.about(each, s.contact) for each in keyed.speaking for s in each.statements)
        return keyed._replace(evidence=evidence.open_or_create(conn, subjects, self._vault))
