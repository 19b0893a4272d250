"""A new home for a test: its own keyring, and stores whose tables were made once for all."""

import atexit
import shutil
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

from sqlalchemy import make_url

from api.migrations import KEYS, OPERATIONAL, is_current, upgrade
from api.settings import Settings
from api.stores import create_home, open_keys, open_operational
from consent.key_providers import FileKeyring
from identity.database import Database, open_database
from tests.stores import ON_POSTGRESQL, store_url

STORES = ("aurea.db", "keys.db")


def kept_until_the_end() -> Path:
    """Return a folder for what tests copy; it ends with the process."""
    folder = Path(mkdtemp(prefix="aurea-tests-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@cache
def _empty_stores() -> Path:
    folder = kept_until_the_end()
    settings = Settings.from_environment({"AUREA_HOME": str(folder)})
    for name in STORES:
        (folder / name).touch(mode=0o600)
    for store, history in ((open_operational(settings), OPERATIONAL), (open_keys(settings), KEYS)):
        upgrade(store, history)
        store.close()
    return folder


def _put_empty(folder: Path, name: str) -> None:
    shutil.copyfile(_empty_stores() / name, folder / name)
    (folder / name).chmod(0o600)


def operational_store(folder: Path, url: str | None = None) -> Database:
    """Open the operational store of a folder, or that of `url`; its tables are made where there are none."""
    if url is None and not ON_POSTGRESQL and not (folder / STORES[0]).exists():
        _put_empty(folder, STORES[0])
    store = open_database(url or store_url(folder, "aurea"))
    if not is_current(store, OPERATIONAL):
        upgrade(store, OPERATIONAL)
    return store


def new_home(settings: Settings) -> None:
    """Do what `create_home` does, without the time that the migrations take (tests/api/test_migrations)."""
    embedded = all(
        make_url(url).get_backend_name() == "sqlite" for url in (settings.database_url, settings.keys_url)
    )
    if embedded and not settings.home.exists():
        settings.home.mkdir(mode=0o700, parents=True)
        for name in STORES:
            _put_empty(settings.home, name)
        FileKeyring.create(settings.keyring_file)
    create_home(settings)
