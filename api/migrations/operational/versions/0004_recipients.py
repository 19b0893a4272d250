"""Recipients: webhooks and their deliveries; the latest time of the ledger; an index of grants in person."""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0004"
down_revision: Final = "0003"
branch_labels: Final = None
depends_on: Final = None

BIG_KEY: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
IN_PERSON: Final = sa.text("state = 'granted' AND method IN ('direct', 'verified')")


def upgrade() -> None:
    """Create what is new; the ledger's latest time is taken from its entries."""
    op.create_table(
        "webhooks",
        sa.Column("webhook_no", BIG_KEY, nullable=False, autoincrement=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("cursor", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("webhook_no"),
    )
    op.create_table(
        "deliveries",
        sa.Column("delivery_no", BIG_KEY, nullable=False, autoincrement=False),
        sa.Column("webhook_no", sa.BigInteger(), nullable=False),
        sa.Column("golden_no", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("attempts", sa.SmallInteger(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("dead", sa.SmallInteger(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("delivery_no"),
    )
    op.create_index("deliveries_by_due", "deliveries", ["dead", "due_at"])
    op.create_index("deliveries_by_golden", "deliveries", ["golden_no"])
    op.create_index("ledger_in_person", "ledger", ["idx"], sqlite_where=IN_PERSON, postgresql_where=IN_PERSON)
    op.execute(
        sa.text("""
            INSERT INTO counters (name, value)
            SELECT 'ledger_time', coalesce(max(recorded_at), 0) FROM ledger
        """)
    )
    for name in ("webhook_no", "delivery_no"):
        op.execute(sa.text("INSERT INTO counters (name, value) VALUES (:name, 0)").bindparams(name=name))


def downgrade() -> None:
    """Drop what this migration created; deliveries under way are lost."""
    for name in ("ledger_time", "webhook_no", "delivery_no"):
        op.execute(sa.text("DELETE FROM counters WHERE name = :name").bindparams(name=name))
    op.drop_index("ledger_in_person", "ledger")
    op.drop_table("deliveries")
    op.drop_table("webhooks")
