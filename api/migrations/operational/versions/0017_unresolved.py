"""Records that changed and are not resolved again yet; of those that were there before, none."""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0017"
down_revision: Final = "0016"
branch_labels: Final = None
depends_on: Final = None

BIG_KEY: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "unresolved",
        sa.Column("record_no", BIG_KEY, autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("record_no"),
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("unresolved")
