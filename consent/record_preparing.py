"""Preparing records to be stored: everything that needs no write lock, in any process.

A `RecordPreparer` normalises, looks up what is stored under the same record key, seals, and prepares the
consent events of new records. Its answer is a proposal: `consent.record_committing` checks under the write
lock that nothing it rests on has changed, and has the rest prepared again.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from consent.events import CONTACT, RECORD, ConsentEvent, Subject
from consent.evidence_store import EvidenceRow
from consent.imported_consents import LinkingRule, Statement, event_of, is_news, statements
from consent.incoming import IncomingRecord
from consent.key_store import KeyRow
from consent.ledger import Ledger, LedgerRow, row_of
from consent.prepared_records import (
    Outcome,
    PreparedBatch,
    PreparedRecord,
    RecordRow,
    RecordStores,
    Stored,
)
from consent.record_contents import Content, SealedContent, content_of, seal
from consent.suppression import Arrivals
from identity.statements import Reading, slices
from identity.statements import Statement as SqlStatement

_CHANGE_SEQUENCE: Final = SqlStatement("SELECT value FROM counters WHERE name = 'change_sequence'")
_LEDGER_SIZE: Final = SqlStatement("SELECT coalesce(max(idx) + 1, 0) FROM ledger")
_STORED: Final = SqlStatement("""
    SELECT record_no, key_id, observed_at, linking FROM records WHERE key_id IN :key_ids
