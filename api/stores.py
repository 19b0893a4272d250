"""The stores and the keyring of a home: where they are, how they are made, how they are opened."""

import os
import stat
from pathlib import Path

from api.migrations import KEYS, OPERATIONAL, is_current, upgrade, versions
from api.migrations.marks import hindrance
from api.settings import Settings, SettingsError
from api.store_places import holds_keys, lost_store, open_existing, places
from consent.key_providers import PLAIN, FileKeyring
from consent.key_store import KeyStore
from consent.keyring_file import KeyringCodec
from consent.transit_keyring import TransitCodec
from identity.database import Database


def open_operational(settings: Settings) -> Database:
    """Open the operational store: sealed records, ledger, golden IDs; deleted content is overwritten too.

    Raises SettingsError, with the remedy, if it is missing: opening a home makes no store.
    """
    return open_existing(settings, places(settings)[0])


def open_keys(settings: Settings) -> Database:
    """Open the key store; deleted content is overwritten with zeros. Raises as `open_operational` does."""
    return open_existing(settings, places(settings)[1])


def load_keyring(settings: Settings) -> FileKeyring:
    """Open the keyring of the environment or of the home. Raises SettingsError with the remedy."""
    if settings.keyring_text is not None:
        return FileKeyring.from_text(settings.keyring_text)
    if not settings.keyring_file.is_file():
        new = "run `aurea init` for a new home, or set AUREA_HOME"
        remedy = "restore its keyring" if holds_keys(settings) else new
        raise SettingsError(f"there is no keyring at {settings.keyring_file}: {remedy}")
    return FileKeyring.load(settings.keyring_file, keyring_codec(settings))


def keyring_codec(settings: Settings) -> KeyringCodec:
    """Return how the keyring file is read and written. Raises SettingsError if Vault is half configured."""
    if settings.vault_address is None:
        return PLAIN
    if settings.vault_token is None:
        raise SettingsError("AUREA_VAULT_ADDR needs AUREA_VAULT_TOKEN: a token that may use the transit key")
    return TransitCodec(settings.vault_address, settings.vault_token, settings.vault_key)


def check_home(settings: Settings) -> None:
    """Raise SettingsError, with the remedy, if there is no home there or it cannot be kept from others.

    A home of ours that group or others may enter, and stores they may read, are closed to them.
    """
    if not settings.home.is_dir():
        raise SettingsError(f"there is no home at {settings.home}: run `aurea init`, or set AUREA_HOME")
    if settings.restoring.exists():
        raise SettingsError("a restore of this home was interrupted: run the same `aurea restore` again")
    _close_to_others(settings.home)
    for name in ("aurea.db", "keys.db"):
        for ending in ("", "-wal", "-shm"):
            _close_to_others(settings.home / (name + ending))


def _close_to_others(path: Path) -> None:
    """Take what group and others may do away. Raises SettingsError where the path is not ours to change."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return
    if not found.st_mode & 0o077:
        return
    if found.st_uid != os.geteuid() or found.st_mode & stat.S_ISVTX:  # sticky: a folder meant for many
        raise SettingsError(f"others than its owner may read {path}: let its owner run chmod go= on it")
    path.chmod(stat.S_IMODE(found.st_mode) & 0o700)


def create_home(settings: Settings) -> bool:
    """Make the home, the keyring and both stores, or bring them to this version; True if it is new.

    Each step is idempotent, so a crash is repaired by running this again. A keyring is made only where
    the key store is empty: a second one could open nothing that the first has sealed. Raises SettingsError
    where one store is lost and the other in use.
    """
    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    check_home(settings)
    if why := lost_store(settings):
        raise SettingsError(why)
    for place in places(settings):
        place.make()
    db, keys = open_operational(settings), open_keys(settings)
    try:
        check_usable(db, keys)
        new = versions(keys, KEYS)[0] is None
        if settings.keyring_text is None and not settings.keyring_file.exists():
            if not new:
                raise SettingsError(
                    f"the key store exists but its keyring {settings.keyring_file} is missing: restore it"
                )
            FileKeyring.create(settings.keyring_file, keyring_codec(settings))
        keyring = load_keyring(settings)
        upgrade(db, OPERATIONAL)
        if versions(keys, OPERATIONAL)[0] is not None:  # two URLs of one database
            raise SettingsError(
                "AUREA_KEYS_URL names the database that AUREA_DATABASE_URL names: keys live apart from data"
            )
        upgrade(keys, KEYS)
        KeyStore(keys).initialise(keyring.home_id)
    finally:
        db.close()
        keys.close()
    for folder in (settings.access_log_dir, settings.runs_dir):
        folder.mkdir(mode=0o700, exist_ok=True)
    return new


def check_usable(db: Database, keys: Database) -> None:
    """Raise SettingsError if one of the stores is an incomplete copy, or was copied elsewhere."""
    if why := hindrance(db) or hindrance(keys):
        raise SettingsError(why)


def is_ready(db: Database, keys: Database) -> bool:
    """Whether both stores answer at the schema this version works with."""
    return is_current(db, OPERATIONAL) and is_current(keys, KEYS)
