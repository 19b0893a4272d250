"""Which bytes survive a deletion in SQLite although `secure_delete` is on (ADR 7).

    python benchmarks/remanence.py

40,000 of 200,000 tokens are deleted from a B-tree, the log is truncated, and the file is searched for the
deleted tokens: page splits and merges have left copies of rows that moved. The same through the key store's
token index, whose pages do not move.
"""

import random
import sqlite3
import struct
import tempfile
from pathlib import Path

from measure import report

from consent.key_store import KeyStore
from consent.key_tables import key_metadata
from consent.token_index import TokenIndex
from identity.database import open_database

TOKENS, DELETED, BATCH = 200_000, 40_000, 5_000

Pair = tuple[int, int]


def readable(file: Path, deleted: list[Pair]) -> int:
    """Count the deleted tokens of which the file holds all eight bytes, in either byte order."""
    content = file.read_bytes() + file.with_name(file.name + "-wal").read_bytes()
    windows = {content[at : at + 8] for at in range(len(content) - 7)}
    return sum(struct.pack(">q", p) in windows or struct.pack("<q", p) in windows for p, _ in deleted)


def b_tree(file: Path, pairs: list[Pair], deleted: list[Pair]) -> int:
    """Insert batches in sorted order into a B-tree, delete, truncate the log, and search."""
    conn = sqlite3.connect(file, isolation_level=None)
    for pragma in ("journal_mode=WAL", "secure_delete=ON", "temp_store=MEMORY"):
        conn.execute(f"PRAGMA {pragma}")
    conn.execute("CREATE TABLE tokens (prefix, key_id, PRIMARY KEY (prefix, key_id)) WITHOUT ROWID")
    conn.execute("BEGIN")
    for at in range(0, len(pairs), BATCH):
        conn.executemany("INSERT INTO tokens VALUES (?, ?)", sorted(pairs[at : at + BATCH]))
    conn.executemany("DELETE FROM tokens WHERE prefix = ? AND key_id = ?", deleted)
    conn.execute("COMMIT")
    conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    found = readable(file, deleted)
    conn.close()
    return found


def token_index(file: Path, pairs: list[Pair], deleted: list[Pair]) -> int:
    """Do the same through `consent.token_index`, merges included."""
    keys = open_database(f"sqlite:///{file}", secure_delete=True)
    key_metadata.create_all(keys.engine)
    store, index = KeyStore(keys), TokenIndex()
    store.initialise()
    for at in range(0, len(pairs), BATCH):
        batch = pairs[at : at + BATCH]
        with keys.write() as conn:
            index.add(conn, [p for p, _ in batch], [n for _, n in batch])
        if at % (10 * BATCH) == 0:
            index.merge_recent(keys, force=True)
    with keys.write() as conn:
        index.remove(conn, [p for p, _ in deleted], [n for _, n in deleted])
    store.truncate_log()
    found = readable(file, deleted)
    keys.close()
    return found


def main() -> None:
    """Make the pairs, and search both stores for those that were deleted."""
    chance = random.Random(1)  # noqa: S311 (the same tokens in every run)
    pairs = [(chance.getrandbits(64) - 2**63, number) for number in range(1, TOKENS + 1)]
    deleted = chance.sample(pairs, DELETED)
    with tempfile.TemporaryDirectory() as folder:
        report(
            "remanence",
            tokens_deleted=DELETED,
            readable_in_b_tree=b_tree(Path(folder) / "tree.db", pairs, deleted),
            readable_in_token_index=token_index(Path(folder) / "index.db", pairs, deleted),
        )


if __name__ == "__main__":
    main()
