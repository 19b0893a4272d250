"""Tables of the operational store that identity owns: who belongs to whom, since which version.

State is versioned by publication. A row of `memberships`, `golden_states` or `links` holds for every
version v with valid_from <= v < valid_to; readers see the version in `counters['published_version']`.
A run writes version + 1 in small batches that nobody sees and then increments that one counter. No
table here holds a value of a person.
"""

from typing import Final

from sqlalchemy import BigInteger, Column, Float, Index, Integer, LargeBinary, MetaData, Table, Text

FOREVER: Final = 2**62
"""`valid_to` of a row that nothing has superseded."""

metadata = MetaData()

# SQLite gives INTEGER PRIMARY KEY its row number for nothing; BIGINT would cost a second B-tree.
BigKey = BigInteger().with_variant(Integer, "sqlite")

# published_version, change_sequence, change_cursor: one row each, incremented inside write transactions.
counters = Table(
    "counters",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", BigInteger, nullable=False),
)

golden_ids = Table(
    "golden_ids",
    metadata,
    Column("golden_no", BigKey, primary_key=True, autoincrement=False),
    Column("golden_id", Text, nullable=False, unique=True),
    Column("created_version", BigInteger, nullable=False),
)

golden_states = Table(
    "golden_states",
    metadata,
    Column("golden_no", BigInteger, primary_key=True),
    Column("valid_from", BigInteger, primary_key=True),
    Column("valid_to", BigInteger, nullable=False),
    Column("status", Text, nullable=False),  # active, merged, split, erased
    Column("redirect_no", BigInteger),  # merged: the survivor
    Column("anchor_no", BigInteger),  # active: the record that confidence is measured from
    sqlite_with_rowid=False,
)

lineage = Table(
    "lineage",
    metadata,
    Column("golden_no", BigInteger, primary_key=True),
    Column("other_no", BigInteger, primary_key=True),
    Column("version", BigInteger, primary_key=True),
    Column("relation", Text, nullable=False),  # merged_into, split_into
    sqlite_with_rowid=False,
)

memberships = Table(
    "memberships",
    metadata,
    Column("record_no", BigInteger, primary_key=True),
    Column("valid_from", BigInteger, primary_key=True),
    Column("valid_to", BigInteger, nullable=False),
    Column("golden_no", BigInteger, nullable=False),
    Column("confidence", Float, nullable=False),
    Index("memberships_by_golden", "golden_no"),
    sqlite_with_rowid=False,
)

# Scored pairs inside a golden ID, for explanation and for repair after a record leaves; no values.
links = Table(
    "links",
    metadata,
    Column("record_a", BigInteger, primary_key=True),  # record_a < record_b
    Column("record_b", BigInteger, primary_key=True),
    Column("valid_from", BigInteger, primary_key=True),
    Column("valid_to", BigInteger, nullable=False),
    Column("weight", Float, nullable=False),  # match weight, bits
    Index("links_by_b", "record_b"),
    sqlite_with_rowid=False,
)

# (version, seq) is commit order: staged changes carry the version their run will publish.
changes = Table(
    "changes",
    metadata,
    Column("seq", BigKey, primary_key=True, autoincrement=False),
    Column("version", BigInteger, nullable=False),
    Column("type", Text, nullable=False),  # created, updated, merged, split, reactivated, gone, ...
    Column("golden_no", BigInteger, nullable=False),
    Column("details", Text, nullable=False),  # JSON of golden numbers and counts, never values
    Column("recorded_at", BigInteger, nullable=False),  # ms since the epoch, UTC
    Index("changes_in_order", "version", "seq"),
)

runs = Table(
    "runs",
    metadata,
    Column("run_id", Text, primary_key=True),
    Column("status", Text, nullable=False),  # running, published, dry_run, failed, abandoned
    Column("started_at", BigInteger, nullable=False),
    Column("finished_at", BigInteger),
    Column("lease_until", BigInteger, nullable=False),  # a crashed run's lease runs out
    Column("snapshot_sequence", BigInteger),
    Column("version", BigInteger),
    Column("model_version", Text),
    Column("summary", Text),  # JSON: counts only
)

models = Table(
    "models",
    metadata,
    Column("model_version", Text, primary_key=True),
    Column("created_at", BigInteger, nullable=False),
    Column("model", Text, nullable=False),  # JSON: m, u, levels, blocking rules; no values
)

# Keyed hash -> relative frequency of names held by at least 20 records, for online scoring.
model_frequencies = Table(
    "model_frequencies",
    metadata,
    Column("model_version", Text, primary_key=True),
    Column("column_name", Text, primary_key=True),
    Column("token", LargeBinary, primary_key=True),
    Column("frequency", Float, nullable=False),
    sqlite_with_rowid=False,
)