""")
_ANY_CONTACT: Final = SqlStatement("SELECT 1 FROM contact_points LIMIT 1")


class RecordPreparer:
    """Prepares batches of valid records. Reads both stores, writes neither."""

    def __init__(self, stores: RecordStores) -> None:
        self._stores = stores
        self._may_link = LinkingRule(stores.purposes)

    def prepare(
        self, records: Sequence[IncomingRecord], *, first_key_id: int, source: str | None, now: int
    ) -> PreparedBatch:
        """Prepare `records`; the i-th uses key id `first_key_id + i`, and that as its number if it is new.

        `source` is who says it, for consent events; by default each record's own channel.
        """
        return self.prepared(self.contents(records), first_key_id=first_key_id, source=source, now=now)

    def contents(self, records: Sequence[IncomingRecord]) -> list[Content]:
        """Return what valid records say, normalised and with their tokens."""
        stores = self._stores
        return [content_of(each, stores.index, default_region=stores.default_region) for each in records]

    def prepared(
        self, contents: Sequence[Content], *, first_key_id: int, source: str | None, now: int
    ) -> PreparedBatch:
        """Do as `prepare`, for what `contents` returned."""
        seen = self._look_up(contents, now)
        batch: list[PreparedRecord] = []
        tokens: set[bytes] = set()
        for position, content in enumerate(contents):
            if content.token in tokens:
                batch.append(nothing(content, Outcome.REPEATED, None))
                continue
            tokens.add(content.token)
            if _refused(seen, position, content):
                batch.append(nothing(content, Outcome.SUPPRESSED, None))
                continue
            claimed = content.record.observed_at
            observed_at = now if claimed is None else claimed
            arrival = _Arrival(content, first_key_id + position, observed_at, now)
            prepared = self._prepared(arrival, seen, source)
            released = seen.suppressed.released.get(position, ())
            batch.append(prepared._replace(released=released) if released else prepared)
        return PreparedBatch(batch, now, seen.change_sequence, seen.ledger_size, seen.suppressed.mark)

    def _prepared(self, arrival: "_Arrival", seen: "_Seen", source: str | None) -> PreparedRecord:
        content, record = arrival.content, arrival.content.record
        stored = seen.stored.get(content.token)
        source = source or f"channel:{record.channel}"
        said = statements(record, content.contacts, self._stores.purposes, source=source)
        elsewhere = [event for _, token in content.contacts for event in seen.contact_events.get(token, ())]
        if stored is None:
            return self._created(arrival, said, elsewhere)
        earlier = seen.events.get(stored.record_no, [])
        news = tuple(s for s in said if s.contact is not None or is_news(s, earlier))
        contacts = tuple(token for _, token in content.contacts)
        if arrival.observed_at < stored.observed_at:
            # Stale: nothing in it counts, but what the person's browser says at this very moment.
            signals = tuple(s for s in news if s.consent.signal)
            stale = nothing(content, Outcome.UNCHANGED, stored)
            return stale._replace(statements=signals, contacts=contacts if signals else ())
        if stored.content_mac == content.mac:
            # A missing time is no claim that the content was seen again later.
            advanced = stored.observed_at if record.observed_at is None else arrival.observed_at
            same = nothing(content, Outcome.UNCHANGED, stored)
            return same._replace(observed_at=advanced, statements=news, contacts=contacts)
        linking = self._may_link(sorted([*earlier, *elsewhere], key=_place), arrival.now)
        sealed = self._sealed(arrival, stored.record_no)
        return nothing(content, Outcome.UPDATED, stored)._replace(
            observed_at=arrival.observed_at,
            row=_row(arrival, sealed, stored.record_no, linking),
            key_row=sealed.key_row,
            statements=news,
            contacts=contacts,
            linking=linking[0],
        )

    def _created(
        self, arrival: "_Arrival", said: Sequence[Statement], elsewhere: Sequence[ConsentEvent]
    ) -> PreparedRecord:
        """Prepare a new record, its consent events included; `elsewhere` are those of its contact points."""
        content, record_no, now = arrival.content, arrival.key_id, arrival.now
        subject = Subject(RECORD, record_no)
        own = [s for s in said if s.contact is None and not s.consent.only_after_grant]
        events = [event_of(statement, subject, self._stores.purposes, now) for statement in own]
        evidence, entries = self._evidence(subject, events)
        if elsewhere:
            linking = self._may_link([*sorted(elsewhere, key=_place), *events], now)
        else:
            linking = self._may_link.of_new(events, now)
        sealed = self._sealed(arrival, record_no)
        return PreparedRecord(
            outcome=Outcome.CREATED,
            token=content.token,
            record_no=record_no,
            stored=None,
            observed_at=arrival.observed_at,
            row=_row(arrival, sealed, record_no, linking),
            key_row=sealed.key_row,
            evidence=evidence,
            entries=entries,
            statements=tuple(s for s in said if s.contact is not None),
            contacts=tuple(token for _, token in content.contacts),
            linking=linking[0],
            unreadable=content.unreadable,
        )

    def _sealed(self, arrival: "_Arrival", record_no: int) -> SealedContent:
        return seal(
            arrival.content,
            self._stores.vault,
            record_no=record_no,
            key_id=arrival.key_id,
            now=arrival.now,
        )

    def _evidence(
        self, subject: Subject, events: Sequence[ConsentEvent]
    ) -> tuple[EvidenceRow | None, tuple[LedgerRow, ...]]:
        if not events:
            return None, ()
        key, epoch, wrapped = self._stores.vault.new_evidence_key(subject.kind, subject.no)
        entries = tuple(row_of(self._stores.ledger.prepare(event, key)) for event in events)
        return EvidenceRow(subject, epoch, wrapped), entries

    def _look_up(self, contents: Sequence[Content], now: int) -> "_Seen":
        """See what is stored under the records' keys.

        The operational snapshot is opened first. Keys are written before records and destroyed after
        them, so every record of that snapshot either is found by its key or has changed since, which
        the writer notices.
        """
        stores = self._stores
        with stores.db.snapshot() as conn:
            change_sequence = int(_CHANGE_SEQUENCE.rows(conn)[0][0])
            ledger_size = int(_LEDGER_SIZE.rows(conn)[0][0])
            with stores.keys.snapshot() as keys_conn:
                tokens = [content.token for content in contents]
                # Most stores have no contact points: no look-ups then.
                speak = bool(_ANY_CONTACT.rows(keys_conn))
                carried = {token for content in contents for _, token in content.contacts} if speak else ()
                found, contacts = stores.key_store.find_arriving(keys_conn, tokens, carried)
                suppressed = stores.suppression.matches(keys_conn, contents, now)
            stored = stored_under(conn, found)
            speaking = {content.token for content in contents}
            numbers = [each.record_no for token, each in stored.items() if token in speaking]
            events = _by_subject(stores.ledger, conn, [Subject(RECORD, no) for no in numbers])
            about = _by_subject(stores.ledger, conn, [Subject(CONTACT, no) for no in contacts.values()])
        return _Seen(
            change_sequence=change_sequence,
            ledger_size=ledger_size,
            stored=stored,
            suppressed=suppressed,
            events={subject.no: events[subject] for subject in events},
            contact_events={
                token: about[Subject(CONTACT, no)]
                for token, no in contacts.items()
                if Subject(CONTACT, no) in about
            },
        )


class _Arrival(NamedTuple):
    content: Content
    key_id: int  # to be used if it is sealed
    observed_at: int
    now: int


class _Seen(NamedTuple):
    change_sequence: int
    ledger_size: int
    stored: Mapping[bytes, Stored]
    suppressed: Arrivals
    events: Mapping[int, list[ConsentEvent]]  # by record number
    contact_events: Mapping[bytes, list[ConsentEvent]]  # by contact token


def _refused(seen: _Seen, position: int, content: Content) -> bool:
    """Whether it is an erased record, or a new one about an erased person."""
    alike = position in seen.suppressed.alike and content.token not in seen.stored
    return position in seen.suppressed.erased or alike


def stored_under(conn: Reading, found: Mapping[bytes, Sequence[KeyRow]]) -> dict[bytes, Stored]:
    """Of the key rows that list a token, the one whose key is in use: others are left by a crash."""
    by_key = {row.key_id: (token, row) for token, rows in found.items() for row in rows}
    stored: dict[bytes, Stored] = {}
    for part in slices(list(by_key)):
        for record_no, key_id, observed_at, linking in _STORED.rows(conn, key_ids=part):
            token, key_row = by_key[key_id]
            stored[token] = Stored(record_no, key_id, observed_at, bool(linking), key_row.content_mac)
    return stored


def _by_subject(
    ledger: Ledger, conn: Reading, subjects: Sequence[Subject]
) -> dict[Subject, list[ConsentEvent]]:
    events: dict[Subject, list[ConsentEvent]] = {}
    for event in ledger.events_for(conn, subjects) if subjects else ():
        events.setdefault(event.subject, []).append(event)
    return events


def _place(event: ConsentEvent) -> int:
    return -1 if event.index is None else event.index


def _row(
    arrival: _Arrival, sealed: SealedContent, record_no: int, linking: tuple[bool, int | None]
) -> RecordRow:
    record = arrival.content.record
    return RecordRow(
        record_no=record_no,
        channel=record.channel,
        key_id=arrival.key_id,
        observed_at=arrival.observed_at,
        recorded_at=arrival.now,
        linking=int(linking[0]),
        linking_until=linking[1],
        verified=",".join(record.verified),
        sealed=sealed.sealed,
        comparable=sealed.comparable,
    )


def nothing(content: Content, outcome: Outcome, stored: Stored | None) -> PreparedRecord:
    """Return a record of which nothing (more) is to be written."""
    return PreparedRecord(
        outcome=outcome,
        token=content.token,
        record_no=stored.record_no if stored else 0,
        stored=stored,
        observed_at=stored.observed_at if stored else 0,
        row=None,
        key_row=None,
        evidence=None,
        entries=(),
        statements=(),
        contacts=(),
        linking=stored.linking if stored else False,
        unreadable=content.unreadable,
    )
