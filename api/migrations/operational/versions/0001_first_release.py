"""The operational store as first released: records, ledger, golden IDs, clients."""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0001"
down_revision: Final = None
branch_labels: Final = None
depends_on: Final = None

# As identity.tables.BigKey: SQLite gives INTEGER PRIMARY KEY its row number for nothing.
BIG_KEY: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
COUNTERS: Final = ("published_version", "change_sequence", "change_seq", "golden_no")


def upgrade() -> None:
    """Create every table, and the rows of the counters at zero."""
    _changes()
    _checkpoints()
    _clients()
    _counters()
    _departures()
    _disclosures()
    _former_members()
    _golden_ids()
    _golden_names()
    _golden_states()
    _idempotency()
    _ledger()
    _ledger_nodes()
    _lineage()
    _links()
    _members()
    _memberships()
    _model_frequencies()
    _models()
    _pending_destructions()
    _records()
    _reviews()
    _runs()
    op.bulk_insert(
        sa.table("counters", sa.column("name", sa.Text()), sa.column("value", sa.BigInteger())),
        [{"name": name, "value": 0} for name in COUNTERS],
    )


def downgrade() -> None:
    """Drop every table. The store must be empty: there is nothing before the first release."""
    op.drop_table("runs")
    op.drop_table("reviews")
    op.drop_table("records")
    op.drop_table("pending_destructions")
    op.drop_table("models")
    op.drop_table("model_frequencies")
    op.drop_table("memberships")
    op.drop_table("members")
    op.drop_table("links")
    op.drop_table("lineage")
    op.drop_table("ledger_nodes")
    op.drop_table("ledger")
    op.drop_table("idempotency")
    op.drop_table("golden_states")
    op.drop_table("golden_names")
    op.drop_table("golden_ids")
    op.drop_table("former_members")
    op.drop_table("disclosures")
    op.drop_table("departures")
    op.drop_table("counters")
    op.drop_table("clients")
    op.drop_table("checkpoints")
    op.drop_table("changes")


