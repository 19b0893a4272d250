"""`python -m api.migrations.draft operational|keys`: print the operations that a new migration needs.

Compares a fresh store at the newest migration with the metadata and prints Alembic's rendering, for a
maintainer to put into `versions/NNNN_what.py` and to read before committing.
"""

import sys
import tempfile
from pathlib import Path

from alembic.autogenerate import produce_migrations, render_python_code
from alembic.runtime.migration import MigrationContext

from api.migrations import KEYS, OPERATIONAL, History, upgrade
from identity.database import open_database


def draft(history: History) -> str:
    """Python code of the operations between the newest migration of `history` and its metadata."""
    with tempfile.TemporaryDirectory() as folder:
        database = open_database(f"sqlite:///{Path(folder) / 'draft.db'}")
        try:
            upgrade(database, history)
            with database.read() as conn:
                options = {"version_table": history.version_table, "target_metadata": history.metadata}
                context = MigrationContext.configure(conn, opts=options)
                operations = produce_migrations(context, history.metadata).upgrade_ops
        finally:
            database.close()
    return render_python_code(operations) if operations is not None else ""


if __name__ == "__main__":
    chosen = {"operational": OPERATIONAL, "keys": KEYS}[sys.argv[1]]
    sys.stdout.write(draft(chosen) + "\n")
