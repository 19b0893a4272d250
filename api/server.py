"""`aurea serve`: HTTP workers over one home, by uvicorn. Each worker builds its own services."""

import errno
import os
import signal
import socket
import tempfile
from types import FrameType
from typing import Final, NoReturn

from starlette.types import ASGIApp

from api.app import create_app
from api.observability import LOG_CONFIG, configure_logging
from api.services import open_services
from api.settings import Settings, SettingsError

GRACE_SECONDS: Final = 10  # how long a stopping worker waits for requests under way
BACKLOG: Final = 2048


def application() -> ASGIApp:
    """Return the application of one worker process; called by uvicorn in each."""
    settings = Settings.from_environment()
    configure_logging(settings.log_level)
    return create_app(open_services(settings))


def _end(_signal: int, _frame: FrameType | None) -> NoReturn:
    """End cleanly: the server hands the signal on to this once everything under way is answered."""
    raise SystemExit(0)


def check_address(host: str, port: int) -> None:
    """See whether this machine can listen there. Raises SettingsError with the remedy."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except socket.gaierror:
        raise SettingsError("--host is no address: name one of this machine, such as 127.0.0.1") from None
    except OSError as error:
        why, remedy = _REFUSED.get(
            error.errno or 0, ("cannot be listened on", "name another --host or --port")
        )
        raise SettingsError(f"port {port} of {host} {why}: {remedy}") from None


_REFUSED: Final = {
    errno.EADDRINUSE: ("is in use", "stop what listens there, or name another port with --port"),
    errno.EACCES: ("is reserved", "name a port above 1023 with --port"),
    errno.EADDRNOTAVAIL: ("is not of this machine", "name another address with --host"),
}


def run(settings: Settings, *, host: str, port: int, workers: int) -> None:
    """Serve until interrupted. The home must be ready: the caller has opened it once already.

    Raises SettingsError where the server cannot start.
    """
    import uvicorn  # noqa: PLC0415 - the workers' half of this module does not need it

    check_address(host, port)
    configure_logging(settings.log_level)
    signal.signal(signal.SIGTERM, _end)
    with tempfile.TemporaryDirectory(prefix="aurea-metrics-") as pooled:
        if workers > 1:
            # The metrics library pools the workers' counters in files of this folder.
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = pooled
        try:
            uvicorn.run(
                "api.server:application",
                factory=True,
                host=host,
                port=port,
                workers=workers,
                loop="uvloop",
                http="httptools",
                ws="none",
                backlog=BACKLOG,
                log_config=LOG_CONFIG,
                access_log=False,  # it would print paths; `Observe` logs route templates
                server_header=False,
                proxy_headers=False,  # nothing here depends on a peer's address
                timeout_graceful_shutdown=GRACE_SECONDS,
            )
        except SystemExit as end:
            if end.code in (None, 0):
                raise
            # The server's own status 3 would mean "done with rejected rows" here.
            raise SettingsError("the server could not start: its log above says why") from None
