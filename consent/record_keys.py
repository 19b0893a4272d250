"""The key store's half of writing records, always committed first.

Data keys with their tokens, evidence keys, contact points. Until the operational half is committed, nothing
of it counts.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from sqlalchemy import Connection

from consent.events import CONTACT, RECORD, Subject
from consent.permission import Member
from consent.prepared_records import Outcome, PreparedBatch, PreparedRecord, RecordStores
from consent.vault import EvidenceKey

_REMEMBERED_WRITES: Final = 64  # more than batches are ever under way


class Keyed(NamedTuple):
    """A batch whose keys are written, and what the operational half needs to know of them.

    `speaking` are the records with statements that are compared and recorded under the write lock.
    """

    batch: PreparedBatch
    records: Sequence[PreparedRecord]  # without those whose key came earlier in the batch
    write: int | None  # which write of the key store entered the keys
    speaking: Sequence[PreparedRecord] = ()
    contacts: Mapping[bytes, int] = {}  # token -> contact number
    evidence: Mapping[Subject, EvidenceKey] = {}

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
    """Writes the keys of batches and remembers its latest writes."""

    def __init__(self, stores: RecordStores) -> None:
        self._keys, self._key_store, self._vault = stores.keys, stores.key_store, stores.vault
        self._own: deque[tuple[int, frozenset[bytes]]] = deque(maxlen=_REMEMBERED_WRITES)

    def write(self, batch: PreparedBatch) -> Keyed:
        """Write the keys of a batch in one transaction."""
        records = [each for each in batch.records if each.outcome is not Outcome.REPEATED]
        rows = [each.key_row for each in records if each.key_row is not None]
        speaking = [each for each in records if each.statements]
        if not rows and not speaking:
            return Keyed(batch, records, None)
        with self._keys.write() as conn:
            self._key_store.insert(conn, rows)
            evidence = [each.evidence for each in records if each.evidence is not None]
            self._key_store.evidence.insert(conn, evidence)
            keyed = self._with_evidence(conn, Keyed(batch, records, None, speaking))
            if not rows:
                return keyed
            number = self._key_store.writes(conn)
            # Remembered before the commit, so that no other thread sees a write it cannot account for.
            self._own.append((number, frozenset(e.token for e in records if e.key_row is not None)))
            return keyed._replace(write=number)

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

    def entered_since(self, keys_conn: Connection, keyed: Keyed) -> Iterable[bytes] | None:
        """Return the record tokens that others than a batch have entered since it was prepared.

        The key store counts its writes. None if some since the preparation are not known to be this
        object's own: then tokens must be looked up. A token entered for a batch that is still to be
        written counts too: preparing a record once more for nothing does no harm.
        """
        since = keyed.batch.key_writes
        now = self._key_store.writes(keys_conn)
        own = [(number, tokens) for number, tokens in self._own.copy() if since < number <= now]
        if keyed.write is None or now - since != len(own):
            return None
        return (token for number, tokens in own if number != keyed.write for token in tokens)
