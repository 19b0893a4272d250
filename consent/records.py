"""Storing records in process: a few at a time, each call one durable commit per store.

`write` behaves as if the records were handled one by one. It prepares all it can at once, and what turns
out to depend on another (the same record key twice, a concurrent writer) again in a next round.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final, NamedTuple

from sqlalchemy import Connection

from consent.correction_ties import left_alone
from consent.errors import DestructionIncompleteError, RecordRejectedError
from consent.events import RECORD, Subject
from consent.frequency_tokens import frequency_tokens
from consent.holds import by_law, refuse_held
from consent.incoming import IncomingRecord, tidy, validate
from consent.packed_tokens import kind_of, unpack_tokens
from consent.prepared_records import Outcome, PreparedBatch, RecordStores, Stored
from consent.record_committing import Detach, Place, RecordCommitter, Tell, Written, stay, tell_nobody
from consent.record_contents import Content, record_token
from consent.record_preparing import RecordPreparer, nothing, stored_under
from consent.retention import evidence_until
from consent.statement_evidence import check_evidence
from identity import model_store, unresolved
from identity.records import RecordKey
from identity.statements import Statement, slices

_NUMBERS_AT_ONCE: Final = 256  # key numbers reserved ahead: most calls then need no write for one
_DESTROYED_AT_ONCE: Final = 500

_PIN: Final = Statement("SELECT value FROM counters WHERE name = 'change_sequence'")
_PENDING: Final = Statement("SELECT key_id FROM pending_destructions ORDER BY key_id LIMIT :limit")
_CONFIRM: Final = Statement("DELETE FROM pending_destructions WHERE key_id = :key_id")
_MARK: Final = Statement("""
    INSERT INTO pending_destructions (key_id, requested_at) VALUES (:key_id, :now)
    ON CONFLICT (key_id) DO NOTHING
""")
_IN_USE: Final = Statement("SELECT record_no, key_id FROM records WHERE key_id IN :key_ids")
_KEYS_OF: Final = Statement("SELECT key_id FROM records WHERE record_no IN :record_nos ORDER BY key_id")
_REMOVE: Final = Statement("DELETE FROM records WHERE record_no = :record_no")
_DEPART: Final = Statement("""
    INSERT INTO departures (record_no, change_sequence) VALUES (:record_no, :sequence)
    ON CONFLICT (record_no) DO NOTHING
