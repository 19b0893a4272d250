"""Tables of the key store: everything that must vanish with a person lives here, apart from the data."""

from sqlalchemy import BigInteger, Column, Index, LargeBinary, MetaData, SmallInteger, Table, Text

from identity.tables import BigKey

key_metadata = MetaData()

# record_no and key_id: the next free number; contact_no likewise. writes: bumped by every write.
key_counters = Table(
    "key_counters",
    key_metadata,
    Column("name", Text, primary_key=True),
    Column("value", BigInteger, nullable=False),
)

record_keys = Table(
    "record_keys",
    key_metadata,
    Column("key_id", BigKey, primary_key=True, autoincrement=False),
    Column("record_no", BigInteger, nullable=False),
    Column("epoch", SmallInteger, nullable=False),
    Column("wrapped", LargeBinary, nullable=False),  # nonce, wrapped data key, key-check value
    Column("tokens", LargeBinary, nullable=False),  # packed (kind, token): how this row is found
    Column("content_mac", LargeBinary, nullable=False),  # HMAC of the content: is an arrival the same?
    Column("created_at", BigInteger, nullable=False),
    Index("record_keys_by_record", "record_no"),
)


def _token_table(name: str) -> Table:
    return Table(
        name,
        key_metadata,
        Column("prefix", BigInteger, primary_key=True),  # first 8 bytes of the token, signed
        Column("key_id", BigInteger, primary_key=True),
        sqlite_with_rowid=False,
    )


# Random keys into a large B-tree dirty one page each, so new tokens collect in a small table and are
# merged into the large one in sorted order. Every look-up reads both.
tokens_recent = _token_table("tokens_recent")
tokens = _token_table("tokens")

evidence_keys = Table(
    "evidence_keys",
    key_metadata,
    Column("subject_kind", SmallInteger, primary_key=True),
    Column("subject_no", BigInteger, primary_key=True),
    Column("epoch", SmallInteger, nullable=False),
    Column("wrapped", LargeBinary, nullable=False),
    Column("retain_until", BigInteger),
    sqlite_with_rowid=False,
)

contact_points = Table(
    "contact_points",
    key_metadata,
    Column("contact_no", BigKey, primary_key=True, autoincrement=False),
    Column("token", LargeBinary, nullable=False, unique=True),
)
