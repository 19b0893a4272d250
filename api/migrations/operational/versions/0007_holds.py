"""Holds: records that the law has kept, and those that an erasure left in doubt."""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0007"
down_revision: Final = "0006"
branch_labels: Final = None
depends_on: Final = None

# As identity.tables.BigKey: SQLite gives INTEGER PRIMARY KEY its row number for nothing.
BIG_KEY: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
COUNTERS: Final = ("hold_no",)


def upgrade() -> None:
    """Create the table and the counter of its numbers."""
    op.create_table(
        "holds",
        sa.Column("hold_no", BIG_KEY, autoincrement=False, nullable=False),
        sa.Column("record_no", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("attributes", sa.Text(), nullable=True),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.Column("until", sa.BigInteger(), nullable=True),
        sa.Column("declared_by", sa.Text(), nullable=False),
        sa.Column("declared_at", sa.BigInteger(), nullable=False),
        sa.Column("lifted_by", sa.Text(), nullable=True),
        sa.Column("lifted_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("hold_no"),
    )
    op.create_index("holds_by_record", "holds", ["record_no"], unique=False)
    op.bulk_insert(
        sa.table("counters", sa.column("name", sa.Text()), sa.column("value", sa.BigInteger())),
        [{"name": name, "value": 0} for name in COUNTERS],
    )


def downgrade() -> None:
    """Drop what this migration created."""
    for name in COUNTERS:
        op.execute(sa.text("DELETE FROM counters WHERE name = :name").bindparams(name=name))
    op.drop_table("holds")
