"""Writing prepared records: the only writer of `records`, in two short transactions.

1. Key store: key rows with their tokens, evidence keys, contact points.
2. Operational store: what the batch was prepared on is checked again under the write lock; records and
   consent events are written; replaced keys are noted in `pending_destructions`.
3. Keys of records that failed the check are destroyed at once; the caller prepares those records again.

A crash after 1 leaves keys without a record: readers ignore them, and they are swept after an hour. A crash
after 2 leaves destructions to be finished (`RecordWriter.finish_destructions`). Running the same input
again finds the records that landed and changes nothing.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection

from consent.events import CONTACT, RECORD, ConsentEvent, Subject
from consent.imported_consents import event_of, is_news
from consent.linking_permission import LinkingPermission
from consent.permission import Member
from consent.prepared_records import Outcome, PreparedBatch, PreparedRecord, RecordRow, RecordStores
from consent.purposes import IDENTITY_LINKING
from consent.record_preparing import stored_under
from consent.vault import EvidenceKey
from identity.statements import Statement, slices

_REMEMBERED_WRITES: Final = 64  # more than batches are ever in flight

_NEXT_SEQUENCE: Final = Statement(
    "UPDATE counters SET value = value + 1 WHERE name = 'change_sequence' RETURNING value"
)
_INSERT: Final = Statement("""
    INSERT INTO records (record_no, channel, key_id, observed_at, recorded_at, linking, linking_until,
                         verified, sealed, comparable, change_sequence)
    VALUES (:record_no, :channel, :key_id, :observed_at, :recorded_at, :linking, :linking_until,
            :verified, :sealed, :comparable, :change_sequence)
""")
_REPLACE: Final = Statement("""
    UPDATE records
    SET key_id = :key_id, observed_at = :observed_at, recorded_at = :recorded_at, linking = :linking,
        linking_until = :linking_until, verified = :verified, sealed = :sealed,
        comparable = :comparable, change_sequence = :change_sequence
    WHERE record_no = :record_no
""")
_ADVANCE: Final = Statement("UPDATE records SET observed_at = :observed_at WHERE record_no = :record_no")
_LINKING: Final = Statement("SELECT record_no, linking FROM records WHERE record_no IN :record_nos")
_CURRENT: Final = Statement(
    "SELECT record_no, key_id, observed_at FROM records WHERE record_no IN :record_nos"
)
_SAID_SINCE: Final = Statement("""
    SELECT DISTINCT subject_kind, subject_no FROM ledger
    WHERE idx >= :size AND (purpose = :linking OR state = 'restricted')
""")
_TO_DESTROY: Final = Statement("""
    INSERT INTO pending_destructions (key_id, requested_at) VALUES (:key_id, :requested_at)
""")


Detach = Callable[[Connection, Sequence[int], int], None]
"""Takes records out of their golden IDs at a time (ms), in the caller's write transaction."""


def stay(conn: Connection, record_nos: Sequence[int], now: int) -> None:
    """Detach nothing: where nothing is linked."""


class Written(NamedTuple):
    """What became of one record of a batch."""

    outcome: Outcome
    record_no: int
    linking: bool  # it may be linked
    unreadable: tuple[str, ...]


class _Speech(NamedTuple):
    """What the records of a batch say that is to be compared and recorded under the write lock."""

    records: Sequence[PreparedRecord]
    contacts: Mapping[bytes, int]  # token -> contact number
    evidence: Mapping[Subject, EvidenceKey]

    def about(self, record: PreparedRecord, contact: bytes | None) -> Subject:
        """Return the subject of a statement of `record`."""
        if contact is None:
            return Subject(RECORD, record.record_no)
        return Subject(CONTACT, self.contacts[contact])

    def member(self, record: PreparedRecord) -> Member:
        """Return the record with its contact points, by itself."""
        contacts = frozenset(self.contacts[token] for token in record.contacts if token in self.contacts)
        return Member(record.record_no, "", 1.0, contacts=contacts)


