"""A new home for a test: its own keyring, and stores whose tables were made once for all."""

import atexit
import shutil
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

from sqlalchemy import make_url

from api.migrations import KEYS, OPERATIONAL, upgrade
from api.settings import Settings
from api.stores import create_home, open_keys, open_operational
from consent.key_providers import FileKeyring

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
    for store, history in ((open_operational(settings), OPERATIONAL), (open_keys(settings), KEYS)):
        upgrade(store, history)
        store.close()
    return folder


def new_home(settings: Settings) -> None:
    """Do what `create_home` does, without the time that the migrations take (tests/api/test_migrations)."""
    embedded = all(
        make_url(url).get_backend_name() == "sqlite" for url in (settings.database_url, settings.keys_url)
    )
    if embedded and not settings.home.exists():
        settings.home.mkdir(mode=0o700, parents=True)
        for name in STORES:
            shutil.copyfile(_empty_stores() / name, settings.home / name)
            (settings.home / name).chmod(0o600)
        FileKeyring.create(settings.keyring_file)
    create_home(settings)
