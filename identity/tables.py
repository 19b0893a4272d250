"""Tables of the operational store that identity owns: who belongs to whom, since which version.

State is versioned by publication. A row with `valid_from` and `valid_to` holds for every version v with
valid_from <= v < valid_to; readers see the version in `counters['published_version']`. A run writes
version + 1 in small batches that nobody sees and then increments that one counter; online writes change
the published version in place. No table here holds a value of a person.

Every table is clustered by the one order in which it is both written and read, and bulk writers insert in
that order: a secondary index on a million unordered rows dirties a page a row, and cost 3 to 5 times the
table itself (benchmarks/publish.py). Hence `members` beside `memberships`, `golden_names` beside
`golden_ids`, and `links` in both directions.
"""

from typing import Final

from sqlalchemy import BigInteger, Column, Float, Index, Integer, LargeBinary, MetaData, Table, Text

FOREVER: Final = 2**62
"""`valid_to` of a row that nothing has superseded."""

metadata = MetaData()

# SQLite gives INTEGER PRIMARY KEY its row number for nothing; BIGINT would cost a second B-tree.
BigKey = BigInteger().with_variant(Integer, "sqlite")

# published_version, change_sequence, change_seq, golden_no, judgement_no, household_no: one row each,
# incremented inside write transactions, so that numbers follow commit order.
counters = Table(
    "counters",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", BigInteger, nullable=False),
)

# A golden ID is born active; what became of it since is in golden_states.
golden_ids = Table(
    "golden_ids",
    metadata,
    Column("golden_no", BigKey, primary_key=True, autoincrement=False),
    Column("golden_id", Text, nullable=False),  # unique by golden_names, written with it
    Column("created_version", BigInteger, nullable=False),
    Column("anchor_no", BigInteger, nullable=False),  # the first record that confidence was measured from
)

