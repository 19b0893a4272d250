"""`aurea store migrate`: the embedded stores copied to PostgreSQL and verified; only then do they serve.

1. The write locks of the embedded stores are taken: nothing changes while it is copied, and reads go on.
2. A target, which must be empty, is marked as incomplete (no process then opens it) and gets the schema.
3. Every table is copied, a batch at a time.
4. What arrived is compared: rows of every table; size and root of the ledger, which is verified from its
   leaves and against its own checkpoints; the content of some records, opened from either side.
5. The marks are removed, and the embedded stores, still locked, can be neither read nor written any more
   (`migrations.marks`): a process that went on with them would lose what it acknowledges.

A crash or a difference in 1 to 4 leaves the embedded stores as they were, and a target that is refused until
`--restart` empties it. A crash within 5 leaves complete targets; what of the embedded stores then still opens
is to be left alone.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import Connection, Table, inspect, make_url, text

from api.migrations import KEYS, OPERATIONAL, History, is_current, marks, upgrade
from api.services import Services
from api.settings import Settings, SettingsError
from api.store_places import KEYS_LOCK, OPERATIONAL_LOCK, open_store
from api.stores import open_keys, open_operational
from consent import merkle
from consent.copied_records import CopyError, open_alike
from consent.ledger import Tiles
from identity.database import Database
from identity.statements import Statement

Told = Callable[[str], None]

_BATCH: Final = 5_000  # rows


class MigrationError(SettingsError):
    """The copy differs from its source, or a target cannot take it; the embedded stores are as they were."""


@dataclass(frozen=True, slots=True)
class Moving:
    """One store on its way: where it is, where it goes, what it consists of."""

    history: History
    source: Database
    target: Database
    variable: str  # that names the store in the environment
    url: str

    @property
    def shown(self) -> str:
        """The target's URL without its password."""
        return make_url(self.url).render_as_string(hide_password=True)


def migrate(
    settings: Settings, to: str, keys_to: str | None, *, restart: bool, told: Told = lambda _: None
) -> dict[str, Any]:
    """Copy the operational store to the URL `to`, and the key store to `keys_to` where it is given.

    The embedded stores can then be neither read nor written, by whatever process. Returns what was copied and
    the variables to set. Raises MigrationError, or SettingsError with the remedy.
    """
    began = time.monotonic()
    with ExitStack() as stack:
        moving = list(_moving(settings, to, keys_to, stack))
        for each in moving:
            _prepare(each, restart=restart)
        source, connections = _locked(settings, stack)
        counts: dict[str, int] = {}
        for each in moving:
            counts |= _copy(each, connections[each.history.name], told)
        told("verifying")
        after = _after(settings, moving)
        _compare_rows(moving, counts)
        size, root, opened = _compare_content(source, after, connections[OPERATIONAL.name])
        for each in reversed(moving):
            with each.target.write() as conn:
                marks.end(conn)
        for each in moving:
            marks.leave(connections[each.history.name], each.history.counters)
    return {
        "rows": counts, "ledger": {"size": size, "root": root.hex()}, "opened": opened,
        "seconds": round(time.monotonic() - began, 1),
        "set": {each.variable: each.shown for each in moving},
    }  # fmt: skip


def _moving(settings: Settings, to: str, keys_to: str | None, stack: ExitStack) -> Iterator[Moving]:
    if keys_to in {to, settings.database_url}:
        raise SettingsError("--keys-to must not be --to: keys live apart from data")
    plans = [(OPERATIONAL, open_operational(settings), "AUREA_DATABASE_URL", "--to", to, OPERATIONAL_LOCK)]
    if keys_to is not None:
        plans.append((KEYS, open_keys(settings), "AUREA_KEYS_URL", "--keys-to", keys_to, KEYS_LOCK))
    for history, source, variable, option, url, lock_id in plans:
        stack.callback(source.close)
        if not source.is_sqlite:
            raise SettingsError(f"{variable} is on PostgreSQL already: only embedded stores can be migrated")
        if why := marks.hindrance(source):
            raise SettingsError(why)
        if not is_current(source, history):
            raise SettingsError("the embedded stores are not at this version: run `aurea init`")
        target = open_store(url, option, lock_id=lock_id)
        stack.callback(target.close)
        if target.is_sqlite:
            raise SettingsError(f"{option} must be a URL of PostgreSQL: postgresql+psycopg://user@host/name")
        yield Moving(history, source, target, variable, url)


