"""Where the two stores of a home are, and which of them is lost.

A store is lost where its file is missing or nothing is in it, and the other one is in use. Nothing may make
it anew then: an empty store beside the other is a forked ledger under the same key, without what people
withdrew. Where neither is in use, a first `aurea init` was interrupted, and repeating it completes it.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import URL, make_url, text
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from api.migrations import KEYS, OPERATIONAL, History, versions
from api.migrations.marks import hindrance
from api.settings import Settings, SettingsError
from identity.database import Database, open_database
from identity.errors import IdentityError, StoreDamagedError

OPERATIONAL_LOCK: Final = 1
KEYS_LOCK: Final = 2


@dataclass(frozen=True, slots=True)
class Place:
    """One of the two stores: what it is called, and where it is."""

    history: History
    name: str
    variable: str
    url: str
    lock_id: int
    usual: Path  # its file where the variable is not set

    @property
    def file(self) -> Path | None:
        """The file of an embedded store."""
        parts = parsed(self.url, self.variable)
        embedded = parts.get_backend_name() == "sqlite" and parts.database not in {None, "", ":memory:"}
        return Path(str(parts.database)) if embedded and "uri" not in parts.query else None

    @property
    def is_missing(self) -> bool:
        """Whether it is embedded, and its file is not there."""
        return self.file is not None and not self.file.is_file()

    @contextmanager
    def opened(self) -> Iterator[Database]:
        """Open this store alone. Raises StoreDamagedError that says which store it is."""
        store = open_store(self.url, self.variable, lock_id=self.lock_id)
        try:
            yield store
        except StoreDamagedError as error:
            raise (StoreDamagedError(damaged(self.name)) if store.damaged else error) from None
        finally:
            store.close()

    def make(self) -> None:
        """Make an embedded store's empty file for its owner only; SQLite gives its log the same mode."""
        if self.file is None:
            return
        try:
            os.close(os.open(self.file, os.O_WRONLY | os.O_CREAT, 0o600))
        except (FileNotFoundError, NotADirectoryError):
            raise SettingsError(
                f"{self.variable} names a store in {self.file.parent}, and there is no such folder: make it"
            ) from None

    def lost(self) -> str:
        """Say that it is lost while the other is in use, with the remedy."""
        where = self.usual.name if self.file == self.usual else f"the store that {self.variable} names"
        state = "is missing" if self.is_missing else "holds nothing"
        other = "key" if self.history is OPERATIONAL else "operational"
        remedy = "restore a backup" + ("" if self.file == self.usual else f", or correct {self.variable}")
        return f"{where} {state} but its {other} store exists and is in use: {remedy}"


def places(settings: Settings) -> tuple[Place, Place]:
    """Return where the operational store and the key store are."""
    home, at, keys_at = settings.home.resolve(), settings.database_url, settings.keys_url
    return (
        Place(OPERATIONAL, "operational", "AUREA_DATABASE_URL", at, OPERATIONAL_LOCK, home / "aurea.db"),
        Place(KEYS, "key", "AUREA_KEYS_URL", keys_at, KEYS_LOCK, home / "keys.db"),
    )


def damaged(name: str) -> str:
    """Say that the store of this name is damaged, with the remedy."""
    return f"the {name} store is damaged: stop the service, keep its files, and restore a backup"


def parsed(url: str, named: str) -> URL:
    """Return the parts of the URL of a store. Raises SettingsError, saying what `named` it, if it is none."""
    try:
        parts = make_url(url)
        if "@" in (parts.host or ""):  # the end of a password, which errors would show as the host
            raise SettingsError(f"{named}: write %40 for an @ in the password, or use PGPASSFILE")
        if parts.get_backend_name() in {"sqlite", "postgresql"}:
            return parts
    except (ArgumentError, ValueError):  # a message may quote the URL, which carries a password
        raise SettingsError(f"{named} is no database URL: use postgresql+psycopg://user@host/name") from None
    raise SettingsError(f"{named} names no store that Aurea knows: use postgresql+psycopg://")


def open_store(url: str, named: str, *, lock_id: int) -> Database:
    """Open one store, never making its file. Raises SettingsError if nothing here can open such a URL."""
    parsed(url, named)
    try:
        return open_database(url, lock_id=lock_id, secure_delete=True, create=False)
    except NoSuchModuleError:
        raise SettingsError(f"{named} is no database URL: use postgresql+psycopg://user@host/name") from None
    except ImportError:
        raise SettingsError(
            f"{named} needs the PostgreSQL driver: pip install aurea[postgres], "
            "and begin the URL with postgresql+psycopg://"
        ) from None


def open_existing(settings: Settings, place: Place) -> Database:
    """Open a store of the home. Raises SettingsError, with the remedy, if its file is missing."""
    if place.is_missing:
        raise SettingsError(lost_store(settings) or f"{place.file} is missing: run `aurea init`")
    return open_store(place.url, place.variable, lock_id=place.lock_id)


def lost_store(settings: Settings) -> str | None:
    """Say which store is lost while the other is in use, with the remedy; None if neither is.

    Raises SettingsError where one has moved or is an incomplete copy, StoreDamagedError where one is damaged.
    """
    empty: list[Place] = []
    in_use = False
    for place in places(settings):
        if place.is_missing:
            empty.append(place)
            continue
        with place.opened() as store:
            if why := hindrance(store):
                raise SettingsError(why)
            if versions(store, place.history)[0] is None:
                empty.append(place)
            else:
                in_use = in_use or _is_used(store, place.history)
    return empty[0].lost() if in_use and empty else None


def is_blank(settings: Settings) -> bool:
    """Whether neither store holds anything yet. Raises StoreDamagedError, SettingsError."""
    for place in places(settings):
        if not place.is_missing:
            with place.opened() as store:
                if versions(store, place.history)[0] is not None:
                    return False
    return True


def holds_keys(settings: Settings) -> bool:
    """Whether there is a key store, so that a new keyring would open nothing; also if it cannot be read."""
    place = places(settings)[1]
    if place.is_missing:
        return False
    try:
        with place.opened() as store:
            return versions(store, place.history)[0] is not None
    except (IdentityError, SQLAlchemyError):
        return True


def _is_used(store: Database, history: History) -> bool:
    """Whether anything was ever written: all that is stored has a number, which some counter gave out."""
    used = f"SELECT COUNT(*) FROM {history.counters} WHERE value > 0 AND name <> 'home'"  # noqa: S608 - our name
    with store.read() as conn:
        return bool(conn.execute(text(used)).scalar_one())
