"""Grants of guardians are among those given in person, which conflicts are looked for by."""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0009"
down_revision: Final = "0008"
branch_labels: Final = None
depends_on: Final = None

BEFORE: Final = sa.text("state = 'granted' AND method IN ('direct', 'verified')")
NOW: Final = sa.text(
    "state = 'granted' AND method IN ('direct', 'verified', 'guardian', 'verified_guardian')"
)


def upgrade() -> None:
    """Make the index anew."""
    _replace(NOW)


def downgrade() -> None:
    """Make the index that was before."""
    _replace(BEFORE)


def _replace(which: sa.TextClause) -> None:
    op.drop_index("ledger_in_person", "ledger")
    op.create_index("ledger_in_person", "ledger", ["idx"], sqlite_where=which, postgresql_where=which)
