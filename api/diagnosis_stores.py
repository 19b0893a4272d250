"""What `aurea doctor` looks for inside the stores. Reads only; each check raises with the remedy."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from sqlalchemy import text

from api.migrations import KEYS, OPERATIONAL, versions
from api.settings import Settings, SettingsError
from api.store_places import lost_store
from api.stores import check_usable, load_keyring, open_keys, open_operational
from api.times import rfc3339
from consent.errors import VaultError
from consent.prepared_records import RecordStores
from consent.purposes import Purposes
from consent.vault import COMPARABLE
from consent.worker_stores import record_stores
from identity.database import Database
from identity.leases import is_cut_off

PATIENCE_MS: Final = 5 * 60_000
"""How long a step may be under way before it counts as interrupted."""
SAMPLE: Final = 20
"""Records that are opened: some of the first, some of the last."""
SKEW_MS: Final = 5 * 60_000
"""How far the clock may lie behind the newest event: as far as a sender's may lie ahead (the contract)."""

_LEDGER_TIME = text("SELECT value FROM counters WHERE name = 'ledger_time'")
_SAMPLE = text("""
    SELECT record_no, key_id, comparable FROM records WHERE record_no IN (
        SELECT record_no FROM (SELECT record_no FROM records ORDER BY record_no LIMIT :n) AS first
        UNION SELECT record_no FROM (SELECT record_no FROM records ORDER BY record_no DESC LIMIT :n) AS last)
""")
_RUNNING = text("SELECT run_id, holder, lease_until FROM runs WHERE status = 'running'")
_ERASURES = text("""
    SELECT COUNT(*) AS n, MIN(started_at) AS since FROM erasures
    WHERE finished_at IS NULL AND started_at < :before
""")
_DESTRUCTIONS = text("""
    SELECT COUNT(*) AS n, MIN(requested_at) AS since FROM pending_destructions WHERE requested_at < :before
""")
_OVERDUE = text("SELECT COUNT(*) FROM deliveries WHERE dead = 0 AND due_at < :before")
_DEAD = text("SELECT COUNT(*) FROM deliveries WHERE dead = 1")
_ROTATING = text("""
    SELECT epoch FROM key_epochs
    WHERE created_at < :before AND rewrapped_at IS NULL AND destroyed_at IS NULL ORDER BY epoch
""")


@dataclass(frozen=True, slots=True)
class Opened:
    """The stores of a home, and what reads them."""

    db: Database
    keys: Database
    all: RecordStores


@contextmanager
def opened(settings: Settings) -> Iterator[Opened]:
    """Open what the checks read. Raises SettingsError where the stores are missing or of another version."""
    if why := lost_store(settings):
        raise SettingsError(why)
    keyring = load_keyring(settings)
    db, keys = open_operational(settings), open_keys(settings)
    try:
        for store, history in ((db, OPERATIONAL), (keys, KEYS)):
            found, wanted = versions(store, history)
            if found != wanted:
                raise SettingsError(
                    f"the {history.name} store is at version {found or 'none'}, this program at {wanted}: "
                    "run `aurea init --backup DIR`"
                )
        check_usable(db, keys)
        policy = Purposes.load(None)  # what is looked at does not depend on it
        yield Opened(db, keys, record_stores(db, keys, keyring, policy, origin=settings.ledger_origin))
    finally:
        db.close()
        keys.close()


def _stores(stores: Opened, _now: int) -> str:
    (_, operational), (_, keys) = versions(stores.db, OPERATIONAL), versions(stores.keys, KEYS)
    return f"operational {operational}, keys {keys}, both at this version"


def _pages(stores: Opened, _now: int) -> str:
    for store, name in ((stores.db, "operational"), (stores.keys, "key")):
        if store.is_sqlite:
            with store.read() as conn:
                says = conn.execute(text("PRAGMA quick_check(1)")).scalar_one()
            if says != "ok":
                raise SettingsError(
                    f"the {name} store is damaged: stop the service, keep the file, and restore a backup"
                )
    return "every page reads"


