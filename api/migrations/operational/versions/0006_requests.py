"""Data-subject requests and the steps taken with them."""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0006"
down_revision: Final = "0005"
branch_labels: Final = None
depends_on: Final = None

# As identity.tables.BigKey: SQLite gives INTEGER PRIMARY KEY its row number for nothing.
BIG_KEY: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
COUNTERS: Final = ("request_no",)


def upgrade() -> None:
    """Create the tables and the counter of request numbers."""
    _requests()
    op.create_table(
        "request_steps",
        sa.Column("request_no", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("client", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("request_no", "seq"),
        sqlite_with_rowid=False,
    )
    op.bulk_insert(
        sa.table("counters", sa.column("name", sa.Text()), sa.column("value", sa.BigInteger())),
        [{"name": name, "value": 0} for name in COUNTERS],
    )


def downgrade() -> None:
    """Drop what this migration created."""
    for name in COUNTERS:
        op.execute(sa.text("DELETE FROM counters WHERE name = :name").bindparams(name=name))
    op.drop_table("request_steps")
    op.drop_table("requests")


def _requests() -> None:
    op.create_table(
        "requests",
        sa.Column("request_no", BIG_KEY, autoincrement=False, nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("asked", sa.Text(), nullable=False),
        sa.Column("jurisdiction", sa.Text(), nullable=False),
        sa.Column("purposes", sa.Text(), nullable=False),
        sa.Column("golden_no", sa.BigInteger(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("failures", sa.SmallInteger(), nullable=False),
        sa.Column("verified", sa.SmallInteger(), nullable=False),
        sa.Column("approved", sa.SmallInteger(), nullable=False),
        sa.Column("members", sa.Text(), nullable=True),
        sa.Column("denial", sa.Text(), nullable=True),
        sa.Column("extension", sa.Text(), nullable=True),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("opened_at", sa.BigInteger(), nullable=False),
        sa.Column("closed_at", sa.BigInteger(), nullable=True),
        sa.Column("forget_at", sa.BigInteger(), nullable=True),
        sa.Column("forgotten", sa.SmallInteger(), nullable=False),
        sa.Column("confirm_by", sa.Text(), nullable=True),
        sa.Column("due", sa.Text(), nullable=False),
        sa.Column("extended_due", sa.Text(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("request_no"),
    )
    op.create_index("requests_by_id", "requests", ["request_id"], unique=True)
    op.create_index("requests_by_state", "requests", ["state", "type"], unique=False)
