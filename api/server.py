"""`aurea serve`: HTTP workers over one home, by uvicorn. Each worker builds its own services."""

import gc
import os
import signal
import sys
import tempfile
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn

from starlette.types import ASGIApp

from api.app import create_app
from api.leaving import leaving
from api.listening import EachItsOwn, check_address, claimed
from api.observability import LOG_CONFIG, configure_logging
from api.services import open_services
from api.settings import Settings, SettingsError
from api.tracing import open_tracing

KEEP_ALIVE_SECONDS: Final = 75
"""How long an idle connection is kept. Proxies and clients keep theirs for up to a minute, and are to close
first: a request could otherwise meet a connection that is just being closed."""
GRACE_SECONDS: Final = 10  # how long a stopping worker waits for requests under way
STARTING_SECONDS: Final = 30  # how long a worker may take to its first sign of life, or to a later one
BACKLOG: Final = 2048
_COLLECT_AFTER: Final = (20_000, 10, 10)  # more objects made than freed; then every tenth time older ones too
_SWITCH_SECONDS: Final = 0.0005
NOT_STARTED: Final = "the server could not start: its log above says why"


def application(settings: Settings) -> ASGIApp:
    """Return the application of one worker process; called by uvicorn in each."""
    configure_logging(settings.log_level)
    services = open_services(settings)
    during = partial(leaving, services.readiness, settings.drain_seconds, GRACE_SECONDS)
    app = create_app(services, during=during, tracing=open_tracing(settings))
    collect_rarely()
    hand_over_soon()
    return app


def collect_rarely() -> None:
    """Let the garbage collector leave alone what was loaded to serve, and look at the rest less often.

    A request leaves no cycles that could pile up, and searching everything for them is felt in every read.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECT_AFTER)


def hand_over_soon() -> None:
    """Let a thread that comes back from the disk wait less for the one that answers requests.

    A read waits for a thread that writes its log entry, an arrival for one that commits: Python's own 5 ms,
    several times over, is more than the disk takes.
    """
    sys.setswitchinterval(_SWITCH_SECONDS)


def _end(_signal: int, _frame: FrameType | None) -> NoReturn:
    """End cleanly: the server hands the signal on to this once everything under way is answered."""
    raise SystemExit(0)


def run(settings: Settings, *, host: str, port: int, workers: int) -> None:
    """Serve until interrupted. The home must be ready: the caller has opened it once already.

    Raises SettingsError where the server cannot start.
    """
    import uvicorn  # noqa: PLC0415 - the workers' half of this module does not need it
    from uvicorn.supervisors import Multiprocess  # noqa: PLC0415 - as above

    check_address(host, port)
    configure_logging(settings.log_level)
    signal.signal(signal.SIGTERM, _end)
    with claimed(host, port), tempfile.TemporaryDirectory(prefix="aurea-metrics-") as pooled:
        if workers > 1:
            # The metrics library pools the workers' counters in files of this folder.
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = pooled
            settings = replace(settings, metrics_dir=Path(pooled))
        config = uvicorn.Config(
            # Settings reach the workers over the pipe that starts them: keys in the environment would
            # be inherited by whatever they start.
            partial(application, settings),
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
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            # With uvicorn's 5 seconds a busy machine ends every worker before it has imported its libraries.
            timeout_worker_healthcheck=STARTING_SECONDS,
        )
        try:
            if workers > 1:
                with EachItsOwn.bound(host, port) as address:
                    Multiprocess(config, sockets=[address]).run()
            else:
                server = uvicorn.Server(config)
                with suppress(KeyboardInterrupt):
                    server.run()
                if not server.started:
                    raise SettingsError(NOT_STARTED)
        except SystemExit as end:
            if end.code in (None, 0):
                raise
            # The server's own status 3 would mean "done with rejected rows" here.
            raise SettingsError(NOT_STARTED) from None
