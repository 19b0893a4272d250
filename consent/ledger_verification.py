"""Checks a ledger from its leaves up, and says where it first goes wrong.

1. Indexes are consecutive, and every leaf has the hash stored beside it.
2. Every stored node is the hash of its 256 children.
3. Every stored checkpoint, and one kept elsewhere, is signed and has the root of that many leaves.
4. Of an entry that is not shredded: its columns say what the leaf says, and what its evidence key opens.
5. An entry is shredded, or about a subject without a key, only where the evidence key behind its tag is
   gone: a withdrawal cannot be hidden by emptying it or by giving it to somebody else.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sqlalchemy import Connection

from consent import checkpoints, entries, erasure_entries, merkle
from consent.errors import CheckpointError, ConsentError, LedgerCorruptError
from consent.events import ConsentEvent, Subject
from consent.evidence_store import EvidenceRow
from consent.key_store import KeyStore
from consent.vault import Vault
from identity.database import Database
from identity.statements import Statement

_BATCH: Final = 500  # evidence keys read at once: the key store's readers stay below 20 ms
_TILE: Final = 256

_ROWS = Statement("""
    SELECT idx, leaf, leaf_hash, sealed, subject_kind, subject_no, purpose, state, method, source, notice,
           event_time, recorded_at, expires_at
    FROM ledger ORDER BY idx
""")
_NODES = Statement("SELECT level, idx, hash FROM ledger_nodes")
_CHECKPOINTS = Statement("SELECT size, note FROM checkpoints ORDER BY size")


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What verification found. `first_bad` is the first entry at fault, or where entries are missing.

    A forgery that is consistent in itself shows only against a checkpoint: `first_bad` is then the first
    entry after the last checkpoint that agrees.
    """

    ok: bool
    size: int
    root: bytes
    first_bad: int | None
    reason: str | None
    checkpoints: int  # that agree, the external one included
    proven: int  # entries whose columns equal what their evidence key opens
    unproven: int  # entries whose evidence key is gone, not yet shredded
    shredded: int


@dataclass(slots=True)
class _Findings:
    proven: int = 0
    unproven: int = 0
    agreeing: int = 0
    shredded: int = 0
    keyless: dict[bytes, int] = field(default_factory=dict)  # tag of a subject said to have no key -> index
    faults: list[tuple[int, str]] = field(default_factory=list)

    def fault(self, index: int, reason: str) -> None:
        self.faults.append((index, reason))

    def note(self, fields: entries.Leaf, index: int, *, proven: bool) -> None:
        """Count an entry; without a key its subject is said to have none."""
        if proven:
            self.proven += 1
        else:
            self.unproven += 1
            self.keyless.setdefault(fields.subject_tag, index)


def verify_ledger(
    db: Database,
    vault: Vault,
    key_store: KeyStore,
    *,
    key: Ed25519PublicKey,
    origin: str,
    checkpoint_text: str | None = None,
) -> VerifyReport:
    """Verify one snapshot of the ledger; see the module's list of checks."""
    findings = _Findings()
    with db.read() as conn:
        promised = _promised(conn, findings, key, origin, checkpoint_text)
        nodes = {(level, index): hash_ for level, index, hash_ in _NODES.rows(conn)}
        tree = _Tree(promised, nodes, findings)
        tree.compare_root()
        for rows in _ROWS.chunks(conn, _BATCH):
            if not tree.extend(rows):
                break
            _check_events(rows, vault, key_store, findings)
    tree.finish()
    _check_keyless(vault, key_store, findings)
    first_bad, reason = min(findings.faults, default=(None, None))
    return VerifyReport(
        ok=not findings.faults,
        size=tree.range.size,
        root=tree.range.root(),
        first_bad=first_bad,
        reason=reason,
        checkpoints=findings.agreeing,
        proven=findings.proven,
        unproven=findings.unproven,
        shredded=findings.shredded,
    )