class RecordCommitter:
    """Writes prepared batches, in the order they are handed over. One per process; threads take turns."""

    def __init__(self, stores: RecordStores, detach: Detach) -> None:
        self._stores, self._detach = stores, detach
        self._permission = LinkingPermission(stores.ledger, stores.purposes)
        self._own_writes: deque[tuple[int, frozenset[bytes]]] = deque(maxlen=_REMEMBERED_WRITES)
        self._turn = threading.Lock()

    def commit(self, batch: PreparedBatch) -> list[Written | None]:
        """Write a batch; None stands for a record that must be prepared again."""
        with self._turn:
            return self._commit(batch)

    def _commit(self, batch: PreparedBatch) -> list[Written | None]:
        stores = self._stores
        records = [each for each in batch.records if each.outcome is not Outcome.REPEATED]
        speech = self._write_keys(records)
        with stores.db.write() as conn:
            again = self._changed_since(conn, batch, records)
            landing = [each for each in records if each.token not in again]
            linking = self._write_records(conn, landing, speech, batch.now)
        orphans = [r.key_row.key_id for r in records if r.key_row is not None and r.token in again]
        if orphans:
            stores.key_store.destroy(orphans)
        return [
            None if each.outcome is Outcome.REPEATED or each.token in again else _written(each, linking)
            for each in batch.records
        ]

    def _write_keys(self, records: Sequence[PreparedRecord]) -> _Speech:
        """Step 1. Returns what step 2 needs to record statements."""
        stores = self._stores
        rows = [each.key_row for each in records if each.key_row is not None]
        evidence = [each.evidence for each in records if each.evidence is not None]
        speaking = [each for each in records if each.statements]
        if not rows and not speaking:
            return _Speech((), {}, {})
        with stores.keys.write() as conn:
            stores.key_store.insert(conn, rows)
            stores.key_store.evidence.insert(conn, evidence)
            tokens = {s.contact for each in speaking for s in each.statements if s.contact is not None}
            contacts = dict(stores.key_store.evidence.contacts(conn, tokens))
            others = {token for each in speaking for token in each.contacts} - tokens
            contacts |= stores.key_store.evidence.find_contacts(conn, others)
            speech = _Speech(speaking, contacts, {})
            subjects = (speech.about(each, s.contact) for each in speaking for s in each.statements)
            opened = stores.key_store.evidence.open_or_create(conn, subjects, stores.vault)
            written = stores.key_store.writes(conn)
        if rows:
            made = frozenset(each.token for each in records if each.key_row is not None)
            self._own_writes.append((written, made))
        return speech._replace(evidence=opened)

    def _changed_since(
        self, conn: Connection, batch: PreparedBatch, records: Sequence[PreparedRecord]
    ) -> set[bytes]:
        """Return the tokens of records whose preparation rests on something that has changed."""
        again = self._taken_meanwhile(conn, batch, records)
        existing = {each.stored.record_no: each for each in records if each.stored is not None}
        if existing:
            current = {
                record_no: rest
                for part in slices(list(existing))
                for record_no, *rest in _CURRENT.rows(conn, record_nos=part)
            }
            again |= {
                each.token
                for no, each in existing.items()
                if each.stored and current.get(no) != [each.stored.key_id, each.stored.observed_at]
            }
        said = _SAID_SINCE.rows(conn, size=batch.ledger_size, linking=IDENTITY_LINKING)
        about = {no for kind, no in said if kind == RECORD}
        again |= {each.token for no, each in existing.items() if no in about}
        if any(kind == CONTACT for kind, _ in said):
            again |= {each.token for each in records if each.contacts}
        return again

    def _taken_meanwhile(
        self, conn: Connection, batch: PreparedBatch, records: Sequence[PreparedRecord]
    ) -> set[bytes]:
        """Return the tokens of new records that exist by now.

        The key store counts its writes. If all since the batch was prepared are this process's own, and
        they are remembered, comparing tokens in memory will do; otherwise the tokens are looked up.
        """
        created = {each.token: each.key_row for each in records if each.outcome is Outcome.CREATED}
        if not created:
            return set()
        own = [tokens for number, tokens in self._own_writes if number > batch.key_writes]
        with self._stores.keys.read() as keys_conn:
            if self._stores.key_store.writes(keys_conn) == batch.key_writes + len(own):
                earlier = own[:-1]  # the last one is this batch's
                return {token for tokens in earlier for token in tokens & created.keys()}
            found = self._stores.key_store.find_many(keys_conn, created)
        return set(stored_under(conn, found))

    def _write_records(
        self, conn: Connection, records: Sequence[PreparedRecord], speech: _Speech, now: int
    ) -> dict[int, bool]:
        """Step 2. Returns the linking permission of records whose statements were recorded."""
        created = [each.row for each in records if each.outcome is Outcome.CREATED and each.row]
        updated = [each for each in records if each.outcome is Outcome.UPDATED and each.row and each.stored]
        sequence = _next_sequence(conn) if created or updated else 0
        _INSERT.many(conn, [(*row, sequence) for row in created])
        _REPLACE.many(conn, [_replacement(each.row, sequence) for each in updated if each.row])
        _TO_DESTROY.many(conn, [(each.stored.key_id, now) for each in updated if each.stored])
        advanced = [
            (each.observed_at, each.record_no)
            for each in records
            if each.outcome is Outcome.UNCHANGED
            and each.stored
            and each.observed_at > each.stored.observed_at
        ]
        _ADVANCE.many(conn, advanced)
        entries = [entry for each in records for entry in each.entries]
        if entries:
            self._stores.ledger.append(conn, entries)
        speaking = [each for each in records if each.statements]
        linking = self._record_statements(conn, speaking, speech, now)
        lost = [
            each.record_no
            for each in records
            if each.stored and each.stored.linking and not linking.get(each.record_no, each.linking)
        ]
        if lost:
            self._detach(conn, lost, now)
        return linking

    def _record_statements(
        self, conn: Connection, records: Sequence[PreparedRecord], speech: _Speech, now: int
    ) -> dict[int, bool]:
        if not records:
            return {}
        ledger, purposes = self._stores.ledger, self._stores.purposes
        subjects = {speech.about(each, s.contact) for each in records for s in each.statements}
        events = _by_subject(ledger.events_for(conn, sorted(subjects)))
        entries = []
        concerned: dict[int, PreparedRecord] = {}
        for record in records:
            for statement in record.statements:
                subject = speech.about(record, statement.contact)
                key = speech.evidence.get(subject)
                earlier = events.setdefault(subject, [])
                if key is None or not is_news(statement, earlier):
                    continue  # without a key the evidence was erased: nothing more is said about it
                event = event_of(statement, subject, purposes, now)
                earlier.append(event)
                entries.append(ledger.prepare(event, key))
                if self._permission.concerns(event.purpose, event.state):
                    concerned[record.record_no] = record
        if entries:
            ledger.append(conn, entries)
        members = [speech.member(record) for record in concerned.values()]
        self._permission.project(conn, members, now)
        return {
            record_no: bool(linking)
            for part in slices(sorted(concerned))
            for record_no, linking in _LINKING.rows(conn, record_nos=part)
        }


def _written(record: PreparedRecord, projected: Mapping[int, bool]) -> Written:
    linking = projected.get(record.record_no, record.linking)
    return Written(record.outcome, record.record_no, linking, record.unreadable)


def _next_sequence(conn: Connection) -> int:
    return int(_NEXT_SEQUENCE.rows(conn)[0][0])


def _replacement(row: RecordRow, sequence: int) -> tuple[Any, ...]:
    """Order the values of a row as `_REPLACE` names them."""
    record_no, _channel, *rest = row
    return (*rest, sequence, record_no)


def _by_subject(events: Iterable[ConsentEvent]) -> dict[Subject, list[ConsentEvent]]:
    grouped: dict[Subject, list[ConsentEvent]] = {}
    for event in events:
        grouped.setdefault(event.subject, []).append(event)
    return grouped
