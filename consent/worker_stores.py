"""How another process of this machine opens the same stores and keyring.

A `StoreAccess` is pickled into the pipe to a child process; it holds what opens everything, so it goes
nowhere else and prints as nothing.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Final

from consent.blind_indexes import BlindIndex
from consent.key_providers import FileKeyring, WorkerKeyring
from consent.key_store import KeyStore
from consent.ledger import Ledger
from consent.prepared_records import RecordStores
from consent.purposes import Purposes
from consent.vault import Vault
from consent.worker_processes import WorkerPool
from identity.database import Database, open_database

_CACHE_MB = 16  # a worker reads each page about once
_AHEAD: Final = 2  # pieces of work beyond those under way


@dataclass(frozen=True, slots=True, repr=False)
class StoreAccess:
    """Where the stores are and how their values are opened."""

    database_url: str
    keys_url: str
    keyring: WorkerKeyring
    origin: str
    purposes: Purposes
    default_region: str | None = None

    @classmethod
    def to(cls, stores: RecordStores, keyring: FileKeyring) -> "StoreAccess":
        """Return access to what this process has open."""
        return cls(
            database_url=_url(stores.db),
            keys_url=_url(stores.keys),
            keyring=keyring.for_worker(),
            origin=stores.ledger.origin,
            purposes=stores.purposes,
            default_region=stores.default_region,
        )

    def open(self) -> RecordStores:
        """Open the stores in the process that calls this. It is to read them only."""
        keyring = self.keyring.open()
        return record_stores(
            open_database(self.database_url, cache_mb=_CACHE_MB, create=False),
            open_database(self.keys_url, secure_delete=True, cache_mb=_CACHE_MB, create=False),
            keyring,
            self.purposes,
            origin=self.origin,
            default_region=self.default_region,
        )

    def __repr__(self) -> str:
        return "<access to the stores>"


def record_stores(
    db: Database,
    keys: Database,
    keyring: FileKeyring,
    purposes: Purposes,
    *,
    origin: str,
    default_region: str | None = None,
) -> RecordStores:
    """Put together what records are written with."""
    vault, key_store = Vault(keyring), KeyStore(keys)
    ledger = Ledger(db, vault, key_store, keyring.signing_key(), origin, policy=purposes.policy_hash.hex())
    return RecordStores(
        db=db,
        keys=keys,
        key_store=key_store,
        vault=vault,
        index=BlindIndex(keyring.index_root()),
        ledger=ledger,
        purposes=purposes,
        default_region=default_region,
    )


def _url(database: Database) -> str:
    return database.engine.url.render_as_string(hide_password=False)


class _Worker:
    """What a worker process has open."""

    stores: RecordStores | None = None


def in_workers(
    access: StoreAccess, work: Callable[..., bytes], given: Iterable[tuple[Any, ...]]
) -> Iterator[bytes]:
    """Yield what `work` returns for each of `given`, in order, from processes that have opened the stores.

    `work` takes its stores from `stores_of_this_worker`. The processes are a few pieces ahead of the caller,
    who has work of its own.
    """
    workers = os.cpu_count() or 1
    pool = WorkerPool(workers, _start_worker, access)
    try:
        under_way: deque[Future[bytes]] = deque()
        for arguments in given:
            under_way.append(pool.submit(work, *arguments))
            if len(under_way) > workers + _AHEAD:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
    finally:
        pool.close()


def stores_of_this_worker() -> RecordStores:
    """Return what `in_workers` opened in this process."""
    if _Worker.stores is None:
        raise RuntimeError("the worker process was not started")
    return _Worker.stores


def _start_worker(access: StoreAccess) -> None:
    _Worker.stores = access.open()
