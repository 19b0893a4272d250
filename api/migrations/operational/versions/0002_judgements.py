"""Linkage that people correct: judgements, the review queue, overridden links; and households."""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0002"
down_revision: Final = "0001"
branch_labels: Final = None
depends_on: Final = None

# As identity.tables.BigKey: SQLite gives INTEGER PRIMARY KEY its row number for nothing.
BIG_KEY: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
COUNTERS: Final = ("judgement_no", "household_no")


def upgrade() -> None:
    """Create the new tables; the queue keeps what the online path has put into it."""
    _judgements()
    _overridden_links()
    _reviews()
    _households()
    op.bulk_insert(
        sa.table("counters", sa.column("name", sa.Text()), sa.column("value", sa.BigInteger())),
        [{"name": name, "value": 0} for name in COUNTERS],
    )


def downgrade() -> None:
    """Drop what this migration created; the queue goes back to its first form, without its states."""
    for name in COUNTERS:
        op.execute(sa.text("DELETE FROM counters WHERE name = :name").bindparams(name=name))
    _reviews_as_they_were()
    op.drop_table("households")
    op.drop_table("household_members")
    op.drop_table("overridden_links")
    op.drop_table("judgements")


def _judgements() -> None:
    op.create_table(
        "judgements",
        sa.Column("judgement_no", BIG_KEY, autoincrement=False, nullable=False),
        sa.Column("record_a", sa.BigInteger(), nullable=False),
        sa.Column("record_b", sa.BigInteger(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("judgement_no"),
    )
    op.create_index("judgements_by_pair", "judgements", ["record_a", "record_b"], unique=False)
    op.create_index("judgements_by_other", "judgements", ["record_b"], unique=False)


def _overridden_links() -> None:
    op.create_table(
        "overridden_links",
        sa.Column("record_no", sa.BigInteger(), nullable=False),
        sa.Column("other_no", sa.BigInteger(), nullable=False),
        sa.Column("valid_from", sa.BigInteger(), nullable=False),
        sa.Column("valid_to", sa.BigInteger(), nullable=False),
        sa.Column("weight", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("record_no", "other_no", "valid_from"),
        sqlite_with_rowid=False,
    )


def _households() -> None:
    op.create_table(
        "household_members",
        sa.Column("record_no", sa.BigInteger(), nullable=False),
        sa.Column("valid_from", sa.BigInteger(), nullable=False),
        sa.Column("valid_to", sa.BigInteger(), nullable=False),
        sa.Column("household_no", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("record_no", "valid_from"),
        sqlite_with_rowid=False,
    )
    op.create_index("household_members_by_household", "household_members", ["household_no"], unique=False)
    op.create_table(
        "households",
        sa.Column("household_no", BIG_KEY, autoincrement=False, nullable=False),
        sa.Column("household_id", sa.Text(), nullable=False),
        sa.Column("created_version", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("household_no"),
    )


def _reviews() -> None:
    op.rename_table("reviews", "reviews_0001")
    op.create_table(
        "reviews",
        sa.Column("record_a", sa.BigInteger(), nullable=False),
        sa.Column("record_b", sa.BigInteger(), nullable=False),
        sa.Column("weight", sa.Float(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("model_version", sa.Text(), nullable=True),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("record_a", "record_b", name="reviews_pairs"),
        sqlite_with_rowid=False,
    )
    op.create_index("reviews_by_state", "reviews", ["state", "weight"], unique=False)
    op.create_index("reviews_by_other", "reviews", ["record_b"], unique=False)
    op.execute("""
        INSERT INTO reviews (record_a, record_b, weight, cause, state, recorded_at, seen_at)
        SELECT CASE WHEN record_no < other_no THEN record_no ELSE other_no END,
               CASE WHEN record_no < other_no THEN other_no ELSE record_no END,
               MAX(weight), 'uncertain', 'open', MAX(recorded_at), MAX(recorded_at)
        FROM reviews_0001
        GROUP BY 1, 2
    """)
    op.drop_table("reviews_0001")


def _reviews_as_they_were() -> None:
    op.rename_table("reviews", "reviews_0002")
    op.create_table(
        "reviews",
        sa.Column("record_no", sa.BigInteger(), nullable=False),
        sa.Column("other_no", sa.BigInteger(), nullable=False),
        sa.Column("weight", sa.Float(), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("record_no", "other_no", name="reviews_first_pairs"),
        sqlite_with_rowid=False,
    )
    op.execute("""
        INSERT INTO reviews (record_no, other_no, weight, recorded_at)
        SELECT record_a, record_b, weight, recorded_at FROM reviews_0002 WHERE state = 'open'
    """)
    op.drop_table("reviews_0002")
