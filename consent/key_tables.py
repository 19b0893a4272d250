"""Tables of the key store: everything that must vanish with a person lives here, apart from the data.

SQLite's `secure_delete` zeroes deleted rows, but when a B-tree page splits or merges, copies of the rows
that moved stay behind in free space (benchmarks/remanence.py counts them). So no secret byte in these
tables ever lies in a row that can move:

- `record_keys`, `evidence_keys`, `contact_points` and `suppressions` only grow at their end (the primary key
  is the order of insertion), and a row is never deleted: its secrets are replaced by empty ones, in place.
  No secret ever grows, for which reason the epoch is a fixed-width part of `wrapped`.
- `token_pages` begins every blob with padding as long as the part of a row that SQLite keeps in the page
  itself, so that tokens lie in overflow pages only. Those do not move and are zeroed when freed.
- No index covers a secret.

PostgreSQL keeps an old version of every row that changes; `HOLD_SECRETS` are vacuumed after a destruction.
"""

from typing import Final

from sqlalchemy import BigInteger, Column, Index, LargeBinary, MetaData, SmallInteger, Table, Text

from identity.tables import BigKey

key_metadata = MetaData()

# key_id, contact_no, run_no, suppression_no, erasure_no: the last number given out. swept: the last slot of
# record_keys known not to be an orphan. home: which keyring belongs to this store.
key_counters = Table(
    "key_counters",
    key_metadata,
    Column("name", Text, primary_key=True),
    Column("value", BigInteger, nullable=False),
)

record_keys = Table(
    "record_keys",
    key_metadata,
    Column("slot", BigKey, primary_key=True, autoincrement=True),
    Column("key_id", BigInteger, nullable=False),
    Column("record_no", BigInteger, nullable=False),
    Column("wrapped", LargeBinary, nullable=False),  # epoch (2 bytes), wrapped key; empty: destroyed
    Column("tokens", LargeBinary, nullable=False),  # packed (kind, token): how this row is found
    Column("content_mac", LargeBinary, nullable=False),  # HMAC of the content: is an arrival the same?
    Column("created_at", BigInteger, nullable=False),
    Index("record_keys_by_key", "key_id", unique=True),
    Index("record_keys_by_record", "record_no"),
)

# The token index: sorted runs of (prefix, number), see consent/token_index.py.
token_runs = Table(
    "token_runs",
    key_metadata,
    Column("run", BigKey, primary_key=True, autoincrement=False),
    Column("state", SmallInteger, nullable=False),  # 0 recent, 1 main, 2 being built, 3 to be dropped
    Column("bits", SmallInteger, nullable=False),  # 2^bits pages, by the leading bits of the prefix
    Column("entries", BigInteger, nullable=False),
    Column("stamp", BigInteger, nullable=False),  # random, new with every change: keys readers' caches
)

token_pages = Table(
    "token_pages",
    key_metadata,
    Column("page_id", BigKey, primary_key=True, autoincrement=False),
    Column("entries", LargeBinary, nullable=False),
)

evidence_keys = Table(
    "evidence_keys",
    key_metadata,
    Column("slot", BigKey, primary_key=True, autoincrement=True),
    Column("subject_kind", SmallInteger, nullable=False),
    Column("subject_no", BigInteger, nullable=False),
    Column("wrapped", LargeBinary, nullable=False),  # epoch (2 bytes), wrapped key; empty: destroyed
    Column("retain_until", BigInteger, nullable=False),  # ms; FOREVER until erasure sets a date
    Index("evidence_keys_by_subject", "subject_kind", "subject_no", unique=True),
)

# Keyed hashes by which somebody who was erased is known again; see consent/suppression.py.
suppressions = Table(
    "suppressions",
    key_metadata,
    Column("suppression_no", BigKey, primary_key=True, autoincrement=False),
    Column("entry", LargeBinary, nullable=False),  # 32 bytes; empty: released or lapsed
    Column("named", SmallInteger, nullable=False),  # 1: counts only together with a first name or birth date
    Column("erased_at", BigInteger, nullable=False),  # ms
    Column("until", BigInteger, nullable=False),  # ms
    Column("released_at", BigInteger),  # ms: when the person came back, or it lapsed
)

# What became of each epoch. The keys themselves are in the keyring.
key_epochs = Table(
    "key_epochs",
    key_metadata,
    Column("epoch", BigKey, primary_key=True, autoincrement=False),
    Column("created_at", BigInteger),  # ms; NULL: with the home
    Column("rewrapped_at", BigInteger),  # ms: when no key was left under an older one
    Column("asked_by", Text),  # who wants it destroyed; somebody else must confirm
    Column("asked_at", BigInteger),
    Column("confirmed_by", Text),
    Column("destroyed_at", BigInteger),
)

contact_points = Table(
    "contact_points",
    key_metadata,
    Column("contact_no", BigKey, primary_key=True, autoincrement=False),
    Column("token", LargeBinary, nullable=False),  # empty: destroyed
)

HOLD_SECRETS: Final = (
    record_keys.name, token_pages.name, evidence_keys.name, suppressions.name, contact_points.name,
)  # fmt: skip
