"""What the consent ledger costs (ADR 11): prepare, append, prove, sign, verify.

    python benchmarks/ledger.py [entries|trees]...

Without arguments both; each prints one line of JSON.
Where `pymerkle` can be imported, its in-memory tree appends and proves the same leaves: the peer that our own
tree was chosen over. It is no dependency.
"""

import sys
import tempfile
import time
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from measure import microseconds, report, rounded

import consent.tables
from consent import merkle
from consent.events import RECORD, ConsentEvent, Subject
from consent.key_providers import FileKeyring
from consent.key_store import KeyStore
from consent.key_tables import key_metadata
from consent.ledger import Ledger
from consent.vault import Vault
from identity.database import open_database
from identity.tables import metadata

BATCH = 500  # about 5 ms under the write lock
PROOFS = 50
ENTRIES = 200_000

assert consent.tables.ledger.metadata is metadata  # noqa: S101 (registers the tables)


def event(no: int) -> ConsentEvent:
    """Return an event as a file with a consent column makes them."""
    said = ("identity_linking", "granted", "import", "channel:web", "web-2026-01")
    return ConsentEvent(None, Subject(RECORD, no), *said, 1_790_000_000_000, 1_790_000_000_000 + no, None)


def entries() -> None:
    """Fill a ledger in small transactions and use it."""
    with tempfile.TemporaryDirectory() as folder:
        _fill_and_use(Path(folder), ENTRIES)


def _fill_and_use(folder: Path, entries: int) -> None:
    ring = FileKeyring.create(folder / "keyring.json")
    keys = open_database(f"sqlite:///{folder / 'keys.db'}", secure_delete=True)
    db = open_database(f"sqlite:///{folder / 'aurea.db'}")
    key_metadata.create_all(keys.engine)
    metadata.create_all(db.engine)
    store, vault = KeyStore(keys), Vault(ring)
    store.initialise(ring.home_id)
    log = Ledger(db, vault, store, ring.signing_key(), "aurea.benchmark/ledger")
    preparing = appending = 0.0
    for first in range(0, entries, BATCH):
        subjects = [Subject(RECORD, no) for no in range(first, first + BATCH)]
        with keys.write() as conn:
            opened = store.evidence.open_or_create(conn, subjects, vault)
        start = time.perf_counter()
        prepared = [log.prepare(event(subject.no), opened[subject]) for subject in subjects]
        preparing += time.perf_counter() - start
        start = time.perf_counter()
        with db.write() as conn:
            log.append(conn, prepared)
        appending += time.perf_counter() - start
    start = time.perf_counter()
    note = log.checkpoint(0)
    signing = time.perf_counter() - start
    places = iter(range(0, 10**12, entries // PROOFS))
    proving = microseconds(lambda: log.inclusion_proof(next(places) % entries, entries))
    start = time.perf_counter()
    verified = log.verify(note)
    verifying = time.perf_counter() - start
    report(
        "ledger.entries",
        entries=entries,
        prepare_us=rounded(preparing / entries * 1e6),
        append_and_commit_us=rounded(appending / entries * 1e6),
        first_checkpoint_ms=rounded(signing * 1e3),
        inclusion_proof_ms=rounded(proving / 1e3),
        verify_us_an_entry=rounded(verifying / entries * 1e6),
        verified=verified.ok,
    )
    keys.close()
    db.close()


def trees() -> None:
    """Compare our tree with pymerkle's over the same leaves, both in memory."""
    leaves = [b"leaf %d" % number for number in range(ENTRIES)]
    start = time.perf_counter()
    range_ = merkle.CompactRange()
    for leaf in leaves:
        range_.append(merkle.leaf_hash(leaf))
    figures = {"ours_append_us": rounded((time.perf_counter() - start) / ENTRIES * 1e6)}
    if find_spec("pymerkle"):
        tree = import_module("pymerkle").InmemoryTree(algorithm="sha256")
        start = time.perf_counter()
        for leaf in leaves:
            tree.append_entry(leaf)
        figures["pymerkle_append_us"] = rounded((time.perf_counter() - start) / ENTRIES * 1e6)
        figures["pymerkle_root_and_proof_us"] = rounded(microseconds(lambda: tree.prove_inclusion(7)))
        if tree.get_root() != range_.root():
            raise SystemExit("pymerkle and our tree disagree about the root")
    report("ledger.trees", leaves=ENTRIES, **figures)


if __name__ == "__main__":
    parts = {"entries": entries, "trees": trees}
    for name in sys.argv[1:] or parts:
        parts[name]()
