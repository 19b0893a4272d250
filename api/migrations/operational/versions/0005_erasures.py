"""Erasures: their jobs and receipts."""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0005"
down_revision: Final = "0004"
branch_labels: Final = None
depends_on: Final = None

# As identity.tables.BigKey: SQLite gives INTEGER PRIMARY KEY its row number for nothing.
BIG_KEY: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "erasures",
        sa.Column("erasure_no", BIG_KEY, autoincrement=False, nullable=False),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.Column("receipt", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("erasure_no"),
    )
    op.create_index("erasures_by_request", "erasures", ["request_id"], unique=True)


def downgrade() -> None:
    """Drop it, receipts included."""
    op.drop_table("erasures")
