"""`aurea restore`: a home from a backup, and nobody back who was erased since.

1. Manifests, files and keyring are checked; a keyring that was named and fits is put into the home. The mark
   `restoring` is set: until it goes, no command opens this home. A crash leaves it, and the same command
   begins anew.
2. The stores are put in their place and brought to this version.
3. Numbers go on far above those of the backup, so that none is given out twice.
4. What was left half done is finished. Records whose key is destroyed go: with a key store newer than the
   data that is whatever was deleted in between.
5. The erasure log is replayed: whoever was erased since the backup is erased again, with a new receipt.
6. The whole ledger is verified against the checkpoint of the backup, and the mark goes.
"""

import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import bindparam, text

from api.backup import KEY_STORE, OPENDSR, OPENDSR_KEY, write_private
from api.migrations import KEYS, OPERATIONAL, upgrade
from api.services import Services
from api.settings import Settings, SettingsError
from api.stores import keyring_codec, load_keyring, open_keys, open_operational
from api.times import rfc3339
from consent import backup_manifest, checkpoints
from consent.backup_manifest import Manifest, check_part
from consent.erasure_log import read_log
from consent.errors import BackupError, KeyUnavailableError, UnknownSubjectError
from consent.key_providers import FileKeyring
from consent.key_store import KeyStore
from consent.sealed_files import open_file
from identity.statements import slices

GAP: Final = 1_000_000
"""How far numbers jump: more than a home that is backed up daily gives out until it is lost."""
_AT_ONCE: Final = 500

_JUMP = text("UPDATE counters SET value = value + :gap WHERE name IN :names").bindparams(
    bindparam("names", expanding=True)
)
_JUMP_KEYS = text("UPDATE key_counters SET value = value + :gap WHERE name IN :names").bindparams(
    bindparam("names", expanding=True)
)
# What the access log, receipts, messages (to tell a repetition) and feeds name.
_NUMBERS: Final = ("golden_no", "request_no", "delivery_no", "change_seq")
_KEY_NUMBERS: Final = ("key_id", "contact_no", "erasure_no")
_RECORDS = text("""
    SELECT record_no, key_id FROM records WHERE record_no > :after ORDER BY record_no LIMIT :count
""")
_LIVE = text("SELECT COUNT(*) FROM records WHERE record_no = :record_no")
_FINISHED = text("SELECT COUNT(*) FROM erasures WHERE erasure_no = :no AND finished_at IS NOT NULL")
_COUNT = text("SELECT COUNT(*) FROM records")


@dataclass(frozen=True, slots=True)
class Source:
    """Where a backup's parts are. `keys` None: the home's own key store stays."""

    data: Path
    keys: Path | None
    keyring: Path | None = None  # put into the home once it is seen to be the backup's; None: it is there
    erasures: Path | None = None  # None: the log that the home keeps, else the backup's
    checkpoint: str | None = None  # kept elsewhere: says what the backup lacks


def restore(settings: Settings, source: Source, clock: Callable[[], int]) -> dict[str, Any]:
    """Restore into an empty home, which may hold keyring and policy. Raises BackupError, SettingsError."""
    if not (settings.database_url.startswith("sqlite") and settings.keys_url.startswith("sqlite")):
        raise BackupError("a store on PostgreSQL is restored with PostgreSQL's own means: see its manual")
    _require_empty(settings, keep_keys=source.keys is None)
    keyring = _keyring(settings, source)
    manifest = _checked(source, keyring)
    if source.keyring is not None and not settings.keyring_file.exists():
        write_private(settings.keyring_file, source.keyring.read_bytes())
    _begin(settings, keep_keys=source.keys is None)
    _put(settings, source, keyring)
    _bring_up(settings, keyring, keep_keys=source.keys is None)
    services = Services(settings, clock)  # `open_services` refuses while the mark is there
    try:
        dropped, replayed, unknown = _replay(services, manifest, source.erasures)
        answer = _verified(services, manifest, source.checkpoint)
    finally:
        services.close()
    settings.restoring.unlink()
    unrefused = 0 if source.keys is None else unknown  # the key store that stayed refuses them
    replays = {"erasures_replayed": replayed, "erasures_unrefused": unrefused, "records_dropped": dropped}
    return answer | replays


