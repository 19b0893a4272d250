"""Whether this process should be sent requests: `GET /readyz`.

It says no where the next write, or the next read, would fail: so that a load balancer goes elsewhere, and an
operator learns which part it is. Every check is a few statements, and none waits for another process.
"""

import os
import shutil
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from api.stores import is_ready
from consent.errors import ConsentError
from consent.purposes import Purposes
from identity.errors import IdentityError

if TYPE_CHECKING:
    from api.services import Services

LEAST_FREE_BYTES: Final = 32 * 1024 * 1024
"""Below this a write may fail any moment: the stores' logs alone grow by 4 MB between checkpoints."""

_NEWEST = text("SELECT record_no, key_id FROM records ORDER BY record_no DESC LIMIT 1")
_TRIAL: Final = bytes(32)


class Readiness:
    """The parts that must work, and whether this process is on its way out."""

    def __init__(self, services: "Services") -> None:
        self._services = services
        self.leaving = False
        self._parts: Sequence[tuple[str, Callable[[], bool]]] = (
            ("schema", lambda: is_ready(services.db, services.keys)),
            ("operational store", services.db.is_writable),
            ("key store", services.keys.is_writable),
            ("disk", self._has_room),
            ("keyring", self._opens),
            ("access log", self._logs),
            ("policy", self._has_policy),
        )

    def failing(self) -> list[str]:
        """Return the names of the parts that do not work; none: send requests."""
        if self.leaving:
            return ["shutting down"]
        return [name for name, works in self._parts if not _holds(works)]

    def _has_room(self) -> bool:
        return shutil.disk_usage(self._services.settings.home).free >= LEAST_FREE_BYTES

    def _opens(self) -> bool:
        """Open the newest record's key, or where there is no record a key made for it."""
        services = self._services
        epoch = services.keyring.active_epoch()
        services.keyring.unwrap(epoch, services.keyring.wrap(epoch, _TRIAL, b"readiness"), b"readiness")
        with services.db.read() as conn:
            newest = conn.execute(_NEWEST).one_or_none()
            if newest is None:
                return True
            with services.keys.read() as keys_conn:
                key = services.key_store.fetch(keys_conn, [newest.key_id]).get(newest.key_id)
        if key is not None:  # else it was destroyed a moment ago
            services.stores.vault.open_key(
                record_no=newest.record_no, key_id=newest.key_id, epoch=key.epoch, wrapped=key.wrapped
            )
        return True

    def _logs(self) -> bool:
        """Whether a file can be made where the access log is: a read must not find out."""
        folder = self._services.settings.access_log_dir
        folder.mkdir(mode=0o700, exist_ok=True)
        probe = folder / f".probe-{os.getpid()}"
        descriptor = os.open(probe, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            return os.write(descriptor, b"\n") == 1
        finally:
            os.close(descriptor)
            probe.unlink(missing_ok=True)

    def _has_policy(self) -> bool:
        Purposes.load(self._services.settings.purposes_path)
        return True


def _holds(works: Callable[[], bool]) -> bool:
    try:
        return works()
    except (SQLAlchemyError, ConsentError, IdentityError, OSError):
        return False
