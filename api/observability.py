"""Logs, metrics and request ids that know no person.

A log line names the route by its template, never by its path or query; an exception by its class and the
place in our code, never by its message. Nothing here reads a body. Metrics are labelled by route template.
"""

import logging
import re
import sys
import time
import traceback
import uuid
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any, Final

import orjson
import structlog
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import INTERNAL, respond

REQUEST_ID: Final = "x-request-id"
_METHODS: Final = frozenset({"GET", "POST", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE"})
# A caller's request id is kept only in this form: a free text could carry anything.
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)
_OURS: Final = frozenset({"api", "consent", "identity"})
_NO_STORE: Final = (b"cache-control", b"no-store")

REQUESTS = Counter("aurea_http_requests", "Requests answered", ["method", "route", "status"])
SECONDS = Histogram(
    "aurea_http_request_seconds", "Time to answer", ["method", "route"],
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)  # fmt: skip
DECISIONS = Counter("aurea_profile_reads", "Profile reads by outcome", ["purpose", "outcome"])
RECORDS = Counter("aurea_records_received", "Records received over HTTP", ["status", "decision"])

log = structlog.get_logger("aurea")


def configure_logging(level: str) -> None:
    """Send one JSON object a line to standard error, from this service and from the HTTP server."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(_line),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )


def _line(event: Any, **_: Any) -> str:
    return orjson.dumps(event, option=orjson.OPT_SORT_KEYS).decode()


class PlainJsonHandler(logging.Handler):
    """Passes the HTTP server's own messages on; of an exception only class and place (see `where`)."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            log.warning("server error", error=type(error).__name__, at=where(error))
        else:
            log.log(record.levelno, "server", message=record.getMessage().splitlines()[0])


def where(error: BaseException) -> str:
    """Return the innermost place in our own code that `error` passed through: `api/app.py:12`."""
    root = Path(__file__).resolve().parents[1]
    place = "outside"
    for frame in traceback.extract_tb(error.__traceback__):
        path = Path(frame.filename)
        if path.is_relative_to(root) and path.relative_to(root).parts[0] in _OURS:
            place = f"{path.relative_to(root)}:{frame.lineno}"
    return place


class Observe:
    """Outermost middleware: request id, one log line and metrics per request, headers, last resort.

    No exception passes it: the server's own logger would print its message.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope["headers"])
        scope["aurea.request_id"] = request_id
        scope["aurea.since"] = started = time.perf_counter()
        status = 0

        async def send_marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _mark(message, request_id)
            await send(message)

        try:
            await self._app(scope, receive, send_marked)
        except Exception as error:  # noqa: BLE001 - the last resort; the class and place are logged
            log.error(  # noqa: TRY400 - a traceback would print the message, which may hold values
                "unhandled", request_id=request_id, error=type(error).__name__, at=where(error)
            )
            if status == 0:
                await respond(INTERNAL)(scope, receive, send_marked)
        finally:
            _record(scope, status, request_id, time.perf_counter() - started)


def _request_id(headers: Iterable[tuple[bytes, bytes]]) -> str:
    for name, value in headers:
        if name == REQUEST_ID.encode():
            given = value.decode("latin-1")
            if _UUID.fullmatch(given):
                return given
    return str(uuid.uuid4())


def _mark(message: Message, request_id: str) -> None:
    headers = message.setdefault("headers", [])
    headers.append((REQUEST_ID.encode(), request_id.encode()))
    headers.extend(_HEADERS)
    if not any(name == b"cache-control" for name, _ in headers):
        headers.append(_NO_STORE)


def route_template(scope: Scope) -> str:
    """Return the template of the route that answered, or `unmatched`: never what was asked for."""
    return str(getattr(scope.get("route"), "path", None) or "unmatched")


# What `labels` looks up under a lock, for the few routes, methods and statuses that there are.
_counted = cache(REQUESTS.labels)
_timed = cache(SECONDS.labels)


def _record(scope: Scope, status: int, request_id: str, seconds: float) -> None:
    route = route_template(scope)
    method = scope["method"] if scope["method"] in _METHODS else "OTHER"
    _counted(method, route, status).inc()
    _timed(method, route).observe(seconds)
    caller = scope.get("aurea.caller")
    log.info(
        "request",
        request_id=request_id,
        method=method,
        route=route,
        status=status,
        milliseconds=round(seconds * 1000, 2),
        client=caller.client_id if caller else None,
    )


def exposition(metrics_dir: Path | None, extra: Collector) -> bytes:
    """Return all metrics in Prometheus' text form: of every worker where they pool them in `metrics_dir`."""
    gauges = CollectorRegistry()
    gauges.register(extra)
    if metrics_dir is None:
        return generate_latest(REGISTRY) + generate_latest(gauges)
    pooled = CollectorRegistry()
    MultiProcessCollector(pooled, path=str(metrics_dir))  # type: ignore[no-untyped-call]  # unannotated upstream
    return generate_latest(pooled) + generate_latest(gauges)


LOG_CONFIG: Final[dict[str, Any]] = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"plain": {"class": "api.observability.PlainJsonHandler"}},
    "loggers": {
        "uvicorn": {"handlers": ["plain"], "level": "INFO", "propagate": False},
        # The server's access log prints paths and query strings: `Observe` writes ours instead.
        "uvicorn.access": {"handlers": [], "level": "CRITICAL", "propagate": False},
    },
}
