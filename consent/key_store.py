"""The key store: wrapped keys, the tokens they are found by, and their destruction.

A record's data key is one row of `record_keys`. Its tokens are listed in that row and entered in the token
index; a token found there counts only if the row still lists it, so the index may lag behind a
destruction, never ahead of it. `destroy` returns when no byte of a key or token is left in the store's files.

Functions that take a connection run in the caller's transaction of the key store.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from itertools import chain
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, bindparam, text

from consent.blind_indexes import BlindIndex
from consent.errors import DestructionIncompleteError, KeyringError
from consent.events import Subject
from consent.evidence_store import EvidenceStore, refuse_closed_epochs
from consent.key_tables import HOLD_SECRETS
from consent.packed_tokens import prefixes
from consent.suppression_store import SuppressionStore
from consent.token_index import TokenIndex
from identity.database import Database
from identity.read_snapshots import ReadSnapshot
from identity.statements import Reading, Statement, slices

ORPHAN_AGE_MS: Final = 3_600_000
"""A key row without a record for this long is left over from a crash."""

_CHUNK: Final = 1000  # parameters of one IN list
_DESTROYED_AT_ONCE: Final = 100  # about 10 ms under the write lock

_COUNTERS: Final = ("key_id", "contact_no", "run_no", "swept", "suppression_no", "erasure_no", "closed_epoch")
_ADD_COUNTER = text(
    "INSERT INTO key_counters (name, value) VALUES (:name, :value) ON CONFLICT (name) DO NOTHING"
)
_COUNTER = text("SELECT value FROM key_counters WHERE name = :name")
_SET_COUNTER = text("UPDATE key_counters SET value = :value WHERE name = :name")
_ADVANCE = text("UPDATE key_counters SET value = value + :n WHERE name = :name RETURNING value")

_INSERT = Statement("""
    INSERT INTO record_keys (key_id, record_no, wrapped, tokens, content_mac, created_at)
    VALUES (:key_id, :record_no, :wrapped, :tokens, :content_mac, :created_at)
""")
_FETCH = Statement("""
    SELECT key_id, record_no, wrapped, tokens, content_mac, created_at
    FROM record_keys WHERE key_id IN :key_ids
""")
_WRAPPED = Statement("SELECT key_id, wrapped FROM record_keys WHERE key_id IN :key_ids")
_DESTROYED = Statement("SELECT key_id FROM record_keys WHERE key_id IN :key_ids AND length(wrapped) = 0")
_SCAN = Statement("""
    SELECT key_id, record_no, wrapped FROM record_keys
    WHERE key_id >= :first AND key_id <= :last ORDER BY key_id
""")
# The row shrinks where it lies; see consent/key_tables.py for why it is not deleted.
_BLANK = text("""
    UPDATE record_keys SET wrapped = :empty, tokens = :empty, content_mac = :empty WHERE key_id IN :ids
""").bindparams(bindparam("ids", expanding=True))
_UNSWEPT = text("""
    SELECT slot, key_id, wrapped FROM record_keys
    WHERE slot > :swept AND created_at < :before ORDER BY slot LIMIT 5000
""")
_LIVE = text("SELECT key_id FROM records WHERE key_id IN :ids").bindparams(bindparam("ids", expanding=True))


class KeyRow(NamedTuple):
    """One record's wrapped data key and how it is found. `wrapped` is as `Vault.new_key` returned it."""

    key_id: int
    record_no: int
    epoch: int
    wrapped: bytes
    tokens: bytes  # consent.packed_tokens
    content_mac: bytes
    created_at: int  # ms since the epoch, UTC

    def __repr__(self) -> str:
        return f"<key {self.key_id} of record {self.record_no}, epoch {self.epoch}>"


