"""A prepared batch as bytes, from a worker process to the writer.

Pickling the batch takes 34 us a record there and back, most of it spent on naming classes; as plain tuples
through `marshal` it is 6 us (benchmarks/ingest.py measures the whole). `marshal` suits only processes of
one Python version that trust each other: a parent and the children it started.
"""

import marshal
import pickle
from typing import Any

from consent.events import Subject
from consent.evidence_store import EvidenceRow
from consent.key_store import KeyRow
from consent.prepared_records import Outcome, PreparedBatch, PreparedRecord, RecordRow, Stored


def to_bytes(batch: PreparedBatch) -> bytes:
    """Return `batch` as bytes for `from_bytes`."""
    records = [_plain(record) for record in batch.records]
    return marshal.dumps((records, *batch[1:]))


def from_bytes(encoded: bytes) -> PreparedBatch:
    """Return the batch that `to_bytes` was given, in the process that started the one that called it."""
    records, *rest = marshal.loads(encoded)  # noqa: S302 - our own child wrote it
    return PreparedBatch([_record(plain) for plain in records], *rest)


def _plain(record: PreparedRecord) -> tuple[Any, ...]:
    (outcome, token, record_no, stored, observed_at, row, key_row, evidence, entries, statements,
     contacts, linking, unreadable, released) = record  # fmt: skip
    return (
        int(outcome),
        token,
        record_no,
        stored and tuple(stored),
        observed_at,
        row and tuple(row),
        key_row and tuple(key_row),
        evidence and (*evidence.subject, *evidence[1:]),
        entries,
        pickle.dumps(statements) if statements else b"",  # rare: what is compared under the lock
        contacts,
        linking,
        unreadable,
        released,
    )


def _record(plain: tuple[Any, ...]) -> PreparedRecord:
    (outcome, token, record_no, stored, observed_at, row, key_row, evidence, entries, statements,
     contacts, linking, unreadable, released) = plain  # fmt: skip
    return _new(
        PreparedRecord,
        (
            _OUTCOMES[outcome],
            token,
            record_no,
            stored and _new(Stored, stored),
            observed_at,
            row and _new(RecordRow, row),
            key_row and _new(KeyRow, key_row),
            evidence and EvidenceRow(Subject(*evidence[:2]), *evidence[2:]),
            entries,
            pickle.loads(statements) if statements else (),  # noqa: S301 - our own child wrote it
            contacts,
            linking,
            unreadable,
            released,
        ),
    )


_new = tuple.__new__  # a named tuple's own constructor takes five times as long
_OUTCOMES = {int(outcome): outcome for outcome in Outcome}
