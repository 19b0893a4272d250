"""Rotating the key-encryption keys, and destroying old ones: what bounds what a backup reveals.

`rotate` may be interrupted anywhere and run again; the service goes on beside it.

1. The new epoch's number is noted: a repetition goes on with it instead of making another.
2. The keyring gets the epoch. Running processes wrap new keys under it within a second.
3. Data and evidence keys are wrapped anew, a few thousand at a time. A key is replaced only by another
   wrapping of itself: one that was destroyed meanwhile stays destroyed.
4. When no key is left under an older epoch, that is noted, and the write-ahead log is emptied.

`destroy` needs two people. An epoch that still wraps a key is refused, and closed to new ones in the same
transaction, so that nothing wrapped under it a moment ago can be stored afterwards and be lost.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from sqlalchemy import Connection

from consent.errors import KeyringError
from consent.key_providers import RELOAD_SECONDS, FileKeyring
from consent.key_store import KeyStore
from consent.vault import Vault
from identity.database import Database
from identity.statements import Statement

_CHECKPOINT_EVERY: Final = 8  # transactions
_AT_ONCE: Final = 2000  # keys in one transaction: below 20 ms under the write lock
CONFIRM_WITHIN_MS: Final = 7 * 86_400_000

Progress = Callable[[int], None]
"""Told after each batch how many keys have been looked at."""

_RECORDS: Final = Statement("""
    SELECT slot, record_no, key_id, wrapped FROM record_keys WHERE slot > :after ORDER BY slot LIMIT :count
""")
_EVIDENCE: Final = Statement("""
    SELECT slot, subject_kind, subject_no, wrapped FROM evidence_keys
    WHERE slot > :after ORDER BY slot LIMIT :count
""")
_SWAP_RECORD: Final = Statement("UPDATE record_keys SET wrapped = :new WHERE slot = :slot AND wrapped = :old")
_SWAP_EVIDENCE: Final = Statement(
    "UPDATE evidence_keys SET wrapped = :new WHERE slot = :slot AND wrapped = :old"
)
_COUNTS: Final = tuple(
    Statement(f"SELECT substr(wrapped, 1, 2), COUNT(*) FROM {table} GROUP BY 1")  # noqa: S608 - our tables
    for table in ("record_keys", "evidence_keys")
)
_EPOCHS: Final = Statement("""
    SELECT epoch, created_at, rewrapped_at, asked_by, asked_at, confirmed_by, destroyed_at
    FROM key_epochs ORDER BY epoch
""")
_ADD: Final = Statement("""
    INSERT INTO key_epochs (epoch, created_at) VALUES (:epoch, :now) ON CONFLICT (epoch) DO NOTHING
""")
_REWRAPPED: Final = Statement("UPDATE key_epochs SET rewrapped_at = :now WHERE epoch = :epoch")
_ASK: Final = Statement("UPDATE key_epochs SET asked_by = :by, asked_at = :now WHERE epoch = :epoch")
_DESTROYED: Final = Statement("""
    UPDATE key_epochs SET confirmed_by = :by, destroyed_at = :now WHERE epoch = :epoch
""")
_CLOSE: Final = Statement("""
    UPDATE key_counters SET value = :epoch WHERE name = 'closed_epoch' AND value < :epoch