# 1. The checks and the mark


def _require_empty(settings: Settings, *, keep_keys: bool) -> None:
    home, mark = settings.home, settings.restoring
    if mark.exists():
        if (mark.read_text() == "keep keys") != keep_keys:
            raise BackupError("an interrupted restore is to be repeated with the same options")
        return
    if not home.is_dir():
        home.mkdir(mode=0o700, parents=True)
    if keep_keys and not (home / "keys.db").is_file():
        raise BackupError(f"--keep-keys: there is no key store in {home}")
    keys = {"keys.db", "keys.db-wal", "keys.db-shm"} if keep_keys else set()
    kept = {"keyring", ".keyring.lock", "purposes.toml", "erasures.jsonl", "access-log", OPENDSR_KEY, "spill"}
    found = sorted(path.name for path in home.iterdir() if path.name not in kept | keys)
    if found:
        raise BackupError(
            f"{home} is not empty (it holds {', '.join(found[:3])}): name a new home, or move these away"
        )


def _keyring(settings: Settings, source: Source) -> FileKeyring:
    """Return the keyring that was named, else that of the home or the environment."""
    if source.keyring is None:
        if settings.keyring_text is None and not settings.keyring_file.is_file():
            raise BackupError(f"there is no keyring at {settings.keyring_file}: name it with --keyring FILE")
        return load_keyring(settings)
    if settings.keyring_text is not None:
        raise BackupError("--keyring and AUREA_KEYRING: name one of them")
    named, held = source.keyring.read_bytes(), settings.keyring_file
    if held.exists() and held.read_bytes() != named:
        raise BackupError(
            f"{held} is another keyring than the one named: move it away, or leave --keyring out"
        )
    return FileKeyring(keyring_codec(settings).decode(named), None)


def _checked(source: Source, keyring: FileKeyring) -> Manifest:
    """Return the manifest of the data, once both parts and their fitting together are checked."""
    key = keyring.signing_key().public_key()
    manifest = backup_manifest.read(source.data, key)
    check_part(manifest, source.data, "data")
    if source.keys is not None:
        of_keys = backup_manifest.read(source.keys, key)
        check_part(of_keys, source.keys, "keys")
        if of_keys.made_at < manifest.made_at:
            raise BackupError(
                f"the keys are of {rfc3339(of_keys.made_at)}, older than the data: records written in "
                "between would not open. Restore the keys of the same backup, or newer ones"
            )
    return manifest


def _begin(settings: Settings, *, keep_keys: bool) -> None:
    settings.home.chmod(0o700)
    if not settings.restoring.exists():
        write_private(settings.restoring, b"keep keys" if keep_keys else b"")
    for name in ("aurea.db",) if keep_keys else ("aurea.db", "keys.db"):
        for ending in ("", "-wal", "-shm"):
            (settings.home / (name + ending)).unlink(missing_ok=True)


# 2. The stores


def _put(settings: Settings, source: Source, keyring: FileKeyring) -> None:
    home = settings.home
    if source.keys is not None:
        try:
            open_file(source.keys / KEY_STORE, home / "keys.db", keyring, KEY_STORE)
        except KeyUnavailableError:
            raise BackupError(
                "the key epoch that sealed these keys is destroyed, so that nobody opens them any more; a "
                "newer backup is needed"
            ) from None
        if (source.keys / OPENDSR).is_file() and not (home / OPENDSR_KEY).exists():
            open_file(source.keys / OPENDSR, home / OPENDSR_KEY, keyring, OPENDSR)
    for folder in (settings.access_log_dir, settings.runs_dir):
        folder.mkdir(mode=0o700, exist_ok=True)
        for path in _files(source.data / folder.name):
            _put_file(path, folder / path.name)
    for name in ("purposes.toml", "erasures.jsonl"):
        if (source.data / name).is_file():
            _put_file(source.data / name, home / name)
    write_private(home / "aurea.db", b"")
    shutil.copyfile(source.data / "aurea.db", home / "aurea.db")


