"""What routes ask for: the services, the caller, the right to do this."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Final

from fastapi import Depends, Header, Request, Security
from fastapi.openapi.models import OAuthFlowClientCredentials, OAuthFlows
from fastapi.security import OAuth2
from pydantic import BaseModel
from starlette.responses import Response

from api.auth import Caller, InvalidTokenError
from api.idempotency import Attempt
from api.observability import route_template
from api.oidc_keys import IssuerUnavailableError
from api.problems import (
    FORBIDDEN_PURPOSE,
    FORBIDDEN_ROLE,
    ISSUER_UNAVAILABLE,
    UNAUTHENTICATED,
    ProblemError,
    too_often,
)
from api.rate_limits import Rate
from api.services import Services

_FLOW: Final = OAuthFlowClientCredentials(tokenUrl="/v1/token", scopes={})
OAUTH: Final = OAuth2(
    flows=OAuthFlows(clientCredentials=_FLOW),
    scheme_name="client_credentials",
    description="A client of `aurea client create` trades its secret for a token of at most ten minutes.",
    auto_error=False,
)


async def services_of(request: Request) -> Services:
    """Return the services this process was started with."""
    services: Services = request.app.state.services
    return services


ServicesOf = Annotated[Services, Depends(services_of)]


Credential = Annotated[str | None, Security(OAUTH)]


async def caller_of(request: Request, header: Credential) -> Caller:
    """Return who is calling. Raises a 401 problem without a valid token, 429 for one that asks too often."""
    services: Services = request.app.state.services
    try:
        caller = await services.access.of(header)
    except InvalidTokenError:
        challenge = "Bearer" if header is None else 'Bearer error="invalid_token"'
        raise ProblemError(UNAUTHENTICATED, headers={"WWW-Authenticate": challenge}) from None
    except IssuerUnavailableError:
        raise ProblemError(ISSUER_UNAVAILABLE, headers={"Retry-After": "60"}) from None
    request.scope["aurea.caller"] = caller
    if caller.rate is not None:
        wait = services.rates.wait(caller.client_id, Rate.of(caller.rate))
        if wait:
            raise too_often(wait)
    return caller


def permit(operation: str) -> Callable[[Request, Credential], Awaitable[Caller]]:
    """Return a dependency that lets through only callers whose role may do `operation` (403 else)."""

    async def check(request: Request, header: Credential) -> Caller:  # each dependency more costs 25 us
        caller = await caller_of(request, header)
        if not caller.may(operation):
            raise ProblemError(FORBIDDEN_ROLE)
        return caller

    return check


def check_purpose(caller: Caller, purpose: str) -> None:
    """Refuse (403) a purpose that the caller's token does not carry."""
    if not caller.may_name(purpose):
        raise ProblemError(FORBIDDEN_PURPOSE)


async def _keyed(
    request: Request,
    key: Annotated[
        str | None,
        Header(alias="Idempotency-Key", min_length=1, max_length=255, description="Kept for 24 hours"),
    ] = None,
) -> Attempt | None:
    """Return what identifies this request among its repetitions, if it carries a key."""
    if key is None:
        return None
    route = f"{request.method} {route_template(request.scope)}"
    # The signal of the person's browser is a part of what is said: without it another request.
    signal = b"\0Sec-GPC: 1" if request.headers.get("sec-gpc") == "1" else b""
    return Attempt(route, key, await request.body() + signal)


IdempotencyKey = Annotated[Attempt | None, Depends(_keyed)]


async def opted_out_of(
    sec_gpc: Annotated[
        str | None,
        Header(alias="Sec-GPC", description="Global Privacy Control of the person's browser: `1`, passed on"),
    ] = None,
) -> bool:
    """Return whether the browser says so; by its specification only the value 1 does."""
    return sec_gpc == "1"


OptedOut = Annotated[bool, Depends(opted_out_of)]


def answer(content: BaseModel, status: int = 200) -> Response:
    """Return `content` as a response, once validated: it is of our own making."""
    return Response(content.model_dump_json(exclude_none=True), status, media_type="application/json")


def run_once(
    services: Services,
    caller: Caller,
    attempt: Attempt | None,
    operation: Callable[[], BaseModel],
    *,
    status: int = 200,
) -> Response:
    """Answer with the result of `operation`, which runs once per client and Idempotency-Key.

    It is to be safe to repeat: after a crash it may run again.
    """
    return resume(services, caller, attempt, lambda _: operation(), status=status)


def resume(
    services: Services,
    caller: Caller,
    attempt: Attempt | None,
    operation: Callable[[int | None], BaseModel],
    *,
    status: int = 200,
) -> Response:
    """Do as `run_once` with what is not: it is given since when (ms) it may have been done, None if not."""
    if attempt is None:
        return answer(operation(None), status)
    return services.idempotency.once(
        caller.client_id, attempt, lambda begun: answer(operation(begun), status)
    )
