"""The consent ledger: append-only events under a Merkle tree, with signed checkpoints.

Invariants: indexes are consecutive from 0 and assigned under the write lock; leaf and leaf hash never change;
a checkpoint is signed only for a tree that extends the last one signed. The state columns may be shredded
with their subject, and the tree still verifies (`consent.ledger_verification`).

`ledger_nodes` holds the hash of every complete subtree of 256, 65,536, ... leaves, written with the leaf
that completes it. A proof therefore reads a few stretches of at most 256 hashes, whatever the size.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection

from consent import checkpoints, entries, merkle
from consent.checkpoints import Checkpoint
from consent.entries import PreparedEntry
from consent.errors import LedgerCorruptError
from consent.events import CONTACT, RECORD, ConsentEvent, Subject
from consent.key_store import KeyStore
from consent.ledger_verification import VerifyReport, verify_ledger
from consent.vault import EvidenceKey, Vault
from identity.database import Database
from identity.statements import Reading, Statement, slices

TILE: Final = 256
"""Leaves, or nodes, under one stored node."""
_TILE_HEIGHT: Final = 8

LedgerRow = tuple[Any, ...]
"""A row of `ledger` without its index."""
_RECORDED_AT: Final = 0  # where a LedgerRow has it
_LEAF_HASH: Final = 2

_SIZE = Statement("SELECT coalesce(max(idx) + 1, 0) FROM ledger")
_INSERT = Statement("""
    INSERT INTO ledger (idx, recorded_at, leaf, leaf_hash, sealed, subject_kind, subject_no, purpose, state,
                        source, method, notice, event_time, expires_at)
    VALUES (:idx, :recorded_at, :leaf, :leaf_hash, :sealed, :subject_kind, :subject_no, :purpose, :state,
            :source, :method, :notice, :event_time, :expires_at)
""")
_EVENTS = Statement("""
    SELECT idx, subject_kind, subject_no, purpose, state, method, source, notice, event_time, recorded_at,
           expires_at
    FROM ledger WHERE subject_kind = 1 AND subject_no IN :record_nos
    UNION ALL
    SELECT idx, subject_kind, subject_no, purpose, state, method, source, notice, event_time, recorded_at,
           expires_at
    FROM ledger WHERE subject_kind = 2 AND subject_no IN :contact_nos
""")
_EVENTS_ABOUT = Statement("""
    SELECT idx, subject_kind, subject_no, purpose, state, method, source, notice, event_time, recorded_at,
           expires_at
    FROM ledger WHERE subject_kind = 1 AND subject_no IN :record_nos
     AND (purpose = :purpose OR state = 'restricted')
    UNION ALL
    SELECT idx, subject_kind, subject_no, purpose, state, method, source, notice, event_time, recorded_at,
           expires_at
    FROM ledger WHERE subject_kind = 2 AND subject_no IN :contact_nos
     AND (purpose = :purpose OR state = 'restricted')
""")
_EVENTS_AT = Statement("""
    SELECT idx, subject_kind, subject_no, purpose, state, method, source, notice, event_time, recorded_at,
           expires_at
    FROM ledger WHERE idx IN :indexes AND purpose IS NOT NULL
""")
_LEAF = Statement("SELECT leaf FROM ledger WHERE idx = :idx")
_EVIDENCE = Statement("SELECT leaf, sealed FROM ledger WHERE idx = :idx")
_LEAF_HASHES = Statement("SELECT leaf_hash FROM ledger WHERE idx >= :first AND idx < :end ORDER BY idx")
_NODES = Statement("""
    SELECT hash FROM ledger_nodes WHERE level = :level AND idx >= :first AND idx < :end ORDER BY idx
