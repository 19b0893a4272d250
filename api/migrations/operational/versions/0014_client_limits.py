"""Clients' limits, second secrets, outside subjects and revocation; what clients used of their limits."""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0014"
down_revision: Final = "0009"
branch_labels: Final = None
depends_on: Final = None

_ADDED: Final = (
    ("rate", sa.BigInteger), ("people_per_day", sa.BigInteger), ("oidc_subject", sa.Text),
    ("previous_hash", sa.Text), ("previous_until", sa.BigInteger), ("revoked_at", sa.BigInteger),
)  # fmt: skip


def upgrade() -> None:
    """Add the columns and create the tables."""
    for name, kind in _ADDED:
        op.add_column("clients", sa.Column(name, kind(), nullable=True))
    op.create_index("clients_by_oidc_subject", "clients", ["oidc_subject"], unique=True)
    op.create_table(
        "rate_buckets",
        sa.Column("bucket", sa.Text(), nullable=False),
        sa.Column("full_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("bucket"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "people_told",
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("day", sa.BigInteger(), nullable=False),
        sa.Column("part", sa.BigInteger(), nullable=False),
        sa.Column("bits", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("client_id", "day", "part"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "people_days",
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("day", sa.BigInteger(), nullable=False),
        sa.Column("told", sa.BigInteger(), nullable=False),
        sa.Column("reserved", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("client_id", "day"),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    """Undo it. Revoked clients could come back, so they lose their secret first."""
    op.execute(sa.text("UPDATE clients SET secret_hash = '' WHERE revoked_at IS NOT NULL"))
    for table in ("people_days", "people_told", "rate_buckets"):
        op.drop_table(table)
    op.drop_index("clients_by_oidc_subject", "clients")
    for name, _ in reversed(_ADDED):
        op.drop_column("clients", name)
