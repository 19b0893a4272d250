"""Schema migrations: two histories, one per store, each with a version table of its own.

Alembic is driven from here, without its command line: the stores are opened by `identity.database`, so
that a migration runs under the same pragmas and the same write lock as everything else. The tests prove
that upgraded stores equal the metadata the code works with.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Connection, MetaData, String, column, inspect, select, table

import api.limit_store
import api.store
import consent.key_tables
import consent.tables
import identity.tables
from api.migrations.marks import hindrance
from identity.database import Database
from identity.errors import StoreDamagedError

if TYPE_CHECKING:
    from alembic.config import Config
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

# Importing these adds their tables to identity.tables.metadata.
_TABLES: Final = (api.store, api.limit_store, consent.tables)
_HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class History:
    """One store's migrations: where they are, what they must add up to."""

    name: str
    metadata: MetaData
    version_table: str
    counters: str  # the table of its counters

    def newest(self) -> str:
        """Return the newest schema: the number that begins the name of the last script.

        Every command asks, and what Alembic would read for the answer takes as long as most commands.
        """
        return max(file.name for file in (_HERE / self.name / "versions").glob("[0-9]*.py")).partition("_")[0]

    def config(self) -> "Config":
        """Return Alembic's configuration for this history (no file, no environment script)."""
        from alembic.config import Config  # noqa: PLC0415 - slow to load, and only an upgrade needs it

        config = Config()
        config.set_main_option("script_location", str(_HERE / self.name))
        config.set_main_option("path_separator", "os")
        return config

    def scripts(self) -> "ScriptDirectory":
        """Return the migration scripts of this history."""
        from alembic.script import ScriptDirectory  # noqa: PLC0415 - as above

        return ScriptDirectory.from_config(self.config())


OPERATIONAL: Final = History("operational", identity.tables.metadata, "schema_version", "counters")
KEYS: Final = History("keys", consent.key_tables.key_metadata, "key_schema_version", "key_counters")


def upgrade(database: Database, history: History) -> None:
    """Bring the store to the newest schema, in one transaction (a crash leaves it as it was)."""
    versions(database, history)  # raises StoreDamagedError: migrations would begin anew over what is there
    scripts = history.scripts()

    def steps(revision: Any, _context: "MigrationContext") -> Any:
        return scripts._upgrade_revs("head", revision)  # noqa: SLF001 - what alembic.command.upgrade calls

    with database.write() as conn:
        _run(conn, history, scripts, steps)


def _run(conn: Connection, history: History, scripts: "ScriptDirectory", steps: Callable[..., Any]) -> None:
    from alembic.runtime.environment import EnvironmentContext  # noqa: PLC0415 - as above

    with EnvironmentContext(history.config(), scripts, fn=steps) as environment:
        environment.configure(
            connection=conn, target_metadata=history.metadata, version_table=history.version_table
        )
        environment.run_migrations()


def versions(database: Database, history: History) -> tuple[str | None, str | None]:
    """Return the schema that the store has, None if it is empty, and the newest one.

    Raises StoreDamagedError where tables are there and their version is lost.
    """
    head = history.newest()
    with database.read() as conn:
        tables = inspect(conn).get_table_names()
        if history.version_table in tables:
            marks = table(history.version_table, column("version_num", String))
            if (found := conn.scalar(select(marks.c.version_num))) is not None:
                return str(found), head
        if not history.metadata.tables.keys().isdisjoint(tables):  # version and tables are made together
            raise StoreDamagedError(f"the version of the {history.name} store is lost: restore a backup")
    return None, head


def is_current(database: Database, history: History) -> bool:
    """Whether the store has the newest schema and may be used; False for an empty store."""
    found, wanted = versions(database, history)
    return found == wanted and hindrance(database) is None
