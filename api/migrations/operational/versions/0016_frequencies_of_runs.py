"""Frequencies belong to the run that scored with them, not to the model that it may have used again."""

from typing import Final

from alembic import op

revision: Final = "0016"
down_revision: Final = "0014"
branch_labels: Final = None
depends_on: Final = None


def upgrade() -> None:
    """Rename the column; what is kept was the last published run's."""
    op.execute("ALTER TABLE model_frequencies RENAME COLUMN model_version TO run_id")
    op.execute("""
        UPDATE model_frequencies SET run_id = COALESCE((
            SELECT r.run_id FROM runs r
            WHERE r.status = 'published' AND r.model_version = model_frequencies.run_id
            ORDER BY r.version DESC, r.finished_at DESC LIMIT 1
        ), run_id)
    """)


def downgrade() -> None:
    """Name the column as before; the next run's frequencies go under its model."""
    op.execute("""
        UPDATE model_frequencies SET run_id = COALESCE((
            SELECT r.model_version FROM runs r WHERE r.run_id = model_frequencies.run_id
        ), run_id)
    """)
    op.execute("ALTER TABLE model_frequencies RENAME COLUMN run_id TO model_version")