""")
_INSERT_NODE = Statement("INSERT INTO ledger_nodes (level, idx, hash) VALUES (:level, :idx, :hash)")
_SHRED = Statement("""
    UPDATE ledger
    SET sealed = NULL, subject_kind = NULL, subject_no = NULL, purpose = NULL, state = NULL, source = NULL,
        method = NULL, notice = NULL, event_time = NULL, expires_at = NULL
    WHERE subject_kind = :kind AND subject_no IN :numbers
""")
_LAST_CHECKPOINT = Statement("SELECT note FROM checkpoints ORDER BY size DESC LIMIT 1")
_LEDGER_TIME = Statement("SELECT value FROM counters WHERE name = 'ledger_time'")
_NOTE_TIME = Statement("UPDATE counters SET value = :time WHERE name = 'ledger_time' AND value < :time")
_INSERT_CHECKPOINT = Statement(
    "INSERT INTO checkpoints (size, signed_at, note) VALUES (:size, :signed_at, :note)"
)


class Ledger:
    """Appends, reads and proves consent events. `origin` names this ledger in its checkpoints."""

    def __init__(
        self,
        db: Database,
        vault: Vault,
        key_store: KeyStore,
        signing_key: Ed25519PrivateKey,
        origin: str,
        *,
        policy: str | None = None,
    ) -> None:
        self._db, self._vault, self._key_store = db, vault, key_store
        self._signing_key, self.origin, self.policy = signing_key, origin, policy

    def prepare(self, event: ConsentEvent, evidence_key: EvidenceKey) -> PreparedEntry:
        """Seal an event and compute its leaf: no I/O, so any worker may do it."""
        return entries.prepare(event, evidence_key, self.policy)

    def append(self, conn: Connection, prepared: Sequence[PreparedEntry]) -> int:
        """Append in the caller's write transaction and return the index of the first."""
        return self.append_rows(conn, [row_of(entry) for entry in prepared])

    def append_rows(self, conn: Connection, rows: Sequence[LedgerRow]) -> int:
        """Do the same with entries as `row_of` gives them."""
        first = self.size(conn)
        _INSERT.many(conn, [(index, *row) for index, row in enumerate(rows, start=first)])
        if rows:
            _NOTE_TIME.run(conn, time=max(row[_RECORDED_AT] for row in rows))
        _add_nodes(conn, first, [row[_LEAF_HASH] for row in rows])
        return first

    def size(self, conn: Connection) -> int:
        """Return the number of entries."""
        return int(_SIZE.rows(conn)[0][0])

    def time(self, conn: Connection) -> int:
        """Return the latest time ever recorded (ms), which a clock set back does not lower."""
        return int(_LEDGER_TIME.rows(conn)[0][0])

    def events_for(
        self, conn: Reading, subjects: Iterable[Subject], purpose: str | None = None
    ) -> list[ConsentEvent]:
        """Return the events of `subjects`, in the order of the ledger.

        With `purpose` only those that could matter to it: its own, and restrictions of any.
        """
        by_kind: dict[int, list[int]] = {RECORD: [], CONTACT: []}
        for kind, no in dict.fromkeys(subjects):
            by_kind[kind].append(no)
        none: list[int] = []
        parts = zip_longest(slices(by_kind[RECORD]), slices(by_kind[CONTACT]), fillvalue=none)
        statement = _EVENTS if purpose is None else _EVENTS_ABOUT
        rows = [
            row
            for record_nos, contact_nos in parts
            for row in statement.rows(conn, record_nos=record_nos, contact_nos=contact_nos, purpose=purpose)
        ]
        return [_event(row) for row in sorted(rows)]  # the index comes first and is unique

    def events_at(self, conn: Connection, indexes: Sequence[int]) -> list[ConsentEvent]:
        """Return the events at `indexes` that are not shredded, in the order of the ledger."""
        rows = [row for chunk in slices(indexes) for row in _EVENTS_AT.rows(conn, indexes=chunk)]
        return [_event(row) for row in sorted(rows)]

    def leaf(self, conn: Connection, index: int) -> bytes:
        """Return the bytes of a leaf. Raises merkle.ProofError if there is none."""
        rows = _LEAF.rows(conn, idx=index)
        if not rows:
            raise merkle.ProofError(f"the ledger has no entry {index}")
        leaf: bytes = rows[0][0]
        return leaf

    def evidence(self, conn: Connection, index: int) -> tuple[bytes, bytes | None]:
        """Return leaf and sealed payload (None: shredded). Raises merkle.ProofError if there is none."""
        rows = _EVIDENCE.rows(conn, idx=index)
        if not rows:
            raise merkle.ProofError(f"the ledger has no entry {index}")
        leaf, sealed = rows[0]
        return leaf, sealed

    def shred(self, conn: Connection, subjects: Iterable[Subject]) -> int:
        """Empty the entries about `subjects`; return how many. Their evidence keys are destroyed first."""
        return sum(_SHRED.run(conn, kind=kind, numbers=nos) for kind, nos in _bound(subjects))

    def checkpoint(self, now: int) -> str:
        """Return a signed note of the ledger as it is; `now` in ms.

        Raises LedgerCorruptError rather than sign a tree that does not extend the last one signed.
        """
        with self._db.write() as conn:
            tiles = Tiles(conn, self.size(conn))
            current = Checkpoint(self.origin, tiles.size, merkle.tree_root(tiles.size, tiles.subtree))
            for (note,) in _LAST_CHECKPOINT.rows(conn):
                last = checkpoints.verify(note, self.origin, self._signing_key.public_key())
                _require_extension(last, current, tiles)
                if last == current:
                    return str(note)
            note = checkpoints.sign(current, self._signing_key)
            _INSERT_CHECKPOINT.many(conn, [(current.size, now, note)])
        return note

    def head(self) -> tuple[int, int]:
        """Return the size, and that of the last checkpoint, which it extends (0: none was signed).

        Raises CheckpointError or LedgerCorruptError where it does not. Reads a few hundred rows, so what
        `verify` finds inside an entry it does not.
        """
        with self._db.read() as conn:
            size = self.size(conn)
            for (note,) in _LAST_CHECKPOINT.rows(conn):
                last = checkpoints.verify(note, self.origin, self._signing_key.public_key())
                _require_extension(last, Checkpoint(self.origin, size, b""), Tiles(conn, size))
                return size, last.size
        return size, 0

    def sign(self, message: bytes) -> bytes:
        """Sign a message that begins with a domain of its own, so that it passes for no checkpoint."""
        return self._signing_key.sign(message)

    def verifier_key(self) -> str:
        """Return the public key by which anyone can check this ledger's checkpoints."""
        return checkpoints.verifier_key(self.origin, self._signing_key.public_key())

    def inclusion_proof(self, index: int, size: int) -> list[bytes]:
        """Return the audit path of an entry in the tree of the first `size`. Raises merkle.ProofError."""
        with self._db.read() as conn:
            return merkle.inclusion_proof(index, size, Tiles(conn, self._within(conn, size)).subtree)

    def proven_leaf(self, index: int, size: int) -> tuple[bytes, list[bytes]]:
        """Return a leaf and its audit path in the tree of the first `size`. Raises merkle.ProofError."""
        with self._db.read() as conn:
            tiles = Tiles(conn, self._within(conn, size))
            return self.leaf(conn, index), merkle.inclusion_proof(index, size, tiles.subtree)

    def consistency_proof(self, first: int, second: int) -> list[bytes]:
        """Return the proof that the first `second` entries extend the first `first`. Raises ProofError."""
        with self._db.read() as conn:
            return merkle.consistency_proof(first, second, Tiles(conn, self._within(conn, second)).subtree)

    def verify(self, checkpoint_text: str | None = None) -> VerifyReport:
        """Recompute everything from the leaves; compare nodes, checkpoints and what the keys open."""
        return verify_ledger(
            self._db,
            self._vault,
            self._key_store,
            key=self._signing_key.public_key(),
            origin=self.origin,
            checkpoint_text=checkpoint_text,
        )

    def _within(self, conn: Connection, size: int) -> int:
        if size > self.size(conn):
            raise merkle.ProofError(f"the ledger has fewer than {size} entries")
        return size


