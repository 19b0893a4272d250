"""`aurea doctor`: can this home work? Each check says what it found and, on failure, the remedy.

What looks into the stores is in `api.diagnosis_stores`; each store by itself first, and the
rest left out where they do not open at this version.
"""

import shutil
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Final

from sqlalchemy.exc import SQLAlchemyError

from api.diagnosis_stores import STORE_CHECKS, Opened, look, opened, pages, schemas
from api.settings import Settings, SettingsError
from api.stores import load_keyring
from consent import access_log_reading
from consent.errors import ConsentError
from consent.purposes import Purposes
from identity.engine import open_engine
from identity.errors import IdentityError

LEAST_FREE_BYTES: Final = 256 * 1024 * 1024
"""What the stores' logs, an access-log segment and a run's report take between two looks, and some more."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one check."""

    what: str
    ok: bool
    says: str

    def as_json(self) -> dict[str, Any]:
        """Return the finding for machines."""
        return asdict(self)


def diagnose(settings: Settings, now: int) -> list[Finding]:
    """Run every check; one that fails does not keep the others from running. `now` in ms."""
    there = settings.home.is_dir()
    checks = {what: check for what, check in _CHECKS.items() if there or what != "disk"}
    findings = [_run(what, partial(check, settings)) for what, check in checks.items()]
    if not there:
        return findings
    findings += [_run("pages", partial(pages, settings)), _run("stores", partial(schemas, settings))]
    if not all(finding.ok for finding in findings if finding.what in {"keyring", "stores"}):
        return findings
    try:
        with opened(settings) as stores:
            return findings + list(_look_into(stores, now))
    except _EXPECTED as error:
        return [*findings, Finding("sample of records", False, _said(error))]


def _look_into(stores: Opened, now: int) -> Iterable[Finding]:
    for what, check in STORE_CHECKS.items():
        yield _run(what, partial(look, check, stores, now))


_EXPECTED: Final = (SettingsError, ConsentError, IdentityError, OSError, SQLAlchemyError)


def _run(what: str, check: Callable[[], str]) -> Finding:
    try:
        return Finding(what, True, check())
    except _EXPECTED as error:
        return Finding(what, False, _said(error))


def _said(error: Exception) -> str:
    if isinstance(error, SQLAlchemyError):  # its text quotes a statement
        return f"the store does not answer ({type(error).__name__}): restore a backup, or see its disk"
    return str(error)


def _home(settings: Settings) -> str:
    if not settings.home.is_dir():
        raise SettingsError(f"there is none at {settings.home}: run `aurea init`, or set AUREA_HOME")
    if settings.home.stat().st_mode & 0o077:
        raise SettingsError(f"others may enter {settings.home}: run chmod 700 on it")
    for path in settings.home.rglob("*"):
        with suppress(FileNotFoundError):  # a store's log comes and goes
            if path.stat().st_mode & 0o077 and path != settings.purposes_path:
                raise SettingsError(f"others may use {path}: run chmod go= on it")
    return str(settings.home)


def _disk(settings: Settings) -> str:
    free = shutil.disk_usage(settings.home).free
    if free < LEAST_FREE_BYTES:
        raise SettingsError(
            f"{free >> 20} MiB are free where the home is, and {LEAST_FREE_BYTES >> 20} are needed: free some"
        )
    return f"{free >> 20} MiB free"


def _keyring(settings: Settings) -> str:
    keyring = load_keyring(settings)
    origin = "from AUREA_KEYRING" if settings.keyring_text else str(settings.keyring_file)
    return f"{origin}, epochs {', '.join(map(str, keyring.epochs()))}"


def _policy(settings: Settings) -> str:
    purposes = Purposes.load(settings.purposes_path)
    where = settings.purposes_path or "the default policy"
    return f"{len(list(purposes))} purposes from {where}"


def _access_log(settings: Settings) -> str:
    report = access_log_reading.verify(settings.access_log_dir)
    if report.problems:
        raise SettingsError(
            f"{len(report.problems)} chain(s) are broken, first {report.problems[0]}: keep the folder as it "
            "is for whoever looks into it, and compare it with a backup"
        )
    torn = f", {report.torn} ended by a crash" if report.torn else ""
    return f"{report.entries} entries in {len(report.heads)} chain(s), intact{torn}"


def _engine(_settings: Settings) -> str:
    open_engine(threads=1, memory_limit=None, spill_dir=None).close()
    return "opens locked down"


_CHECKS: Final[dict[str, Callable[[Settings], str]]] = {
    "home": _home,
    "disk": _disk,
    "keyring": _keyring,
    "policy": _policy,
    "access log": _access_log,
    "linkage engine": _engine,
}
