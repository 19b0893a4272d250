"""The key store as first released: keys, tokens, contact points."""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0001"
down_revision: Final = None
branch_labels: Final = None
depends_on: Final = None

# As identity.tables.BigKey: SQLite gives INTEGER PRIMARY KEY its row number for nothing.
BIG_KEY: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
COUNTERS: Final = ("key_id", "contact_no", "writes")


def upgrade() -> None:
    """Create every table, and the rows of the counters at zero."""
    _contact_points()
    _evidence_keys()
    _key_counters()
    _record_keys()
    _token_pages()
    _token_runs()
    op.bulk_insert(
        sa.table("key_counters", sa.column("name", sa.Text()), sa.column("value", sa.BigInteger())),
        [{"name": name, "value": 0} for name in COUNTERS],
    )


def downgrade() -> None:
    """Drop every table. The store must be empty: there is nothing before the first release."""
    op.drop_table("token_runs")
    op.drop_table("token_pages")
    op.drop_table("record_keys")
    op.drop_table("key_counters")
    op.drop_table("evidence_keys")
    op.drop_table("contact_points")


def _contact_points() -> None:
    op.create_table(
        "contact_points",
        sa.Column("contact_no", BIG_KEY, autoincrement=False, nullable=False),
        sa.Column("token", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("contact_no"),
    )


def _evidence_keys() -> None:
    op.create_table(
        "evidence_keys",
        sa.Column("slot", BIG_KEY, autoincrement=True, nullable=False),
        sa.Column("subject_kind", sa.SmallInteger(), nullable=False),
        sa.Column("subject_no", sa.BigInteger(), nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.Column("retain_until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("slot"),
    )
    op.create_index("evidence_keys_by_subject", "evidence_keys", ["subject_kind", "subject_no"], unique=True)


def _key_counters() -> None:
    op.create_table(
        "key_counters",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )


def _record_keys() -> None:
    op.create_table(
        "record_keys",
        sa.Column("slot", BIG_KEY, autoincrement=True, nullable=False),
        sa.Column("key_id", sa.BigInteger(), nullable=False),
        sa.Column("record_no", sa.BigInteger(), nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.Column("tokens", sa.LargeBinary(), nullable=False),
        sa.Column("content_mac", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("slot"),
    )
    op.create_index("record_keys_by_key", "record_keys", ["key_id"], unique=True)
    op.create_index("record_keys_by_record", "record_keys", ["record_no"], unique=False)


def _token_pages() -> None:
    op.create_table(
        "token_pages",
        sa.Column("page_id", BIG_KEY, autoincrement=False, nullable=False),
        sa.Column("entries", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("page_id"),
    )


def _token_runs() -> None:
    op.create_table(
        "token_runs",
        sa.Column("run", BIG_KEY, autoincrement=False, nullable=False),
        sa.Column("state", sa.SmallInteger(), nullable=False),
        sa.Column("bits", sa.SmallInteger(), nullable=False),
        sa.Column("entries", sa.BigInteger(), nullable=False),
        sa.Column("stamp", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("run"),
    )