def _bound(subjects: Iterable[Subject]) -> Iterator[tuple[int, list[int]]]:
    """Group subjects by kind, in lists short enough to bind."""
    numbers: dict[int, list[int]] = {}
    for subject in dict.fromkeys(subjects):
        numbers.setdefault(subject.kind, []).append(subject.no)
    for kind, of_kind in numbers.items():
        for chunk in slices(of_kind):
            yield kind, chunk


class Tiles:
    """Reads subtree hashes through stored stretches of 256, each at most once."""

    def __init__(self, conn: Connection, size: int) -> None:
        self._conn, self.size = conn, size
        self._tiles: dict[tuple[int, int], list[bytes]] = {}

    def subtree(self, height: int, index: int) -> bytes:
        """Return the hash of a perfect subtree. Raises LedgerCorruptError if rows are missing."""
        level, above = divmod(height, _TILE_HEIGHT)
        first = index << above
        tile = self._tile(level, first // TILE)
        hashes = tile[first % TILE : first % TILE + (1 << above)]
        if len(hashes) != 1 << above:
            raise LedgerCorruptError(f"the ledger's tree is incomplete near entry {index << height}")
        return merkle.perfect_root(hashes)

    def _tile(self, level: int, number: int) -> list[bytes]:
        key = (level, number)
        if key not in self._tiles:
            self._tiles[key] = _stretch(self._conn, level, number * TILE, (number + 1) * TILE)
        return self._tiles[key]


def _stretch(conn: Connection, level: int, first: int, end: int) -> list[bytes]:
    """Return stored hashes: of leaves at level 0, of nodes above."""
    if level == 0:
        return [hash_ for (hash_,) in _LEAF_HASHES.rows(conn, first=first, end=end)]
    return [hash_ for (hash_,) in _NODES.rows(conn, level=level, first=first, end=end)]


def _add_nodes(conn: Connection, first: int, hashes: Sequence[bytes]) -> None:
    """Store the nodes that `hashes`, the new ones of a level from index `first` on, complete."""
    level = 0
    while (first + len(hashes)) // TILE > first // TILE:
        start = first - first % TILE
        stretch = [*_stretch(conn, level, start, first), *hashes]
        whole = range(0, len(stretch) - TILE + 1, TILE)
        hashes = [merkle.perfect_root(stretch[at : at + TILE]) for at in whole]
        level, first = level + 1, start // TILE
        _INSERT_NODE.many(conn, [(level, first + at, hash_) for at, hash_ in enumerate(hashes)])


def _require_extension(last: Checkpoint, current: Checkpoint, tiles: Tiles) -> None:
    if last.size > current.size:
        raise LedgerCorruptError(
            f"the ledger lost its end: it has {current.size} entries, and {last.size} were signed"
        )
    if last.size and merkle.tree_root(last.size, tiles.subtree) != last.root:
        raise LedgerCorruptError(f"the first {last.size} entries are not those that were signed")


def row_of(entry: PreparedEntry) -> LedgerRow:
    """Return what `append_rows` takes: a worker process hands on plain values, which cross cheaply."""
    event = entry.event
    return (
        event.recorded_at,
        entry.leaf,
        entry.leaf_hash,
        entry.sealed,
        event.subject[0],
        event.subject[1],
        event.purpose,
        event.state,
        event.source,
        event.method,
        event.notice,
        event.event_time,
        event.expires_at,
    )


def _event(row: Sequence[Any]) -> ConsentEvent:
    index, kind, no, *said = row
    return ConsentEvent(index, Subject(kind, no), *said)
