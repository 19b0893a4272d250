"""The HTTP service: routes, error handlers, middleware, lifespan. Builds no domain object itself."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import Final

import scipy.sparse.csgraph  # noqa: F401 - else the first arrival would wait for it; commands do without
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.telemetry import TelemetryConfig
from starlette.exceptions import HTTPException

from api import __version__, problems
from api.housekeeping import EVERY_SECONDS, kept
from api.limits import LimitBody
from api.observability import Observe, answer_unlogged
from api.openapi import describe
from api.rate_limits import SYNC_SECONDS
from api.routes import (
    changes,
    consents,
    console,
    explanations,
    golden_ids,
    health,
    holds,
    ledger,
    opendsr,
    profiles,
    records,
    requests,
    reviews,
    status,
    tokens,
)
from api.services import Services
from api.tracing import Tracing
from consent.errors import AccessLogError
from identity import compiled_conditions  # noqa: F401 - as above

TELLING_SECONDS: Final = 5.0  # how long a webhook may lag behind the change feed
_TELEMETRY_OFF: Final[TelemetryConfig] = {
    "tracing": False,
    "metrics": False,
    "logs": False,
    "auto_configure": False,
}


During = Callable[[], AbstractAsyncContextManager[None]]
"""What goes on while the application runs, beside housekeeping."""


def create_app(
    services: Services,
    *,
    housekeeping_seconds: float = EVERY_SECONDS,
    during: During = nullcontext,
    tracing: Tracing | None = None,
) -> FastAPI:
    """Return the application over `services`, which are closed when it stops."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        telling = kept(services.tell_recipients, TELLING_SECONDS)
        sharing = kept(services.share_limits, SYNC_SECONDS)
        async with kept(services.housekeep, housekeeping_seconds), telling, sharing, during():
            yield
        services.close()
        if tracing is not None:
            tracing.close()

    app = FastAPI(
        title="Aurea",
        version=__version__,
        summary="Privacy-aware identity resolution: golden IDs and profiles by purpose.",
        lifespan=lifespan,
        docs_url=None,  # the framework's page loads scripts from elsewhere
        redoc_url=None,
        # The framework's own telemetry records exception messages and request values.
        telemetry=_TELEMETRY_OFF,
    )
    app.state.services = services
    app.state.routes = []  # one by one, for what a path allows
    app.openapi = lambda: describe(app)  # type: ignore[method-assign]  # the documented way to replace it
    for routes in (
        profiles,  # routes are tried in this order
        records,
        tokens,
        golden_ids,
        explanations,
        reviews,
        consents,
        requests,
        holds,
        opendsr,
        changes,
        ledger,
        status,
        health,
        console,
    ):
        app.include_router(routes.router)
        app.state.routes += routes.router.routes
    app.add_middleware(LimitBody, access=services.access)
    app.add_middleware(Observe, tracing=tracing)
    app.add_exception_handler(problems.ProblemError, problems.answer_problem)
    app.add_exception_handler(RequestValidationError, problems.answer_invalid)
    app.add_exception_handler(HTTPException, problems.answer_http_error)
    app.add_exception_handler(AccessLogError, answer_unlogged)
    for error in problems.DOMAIN_ERRORS:
        app.add_exception_handler(error, problems.answer_domain_error)
    return app
