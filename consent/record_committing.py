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

from consent.events import CONTACT, DENIALS, RECORD, ConsentEvent, Subject
from consent.imported_consents import event_of, is_news
from consent.linking_permission import LinkingPermission
from consent.prepared_records import Outcome, PreparedBatch, PreparedRecord, RecordRow, RecordStores
from consent.purposes import IDENTITY_LINKING
from consent.record_keys import Keyed, RecordKeys
from consent.record_preparing import stored_under
from identity import unresolved
from identity.statements import Statement, slices

_REMEMBERED_CHANGES: Final = 64  # more than batches are ever under way

_SEQUENCE: Final = Statement("SELECT value FROM counters WHERE name = 'change_sequence'")
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
# A noted destruction of a key in use is a deletion under way: no update may come before it ends.
_CURRENT: Final = Statement("""
    SELECT record_no, key_id, observed_at FROM records
    WHERE record_no IN :record_nos AND key_id NOT IN (SELECT key_id FROM pending_destructions)
""")
# No DISTINCT: SQLite would then walk the whole index by subject instead of the few last entries.
_SAID_SINCE: Final = Statement("""
    SELECT subject_kind, subject_no FROM ledger
    WHERE idx >= :size AND (purpose = :linking OR state = 'restricted')
""")
_TO_DESTROY: Final = Statement("""
    INSERT INTO pending_destructions (key_id, requested_at) VALUES (:key_id, :requested_at)
""")


Detach = Callable[[Connection, Sequence[int], int], None]
"""Takes records out of their golden IDs at a time (ms), in the caller's write transaction."""


Tell = Callable[[Connection, Sequence[int], str | None, int], None]
"""Tells recipients, in that transaction, that records' people deny a purpose now (None: all of them)."""


def tell_nobody(conn: Connection, record_nos: Sequence[int], purpose: str | None, now: int) -> None:
    """Tell nobody: where nobody outside receives anything."""


def stay(conn: Connection, record_nos: Sequence[int], now: int) -> None:
    """Detach nothing: where nothing is linked."""


Place = Callable[[Connection, Sequence[int], int], None]
"""Gives new records their golden IDs, in the transaction that writes them; its change sequence comes last."""


class Written(NamedTuple):
    """What became of one record of a batch."""

    outcome: Outcome
    record_no: int
    linking: bool  # it may be linked
    unreadable: tuple[str, ...]


class _OwnChange(NamedTuple):
    """A transaction that a committer wrote: the change sequence around it and the records it created."""

    before: int
    after: int
    created: frozenset[bytes]


