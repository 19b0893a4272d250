"""OpenDSR: what controllers asked under their own ids, and the callbacks they are told by."""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0008"
down_revision: Final = "0007"
branch_labels: Final = None
depends_on: Final = None

# As identity.tables.BigKey: SQLite gives INTEGER PRIMARY KEY its row number for nothing.
BIG_KEY: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
COUNTERS: Final = ("callback_no",)


def upgrade() -> None:
    """Create the tables and the counter of callbacks."""
    op.create_table(
        "opendsr_requests",
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("subject_request_id", sa.Text(), nullable=False),
        sa.Column("request_no", sa.BigInteger(), nullable=False),
        sa.Column("said_hash", sa.Text(), nullable=False),
        sa.Column("callbacks", sa.Text(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("told_steps", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("client_id", "subject_request_id"),
    )
    op.create_index("opendsr_requests_by_no", "opendsr_requests", ["request_no"], unique=True)
    op.create_table(
        "opendsr_callbacks",
        sa.Column("callback_no", BIG_KEY, autoincrement=False, nullable=False),
        sa.Column("request_no", sa.BigInteger(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("attempts", sa.SmallInteger(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("dead", sa.SmallInteger(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("callback_no"),
    )
    op.create_index("opendsr_callbacks_by_due", "opendsr_callbacks", ["dead", "due_at"], unique=False)
    op.bulk_insert(
        sa.table("counters", sa.column("name", sa.Text()), sa.column("value", sa.BigInteger())),
        [{"name": name, "value": 0} for name in COUNTERS],
    )


def downgrade() -> None:
    """Drop what this migration created."""
    for name in COUNTERS:
        op.execute(sa.text("DELETE FROM counters WHERE name = :name").bindparams(name=name))
    op.drop_table("opendsr_callbacks")
    op.drop_table("opendsr_requests")
