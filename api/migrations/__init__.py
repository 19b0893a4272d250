"""Schema migrations: two histories, one per store, each with a version table of its own.

Alembic is driven from here, without its command line: the stores are opened by `identity.database`, so
that a migration runs under the same pragmas and the same write lock as everything else. The tests prove
that upgraded stores equal the metadata the code works with.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, inspect

import api.limit_store
import api.store
import consent.key_tables
import consent.tables
import identity.tables
from identity.database import Database

# Importing these adds their tables to identity.tables.metadata.
_TABLES: Final = (api.store, api.limit_store, consent.tables)
_HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class History:
    """One store's migrations: where they are, what they must add up to."""

    name: str
    metadata: MetaData
    version_table: str

    def config(self) -> Config:
        """Return Alembic's configuration for this history (no file, no environment script)."""
        config = Config()
        config.set_main_option("script_location", str(_HERE / self.name))
        config.set_main_option("path_separator", "os")
        return config

    def scripts(self) -> ScriptDirectory:
        """Return the migration scripts of this history."""
        return ScriptDirectory.from_config(self.config())


OPERATIONAL: Final = History("operational", identity.tables.metadata, "schema_version")
KEYS: Final = History("keys", consent.key_tables.key_metadata, "key_schema_version")


def upgrade(database: Database, history: History) -> None:
    """Bring the store to the newest schema, in one transaction (a crash leaves it as it was)."""
    scripts = history.scripts()

    def steps(revision: Any, _context: MigrationContext) -> Any:
        return scripts._upgrade_revs("head", revision)  # noqa: SLF001 - what alembic.command.upgrade calls

    with database.write() as conn:
        _run(conn, history, scripts, steps)


def _run(conn: Connection, history: History, scripts: ScriptDirectory, steps: Callable[..., Any]) -> None:
    with EnvironmentContext(history.config(), scripts, fn=steps) as environment:
        environment.configure(
            connection=conn, target_metadata=history.metadata, version_table=history.version_table
        )
        environment.run_migrations()


def versions(database: Database, history: History) -> tuple[str | None, str | None]:
    """Return the schema that the store has, None if it is empty, and the newest one."""
    with database.read() as conn:
        if not inspect(conn).has_table(history.version_table):
            return None, history.scripts().get_current_head()
        context = MigrationContext.configure(conn, opts={"version_table": history.version_table})
        return context.get_current_revision(), history.scripts().get_current_head()


def is_current(database: Database, history: History) -> bool:
    """Whether the store has the newest schema; False for an empty store."""
    found, wanted = versions(database, history)
    return found == wanted