class RecordCommitter:
    """Writes prepared batches, in the order they are handed over. Threads take turns."""

    def __init__(self, stores: RecordStores, detach: Detach, tell: Tell) -> None:
        self._stores, self._detach, self._tell = stores, detach, tell
        self._permission = LinkingPermission(stores.ledger, stores.purposes)
        self._turn = threading.Lock()
        self._own: deque[_OwnChange] = deque(maxlen=_REMEMBERED_CHANGES)
        self.keys = RecordKeys(stores)

    def commit(
        self, batch: PreparedBatch, *, place: Place | None = None, resolving: bool = False
    ) -> list[Written | None]:
        """Write a batch; None stands for a record that must be prepared again.

        `place` is called with the new records, unless any record of the store has changed since the batch was
        prepared, or its permission to be linked with it. `resolving`: the caller resolves what changes.
        """
        return self.finish(self.keys.write(batch), place=place, resolving=resolving)

    def finish(
        self,
        keyed: Keyed,
        *,
        checkpoint: bool = True,
        place: Place | None = None,
        resolving: bool = False,
    ) -> list[Written | None]:
        """Write a batch whose keys are written (`keys.write`); answers as `commit`.

        Without `checkpoint` the caller sees to `Database.checkpoint` now and then.
        """
        if keyed.stale:
            return [None] * len(keyed.batch.records)
        with self._turn:
            with self._stores.db.write(checkpoint=checkpoint) as conn:
                before = _change_sequence(conn)
                again = self._changed_since(conn, keyed, before)
                landing = [each for each in keyed.records if each.token not in again]
                linking = self._write_records(conn, landing, keyed)
                if resolving:  # noted until it has: it may fail, or be gone
                    unresolved.note(conn, _to_resolve(landing, linking))
                after = _change_sequence(conn)
                if place is not None and before == keyed.batch.change_sequence == after - 1:
                    place(conn, [r.record_no for r in landing if r.outcome is Outcome.CREATED], after)
            # Only now, when it is committed: what was rolled back must not be taken for this object's own.
            created = frozenset(each.token for each in landing if each.outcome is Outcome.CREATED)
            self._own.append(_OwnChange(before, after, created))
        orphans = [r.key_row.key_id for r in keyed.records if r.key_row is not None and r.token in again]
        if orphans:
            self._stores.key_store.destroy(orphans)
        return [
            None if each.outcome is Outcome.REPEATED or each.token in again else _written(each, linking)
            for each in keyed.batch.records
        ]

    def _changed_since(self, conn: Connection, keyed: Keyed, sequence: int) -> set[bytes]:
        """Return the tokens of records whose preparation rests on something that has changed."""
        records = keyed.records
        with self._stores.keys.snapshot(single=True) as keys_conn:
            erasing = self._stores.key_store.suppressions.mark(keys_conn) > keyed.batch.suppression_mark
        if erasing:  # whoever was erased since must not come in, nor outlive it by an update under way
            return {each.token for each in records}
        again = self._taken_meanwhile(conn, keyed, sequence)
        existing = {each.stored.record_no: each for each in records if each.stored is not None}
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
        said = _SAID_SINCE.rows(conn, size=keyed.batch.ledger_size, linking=IDENTITY_LINKING)
        about = {no for kind, no in said if kind == RECORD}
        again |= {each.token for no, each in existing.items() if no in about}
        if any(kind == CONTACT for kind, _ in said):
            again |= {each.token for each in records if each.contacts}
        return again

    def _taken_meanwhile(self, conn: Connection, keyed: Keyed, now: int) -> set[bytes]:
        """Return the tokens of new records that exist by now; `now` is the current change sequence.

        Every change of records increments the sequence. If all changes since the batch was prepared are
        this object's own, and remembered, comparing tokens will do; otherwise tokens are looked up.
        """
        created = {each.token for each in keyed.records if each.outcome is Outcome.CREATED}
        since = keyed.batch.change_sequence
        own = [change for change in self._own if change.before >= since]
        if now - since == sum(change.after - change.before for change in own):
            return created.intersection(token for change in own for token in change.created)
        with self._stores.keys.snapshot() as keys_conn:
            found = self._stores.key_store.find_many(keys_conn, created)
        return set(stored_under(conn, found))

    def _write_records(
        self, conn: Connection, records: Sequence[PreparedRecord], keyed: Keyed
    ) -> dict[int, bool]:
        """Step 2. Returns the linking permission of records whose statements were recorded."""
        now = keyed.batch.now
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
            self._stores.ledger.append_rows(conn, entries)
        speaking = [each for each in records if each.statements]
        linking = self._record_statements(conn, speaking, keyed)
        lost = [
            each.record_no
            for each in records
            if each.stored and each.stored.linking and not linking.get(each.record_no, each.linking)
        ]
        if lost:
            self._detach(conn, lost, now)
        return linking

    def _record_statements(
        self, conn: Connection, records: Sequence[PreparedRecord], keyed: Keyed
    ) -> dict[int, bool]:
        if not records:
            return {}
        now = keyed.batch.now
        ledger, purposes = self._stores.ledger, self._stores.purposes
        subjects = {keyed.about(each, s.contact) for each in records for s in each.statements}
        events = _by_subject(ledger.events_for(conn, sorted(subjects)))
        entries = []
        concerned: dict[int, PreparedRecord] = {}
        denied: dict[str | None, set[tuple[int, bytes | None]]] = {}
        for record in records:
            for statement in record.statements:
                subject = keyed.about(record, statement.contact)
                key = keyed.evidence.get(subject)
                earlier = events.setdefault(subject, [])
                if key is None or not is_news(statement, earlier):
                    continue  # without a key the evidence was erased: nothing more is said about it
                event = event_of(statement, subject, purposes, now)
                earlier.append(event)
                entries.append(ledger.prepare(event, key))
                if event.state in DENIALS:
                    about = None if event.state == "restricted" else event.purpose
                    denied.setdefault(about, set()).add((record.record_no, statement.contact))
                if self._permission.concerns(event.purpose, event.state):
                    concerned[record.record_no] = record
        if entries:
            ledger.append(conn, entries)
        for purpose, said in denied.items():
            self._tell(conn, self._concerned(said), purpose, now)
        members = [keyed.member(record) for record in concerned.values()]
        self._permission.project(conn, members, now)
        return {
            record_no: bool(linking)
            for part in slices(sorted(concerned))
            for record_no, linking in _LINKING.rows(conn, record_nos=part)
        }

    def _concerned(self, said: Iterable[tuple[int, bytes | None]]) -> list[int]:
        """Return the records that a denial is about: an address's are all that carry it."""
        said = list(said)
        found = {record_no for record_no, _ in said}
        tokens = {contact for _, contact in said if contact is not None}
        if tokens:
            with self._stores.keys.snapshot() as keys_conn:
                rows = self._stores.key_store.find_many(keys_conn, tokens)
            found |= {row.record_no for carried in rows.values() for row in carried}
        return sorted(found)


def _written(record: PreparedRecord, projected: Mapping[int, bool]) -> Written:
    linking = projected.get(record.record_no, record.linking)
    return Written(record.outcome, record.record_no, linking, record.unreadable)


def _to_resolve(records: Iterable[PreparedRecord], projected: Mapping[int, bool]) -> list[int]:
    """Return the records that were there before and have other content, or may be linked only now."""
    return [
        each.record_no
        for each in records
        if each.outcome is Outcome.UPDATED
        or (each.stored and not each.stored.linking and projected.get(each.record_no))
    ]


def _change_sequence(conn: Connection) -> int:
    return int(_SEQUENCE.rows(conn)[0][0])


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
