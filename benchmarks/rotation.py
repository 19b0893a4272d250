"""How long it takes to wrap every key anew under a new epoch, beside a writer, and how long the lock is held.

    python benchmarks/rotation.py [KEYS]

KEYS data keys (default 1,000,000) as ingest makes them, with the tokens of a record; two evidence keys in a
hundred. Meanwhile another thread stores a key every 10 ms: `waited` is how long it had to.
"""

import os
import sys
import tempfile
import threading
import time
from pathlib import Path

from measure import percentiles, report

from consent.events import RECORD, Subject
from consent.evidence_store import EvidenceRow
from consent.key_providers import FileKeyring
from consent.key_rotation import KeyRotation
from consent.key_store import KeyRow, KeyStore
from consent.key_tables import key_metadata
from consent.packed_tokens import kind_code, pack_tokens
from consent.vault import Vault
from identity.database import open_database

BATCH = 5000


def key_row(vault: Vault, key_id: int) -> KeyRow:
    """Return a row as ingest makes it: four lookup tokens and five blocking tokens."""
    _, epoch, wrapped = vault.new_key(record_no=key_id, key_id=key_id)
    kinds = ("record", "email", "phone", "loyalty_id")
    tokens = [(kind_code(kind), os.urandom(32)) for kind in kinds]
    tokens += [(kind_code("block:names"), os.urandom(8)) for _ in range(5)]
    return KeyRow(key_id, key_id, epoch, wrapped, pack_tokens(tokens), os.urandom(16), 1)


def fill(store: KeyStore, vault: Vault, count: int) -> None:
    """Make the keys."""
    for first in range(1, count + 1, BATCH):
        rows = [key_row(vault, key_id) for key_id in range(first, min(first + BATCH, count + 1))]
        evidence = [
            EvidenceRow(Subject(RECORD, row.key_id), *vault.new_evidence_key(RECORD, row.key_id)[1:])
            for row in rows[::50]
        ]
        with store._keys.write() as conn:  # noqa: SLF001 - the benchmark is its own caller
            store.insert(conn, rows)
            store.evidence.insert(conn, evidence)


def main() -> None:
    """Fill a key store and rotate."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as name:
        ring = FileKeyring.create(Path(name) / "keyring")
        keys = open_database(f"sqlite:///{name}/keys.db", secure_delete=True)
        key_metadata.create_all(keys.engine)
        store, vault = KeyStore(keys), Vault(ring)
        store.initialise(ring.home_id)
        fill(store, vault, count)
        stop, waited = threading.Event(), []

        def write() -> None:
            for key_id in range(count + 1, 10 * count):
                if stop.wait(0.01):
                    return
                row = key_row(vault, key_id)
                start = time.perf_counter()
                with keys.write() as conn:
                    store.insert(conn, [row])
                waited.append(time.perf_counter() - start)

        writer = threading.Thread(target=write)
        writer.start()
        rotation = KeyRotation(keys, store, vault, ring)
        start = time.perf_counter()
        done = rotation.rotate(2)
        seconds = time.perf_counter() - start
        stop.set()
        writer.join()
        begun = time.perf_counter()
        counts = {each.epoch: each.keys for each in rotation.epochs()}
        report(
            "rotation",
            keys=count,
            rewrapped=done.rewrapped,
            seconds=round(seconds, 2),
            keys_per_s=round(done.rewrapped / seconds),
            left_under_the_old_epoch=counts.get(1, 0),
            counting_s=round(time.perf_counter() - begun, 2),
            waited=percentiles(waited),
        )
        keys.close()


if __name__ == "__main__":
    main()
