"""What `aurea doctor` looks for inside the stores. Reads only; each check raises with the remedy.

`pages` and `schemas` look at each store by itself, and need no keyring; the others are for two sound stores.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from sqlalchemy import text

from api.migrations import versions
from api.settings import Settings, SettingsError
from api.store_places import Place, damaged, lost_store, places
from api.stores import load_keyring, open_keys, open_operational
from api.times import rfc3339
from consent.errors import VaultError
from consent.prepared_records import RecordStores
from consent.purposes import Purposes
from consent.vault import COMPARABLE
from consent.worker_stores import record_stores
from identity.database import Database
from identity.errors import StoreDamagedError
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


def pages(settings: Settings) -> str:
    """Have SQLite read every page of each store. Raises SettingsError that names each one that is damaged."""
    found = [place.name for place in places(settings) if not _reads(place)]
    if found:
        raise SettingsError("; ".join(map(damaged, found)))
    return "every page reads"


def _reads(place: Place) -> bool:
    if place.file is None or place.is_missing:  # that it is missing is for `schemas` to say
        return True
    try:
        with place.opened() as store, store.read() as conn:
            return bool(conn.execute(text("PRAGMA quick_check(1)")).scalar_one() == "ok")
    except StoreDamagedError:
        return False


def schemas(settings: Settings) -> str:
    """Compare the version of each store with the program's. Raises SettingsError, StoreDamagedError."""
    if why := lost_store(settings):
        raise SettingsError(why)
    said = []
    for place in places(settings):
        if place.is_missing:
            raise SettingsError(f"{place.file} is missing: run `aurea init`")
        with place.opened() as store:
            found, wanted = versions(store, place.history)
        if found != wanted:
            raise SettingsError(
                f"the {place.name} store is at version {found or 'none'}, this program at {wanted}: "
                "run `aurea init --backup DIR`"
            )
        said.append(f"{place.name} {found}")
    return f"{', '.join(said)}, both at this version"


@contextmanager
def opened(settings: Settings) -> Iterator[Opened]:
    """Open what the other checks read, which are for stores of this version."""
    keyring = load_keyring(settings)
    db, keys = open_operational(settings), open_keys(settings)
    try:
        policy = Purposes.load(None)  # what is looked at does not depend on it
        yield Opened(db, keys, record_stores(db, keys, keyring, policy, origin=settings.ledger_origin))
    finally:
        db.close()
        keys.close()


def look(check: Callable[[Opened, int], str], stores: Opened, now: int) -> str:
    """Do a check that may read both stores. Raises SettingsError that says which one is damaged."""
    try:
        return check(stores, now)
    except StoreDamagedError as error:
        both = ((stores.db, "operational"), (stores.keys, "key"))
        found = [damaged(name) for store, name in both if store.damaged]
        raise SettingsError("; ".join(found) or str(error)) from None


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
    "sample of records": _sample,
    "ledger": _ledger,
    "clock": _clock,
    "linkage runs": _runs,
    "erasures": _erasures,
    "rotation of keys": _rotation,
    "deliveries": _deliveries,
}
