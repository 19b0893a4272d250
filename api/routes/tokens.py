"""POST /v1/token: client credentials for a short-lived access token (RFC 6749 section 4.4)."""

import base64
import binascii
from typing import Annotated, Final, Literal
from urllib.parse import unquote_plus

from fastapi import APIRouter, Depends, Form, Request

from api.auth import InvalidScopeError
from api.clients import InvalidClientError
from api.dependencies import ServicesOf
from api.problems import Problem, ProblemError
from api.schemas import Token, problems

router = APIRouter(tags=["token"])

_BAD_REQUEST: Final = Problem(400, "invalid-request", "The token request is not as documented")
_BAD_GRANT: Final = Problem(400, "unsupported-grant", "Only grant_type=client_credentials is supported")
_BAD_SCOPE: Final = Problem(400, "invalid-scope", "The scope names a purpose this client does not have")
_BAD_CLIENT: Final = Problem(401, "invalid-client", "Unknown client or wrong secret")


async def _repeats(request: Request) -> bool:
    """Whether a parameter comes twice, which RFC 6749 section 3.2 forbids. The form was read already."""
    names = [name for name, _ in (await request.form()).multi_items()]
    return len(names) != len(set(names))


@router.post("/v1/token", responses=problems(400, 401, 413, 503))
def issue_token(
    request: Request,
    *,
    services: ServicesOf,
    repeated: Annotated[bool, Depends(_repeats)],
    grant_type: Annotated[str | None, Form(description="`client_credentials`")] = None,
    scope: Annotated[str | None, Form(description="Purposes, separated by spaces; default: all")] = None,
    client_id: Annotated[str | None, Form(description="Without HTTP Basic authentication")] = None,
    client_secret: Annotated[str | None, Form(description="Without HTTP Basic authentication")] = None,
) -> Token:
    """Trade client credentials, by HTTP Basic or in the body, for an access token."""
    if grant_type is None or repeated:
        raise _refusal(_BAD_REQUEST, "invalid_request")
    if grant_type != "client_credentials":
        raise _refusal(_BAD_GRANT, "unsupported_grant_type")
    name, secret = _credentials(request.headers.get("authorization"), client_id, client_secret)
    try:
        with services.token_limits.attempt(name, request.client.host if request.client else ""):
            client = services.clients.authenticate(name, secret)
        issued = services.tokens.issue(client, scope)
    except InvalidClientError:
        raise _refusal(_BAD_CLIENT, "invalid_client") from None
    except InvalidScopeError:
        raise _refusal(_BAD_SCOPE, "invalid_scope") from None
    return Token(
        access_token=issued.token,
        token_type="Bearer",  # noqa: S106 - the kind of token, not one
        expires_in=issued.seconds,
        scope=" ".join(issued.purposes),
    )


def _credentials(header: str | None, client_id: str | None, client_secret: str | None) -> tuple[str, str]:
    """Return ID and secret, from exactly one of header and body (RFC 6749 section 2.3)."""
    in_body = client_id is not None or client_secret is not None
    if header is None:
        if client_id and client_secret:
            return client_id, client_secret
        if in_body:
            raise _refusal(_BAD_REQUEST, "invalid_request")
        raise _refusal(_BAD_CLIENT, "invalid_client")
    if in_body and client_secret is not None:
        raise _refusal(_BAD_REQUEST, "invalid_request")
    kind, _, encoded = header.partition(" ")
    try:
        name, colon, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise _refusal(_BAD_CLIENT, "invalid_client") from None
    if kind.lower() != "basic" or not colon:
        raise _refusal(_BAD_CLIENT, "invalid_client")
    return unquote_plus(name), unquote_plus(secret)


_Error = Literal[
    "invalid_request", "invalid_client", "invalid_scope", "unsupported_grant_type"
]  # RFC 6749 section 5.2


def _refusal(problem: Problem, error: _Error) -> ProblemError:
    headers = {"WWW-Authenticate": 'Basic realm="aurea"'} if problem.status == 401 else {}
    return ProblemError(problem, headers=headers, extra={"error": error})
