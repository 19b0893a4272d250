"""How large a request may be. A body over the limit is refused before anything reads it."""

from typing import Final

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import TOO_LARGE, respond

MAX_BODY_BYTES: Final = 256 * 2**10
# 1,000 records of 8 values at the limit of 4 KiB each; the names, traits and consents need little more.
MAX_RECORDS_BYTES: Final = 32 * 2**20
_LARGER: Final = {"/v1/records": MAX_RECORDS_BYTES}


class LimitBody:
    """Middleware: 413 where the stated length is over the limit, or the body turns out to be."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with a `receive` that counts."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = _LARGER.get(scope["path"], MAX_BODY_BYTES)
        stated = Headers(scope=scope).get("content-length", "0")
        if not stated.isdecimal() or int(stated) > limit:
            await respond(TOO_LARGE, headers={"connection": "close"})(scope, receive, send)
            return
        left = limit

        async def counted() -> Message:
            nonlocal left
            message = await receive()
            left -= len(message.get("body", b""))
            if left < 0:
                raise HTTPException(413)
            return message

        await self._app(scope, counted, send)
