"""Copies of both embedded stores as of one moment, while everybody goes on reading and writing.

The stores never commit together: keys are written before the records that use them, and destroyed after it
was noted in the operational store. So what must not happen between the two snapshots is a commit of the
operational store. Its write lock is held while both snapshots are opened, for a millisecond; then writers go
on, and the pages are copied from the snapshots. What the copies hold is what a power cut at that moment
would have left, which every start can cope with.

While the key store is being copied its reader keeps deleted bytes in the write-ahead log: a destruction
waits for it (up to 10 s, then it says that it is to be repeated, and housekeeping repeats it).
"""

import os
import sqlite3
from contextlib import ExitStack, closing
from pathlib import Path

from consent.errors import BackupError
from identity.database import Database


def copy_stores(db: Database, keys: Database, *, db_to: Path, keys_to: Path) -> None:
    """Copy both stores into new files, 0600. Raises BackupError if one is not embedded or does not read."""
    if not (db.is_sqlite and keys.is_sqlite):
        raise BackupError("a store on PostgreSQL is backed up with PostgreSQL's own means: see its manual")
    try:
        with ExitStack() as held:
            with db.write(checkpoint=False):
                data_snapshot = held.enter_context(closing(_snapshot(db)))
                keys_snapshot = held.enter_context(closing(_snapshot(keys)))
            _copy(keys_snapshot, keys_to)
            keys_snapshot.close()  # destructions wait for it
            _copy(data_snapshot, db_to)
    except sqlite3.Error as error:
        raise BackupError(
            f"the stores cannot be copied ({error.sqlite_errorname}): is there room, and does `aurea doctor` "
            "find every page whole?"
        ) from None


def check_copy(path: Path) -> None:
    """Read every page of a copy. Raises BackupError if one is damaged."""
    with closing(sqlite3.connect(path)) as conn:
        try:
            (says,) = conn.execute("PRAGMA quick_check(1)").fetchone()
        except sqlite3.DatabaseError:
            says = "unreadable"
    if says != "ok":
        raise BackupError(f"{path.name} does not read back: it is no backup")


def wipe(path: Path) -> None:
    """Overwrite a file with zeros and remove it: a copy of the key store must not outlive its use."""
    with path.open("r+b") as file:
        left = os.fstat(file.fileno()).st_size
        while left > 0:
            left -= file.write(bytes(min(left, 1 << 20)))
        file.flush()
        os.fsync(file.fileno())
    path.unlink()


def _snapshot(store: Database) -> sqlite3.Connection:
    conn = sqlite3.connect(str(store.engine.url.database), isolation_level=None)
    conn.execute("BEGIN")
    conn.execute("SELECT count(*) FROM sqlite_master").fetchone()  # a snapshot begins with the first read
    return conn


def _copy(snapshot: sqlite3.Connection, to: Path) -> None:
    os.close(os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    with closing(sqlite3.connect(to)) as target:
        snapshot.backup(target)
        target.execute("PRAGMA journal_mode=DELETE")  # one file; the store goes back to WAL when it is opened
    descriptor = os.open(to, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
