"""What a store's driver reports -> the error of this package that says what to do about it."""

import sqlite3
from typing import Final

from sqlalchemy.exc import DBAPIError

from identity.errors import (
    IdentityError,
    StoreBusyError,
    StoreDamagedError,
    StoreFullError,
    StoreUnreachableError,
)

_PRIMARY: Final = 0xFF  # an extended code of SQLite's holds the primary one in its last byte
_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_IOERR})
_NO_SPACE: Final = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE})
_PG_DISK_FULL: Final = "53100"
_PG_DAMAGED: Final = frozenset({"XX001", "XX002", "58030"})  # data_corrupted, index_corrupted, io_error


def failure_of(error: DBAPIError | sqlite3.Error) -> IdentityError | None:
    """Return what `error` means to a caller; None where it is a fault of ours."""
    original = error.orig if isinstance(error, DBAPIError) else error
    code = getattr(original, "sqlite_errorcode", None)
    state = getattr(original, "sqlstate", None)
    if code in _NO_SPACE or state == _PG_DISK_FULL:
        return StoreFullError(
            "the disk is full: free some space and repeat; what was committed before stands"
        )
    if code is not None and code & _PRIMARY == sqlite3.SQLITE_BUSY:
        return StoreBusyError("another process holds the write lock; try again")
    if code is not None and code & _PRIMARY == sqlite3.SQLITE_CANTOPEN:
        return StoreUnreachableError(
            "the file of a store is missing or cannot be opened: see `aurea doctor`, whose the file "
            "is, and how many this process may open"
        )
    if (code is not None and code & _PRIMARY in _DAMAGED) or state in _PG_DAMAGED:
        return StoreDamagedError(
            "a store is damaged: stop the service, keep its files, run `aurea doctor` and restore a backup"
        )
    return None