# How a golden ID from outside is found.
golden_names = Table(
    "golden_names",
    metadata,
    Column("golden_id", Text, primary_key=True),
    Column("golden_no", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

golden_states = Table(
    "golden_states",
    metadata,
    Column("golden_no", BigInteger, primary_key=True),
    Column("valid_from", BigInteger, primary_key=True),
    Column("valid_to", BigInteger, nullable=False),
    Column("status", Text, nullable=False),  # active, merged, split, erased
    Column("redirect_no", BigInteger),  # merged: the active survivor
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
    Index("lineage_by_other", "other_no"),
    sqlite_with_rowid=False,
)

# Record -> golden ID. `members` is the same fact from the other side and is written with it.
memberships = Table(
    "memberships",
    metadata,
    Column("record_no", BigInteger, primary_key=True),
    Column("valid_from", BigInteger, primary_key=True),
    Column("valid_to", BigInteger, nullable=False),
    Column("golden_no", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# Records that changed and are not resolved again yet (`identity.unresolved`): hardly ever more than a few.
unresolved = Table("unresolved", metadata, Column("record_no", BigKey, primary_key=True, autoincrement=False))

members = Table(
    "members",
    metadata,
    Column("golden_no", BigInteger, primary_key=True),
    Column("record_no", BigInteger, primary_key=True),
    Column("valid_from", BigInteger, primary_key=True),
    Column("valid_to", BigInteger, nullable=False),
    Column("confidence", Float, nullable=False),  # probability, 6 decimals
    sqlite_with_rowid=False,
)

# The records a merged ID had when it merged: where it redirects, and when it may be reactivated.
former_members = Table(
    "former_members",
    metadata,
    Column("golden_no", BigInteger, primary_key=True),
    Column("record_no", BigInteger, primary_key=True),
    Column("valid_from", BigInteger, primary_key=True),
    Column("valid_to", BigInteger, nullable=False),
    Index("former_members_by_record", "record_no"),
    sqlite_with_rowid=False,
)

# Record -> household, for the records that gave the evidence of it; who lives there follows from their golden
# IDs. A household is never evidence that two records are one person.
household_members = Table(
    "household_members",
    metadata,
    Column("record_no", BigInteger, primary_key=True),
    Column("valid_from", BigInteger, primary_key=True),
    Column("valid_to", BigInteger, nullable=False),
    Column("household_no", BigInteger, nullable=False),
    Index("household_members_by_household", "household_no"),
    sqlite_with_rowid=False,
)

# The opaque random name of a household. It goes with its last member's row and never comes back.
households = Table(
    "households",
    metadata,
    Column("household_no", BigKey, primary_key=True, autoincrement=False),
    Column("household_id", Text, nullable=False),
    Column("created_version", BigInteger, nullable=False),
)

# Scored pairs inside a golden ID, for explanation and for repair after a record leaves; no values. Each
# pair is stored twice, (a, b) and (b, a).
links = Table(
    "links",
    metadata,
    Column("record_no", BigInteger, primary_key=True),
    Column("other_no", BigInteger, primary_key=True),
    Column("valid_from", BigInteger, primary_key=True),
    Column("valid_to", BigInteger, nullable=False),
    Column("weight", Float, nullable=False),  # match weight, bits
    sqlite_with_rowid=False,
)

# Scored pairs that a judgement overrides: held apart by a `different`, or joined by a `same` whatever they
# scored; and those that would join two records of a source without duplicates. Shaped as `links`; undoing
# the judgement, or losing the other record, turns them into links again.
overridden_links = Table(
    "overridden_links",
    metadata,
    Column("record_no", BigInteger, primary_key=True),
    Column("other_no", BigInteger, primary_key=True),
    Column("valid_from", BigInteger, primary_key=True),
    Column("valid_to", BigInteger, nullable=False),
    Column("weight", Float, nullable=False),  # match weight, bits
    sqlite_with_rowid=False,
)

# The review queue: pairs of records, record_a < record_b, of different golden IDs that a steward may judge.
reviews = Table(
    "reviews",
    metadata,
    Column("record_a", BigInteger, primary_key=True),
    Column("record_b", BigInteger, primary_key=True),
    Column("weight", Float, nullable=False),  # match weight, bits
    Column("cause", Text, nullable=False),  # uncertain: below the threshold; guarded: refused by a guard
    Column("state", Text, nullable=False),  # open, same, different, unsure
    Column("model_version", Text),  # that scored it, if known
    Column("recorded_at", BigInteger, nullable=False),  # first found, ms since the epoch, UTC
    Column("seen_at", BigInteger, nullable=False),  # last found by a run or the online path
    Index("reviews_by_state", "state", "weight"),
    Index("reviews_by_other", "record_b"),
    sqlite_with_rowid=False,
)

# What stewards decided, record_a < record_b. Rows are only added: the newest of a pair counts, and one with
# the verdict `undone` leaves the pair to its score. They go when one of their records is deleted.
judgements = Table(
    "judgements",
    metadata,
    Column("judgement_no", BigKey, primary_key=True, autoincrement=False),
    Column("record_a", BigInteger, nullable=False),
    Column("record_b", BigInteger, nullable=False),
    Column("verdict", Text, nullable=False),  # same, different, unsure, undone
    Column("author", Text, nullable=False),  # client id, or "operator"
    Column("reason", Text, nullable=False),
    Column("recorded_at", BigInteger, nullable=False),  # ms since the epoch, UTC
    Index("judgements_by_pair", "record_a", "record_b"),
    Index("judgements_by_other", "record_b"),
)

# Channels of which somebody says that no two records are one person (`identity.sources`).
declared_sources = Table(
    "declared_sources",
    metadata,
    Column("channel", Text, primary_key=True),
    Column("author", Text, nullable=False),  # client id, or "operator"
    Column("declared_at", BigInteger, nullable=False),  # ms since the epoch, UTC
    sqlite_with_rowid=False,
)

# (version, seq) is commit order: staged changes carry the version their run will publish, so what is
# written meanwhile, at the version then published, comes before them. A cursor is "version.seq".
changes = Table(
    "changes",
    metadata,
    Column("version", BigInteger, primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("type", Text, nullable=False),  # created, reactivated, updated, merged, split, gone
    Column("golden_no", BigInteger, nullable=False),
    Column("details", Text, nullable=False),  # JSON of golden numbers and record numbers, never values
    Column("recorded_at", BigInteger, nullable=False),  # ms since the epoch, UTC
    Index("changes_by_golden", "golden_no"),
    sqlite_with_rowid=False,
)

# A running row is the lease: one run at a time.
runs = Table(
    "runs",
    metadata,
    Column("run_id", Text, primary_key=True),
    Column("status", Text, nullable=False),  # running, published, failed, abandoned
    Column("holder", Text, nullable=False),  # host and process number
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

# Keyed hash -> relative frequency in a run, for online scoring: of names held by at least 20 records, and of
# contacts and identifiers that are several people's or nobody's. These go with the last record that has them.
model_frequencies = Table(
    "model_frequencies",
    metadata,
    Column("run_id", Text, primary_key=True),
    Column("column_name", Text, primary_key=True),
    Column("token", LargeBinary, primary_key=True),
    Column("frequency", Float, nullable=False),
    sqlite_with_rowid=False,
)