def _prepare(each: Moving, *, restart: bool) -> None:
    """Step 2. Raises MigrationError where something is in the way."""
    incomplete = marks.is_incomplete(each.target)
    if incomplete and not restart:
        raise MigrationError(
            f"{each.shown} holds an incomplete copy: repeat the command with --restart to empty it"
        )
    with each.target.write() as conn:
        if incomplete:
            each.history.metadata.drop_all(conn)
            conn.execute(text(f"DROP TABLE IF EXISTS {each.history.version_table}"))
            marks.end(conn)
        if inspect(conn).get_table_names():
            raise MigrationError(f"{each.shown} is not empty: name an empty database or schema")
        marks.begin(conn)
    upgrade(each.target, each.history)


def _locked(settings: Settings, stack: ExitStack) -> tuple[Services, dict[str, Connection]]:
    """Step 1: the services over the embedded stores, and a writer's connection to each of both."""
    services = Services(settings)
    stack.callback(services.close)
    db = stack.enter_context(services.db.write())
    keys = stack.enter_context(services.keys.write())
    return services, {OPERATIONAL.name: db, KEYS.name: keys}


def _copy(each: Moving, source: Connection, told: Told) -> dict[str, int]:
    """Step 3. Returns how many rows every table has."""
    counts: dict[str, int] = {}
    for table in each.history.metadata.sorted_tables:
        name = str(table.name)  # a plain string, for JSON
        counts[name] = 0
        columns = ", ".join(column.name for column in table.columns)
        rows = Statement(f"SELECT {columns} FROM {name}").chunks(source, _BATCH)  # noqa: S608 - our tables
        with each.target.write() as conn:
            conn.execute(text(f"DELETE FROM {name}"))  # noqa: S608 - counters that the schema came with
        for batch in rows:
            _write(each.target, name, columns, batch)
            counts[name] += len(batch)
            told(f"{name}: {counts[name]:,} rows")
        _continue_numbers(each.target, table)
    with each.target.write() as conn:
        conn.execute(text("ANALYZE"))
    return counts


def _write(target: Database, table: str, columns: str, rows: list[Any]) -> None:
    with target.write() as conn:
        driver: Any = conn.connection.driver_connection
        with driver.cursor() as cursor, cursor.copy(f"COPY {table} ({columns}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)


def _continue_numbers(target: Database, table: Table) -> None:
    """Let a table that numbers its rows go on after the last number."""
    column = table.autoincrement_column
    if column is None:
        return
    with target.write() as conn:
        conn.execute(
            text(f"""
                SELECT setval(pg_get_serial_sequence(:table, :column),
                              (SELECT coalesce(max({column.name}), 0) + 1 FROM {table.name}), false)
            """),  # noqa: S608 - our tables
            {"table": table.name, "column": column.name},
        )


def _after(settings: Settings, moving: list[Moving]) -> Settings:
    """Return the settings that the user is told to set."""
    urls = {each.variable: each.url for each in moving}
    return replace(
        settings,
        database_url=urls["AUREA_DATABASE_URL"],
        keys_url=urls.get("AUREA_KEYS_URL", settings.keys_url),
    )


def _compare_rows(moving: list[Moving], counts: dict[str, int]) -> None:
    """Step 4: as many rows of every table."""
    for each in moving:
        with each.target.read() as conn:
            for table in each.history.metadata.sorted_tables:
                count = text(f"SELECT count(*) FROM {table.name}")  # noqa: S608 - our tables
                arrived = conn.execute(count).scalar_one()
                if arrived != counts[table.name]:
                    raise MigrationError(f"{table.name} has {counts[table.name]} rows, and {arrived} arrived")


def _compare_content(source: Services, after: Settings, conn: Connection) -> tuple[int, bytes, int]:
    """Step 4: ledger and records. Returns the tree's size and root, and how many records were opened."""
    copied = Services(after)
    try:
        size, root = _tree(source, conn)
        with copied.db.read() as there:
            same = _tree(copied, there) == (size, root)
        report = copied.ledger.verify()
        if not (same and report.ok):
            raise MigrationError(
                f"the ledger's copy does not verify: {report.reason or 'it has another size or root'}"
            )
        return size, root, open_alike(source.sealed, copied.sealed, conn)
    except CopyError as error:
        raise MigrationError(str(error)) from None
    finally:
        copied.close()


def _tree(services: Services, conn: Connection) -> tuple[int, bytes]:
    tiles = Tiles(conn, services.ledger.size(conn))
    return tiles.size, merkle.tree_root(tiles.size, tiles.subtree)