""")
_NEXT_SEQUENCE: Final = Statement(
    "UPDATE counters SET value = value + 1 WHERE name = 'change_sequence' RETURNING value"
)


Placing = Callable[[PreparedBatch, Sequence[Content]], Place | None]
"""Looks, before a batch and its contents are written, for whom its new records belong to."""


def nowhere(batch: PreparedBatch, contents: Sequence[Content]) -> None:
    """Leave it for later whom they belong to."""


class WriteResult(NamedTuple):
    """What became of one record. `status`: created, updated, unchanged, suppressed or rejected."""

    status: str
    record_no: int | None = None
    linking: bool = False  # it may be linked
    unreadable: tuple[str, ...] = ()
    column: str | None = None  # rejected: what is wrong, and where
    reason: str | None = None


class RecordWriter:
    """Writes and deletes records. Threads may share one.

    `detach` takes records that were deleted, or may no longer be linked, out of their golden IDs, in the
    transaction it is given; `tell` notes there whom a denial that a record brings concerns.
    """

    def __init__(self, stores: RecordStores, *, detach: Detach = stay, tell: Tell = tell_nobody) -> None:
        self.stores = stores
        self._detach = detach
        self._preparer = RecordPreparer(stores)
        self.committer = RecordCommitter(stores, detach, tell)
        self._numbers = Numbers(stores.key_store.allocate, _NUMBERS_AT_ONCE)

    def write(
        self,
        records: Sequence[IncomingRecord],
        *,
        now: int,
        source: str | None = None,
        grants: Sequence[str] = (),
        correcting: bool = False,
        existing: bool = False,
        placing: Placing = nowhere,
        resolving: bool = False,
    ) -> list[WriteResult]:
        """Store `records` as if one by one and return what became of each, in order.

        `source` is who says what the records state about consent, by default each record's channel;
        `grants` are purposes granted for every record that does not speak of them itself. A bad
        record is rejected in the answer; `correcting` as in `validate`. With `existing` a record that is not
        stored is not created: for who writes again what was read a moment ago and may be deleted by now.
        `placing` gives new records their golden IDs in the commit that stores them, where it can;
        `resolving`: the caller sees to the others, and to those that change. A record whose deletion is under
        way is deleted first.

        Raises UnknownPurposeError; DestructionIncompleteError where a deletion can't be finished.
        """
        for purpose in grants:
            self.stores.purposes[purpose]  # raises UnknownPurposeError before anything is written
        results: list[WriteResult | None] = []
        waiting: list[tuple[int, IncomingRecord]] = []
        for position, record in enumerate(records):
            accepted = self._accepted(record, grants, now, correcting=correcting)
            if isinstance(accepted, WriteResult):
                results.append(accepted)
            else:
                results.append(None)
                waiting.append((position, accepted))
        while waiting:
            said = [record for _, record in waiting]
            batch, place = self._prepared(said, source, now, placing, existing=existing)
            written = self.committer.commit(batch, place=place, resolving=resolving)
            again = []
            for (position, record), each in zip(waiting, written, strict=True):
                if each is None:
                    again.append((position, record))
                else:
                    results[position] = _result(each)
            if len(again) == len(waiting):  # they may be under deletion, by somebody who is gone
                self.finish_destructions(now)
            waiting = again
        # The new content is committed. If a reader holds up the destruction of the old keys, it stays
        # noted, and the next write, or the service when it starts, completes it.
        with suppress(DestructionIncompleteError):
            self.finish_destructions(now)
        return [result for result in results if result is not None]

    def find(self, key: RecordKey) -> int | None:
        """Return the number of the live record with this key."""
        with self.stores.db.read() as conn:
            _PIN.rows(conn)  # opens the snapshot before the key store is read
            found = self._find(conn, [key])
        return found[key].record_no if key in found else None

    def delete(self, keys: Sequence[RecordKey], now: int) -> list[int | None]:
        """Delete records and destroy their keys; return their numbers, None for a key that has no record.

        Raises RecordHeldError, and deletes none, where the law has one of them kept.

        Steps, each repeated after a crash by `finish_destructions`: 1 note the keys to be destroyed,
        2 destroy them (from here on nobody can open the records), 3 remove the rows.
        """
        with self.stores.db.write() as conn:
            found = self._find(conn, keys)
            refuse_held(conn, [stored.record_no for stored in found.values()], now)
            self.note_deletion(conn, [stored.record_no for stored in found.values()], now)
        self.finish_destructions(now)
        return [found[key].record_no if key in found else None for key in keys]

    def note_deletion(self, conn: Connection, record_nos: Sequence[int], now: int) -> None:
        """Note the keys of these records for destruction, and of corrections that correct nothing else.

        A correction stays where the law has it kept, or other records of the person are left.
        """
        corrections = left_alone(conn, record_nos)
        held = by_law(conn, corrections, now)
        self.note_destruction(conn, sorted({*record_nos, *corrections - held.keys()}), now)

    def note_destruction(self, conn: Connection, record_nos: Sequence[int], now: int) -> list[int]:
        """Note the keys of these records for destruction, in the caller's transaction; return them."""
        key_ids = [
            key_id for part in slices(record_nos) for (key_id,) in _KEYS_OF.rows(conn, record_nos=part)
        ]
        _MARK.many(conn, [(key_id, now) for key_id in key_ids])
        return key_ids

    def destroy_keys(
        self, key_ids: Sequence[int], now: int, evidence: Mapping[Subject, int | None] | None = None
    ) -> None:
        """Destroy keys that were noted, and with them what runs keep of their values.

        `evidence` are further subjects whose evidence goes too: at once (None), or at a time (ms). From here
        on nobody can open the records; `remove_destroyed` removes them. Raises DestructionIncompleteError.
        """
        stores = self.stores
        with stores.db.read() as conn:
            leaving = _in_use(conn, key_ids)
        self._forget_values(key_ids)
        until = self._evidence_of(leaving, now) | dict(evidence or {})
        stores.key_store.destroy(key_ids, evidence=until)

    def remove_destroyed(self, conn: Connection, key_ids: Sequence[int], now: int) -> None:
        """Remove the records whose keys are destroyed, in the caller's operational transaction."""
        gone = _in_use(conn, key_ids)
        if gone:
            sequence = int(_NEXT_SEQUENCE.rows(conn)[0][0])
            _DEPART.many(conn, [(record_no, sequence) for record_no in gone])
            _REMOVE.many(conn, [(record_no,) for record_no in gone])
            unresolved.settle(conn, gone)
            self._detach(conn, gone, now)
        _CONFIRM.many(conn, [(key_id,) for key_id in key_ids])

    def finish_destructions(self, now: int) -> int:
        """Destroy every key whose destruction was noted and confirm it; return how many there were.

        Raises DestructionIncompleteError when a reader of the key store does not end; then the note
        stays and the next call tries again.
        """
        stores = self.stores
        finished = 0
        while True:
            with stores.db.snapshot(single=True) as conn:
                pending = [key_id for (key_id,) in _PENDING.rows(conn, limit=_DESTROYED_AT_ONCE)]
            if not pending:
                return finished
            self.destroy_keys(pending, now)
            with stores.db.write() as conn:
                self.remove_destroyed(conn, pending, now)
            finished += len(pending)

    def _forget_values(self, pending: Sequence[int]) -> None:
        """Delete what runs keep of contacts and identifiers that no key but the `pending` ones carries.

        Before the keys go, because only they tell which; so a crash in between repeats it.
        """
        stores = self.stores
        with stores.db.read() as conn:
            if not model_store.keeps_any(conn):
                return
        with stores.keys.read() as conn:
            rows = stores.key_store.fetch(conn, pending)
        found: dict[str, dict[bytes, bytes]] = {}  # column -> hash -> lookup token
        for row in rows.values():
            for code, token in unpack_tokens(row.tokens):
                for column, hashed in frequency_tokens(stores.index, kind_of(code), token):
                    found.setdefault(column, {})[hashed] = token
        with stores.db.read() as conn:
            kept = [
                key for column, hashes in found.items() for key in model_store.kept(conn, column, [*hashes])
            ]
        if not kept:
            return
        with stores.keys.read() as conn:
            tokens = {found[column][hashed] for _, column, hashed in kept}
            carriers = stores.key_store.candidates(conn, tokens)
        gone = set(pending)
        with stores.db.write() as conn:
            model_store.delete_frequencies(
                conn, [key for key in kept if gone.issuperset(carriers[found[key[1]][key[2]]])]
            )

    def _accepted(
        self, record: IncomingRecord, grants: Sequence[str], now: int, *, correcting: bool
    ) -> IncomingRecord | WriteResult:
        try:
            record = tidy(record, grants)
            validate(record, now, correcting=correcting)
        except RecordRejectedError as error:
            return WriteResult("rejected", column=error.column, reason=error.reason)
        purposes = self.stores.purposes
        if any(consent.purpose not in purposes for consent in record.consents):
            return WriteResult("rejected", column="consents", reason="names a purpose the policy lacks")
        try:
            for said in record.consents:
                check_evidence(said.evidence, said.state, said.method, purposes[said.purpose], now)
        except RecordRejectedError as error:
            return WriteResult("rejected", column="consents", reason=f"evidence {error.reason}")
        return record

    def _prepared(
        self,
        records: Sequence[IncomingRecord],
        source: str | None,
        now: int,
        placing: Placing,
        *,
        existing: bool,
    ) -> tuple[PreparedBatch, Place | None]:
        first = self._numbers.take(len(records))
        contents = self._preparer.contents(records)
        batch = self._preparer.prepared(contents, first_key_id=first, source=source, now=now)
        if existing:
            kept = (
                nothing(content, Outcome.SUPPRESSED, None) if each.outcome is Outcome.CREATED else each
                for content, each in zip(contents, batch.records, strict=True)
            )
            batch = batch._replace(records=list(kept))
        return batch, placing(batch, contents)

    def _find(self, conn: Connection, keys: Sequence[RecordKey]) -> dict[RecordKey, Stored]:
        """Return what is stored under record keys, as of the snapshot that `conn` has open already."""
        stores = self.stores
        tokens = {record_token(stores.index, key): key for key in keys}
        with stores.keys.read() as keys_conn:
            found = stores.key_store.find_many(keys_conn, tokens)
        return {tokens[token]: stored for token, stored in stored_under(conn, found).items()}

    def _evidence_of(self, record_nos: Sequence[int], now: int) -> dict[Subject, int | None]:
        """Return until when the evidence about deleted records is kept, None where it goes with them.

        That a consent was given may have to be proved longer than the data lives (GDPR 7(1), 17(3)(e)).
        """
        stores = self.stores
        subjects = [Subject(RECORD, record_no) for record_no in record_nos]
        if not subjects:
            return {}
        with stores.db.read() as conn:
            retained = evidence_until(stores.ledger.events_for(conn, subjects), stores.purposes, now)
        return {subject: retained.get(subject) for subject in subjects}


class Numbers:
    """Key numbers for this process, reserved ahead. What a process that ends did not use is never used."""

    def __init__(self, allocate: Callable[[int], int], at_once: int) -> None:
        self._allocate, self._at_once = allocate, at_once
        self._turn = threading.Lock()
        self._next = self._end = 0

    def take(self, n: int) -> int:
        """Return the first of `n` consecutive numbers."""
        with self._turn:
            if self._end - self._next < n:
                size = max(n, self._at_once)
                self._next = self._allocate(size)
                self._end = self._next + size
            first = self._next
            self._next += n
            return first


def _in_use(conn: Connection, key_ids: Sequence[int]) -> list[int]:
    """Return the records that still hold one of these keys: their deletion is under way."""
    rows = [row for part in slices(key_ids) for row in _IN_USE.rows(conn, key_ids=part)]
    return [record_no for record_no, _ in rows]


def _result(written: Written) -> WriteResult:
    created_or_changed = written.outcome is not Outcome.SUPPRESSED
    return WriteResult(
        status=written.outcome.name.lower(),
        record_no=written.record_no if created_or_changed else None,
        linking=written.linking,
        unreadable=written.unreadable,
    )