def _sample(stores: Opened, _now: int) -> str:
    with stores.db.read() as conn:
        rows = conn.execute(_SAMPLE, {"n": SAMPLE // 2}).all()
        with stores.keys.read() as keys_conn:
            keys = stores.all.key_store.fetch(keys_conn, [row.key_id for row in rows])
    opens = 0
    for record_no, key_id, sealed in rows:
        if (key := keys.get(key_id)) is None:
            continue  # destroyed a moment ago, or its removal is under way
        try:
            data = stores.all.vault.open_key(
                record_no=record_no, key_id=key_id, epoch=key.epoch, wrapped=key.wrapped
            )
            data.open(COMPARABLE, sealed)
        except VaultError:
            raise SettingsError(
                f"record {record_no} does not open: is this the keyring, and the key store, of this home? "
                "Restore the matching ones"
            ) from None
        opens += 1
    if rows and not opens:
        raise SettingsError("none of the records has a key: restore the key store that belongs to them")
    return f"{opens} of {len(rows)} records looked at open"


def _ledger(stores: Opened, _now: int) -> str:
    size, signed = stores.all.ledger.head()  # raises LedgerCorruptError, CheckpointError
    return f"{size} entries, extend the checkpoint of {signed}" if signed else f"{size} entries, none signed"


def _clock(stores: Opened, now: int) -> str:
    with stores.db.read() as conn:
        last = int(conn.execute(_LEDGER_TIME).scalar_one())
    if last > now + SKEW_MS:
        raise SettingsError(
            f"it lies {(last - now) // 1000} s behind the newest entry of the ledger ({rfc3339(last)}): set "
            "it; consents lapse by the later of the two meanwhile"
        )
    return "not behind the ledger"


def _runs(stores: Opened, now: int) -> str:
    with stores.db.read() as conn:
        running = conn.execute(_RUNNING).all()
    dead = [run.run_id for run in running if is_cut_off(run.holder, run.lease_until, now)]
    if dead:
        raise SettingsError(
            f"{', '.join(dead)} was cut off; the state before it goes on serving: run `aurea link` again"
        )
    return f"{len(running)} under way" if running else "none cut off"


def _erasures(stores: Opened, now: int) -> str:
    before = {"before": now - PATIENCE_MS}
    with stores.db.read() as conn:
        erasures, keys = conn.execute(_ERASURES, before).one(), conn.execute(_DESTRUCTIONS, before).one()
    for found, what in ((erasures, "erasure(s)"), (keys, "destruction(s) of keys")):
        if found.n:
            raise SettingsError(
                f"{found.n} {what} unfinished since {rfc3339(found.since)}: start `aurea serve`, which "
                "completes them, and see its log if it does not"
            )
    return "none unfinished"


def _rotation(stores: Opened, now: int) -> str:
    with stores.keys.read() as conn:
        epochs = conn.execute(_ROTATING, {"before": now - PATIENCE_MS}).scalars().all()
    if epochs:
        raise SettingsError(f"that to epoch {epochs[-1]} is unfinished: run `aurea keys rotate` again")
    return "none unfinished"


def _deliveries(stores: Opened, now: int) -> str:
    with stores.db.read() as conn:
        dead = conn.execute(_DEAD).scalar_one()
        overdue = conn.execute(_OVERDUE, {"before": now - PATIENCE_MS}).scalar_one()
    if dead:
        raise SettingsError(f"{dead} given up: see `aurea webhook dead`, mend the receiver, then add --retry")
    if overdue:
        raise SettingsError(f"{overdue} overdue, so nobody is sending: start `aurea serve`")
    return "none given up or overdue"


STORE_CHECKS: Final[dict[str, Callable[[Opened, int], str]]] = {
    "stores": _stores,
    "pages": _pages,
    "sample of records": _sample,
    "ledger": _ledger,
    "clock": _clock,
    "linkage runs": _runs,
    "erasures": _erasures,
    "rotation of keys": _rotation,
    "deliveries": _deliveries,
}
