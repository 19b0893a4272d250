"""The stores and the keyring of a home: where they are, how they are made, how they are opened."""

from api.migrations import KEYS, OPERATIONAL, is_current, upgrade
from api.settings import Settings, SettingsError
from consent.key_providers import FileKeyring
from consent.key_store import KeyStore
from identity.database import Database, open_database

_OPERATIONAL_LOCK = 1
_KEYS_LOCK = 2


def open_operational(settings: Settings) -> Database:
    """Open the operational store: sealed records, ledger, golden IDs; deleted content is overwritten too."""
    return open_database(settings.database_url, lock_id=_OPERATIONAL_LOCK, secure_delete=True)


def open_keys(settings: Settings) -> Database:
    """Open the key store; deleted content is overwritten with zeros."""
    return open_database(settings.keys_url, lock_id=_KEYS_LOCK, secure_delete=True)


def load_keyring(settings: Settings) -> FileKeyring:
    """Open the keyring of the environment or of the home. Raises SettingsError with the remedy."""
    if settings.keyring_text is not None:
        return FileKeyring.from_text(settings.keyring_text)
    if not settings.keyring_file.is_file():
        raise SettingsError(
            f"there is no keyring at {settings.keyring_file}: run `aurea init` for a new home, "
            "or restore the keyring of this one"
        )
    return FileKeyring.load(settings.keyring_file)


def check_home(settings: Settings) -> None:
    """Raise SettingsError, with the remedy, if there is no home at the place that was named."""
    if not settings.home.is_dir():
        raise SettingsError(f"there is no home at {settings.home}: run `aurea init`, or set AUREA_HOME")


def create_home(settings: Settings) -> bool:
    """Make the home, the keyring and both stores, or bring them to this version; True if it is new.

    Each step is idempotent, so a crash is repaired by running this again. A keyring is made only where
    the key store is empty: a second one could open nothing that the first has sealed.
    """
    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    db, keys = open_operational(settings), open_keys(settings)
    try:
        new = not is_current(keys, KEYS)
        if settings.keyring_text is None and not settings.keyring_file.exists():
            if not new:
                raise SettingsError(
                    f"the key store exists but its keyring {settings.keyring_file} is missing: restore it"
                )
            FileKeyring.create(settings.keyring_file)
        keyring = load_keyring(settings)
        upgrade(db, OPERATIONAL)
        upgrade(keys, KEYS)
        KeyStore(keys).initialise(keyring.home_id)
    finally:
        db.close()
        keys.close()
    for folder in (settings.access_log_dir, settings.runs_dir):
        folder.mkdir(mode=0o700, exist_ok=True)
    return new


def is_ready(db: Database, keys: Database) -> bool:
    """Whether both stores answer at the schema this version works with."""
    return is_current(db, OPERATIONAL) and is_current(keys, KEYS)