""")


class Rotated(NamedTuple):
    """What a rotation did. `left`: keys still under an older epoch, always 0 unless it was interrupted."""

    epoch: int
    rewrapped: int


class EpochState(NamedTuple):
    """One epoch: `status` is active, retiring or destroyed; times in ms, None for with the home or never."""

    epoch: int
    status: str
    keys: int  # data and evidence keys wrapped under it
    created_at: int | None
    destroyed_at: int | None
    asked_by: str | None


class Horizons(NamedTuple):
    """What was erased before then is safe from old copies used with today's keyring; None: nothing is yet.

    `keys`: no copy opens it. `tokens`: no copy of the key store can be used to test guesses either.
    """

    keys: int | None
    tokens: int | None


@dataclass(frozen=True, slots=True)
class Destruction:
    """What became of the wish to destroy an epoch: done, or noted until somebody else confirms."""

    epoch: int
    destroyed: bool
    asked_by: str
    confirmed_by: str | None = None


class KeyRotation:
    """Rotates and destroys the epochs of one home."""

    def __init__(self, keys: Database, key_store: KeyStore, vault: Vault, keyring: FileKeyring) -> None:
        self._keys, self._key_store = keys, key_store
        self._vault, self._keyring = vault, keyring

    def rotate(self, now: int, progress: Progress = lambda _: None) -> Rotated:
        """Bring every key under a new epoch, or complete a rotation that was interrupted.

        Raises DestructionIncompleteError if a reader keeps old wrappings in the write-ahead log: repeat it.
        KeyringError if this keyring is older than the keys: it would make epochs that are another's.
        """
        self._keyring.require_as_new_as(max(self._counts(), default=0))
        epoch = self._begin(now)
        rewrapped = self._rewrap_all(epoch, progress)
        time.sleep(RELOAD_SECONDS * 1.1)  # until no process wraps under an older one
        while any(number < epoch for number in self._counts()):
            rewrapped += self._rewrap_all(epoch, progress)
        self._key_store.truncate_log()
        with self._keys.write() as conn:
            _REWRAPPED.run(conn, epoch=epoch, now=now)
        return Rotated(epoch, rewrapped)

    def epochs(self) -> list[EpochState]:
        """Return every epoch that there ever was, oldest first."""
        counts, states = self._counts(), self._keyring.epochs()
        with self._keys.read() as conn:
            noted = {row[0]: row for row in _EPOCHS.rows(conn)}
        found = []
        for number in sorted({*states, *noted, *counts}):
            row = noted.get(number, (number, *(None,) * 6))
            status = states.get(number, "destroyed" if row[6] else "missing")
            found.append(EpochState(number, status, counts.get(number, 0), row[1], row[6], row[3]))
        return found

    def horizons(self) -> Horizons:
        """Return since when what is erased can be opened, or tested with guesses, from an old copy."""
        living = [each for each in self.epochs() if each.status in {"active", "retiring"}]
        return Horizons(living[0].created_at if living else None, None)

    def destroy(self, epoch: int, by: str, now: int) -> Destruction:
        """Destroy an epoch's key if somebody else asked for it before; else note that `by` asks.

        Raises KeyringError for the active epoch, an unknown one, or one that still wraps keys.
        """
        with self._keys.write() as conn:
            self._require_unused(conn, epoch)
            _ADD.run(conn, epoch=epoch, now=None)
            row = next(row for row in _EPOCHS.rows(conn) if row[0] == epoch)
            asked_by, asked_at = row[3], row[4]
            if asked_by in {None, by} or now - asked_at > CONFIRM_WITHIN_MS:
                _ASK.run(conn, epoch=epoch, by=by, now=now)
                return Destruction(epoch, destroyed=False, asked_by=by)
            _CLOSE.run(conn, epoch=epoch)
        # A crash here leaves an epoch that takes no keys: asking again destroys it.
        if epoch in self._keyring.epochs():
            self._keyring.destroy_epoch(epoch)
        self._keyring.forget_old_copies()
        with self._keys.write() as conn:
            _DESTROYED.run(conn, epoch=epoch, by=by, now=now)
        return Destruction(epoch, destroyed=True, asked_by=asked_by, confirmed_by=by)

    def _begin(self, now: int) -> int:
        with self._keys.write() as conn:
            rows = _EPOCHS.rows(conn)
            begun = [row for row in rows if row[1] is not None and row[6] is None]
            under_way = [int(row[0]) for row in begun if row[2] is None]
            newest = max([*self._keyring.epochs(), *(int(row[0]) for row in rows)])
            epoch = under_way[-1] if under_way else newest + 1
            _ADD.run(conn, epoch=epoch, now=now)
        while max(self._keyring.epochs()) < epoch:
            self._keyring.rotate()
        return epoch

    def _rewrap_all(self, epoch: int, progress: Progress) -> int:
        vault = self._vault
        tables = (
            (_RECORDS, _SWAP_RECORD, lambda *key: vault.rewrap_key(
                record_no=key[0], key_id=key[1], epoch=key[2], wrapped=key[3])),
            (_EVIDENCE, _SWAP_EVIDENCE, vault.rewrap_evidence_key),
        )  # fmt: skip
        looked_at = rewrapped = 0
        for page, swap, rewrap in tables:
            slot = 0
            while True:
                with self._keys.read() as conn:
                    rows = page.rows(conn, after=slot, count=_AT_ONCE)
                if not rows:
                    break
                slot = rows[-1][0]
                rewrapped += self._swap(swap, _rewrapped(rows, epoch, rewrap))
                looked_at += len(rows)
                if looked_at % (_AT_ONCE * _CHECKPOINT_EVERY) < _AT_ONCE:
                    self._keys.checkpoint()
                progress(looked_at)
        return rewrapped

    def _swap(self, swap: Statement, changed: Sequence[tuple[bytes, int, bytes]]) -> int:
        if changed:
            with self._keys.write(checkpoint=False) as conn:
                swap.many(conn, changed)
        return len(changed)

    def _counts(self) -> dict[int, int]:
        with self._keys.read() as conn:
            return _counted(conn)

    def _require_unused(self, conn: Connection, epoch: int) -> None:
        states = self._keyring.epochs()
        if epoch not in states and not _half_destroyed(conn, epoch):
            raise KeyringError(f"the keyring has no epoch {epoch}; it has {', '.join(map(str, states))}")
        if states.get(epoch) == "active":
            raise KeyringError(f"epoch {epoch} is the active one: rotate first")
        left = _counted(conn).get(epoch, 0)
        if left:
            raise KeyringError(
                f"{left} keys are still wrapped under epoch {epoch} and would be lost: "
                "run `aurea keys rotate`"
            )


def _half_destroyed(conn: Connection, epoch: int) -> bool:
    """Whether the epoch's destruction was confirmed, and a crash came before it was noted."""
    return any(row[0] == epoch and row[3] and not row[6] for row in _EPOCHS.rows(conn))


def _rewrapped(
    rows: Sequence[tuple[int, int, int, bytes]], epoch: int, rewrap: Callable[..., tuple[int, bytes]]
) -> list[tuple[bytes, int, bytes]]:
    """Return (new, slot, old) of the live keys that are not under `epoch` yet."""
    changed = []
    for slot, first, second, stored in rows:
        old = int.from_bytes(stored[:2], "big")
        if stored and old < epoch:
            number, wrapped = rewrap(first, second, old, stored[2:])
            changed.append((number.to_bytes(2, "big") + wrapped, slot, stored))
    return changed


def _counted(conn: Connection) -> dict[int, int]:
    """Return how many live keys each epoch wraps."""
    counts: dict[int, int] = {}
    for statement in _COUNTS:
        for prefix, count in statement.rows(conn):
            if prefix:
                number = int.from_bytes(prefix, "big")
                counts[number] = counts.get(number, 0) + count
    return counts
