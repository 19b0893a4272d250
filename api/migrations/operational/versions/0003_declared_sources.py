"""Sources that are declared to hold no duplicates."""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0003"
down_revision: Final = "0002"
branch_labels: Final = None
depends_on: Final = None


def upgrade() -> None:
    """Create the table; nothing is declared."""
    op.create_table(
        "declared_sources",
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("declared_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("channel"),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    """Drop it: every source may hold duplicates again."""
    op.drop_table("declared_sources")