def _changes() -> None:
    op.create_table(
        "changes",
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("golden_no", sa.BigInteger(), nullable=False),
        sa.Column("details", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("version", "seq"),
        sqlite_with_rowid=False,
    )
    op.create_index("changes_by_golden", "changes", ["golden_no"], unique=False)


def _checkpoints() -> None:
    op.create_table(
        "checkpoints",
        sa.Column("size", BIG_KEY, autoincrement=False, nullable=False),
        sa.Column("signed_at", sa.BigInteger(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("size"),
    )


def _clients() -> None:
    op.create_table(
        "clients",
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("purposes", sa.Text(), nullable=False),
        sa.Column("pairwise", sa.SmallInteger(), nullable=False),
        sa.Column("secret_hash", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("client_id"),
        sa.UniqueConstraint("name"),
    )


def _counters() -> None:
    op.create_table(
        "counters",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )


def _departures() -> None:
    op.create_table(
        "departures",
        sa.Column("record_no", BIG_KEY, autoincrement=False, nullable=False),
        sa.Column("change_sequence", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("record_no"),
    )
    op.create_index("departures_by_change", "departures", ["change_sequence"], unique=False)


def _disclosures() -> None:
    op.create_table(
        "disclosures",
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("golden_no", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("client_id", "golden_no"),
        sqlite_with_rowid=False,
    )


def _former_members() -> None:
    op.create_table(
        "former_members",
        sa.Column("golden_no", sa.BigInteger(), nullable=False),
        sa.Column("record_no", sa.BigInteger(), nullable=False),
        sa.Column("valid_from", sa.BigInteger(), nullable=False),
        sa.Column("valid_to", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("golden_no", "record_no", "valid_from"),
        sqlite_with_rowid=False,
    )
    op.create_index("former_members_by_record", "former_members", ["record_no"], unique=False)


def _golden_ids() -> None:
    op.create_table(
        "golden_ids",
        sa.Column("golden_no", BIG_KEY, autoincrement=False, nullable=False),
        sa.Column("golden_id", sa.Text(), nullable=False),
        sa.Column("created_version", sa.BigInteger(), nullable=False),
        sa.Column("anchor_no", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("golden_no"),
    )


def _golden_names() -> None:
    op.create_table(
        "golden_names",
        sa.Column("golden_id", sa.Text(), nullable=False),
        sa.Column("golden_no", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("golden_id"),
        sqlite_with_rowid=False,
    )


def _golden_states() -> None:
    op.create_table(
        "golden_states",
        sa.Column("golden_no", sa.BigInteger(), nullable=False),
        sa.Column("valid_from", sa.BigInteger(), nullable=False),
        sa.Column("valid_to", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("redirect_no", sa.BigInteger(), nullable=True),
        sa.Column("anchor_no", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("golden_no", "valid_from"),
        sqlite_with_rowid=False,
    )


def _idempotency() -> None:
    op.create_table(
        "idempotency",
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("route", sa.Text(), nullable=False),
        sa.Column("key_hash", sa.LargeBinary(), nullable=False),
        sa.Column("body_hash", sa.LargeBinary(), nullable=False),
        sa.Column("status", sa.SmallInteger(), nullable=True),
        sa.Column("response", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("client_id", "route", "key_hash"),
        sqlite_with_rowid=False,
    )
    op.create_index("idempotency_by_age", "idempotency", ["created_at"], unique=False)


def _ledger() -> None:
    op.create_table(
        "ledger",
        sa.Column("idx", BIG_KEY, autoincrement=False, nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.Column("leaf", sa.LargeBinary(), nullable=False),
        sa.Column("leaf_hash", sa.LargeBinary(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.Column("subject_kind", sa.SmallInteger(), nullable=True),
        sa.Column("subject_no", sa.BigInteger(), nullable=True),
        sa.Column("purpose", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=True),
        sa.Column("source", sa.Text(), nullable=True),
        sa.Column("method", sa.Text(), nullable=True),
        sa.Column("notice", sa.Text(), nullable=True),
        sa.Column("event_time", sa.BigInteger(), nullable=True),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("idx"),
    )
    op.create_index("ledger_by_subject", "ledger", ["subject_kind", "subject_no"], unique=False)


def _ledger_nodes() -> None:
    op.create_table(
        "ledger_nodes",
        sa.Column("level", sa.SmallInteger(), nullable=False),
        sa.Column("idx", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("level", "idx"),
        sqlite_with_rowid=False,
    )


def _lineage() -> None:
    op.create_table(
        "lineage",
        sa.Column("golden_no", sa.BigInteger(), nullable=False),
        sa.Column("other_no", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("relation", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("golden_no", "other_no", "version"),
        sqlite_with_rowid=False,
    )
    op.create_index("lineage_by_other", "lineage", ["other_no"], unique=False)


def _links() -> None:
    op.create_table(
        "links",
        sa.Column("record_no", sa.BigInteger(), nullable=False),
        sa.Column("other_no", sa.BigInteger(), nullable=False),
        sa.Column("valid_from", sa.BigInteger(), nullable=False),
        sa.Column("valid_to", sa.BigInteger(), nullable=False),
        sa.Column("weight", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("record_no", "other_no", "valid_from"),
        sqlite_with_rowid=False,
    )


def _members() -> None:
    op.create_table(
        "members",
        sa.Column("golden_no", sa.BigInteger(), nullable=False),
        sa.Column("record_no", sa.BigInteger(), nullable=False),
        sa.Column("valid_from", sa.BigInteger(), nullable=False),
        sa.Column("valid_to", sa.BigInteger(), nullable=False),
        sa.Column("confidence", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("golden_no", "record_no", "valid_from"),
        sqlite_with_rowid=False,
    )


def _memberships() -> None:
    op.create_table(
        "memberships",
        sa.Column("record_no", sa.BigInteger(), nullable=False),
        sa.Column("valid_from", sa.BigInteger(), nullable=False),
        sa.Column("valid_to", sa.BigInteger(), nullable=False),
        sa.Column("golden_no", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("record_no", "valid_from"),
        sqlite_with_rowid=False,
    )


def _model_frequencies() -> None:
    op.create_table(
        "model_frequencies",
        sa.Column("model_version", sa.Text(), nullable=False),
        sa.Column("column_name", sa.Text(), nullable=False),
        sa.Column("token", sa.LargeBinary(), nullable=False),
        sa.Column("frequency", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("model_version", "column_name", "token"),
        sqlite_with_rowid=False,
    )


def _models() -> None:
    op.create_table(
        "models",
        sa.Column("model_version", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("model_version"),
    )


def _pending_destructions() -> None:
    op.create_table(
        "pending_destructions",
        sa.Column("key_id", BIG_KEY, autoincrement=False, nullable=False),
        sa.Column("requested_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key_id"),
    )


def _records() -> None:
    op.create_table(
        "records",
        sa.Column("record_no", BIG_KEY, autoincrement=False, nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("key_id", sa.BigInteger(), nullable=False),
        sa.Column("observed_at", sa.BigInteger(), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.Column("linking", sa.SmallInteger(), nullable=False),
        sa.Column("linking_until", sa.BigInteger(), nullable=True),
        sa.Column("verified", sa.Text(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("comparable", sa.LargeBinary(), nullable=False),
        sa.Column("change_sequence", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("record_no"),
        sa.UniqueConstraint("key_id"),
    )
    op.create_index("records_by_change", "records", ["change_sequence"], unique=False)


def _reviews() -> None:
    op.create_table(
        "reviews",
        sa.Column("record_no", sa.BigInteger(), nullable=False),
        sa.Column("other_no", sa.BigInteger(), nullable=False),
        sa.Column("weight", sa.Float(), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("record_no", "other_no"),
        sqlite_with_rowid=False,
    )


def _runs() -> None:
    op.create_table(
        "runs",
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.Column("lease_until", sa.BigInteger(), nullable=False),
        sa.Column("snapshot_sequence", sa.BigInteger(), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=True),
        sa.Column("model_version", sa.Text(), nullable=True),
        sa.Column("summary", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("run_id"),
    )
