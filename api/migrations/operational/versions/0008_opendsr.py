"""OpenDSR: what controllers asked under their own ids; deliveries of callbacks have a URL of their own."""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0008"
down_revision: Final = "0007"
branch_labels: Final = None
depends_on: Final = None


def upgrade() -> None:
    """Create the table and the column."""
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
    op.add_column("deliveries", sa.Column("url", sa.Text(), nullable=True))


def downgrade() -> None:
    """Undo it; callbacks that wait are lost."""
    op.execute(sa.text("DELETE FROM deliveries WHERE url IS NOT NULL"))
    op.drop_column("deliveries", "url")
    op.drop_table("opendsr_requests")