def _files(folder: Path) -> Iterable[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else ()


def _put_file(path: Path, to: Path) -> None:
    if not to.exists():  # what the home still holds is newer
        write_private(to, path.read_bytes())


def _bring_up(settings: Settings, keyring: FileKeyring, *, keep_keys: bool) -> None:
    """Do what the services need to open: the schemas of this version, and numbers far above the old."""
    db, keys = open_operational(settings), open_keys(settings)
    try:
        upgrade(db, OPERATIONAL)
        upgrade(keys, KEYS)
        KeyStore(keys).initialise(keyring.home_id)
        with db.write() as conn:
            conn.execute(_JUMP, {"gap": GAP, "names": _NUMBERS})
        if not keep_keys:
            with keys.write() as conn:
                conn.execute(_JUMP_KEYS, {"gap": GAP, "names": _KEY_NUMBERS})
    finally:
        db.close()
        keys.close()


# 4. and 5. What must not come back


def _replay(services: Services, manifest: Manifest, log: Path | None) -> tuple[int, int, int]:
    """Return how many dead records went, how many erasures were repeated, and how many are unknown here.

    Unknown are those of people who came after the backup: nothing is left by which to know them again.
    """
    services.recover()
    dropped = _drop_dead(services)
    path = log or services.settings.erasure_log
    if log is not None and not log.is_file():
        raise SettingsError("--erasures names no readable file")
    replayed = unknown = 0
    logged = list(read_log(path, services.ledger.verifier_key())) if path.is_file() else []
    for each in logged:
        if each.finished_at + 1000 < manifest.made_at:  # the log is to the second
            continue
        with services.db.read() as conn:
            known = conn.execute(_FINISHED, {"no": each.erasure_no}).scalar_one()
            live = [no for no in each.record_nos if conn.execute(_LIVE, {"record_no": no}).scalar_one()]
        unknown += not known and not live
        if not live:  # that its number is `known` would say nothing: two restores give the same ones
            continue
        try:
            services.erasure.erase(live, request_id=each.request_id, now=services.clock())
        except UnknownSubjectError:
            continue
        replayed += 1
    return dropped, replayed, unknown


def _drop_dead(services: Services) -> int:
    """Remove the records that no key opens, by the way of every deletion; return how many."""
    dropped, after = 0, 0
    while True:
        with services.db.read() as conn:
            rows = conn.execute(_RECORDS, {"after": after, "count": _AT_ONCE}).all()
            with services.keys.read() as keys_conn:
                live = services.key_store.fetch(keys_conn, [row.key_id for row in rows])
        if not rows:
            return dropped
        after = rows[-1].record_no
        dead = [row.record_no for row in rows if row.key_id not in live]
        if dead:
            _note(services, dead)
            services.writer.finish_destructions(services.clock())
            dropped += len(dead)


def _note(services: Services, record_nos: Sequence[int]) -> None:
    with services.db.write() as conn:
        for part in slices(record_nos):
            services.writer.note_destruction(conn, part, services.clock())


# 6. Proof


def _verified(services: Services, manifest: Manifest, kept: str | None) -> dict[str, Any]:
    report = services.ledger.verify(manifest.checkpoint)
    if not report.ok:
        raise BackupError(f"the restored ledger does not verify: {report.reason}; the home stays closed")
    lost = 0
    if kept is not None:
        key = services.keyring.signing_key().public_key()
        promised = checkpoints.verify(kept, services.ledger.origin, key)
        if promised.size > manifest.ledger_size:
            lost = promised.size - manifest.ledger_size
        elif not services.ledger.verify(kept).ok:
            raise BackupError("the checkpoint given is not of the restored ledger; the home stays closed")
    with services.db.read() as conn:
        records = int(conn.execute(_COUNT).scalar_one())
    return {
        "home": str(services.settings.home),
        "backup": manifest.backup,
        "made_at": rfc3339(manifest.made_at),
        "records": records,
        "ledger_size": report.size,
        "checkpoints": report.checkpoints,
        "ledger_entries_lost": lost,
    }
