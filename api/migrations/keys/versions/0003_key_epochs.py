"""What became of each key epoch."""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0003"
down_revision: Final = "0002"
branch_labels: Final = None
depends_on: Final = None

# As identity.tables.BigKey: SQLite gives INTEGER PRIMARY KEY its row number for nothing.
BIG_KEY: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the table; epochs that it does not name were made with the home."""
    op.create_table(
        "key_epochs",
        sa.Column("epoch", BIG_KEY, autoincrement=False, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=True),
        sa.Column("rewrapped_at", sa.BigInteger(), nullable=True),
        sa.Column("asked_by", sa.Text(), nullable=True),
        sa.Column("asked_at", sa.BigInteger(), nullable=True),
        sa.Column("confirmed_by", sa.Text(), nullable=True),
        sa.Column("destroyed_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("epoch"),
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("key_epochs")