class KeyStore:
    """Keys by number and by token, over the key store's database."""

    def __init__(self, keys: Database) -> None:
        self._keys = keys
        self._index = TokenIndex()
        self.evidence = EvidenceStore(self._index)
        self.suppressions = SuppressionStore(self._index)

    def initialise(self, home_id: int | None = None) -> None:
        """Make the counters' rows; note whose keyring this is. Raises KeyringError if it is another's."""
        with self._keys.write() as conn:
            rows = [{"name": name, "value": 0} for name in _COUNTERS]
            if home_id is not None:
                rows.append({"name": "home", "value": home_id})
            conn.execute(_ADD_COUNTER, rows)
            if home_id is not None and _counter(conn, "home") != home_id:
                raise KeyringError(
                    f"this keyring is of home {home_id:016x}, but the key store is of home "
                    f"{_counter(conn, 'home'):016x}: point AUREA_KEYRING or AUREA_HOME at the matching one"
                )

    def allocate(self, n: int) -> int:
        """Reserve `n` consecutive key numbers and return the first. Numbers are never reused."""
        with self._keys.write() as conn:
            return _advance(conn, "key_id", n)

    def next_erasure(self, conn: Connection) -> int:
        """Return a number for an erasure, in the caller's write transaction."""
        return _advance(conn, "erasure_no", 1)

    def read(self) -> AbstractContextManager[Connection]:
        """Open a snapshot of the key store. Close it within 20 ms: an open one delays destructions."""
        return self._keys.read()

    def insert(self, conn: Connection, rows: Sequence[KeyRow]) -> None:
        """Add key rows and enter their tokens, in the caller's write transaction."""
        if not rows:
            return
        refuse_closed_epochs(conn, [row.epoch for row in rows])
        _INSERT.many(conn, [_stored(row) for row in rows])
        found_by = [prefixes(row.tokens) for row in rows]
        numbers = [row.key_id for row, tokens in zip(rows, found_by, strict=True) for _ in tokens]
        self._index.add(conn, list(chain.from_iterable(found_by)), numbers)

    def snapshot(self) -> AbstractContextManager[ReadSnapshot]:
        """Do as `read`, on the driver."""
        return self._keys.snapshot()

    def fetch(self, conn: Reading, key_ids: Iterable[int]) -> dict[int, KeyRow]:
        """Return the live rows among `key_ids`, by key id."""
        rows: dict[int, KeyRow] = {}
        for part in slices(list(key_ids)):
            for key_id, record_no, wrapped, tokens, mac, created_at in _FETCH.rows(conn, key_ids=part):
                if wrapped:
                    epoch = _epoch(wrapped)
                    rows[key_id] = KeyRow(key_id, record_no, epoch, wrapped[2:], tokens, mac, created_at)
        return rows

    def wrapped(self, conn: Reading, key_ids: Iterable[int]) -> Iterator[tuple[int, int, bytes]]:
        """Yield key id, epoch and wrapped key of the live ones: less work than to fetch their rows."""
        for part in slices(list(key_ids)):
            for key_id, wrapped in _WRAPPED.rows(conn, key_ids=part):
                if wrapped:
                    yield key_id, _epoch(wrapped), wrapped[2:]

    def destroyed(self, conn: Reading, key_ids: Iterable[int]) -> set[int]:
        """Return those of `key_ids` that were destroyed: less work than to fetch the others."""
        parts = slices(list(key_ids))
        return {key_id for part in parts for (key_id,) in _DESTROYED.rows(conn, key_ids=part)}

    def scan(self, conn: Reading, first: int, last: int) -> Iterator[tuple[int, int, int, bytes]]:
        """Yield key id, record number, epoch and wrapped key of live rows, first <= key id <= last."""
        for key_id, record_no, wrapped in _SCAN.rows(conn, first=first, last=last):
            if wrapped:
                yield key_id, record_no, _epoch(wrapped), wrapped[2:]

    def find(self, conn: Reading, token: bytes) -> list[KeyRow]:
        """Return the live rows that list `token`, ascending by key id."""
        return self.find_many(conn, [token])[token]

    def find_many(self, conn: Reading, tokens: Iterable[bytes]) -> dict[bytes, list[KeyRow]]:
        """Return for every one of `tokens` the live rows that list it, ascending by key id."""
        return self._listing(conn, self.candidates(conn, tokens))

    def find_arriving(
        self, conn: Reading, tokens: Iterable[bytes], contacts: Iterable[bytes]
    ) -> tuple[dict[bytes, list[KeyRow]], dict[bytes, int]]:
        """Do as `find_many` for `tokens` and find the contact points of others: one look into the index."""
        wanted = {token: BlindIndex.prefix(token) for token in tokens}
        others = {token: BlindIndex.prefix(token) for token in contacts}
        found = self._index.find(conn, {*wanted.values(), *others.values()})
        listed = {token: _key_ids(found.get(prefix, ())) for token, prefix in wanted.items()}
        return self._listing(conn, listed), self.evidence.find_contacts(conn, others, found=found)

    def _listing(self, conn: Reading, candidates: Mapping[bytes, Sequence[int]]) -> dict[bytes, list[KeyRow]]:
        """Return for every token those of its candidates that are live and list it."""
        rows = self.fetch(conn, set(chain.from_iterable(candidates.values())))
        # A packed token found at a wrong offset would be a collision of 64 random bits and more.
        return {
            token: [rows[no] for no in numbers if no in rows and token in rows[no].tokens]
            for token, numbers in candidates.items()
        }

    def candidates(
        self, conn: Reading, tokens: Iterable[bytes], *, limit: int | None = None
    ) -> dict[bytes, list[int]]:
        """Return for every token the key ids under its first 8 bytes, ascending, not compared further.

        Of a token with more than `limit` of them come an eighth of `limit`, spread evenly: a block that large
        tells nobody apart, unless it is one person's many records, and then a few of them will do. For
        blocking tokens, whose collisions are harmless; a destroyed key is never among them.
        """
        wanted = {token: BlindIndex.prefix(token) for token in tokens}
        found = self._index.find(conn, wanted.values())
        answer: dict[bytes, list[int]] = {}
        for token, prefix in wanted.items():
            numbers = _key_ids(found.get(prefix, ()))
            if limit is not None and len(numbers) > limit:
                kept = max(1, limit // 8)
                numbers = [numbers[(2 * place + 1) * len(numbers) // (2 * kept)] for place in range(kept)]
            answer[token] = numbers
        return answer

    def merge_recent(self, *, max_ms: int = 20, pause_ms: int = 0, force: bool = False) -> bool:
        """Let the token index merge what has collected; bulk writers call this after every batch."""
        return self._index.merge_recent(self._keys, max_ms=max_ms, pause_ms=pause_ms, force=force)

    def destroy(
        self,
        key_ids: Sequence[int],
        *,
        evidence: Mapping[Subject, int | None] = MappingProxyType({}),
        deadline_s: float = 10.0,
    ) -> None:
        """Destroy keys and their tokens, leaving no byte in any file.

        `evidence`: subjects whose evidence key is destroyed too (None), or is to be at a time (ms); the
        tokens of contact points go in either case. Idempotent. Raises DestructionIncompleteError when a
        reader kept the deleted bytes in the write-ahead log until the deadline: the keys can be found no
        more, and the call is to be repeated.
        """
        for at in range(0, max(len(key_ids), 1), _DESTROYED_AT_ONCE):
            chunk = list(key_ids[at : at + _DESTROYED_AT_ONCE])
            with self._keys.write() as conn:
                if chunk:
                    rows = self.fetch(conn, chunk).values()
                    found_by = [prefixes(row.tokens) for row in rows]
                    every = list(chain.from_iterable(found_by))
                    self._index.remove(conn, every, [row.key_id for row in rows])
                    conn.execute(_BLANK, {"ids": chunk, "empty": b""})
                if at == 0:
                    self.evidence.part(conn, evidence)
        self.truncate_log(deadline_s)

    def truncate_log(self, deadline_s: float = 10.0) -> None:
        """Leave no deleted row within reach. Raises DestructionIncompleteError if a reader prevents it.

        On SQLite that empties the write-ahead log. PostgreSQL's tables are vacuumed; the bytes of what was
        deleted survive in its log, copies of that and free space, until the destruction of an epoch.
        """
        if not self._keys.truncate_log(deadline_s, HOLD_SECRETS):
            raise DestructionIncompleteError(
                f"a reader of the key store stayed open for {deadline_s:g} s, so deleted keys are still "
                "within its reach; repeat the destruction"
            )

    def sweep_orphans(self, db: Database, now: int) -> int:
        """Destroy key rows that no record took up within an hour, and return how many there were."""
        swept = 0
        while True:
            with self._keys.read() as conn:
                marks = {"swept": _counter(conn, "swept"), "before": now - ORPHAN_AGE_MS}
                rows = conn.execute(_UNSWEPT, marks).all()
            if not rows:
                return swept
            ids = [row.key_id for row in rows if row.wrapped]
            with db.read() as conn:
                live = {
                    key_id
                    for at in range(0, len(ids), _CHUNK)
                    for (key_id,) in conn.execute(_LIVE, {"ids": ids[at : at + _CHUNK]})
                }
            orphans = [key_id for key_id in ids if key_id not in live]
            if orphans:
                self.destroy(orphans)
            swept += len(orphans)
            with self._keys.write() as conn:
                conn.execute(_SET_COUNTER, {"name": "swept", "value": rows[-1].slot})


def _key_ids(numbers: Iterable[int]) -> list[int]:
    return sorted({number for number in numbers if number > 0})


def _advance(conn: Connection, name: str, n: int) -> int:
    last: int = conn.execute(_ADVANCE, {"name": name, "n": n}).scalar_one()
    return last - n + 1


def _counter(conn: Connection, name: str) -> int:
    value: int = conn.execute(_COUNTER, {"name": name}).scalar_one()
    return value


def _stored(row: KeyRow) -> tuple[Any, ...]:
    key_id, record_no, epoch, wrapped, tokens, content_mac, created_at = row
    return key_id, record_no, epoch.to_bytes(2, "big") + wrapped, tokens, content_mac, created_at


def _epoch(wrapped: bytes) -> int:
    return int.from_bytes(wrapped[:2], "big")
