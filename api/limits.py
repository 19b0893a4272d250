"""How large a request may be. A body over the limit is refused before anything reads it.

The framework reads and parses a body before it asks who is calling. So that nobody without a valid access
token can make it hold much, a larger body needs the token here already, in front of everything.
"""

from typing import Final

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.access import Access
from api.auth import InvalidTokenError
from api.oidc_keys import IssuerUnavailableError
from api.problems import ISSUER_UNAVAILABLE, TOO_LARGE, UNAUTHENTICATED, Problem, respond

ANONYMOUS_BODY_BYTES: Final = 64 * 2**10
MAX_BODY_BYTES: Final = 256 * 2**10
# 1,000 records of 8 KiB: several times what people's records hold.
MAX_RECORDS_BYTES: Final = 8 * 2**20
MAX_KEYS_BYTES: Final = 2 * 2**20  # 1,000 record keys of 2 KiB
MAX_LOOKUPS_BYTES: Final = 2 * 2**20  # 1,000 lookups of 2 KiB
_LARGER: Final = {
    "/v1/records": MAX_RECORDS_BYTES,
    "/v1/records/delete": MAX_KEYS_BYTES,
    "/v1/profiles/lookup/batch": MAX_LOOKUPS_BYTES,
}
_WITHOUT_TOKEN: Final = "/v1/token"  # noqa: S105 - a path; every other one under /v1/ asks for a token


class LimitBody:
    """Middleware: 413, or 401 where a token would be needed, for a body that is, or turns out, too large."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with a `receive` that counts."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        stated = Headers(scope=scope).get("content-length", "0")
        refusal = await self._refusal(scope, int(stated)) if stated.isdecimal() else TOO_LARGE
        if refusal is not None:
            await respond(refusal, headers=_closing(refusal))(scope, receive, send)
            return
        limit = max(int(stated), ANONYMOUS_BODY_BYTES)  # within what the caller may send, as seen above
        read = 0

        async def counted() -> Message:
            nonlocal limit, read
            message = await receive()
            read += len(message.get("body", b""))
            if read > limit:  # sent without a length, or with a wrong one
                refusal = await self._refusal(scope, read)
                if refusal is not None:
                    raise HTTPException(refusal.status, headers=_closing(refusal))
                limit = self._limit(scope)
            return message

        await self._app(scope, counted, send)

    def _limit(self, scope: Scope) -> int:
        return _LARGER.get(scope["path"], MAX_BODY_BYTES)

    async def _refusal(self, scope: Scope, size: int) -> Problem | None:
        """Return why a body of `size` bytes is not read, or None if it is."""
        if size <= ANONYMOUS_BODY_BYTES:
            return None
        path: str = scope["path"]
        try:
            await self._access.of(Headers(scope=scope).get("authorization"))
        except IssuerUnavailableError:
            return ISSUER_UNAVAILABLE
        except InvalidTokenError:
            return UNAUTHENTICATED if path.startswith("/v1/") and path != _WITHOUT_TOKEN else TOO_LARGE
        return TOO_LARGE if size > self._limit(scope) else None


def _closing(refusal: Problem) -> dict[str, str]:
    """Return the headers of a refusal: whatever else the caller is sending will not be read."""
    challenge = {"www-authenticate": "Bearer"} if refusal is UNAUTHENTICATED else {}
    return {"connection": "close"} | challenge
