"""`aurea doctor`: can this home work? Each check says what it found and, on failure, the remedy."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, Final

from api.settings import Settings, SettingsError
from api.stores import is_ready, load_keyring, open_keys, open_operational
from consent.errors import ConsentError
from consent.purposes import Purposes
from identity.engine import open_engine
from identity.errors import IdentityError


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one check."""

    what: str
    ok: bool
    says: str

    def as_json(self) -> dict[str, Any]:
        """Return the finding for machines."""
        return asdict(self)


def diagnose(settings: Settings) -> list[Finding]:
    """Run every check; one that fails does not keep the others from running."""
    return [_run(what, check, settings) for what, check in _CHECKS.items()]


def _run(what: str, check: Callable[[Settings], str], settings: Settings) -> Finding:
    try:
        return Finding(what, True, check(settings))
    except (SettingsError, ConsentError, IdentityError, OSError) as error:
        return Finding(what, False, str(error))


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


def _keyring(settings: Settings) -> str:
    load_keyring(settings)
    return "from AUREA_KEYRING" if settings.keyring_text else str(settings.keyring_file)


def _stores(settings: Settings) -> str:
    _home(settings)
    db, keys = open_operational(settings), open_keys(settings)
    try:
        if not is_ready(db, keys):
            raise SettingsError("not at this version: run `aurea init`")
    finally:
        db.close()
        keys.close()
    return "both at this version"


def _policy(settings: Settings) -> str:
    purposes = Purposes.load(settings.purposes_path)
    where = settings.purposes_path or "the default policy"
    return f"{len(list(purposes))} purposes from {where}"


def _engine(_settings: Settings) -> str:
    open_engine(threads=1, memory_limit=None, spill_dir=None).close()
    return "opens locked down"


_CHECKS: Final[dict[str, Callable[[Settings], str]]] = {
    "home": _home,
    "keyring": _keyring,
    "stores": _stores,
    "policy": _policy,
    "linkage engine": _engine,
}
