"""Carrying out the retention rules: what has expired is erased, in steps that may be repeated at any time.

1. Records whose last purpose has let go of them are deleted: keys destroyed, rows removed, and who is left of
   their golden IDs resolved again.
2. Records with single expired attributes are sealed anew without them, under a fresh key; the old one, with
   all that it opened, is destroyed.
3. Evidence keys that have reached their date are destroyed, and their ledger entries emptied.
4. Suppression entries whose time is over are emptied.

Nobody is suppressed by this: who comes again is recorded again. A dry run counts and changes nothing.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from consent.holds import by_law
from consent.incoming import IncomingRecord
from consent.record_contents import OpenedRecord
from consent.records import RecordWriter
from consent.retention import Lifetimes, lifetimes
from consent.sealed_records import SealedRecords
from consent.vault import BORN, SOURCE_ID, TRAITS, unpack_fields
from identity.statements import Statement

_AT_ONCE: Final = 200

_CHANNELS: Final = Statement("SELECT DISTINCT channel FROM records ORDER BY channel")
_OLD: Final = Statement("""
    SELECT record_no, observed_at, sealed FROM records
    WHERE channel = :channel AND observed_at <= :until AND record_no > :after
    ORDER BY record_no LIMIT :count
""")


@dataclass(slots=True)
class RetentionReport:
    """What was erased, or in a dry run would be."""

    dry_run: bool
    records: int = 0  # deleted
    held: int = 0  # expired, and kept because an officer declared that the law has them kept
    reduced: int = 0  # sealed anew without some attributes
    attributes: Counter[str] = field(default_factory=Counter)  # of reduced records
    evidence: int = 0  # keys of consent evidence
    suppressions: int = 0


_SEEN: Final = Statement("SELECT record_no, observed_at FROM records WHERE record_no IN :record_nos")


class _Due(NamedTuple):
    record_no: int
    observed_at: int
    gone: bool
    expired: tuple[str, ...]
    kept: tuple[str, ...]


class Retention:
    """Runs the retention of one home."""

    def __init__(self, writer: RecordWriter, sealed: SealedRecords) -> None:
        self._writer, self._stores, self._sealed = writer, writer.stores, sealed

    def run(self, now: int, *, dry_run: bool = False) -> RetentionReport:
        """Erase what has expired by `now`. Raises DestructionIncompleteError as a deletion does."""
        report = RetentionReport(dry_run)
        for batch in self._due(now, report):
            gone = [each for each in batch if each.gone]
            reduced = [each for each in batch if not each.gone]
            report.records += len(gone) if dry_run else self._delete(gone, now)
            report.reduced += len(reduced)
            names = (name for each in reduced for name in each.expired)
            report.attributes.update("traits" if name == TRAITS else name for name in names)
            if not dry_run:
                self._reduce(reduced, now)
        self._part_with_evidence(report, now)
        return report

    def _due(self, now: int, report: RetentionReport) -> Iterator[list[_Due]]:
        """Yield the records of which something has expired; those that the law holds are counted only.

        Only names are read: nothing is opened.
        """
        with self._stores.db.read() as conn:
            channels = [channel for (channel,) in _CHANNELS.rows(conn)]
        for channel in channels:
            kept = lifetimes(self._stores.purposes, channel)
            after = 0
            while True:
                with self._stores.db.read() as conn:
                    rows = _OLD.rows(
                        conn, channel=channel, until=now - kept.shortest, after=after, count=_AT_ONCE
                    )
                if not rows:
                    break
                after = rows[-1][0]
                found = [_due(kept, now, *row) for row in rows]
                due = [each for each in found if each.gone or each.expired]
                with self._stores.db.read() as conn:
                    held = by_law(conn, [each.record_no for each in due], now)
                report.held += len(held)
                yield [each for each in due if each.record_no not in held]

    def _delete(self, records: Sequence[_Due], now: int) -> int:
        """Delete what is still as it was looked at and was not declared held since; return how many."""
        if not records:
            return 0
        with self._stores.db.write() as conn:
            numbers = [each.record_no for each in records]
            held = by_law(conn, numbers, now)
            seen = dict(_SEEN.rows(conn, record_nos=numbers))
            left = [
                each.record_no
                for each in records
                if each.record_no not in held and seen.get(each.record_no) == each.observed_at
            ]
            self._writer.note_deletion(conn, left, now)
        self._writer.finish_destructions(now)
        return len(left)

    def _reduce(self, records: Sequence[_Due], now: int) -> None:
        """Seal records anew with the attributes that are kept: an update like any other.

        What its channel deletes meanwhile stays deleted.
        """
        for each in records:
            names = (SOURCE_ID, *each.kept)
            opened = self._sealed.open_fields([each.record_no], names).get(each.record_no)
            if opened is None or opened.source_id is None:
                continue
            with self._stores.db.read() as conn:
                held = by_law(conn, [each.record_no], now)
            if not held:  # `correcting`: corrections too
                self._writer.write([_kept(opened)], now=now, correcting=True, existing=True)

    def _part_with_evidence(self, report: RetentionReport, now: int) -> None:
        stores = self._stores
        with stores.keys.read() as conn:
            due = stores.key_store.evidence.due(conn, now)
            lapsed = stores.key_store.suppressions.lapsed(conn, now)
        report.evidence, report.suppressions = len(due), len(lapsed)
        if report.dry_run or not (due or lapsed):
            return
        with stores.keys.write() as conn:
            stores.key_store.suppressions.release(conn, lapsed, now)
        stores.key_store.destroy([], evidence=dict.fromkeys(due))
        with stores.db.write() as conn:
            stores.ledger.shred(conn, due)


def _due(kept: Lifetimes, now: int, record_no: int, observed_at: int, sealed: bytes) -> _Due:
    names = [name for name in unpack_fields(sealed) if name not in (SOURCE_ID, BORN)]
    if kept.is_over(observed_at, now):
        return _Due(record_no, observed_at, True, (), ())
    expired = kept.expired(names, observed_at, now)
    return _Due(record_no, observed_at, False, expired, tuple(name for name in names if name not in expired))


def _kept(opened: OpenedRecord) -> IncomingRecord:
    return IncomingRecord(
        channel=opened.channel,
        source_id=opened.source_id or "",
        observed_at=opened.observed_at,
        attributes=opened.attributes,
        traits=opened.traits,
        verified=tuple(name for name in opened.verified if name in opened.attributes),
    )
