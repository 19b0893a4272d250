"""`aurea serve`: HTTP workers over one home, by uvicorn. Each worker builds its own services."""

import os
import signal
import tempfile
from types import FrameType
from typing import Final, NoReturn

from starlette.types import ASGIApp

from api.app import create_app
from api.observability import LOG_CONFIG, configure_logging
from api.services import open_services
from api.settings import Settings

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


def run(settings: Settings, *, host: str, port: int, workers: int) -> None:
    """Serve until interrupted. The home must be ready: the caller has opened it once already."""
    import uvicorn  # noqa: PLC0415 - the workers' half of this module does not need it

    configure_logging(settings.log_level)
    signal.signal(signal.SIGTERM, _end)
    with tempfile.TemporaryDirectory(prefix="aurea-metrics-") as pooled:
        if workers > 1:
            # The metrics library pools the workers' counters in files of this folder.
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = pooled
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
