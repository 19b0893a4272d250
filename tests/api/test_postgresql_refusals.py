"""What PostgreSQL may refuse, and that its user is told so with the remedy instead of an internal failure."""

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from sqlalchemy import text

from api.settings import Settings, SettingsError
from api.stores import create_home
from identity.database import Database, open_database
from identity.errors import StoreBusyError, StoreUnreachableError
from tests import postgres, stores
from tests.world import World, a_world

pytestmark = stores.needs_postgresql

ALLOWED = "ALTER DATABASE {name} WITH ALLOW_CONNECTIONS {allowed}"
ENDED = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = :name AND pid <> pg_backend_pid()
"""


@pytest.fixture
def url(tmp_path: Path) -> str:
    return stores.store_url(tmp_path, "aurea", "postgresql")


@pytest.fixture
def db(url: str) -> Iterator[Database]:
    with closing(open_database(url)) as opened:
        yield opened


def executed(db: Database, *statements: str) -> None:
    """Run statements that PostgreSQL runs in no transaction."""
    with db.engine.connect() as connected:
        conn = connected.execution_options(isolation_level="AUTOCOMMIT")
        for statement in statements:
            conn.exec_driver_sql(statement)


def test_while_the_server_takes_no_connection_everything_is_503_and_no_process_is_ready(
    tmp_path: Path,
) -> None:
    with a_world(tmp_path, store_urls=stores.on_postgresql(tmp_path / "home")) as world:
        world.settle()
        consumer = world.client("consumer")
        profile = f"/v1/profiles/{world.golden_id('town_a', 'Elena')}?purpose=personalization"
        assert consumer.get(profile).status_code == 200
        _refuse_connections(world)
        for path in (profile, "/readyz"):
            answers = [consumer.get(path) for _ in range(4)]
            assert [answer.status_code for answer in answers] == [503] * 4
            assert all(answer.headers["Retry-After"] for answer in answers)
        _take_connections(world)
        assert consumer.get("/readyz").status_code == 200
        assert consumer.get(profile).status_code == 200


def _refuse_connections(world: World) -> None:
    name = world.services.db.engine.url.database
    executed(world.services.keys, ALLOWED.format(name=name, allowed="false"))
    with world.services.keys.write() as conn:
        conn.execute(text(ENDED), {"name": name})


def _take_connections(world: World) -> None:
    name = world.services.db.engine.url.database
    executed(world.services.keys, ALLOWED.format(name=name, allowed="true"))


def test_a_role_that_may_not_create_tables_is_told_what_it_needs(
    url: str, db: Database, tmp_path: Path
) -> None:
    executed(db, "DROP ROLE IF EXISTS without_rights", "CREATE ROLE without_rights LOGIN")
    named = {
        "AUREA_HOME": str(tmp_path / "home"),
        "AUREA_DATABASE_URL": url.replace("//postgres@", "//without_rights@"),
    }
    said = "as without_rights refuses: permission denied for schema public: grant the role USAGE and CREATE"
    with pytest.raises(StoreUnreachableError, match=said):
        create_home(Settings.from_environment(named))


def test_a_schema_that_is_not_there_is_named(url: str, tmp_path: Path) -> None:
    named = {
        "AUREA_HOME": str(tmp_path / "home"),
        "AUREA_DATABASE_URL": f"{url}&options=-csearch_path%3Dnowhere",
    }
    with pytest.raises(StoreUnreachableError, match="make the schema that its search_path names"):
        create_home(Settings.from_environment(named))


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_a_database_that_cannot_hold_every_letter_is_refused(encoding: str, url: str, db: Database) -> None:
    name = f"{db.engine.url.database}_{encoding}"
    executed(db, f'CREATE DATABASE "{name}" ENCODING {encoding} LOCALE "C" TEMPLATE template0')
    other = open_database(url.replace(f"/{db.engine.url.database}?", f"/{name}?"))
    said = f"is of {encoding}: make one with ENCODING 'UTF8'"
    with closing(other), pytest.raises(StoreUnreachableError, match=said), other.read():
        pytest.fail("it was opened")


def test_text_is_read_and_written_whatever_encoding_the_client_is_told(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    with closing(open_database(url)) as db, db.read() as conn:
        assert conn.execute(text("SELECT CAST(:word AS text)"), {"word": "日本"}).scalar_one() == "日本"


@pytest.mark.parametrize(
    ("setting", "error"),
    [("statement_timeout", StoreBusyError), ("transaction_timeout", StoreUnreachableError)],
)
def test_what_takes_longer_than_the_server_allows_can_be_sent_again(
    setting: str, error: type[Exception], url: str
) -> None:
    impatient = open_database(f"{url}&options=-c{setting}%3D100")
    with closing(impatient), pytest.raises(error), impatient.read() as conn:
        conn.execute(text("SELECT pg_sleep(5)"))


def test_where_every_connection_is_in_use_one_more_is_told_to_try_again(db: Database) -> None:
    db.engine.pool._timeout = 0.1
    with ExitStack() as stack:
        for _ in range(15):  # SQLAlchemy's own 5, and 10 beyond them
            stack.enter_context(db.read())
        with pytest.raises(StoreBusyError, match="every connection"), db.read():
            pytest.fail("there was another")


def test_two_urls_of_one_database_are_not_keys_apart_from_data(url: str, tmp_path: Path) -> None:
    named = {
        "AUREA_HOME": str(tmp_path / "home"),
        "AUREA_DATABASE_URL": url,
        "AUREA_KEYS_URL": f"{url}&application_name=keys",
    }
    with pytest.raises(SettingsError, match="keys live apart from data"):
        create_home(Settings.from_environment(named))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root hands the server over to another user")
def test_the_server_of_the_tests_begins_where_its_user_cannot_reach_its_programs(tmp_path: Path) -> None:
    """As of a checkout in /root."""
    installed = postgres.programs()
    assert installed is not None
    package = installed.parents[1]
    for folder in (package, package.with_name(f"{package.name}.libs")):
        if folder.is_dir():
            shutil.copytree(folder, tmp_path / folder.name)
    tmp_path.chmod(0o700)
    server = postgres.Server(tmp_path / installed.relative_to(package.parent))
    server.close()
