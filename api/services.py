"""The composition root: builds every object of the service from settings, once per process."""

import time
from collections.abc import Callable

from sqlalchemy.exc import SQLAlchemyError

from api.auth import Clients, Tokens
from api.gauges import StoreGauges
from api.settings import Settings, SettingsError
from api.stores import check_home, is_ready, load_keyring, open_keys, open_operational


def wall_clock() -> int:
    """Return milliseconds since the epoch, UTC: the only clock of the service."""
    return time.time_ns() // 1_000_000


class Services:
    """Every object of one process. Made by `open_services`, closed by whoever opened it."""

    def __init__(self, settings: Settings, clock: Callable[[], int] = wall_clock) -> None:
        self.settings = settings
        self.clock = clock
        self.keyring = load_keyring(settings)
        self.db = open_operational(settings)
        self.keys = open_keys(settings)
        self.clients = Clients(self.db, clock)
        self.tokens = Tokens(self.keyring.token_secret(), clock, seconds=settings.token_seconds)
        self.gauges = StoreGauges(self.db)

    def ready(self) -> bool:
        """Whether both stores answer at the schema this version works with."""
        try:
            return is_ready(self.db, self.keys)
        except SQLAlchemyError:
            return False

    def close(self) -> None:
        """Release the stores."""
        self.db.close()
        self.keys.close()


def open_services(settings: Settings, clock: Callable[[], int] = wall_clock) -> Services:
    """Open the home that `settings` names. Raises SettingsError with the remedy if it is not usable."""
    check_home(settings)
    services = Services(settings, clock)
    if not services.ready():
        services.close()
        raise SettingsError(f"the stores of {settings.home} are not at this version: run `aurea init`")
    return services
