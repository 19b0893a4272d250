"""`aurea backup`: both stores as of one moment, in two parts that are kept apart.

    DIR/data/   aurea.db (sealed records, ledger, golden IDs), access-log/, runs/, erasures.jsonl,
                purposes.toml
    DIR/keys/   keys.sealed (the key store), opendsr.sealed
    and in each manifest.json, signed, written last: without it there is no backup

The part `keys` is sealed under the key epoch of the day, tokens and all: when that epoch is destroyed, nobody
opens it any more, with whatever keyring of that time. The keyring itself is in neither part.
"""

import os
import secrets
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import text

from api import __version__
from api.migrations import KEYS, OPERATIONAL, versions
from api.settings import Settings, SettingsError
from api.spill import KEY_COPY, spill_folder
from api.store_places import lost_store
from api.stores import check_home, load_keyring, open_keys, open_operational
from api.times import rfc3339
from consent import backup_manifest
from consent.backup_manifest import MANIFEST, Manifest, hash_of
from consent.checkpoints import size_of
from consent.erasure import KEY_BACKUP_DAYS
from consent.errors import BackupError
from consent.key_providers import FileKeyring
from consent.purposes import Purposes
from consent.retention import DAY_MS
from consent.sealed_files import seal_file
from consent.store_copies import check_copy, copy_stores, wipe
from consent.worker_stores import record_stores
from identity.database import Database, open_database

KEY_STORE: Final = "keys.sealed"
OPENDSR: Final = "opendsr.sealed"
OPENDSR_KEY: Final = "opendsr.pem"
_COUNT = text("SELECT COUNT(*) FROM records")


@dataclass(frozen=True, slots=True)
class _Home:
    settings: Settings
    db: Database
    keys: Database
    keyring: FileKeyring


def back_up(settings: Settings, folder: Path, now: int) -> dict[str, Any]:
    """Back the home up into the new folder `folder`, and read it back. `now` in ms.

    Needs nothing of the running service and does not disturb it. Works on stores of an older schema, so
    that it can come before an upgrade. Raises BackupError, SettingsError.
    """
    check_home(settings)
    if folder.resolve().is_relative_to(settings.home.resolve()):
        raise BackupError(f"{folder} is inside the home, beside the keyring: name a folder elsewhere")
    if why := lost_store(settings):
        raise SettingsError(why)
    keyring = load_keyring(settings)
    db, keys = open_operational(settings), open_keys(settings)
    try:
        home = _Home(settings, db, keys, keyring)
        _make_folder(folder)
        return _write(home, folder, now)
    except OSError as error:
        raise BackupError(f"the backup cannot be written: {error.strerror} ({error.filename})") from None
    finally:
        db.close()
        keys.close()


def _make_folder(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise BackupError(f"{folder} is not empty: name a new folder for every backup")
    for part in ("data", "keys"):
        (folder / part).mkdir(mode=0o700)


def _write(home: _Home, folder: Path, now: int) -> dict[str, Any]:
    note = _ledger(home, home.db).checkpoint(now)  # before the snapshot, so that this holds it
    data, held = folder / "data", folder / "keys"
    with spill_folder(home.settings.home) as temporary:
        copied = temporary / KEY_COPY
        try:
            copy_stores(home.db, home.keys, db_to=data / "aurea.db", keys_to=copied)
            check_copy(copied)
            epoch = seal_file(copied, held / KEY_STORE, home.keyring, KEY_STORE)
        finally:
            if copied.exists():
                wipe(copied)
    check_copy(data / "aurea.db")
    if (home.settings.home / OPENDSR_KEY).is_file():
        seal_file(home.settings.home / OPENDSR_KEY, held / OPENDSR, home.keyring, OPENDSR)
    _copy_files(home.settings, data)
    records = _check_data(home, data / "aurea.db")
    manifest = Manifest(
        backup=f"b_{secrets.token_hex(8)}",
        home=f"{home.keyring.home_id:016x}",
        made_at=now,
        epoch=epoch,
        schema={h.name: versions(s, h)[0] or "" for s, h in ((home.db, OPERATIONAL), (home.keys, KEYS))},
        ledger_size=size_of(note),
        checkpoint=note,
        program=__version__,
        files={str(path.relative_to(folder)): hash_of(path) for path in _files(folder)},
    )
    for part in (held, data):
        write_private(part / MANIFEST, backup_manifest.encode(manifest, home.keyring.signing_key()))
    return {
        "backup": manifest.backup,
        "folder": str(folder),
        "made_at": rfc3339(now),
        "records": records,
        "ledger_size": manifest.ledger_size,
        "key_epoch": epoch,
        "bytes": sum(path.stat().st_size for path in _files(folder)),
        "delete_keys_by": rfc3339(now + KEY_BACKUP_DAYS * DAY_MS),
    }


def _copy_files(settings: Settings, data: Path) -> None:
    """Copy what is no store: of a file that is being appended to, the whole lines."""
    for source in (settings.access_log_dir, settings.runs_dir):
        if source.is_dir():
            (data / source.name).mkdir(mode=0o700)
            for path in sorted(source.iterdir()):
                if path.is_file():
                    write_private(data / source.name / path.name, _whole_lines(path))
    named = {"erasures.jsonl": settings.erasure_log, "purposes.toml": settings.purposes_path}
    for name, kept in named.items():
        if kept is not None and kept.is_file():
            write_private(data / name, kept.read_bytes())


def _whole_lines(path: Path) -> bytes:
    content = path.read_bytes()
    return content[: content.rfind(b"\n") + 1] if path.suffix == ".jsonl" else content


def _check_data(home: _Home, copy: Path) -> int:
    """See that the copied ledger extends the checkpoint; return how many records there are."""
    with closing(open_database(f"sqlite:///{copy}")) as db:
        _ledger(home, db).head()
        with db.read() as conn:
            return int(conn.execute(_COUNT).scalar_one())


def _ledger(home: _Home, db: Database) -> Any:
    policy = Purposes.load(home.settings.purposes_path)
    return record_stores(db, home.keys, home.keyring, policy, origin=home.settings.ledger_origin).ledger


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def write_private(path: Path, content: bytes) -> None:
    """Write a new file for its owner only, durably."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