class _Tree:
    """The tree recomputed leaf by leaf, compared on the way with what is stored about it."""

    def __init__(
        self, promised: dict[int, list[bytes]], nodes: dict[tuple[int, int], bytes], findings: _Findings
    ) -> None:
        self.range = merkle.CompactRange()
        self._promised, self._nodes, self._findings = promised, nodes, findings
        self._agreed = 0  # size of the last checkpoint that agreed
        self._open: list[list[bytes]] = [[]]  # per level, hashes that do not fill a tile yet
        self._broken = False

    def extend(self, rows: Iterable[Sequence[Any]]) -> bool:
        """Add leaves; return False at the first one that is missing or not what its hash says."""
        for index, leaf, hash_, *_ in rows:
            at = self.range.size
            if index != at:
                self._stop(at, f"entry {at} is missing" if index > at else f"there are two entries {index}")
            elif not isinstance(leaf, bytes) or merkle.leaf_hash(leaf) != hash_:
                self._stop(at, f"entry {at} is not what its hash says")
            if self._broken:
                return False
            self.range.append(hash_)
            self._add(0, hash_)
            self.compare_root()
        return True

    def compare_root(self) -> None:
        """Compare the root so far with the checkpoints of this size."""
        size = self.range.size
        for root in self._promised.pop(size, ()):
            if root == self.range.root():
                self._agreed = size
                self._findings.agreeing += 1
            else:
                reason = f"the first {size} entries are not those of a signed checkpoint"
                self._findings.fault(self._agreed, reason)

    def finish(self) -> None:
        """Report what is promised or stored beyond the last entry."""
        size = self.range.size
        if self._broken:
            return
        for promised in sorted(self._promised):
            reason = f"the ledger lost its end: it has {size} entries, and {promised} were signed"
            self._findings.fault(size, reason)
        for level, index in self._nodes:
            self._findings.fault(min(index * _TILE**level, size), f"there is a stray node {level}/{index}")

    def _add(self, level: int, hash_: bytes) -> None:
        stretch = self._open[level]
        stretch.append(hash_)
        if len(stretch) < _TILE:
            return
        node = merkle.perfect_root(stretch)
        stretch.clear()
        covered = _TILE ** (level + 1)
        index = self.range.size // covered - 1
        if self._nodes.pop((level + 1, index), None) != node:
            self._findings.fault(index * covered, f"node {level + 1}/{index} is not the hash of its children")
        if len(self._open) == level + 1:
            self._open.append([])
        self._add(level + 1, node)

    def _stop(self, index: int, reason: str) -> None:
        self._broken = True
        self._findings.fault(index, reason)


def _promised(
    conn: Connection, findings: _Findings, key: Ed25519PublicKey, origin: str, external: str | None
) -> dict[int, list[bytes]]:
    """Return the roots that signed checkpoints promise, by size."""
    roots: dict[int, list[bytes]] = {}
    stored = [(size, note) for size, note in _CHECKPOINTS.rows(conn)]
    for size, note in [*stored, *([(None, external)] if external is not None else [])]:
        try:
            checkpoint = checkpoints.verify(note, origin, key)
        except CheckpointError as error:
            findings.fault(0, f"the checkpoint {'given' if size is None else f'of {size}'}: {error}")
            continue
        roots.setdefault(checkpoint.size, []).append(checkpoint.root)
    return roots


def _check_events(
    rows: Sequence[Sequence[Any]], vault: Vault, key_store: KeyStore, findings: _Findings
) -> None:
    subjects = {Subject(row[4], row[5]) for row in rows if row[5] is not None}
    with key_store.read() as conn:
        keys = key_store.evidence.fetch(conn, subjects)
    opened = {
        subject: vault.open_evidence_key(subject.kind, subject.no, row.epoch, row.wrapped)
        for subject, row in keys.items()
    }
    for index, leaf, hash_, sealed, kind, no, *columns in rows:
        try:
            fields = entries.read_leaf(leaf)
            if sealed is None:
                _check_is_shredded(index, fields, [kind, no, *columns[:6], columns[7]], findings)
                continue
            subject = Subject(kind, no)
            if fields.type in erasure_entries.TYPES:
                known = erasure_entries.check(fields, columns[1], hash_, sealed, opened.get(subject))
                findings.note(fields, index, proven=known)
                continue
            event = ConsentEvent(index, subject, *columns)
            entries.check_columns(event, fields)
            if subject in opened:
                entries.check_payload(event, fields, hash_, sealed, opened[subject])
            findings.note(fields, index, proven=subject in opened)
        except (ConsentError, TypeError, ValueError) as error:
            reason = str(error) if isinstance(error, ConsentError) else "its columns are no event"
            findings.fault(index, f"entry {index}: {reason}")


def _check_is_shredded(index: int, fields: entries.Leaf, columns: Sequence[Any], findings: _Findings) -> None:
    if any(column is not None for column in columns):
        raise LedgerCorruptError("it has no sealed payload, but state")
    findings.keyless.setdefault(fields.subject_tag, index)
    findings.shredded += 1


def _check_keyless(vault: Vault, key_store: KeyStore, findings: _Findings) -> None:
    if not findings.keyless:
        return
    for row in _evidence(key_store):
        key = vault.open_evidence_key(row.subject.kind, row.subject.no, row.epoch, row.wrapped)
        tag = key.subject_tag
        if tag in findings.keyless:
            index = findings.keyless[tag]
            findings.fault(index, f"entry {index} was emptied or moved: its subject's evidence key exists")


def _evidence(key_store: KeyStore) -> Iterator[EvidenceRow]:
    slot = 0
    while True:
        with key_store.read() as conn:
            slot, rows = key_store.evidence.page(conn, slot, _BATCH)
        if not slot:
            return
        yield from rows
