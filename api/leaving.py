"""How a worker ends on SIGTERM: no longer ready, then no new requests, then gone, within a bound.

1. `/readyz` answers 503 while everything is still served: the load balancer has `seconds` to notice.
2. The HTTP server stops accepting and waits for the requests under way (api.server.GRACE_SECONDS).
3. Housekeeping under way ends, the access log's segment is finished, the stores are closed.
4. Whoever is not gone by then is ended: that leaves what any crash leaves, and the next start completes it.

A second SIGTERM, or SIGINT, skips the first step.
"""

import asyncio
import os
import signal
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import FrameType
from typing import Final

import structlog

from api.readiness import Readiness

LAST_SECONDS: Final = 15.0
"""For step 3: what a message to a recipient may take, and the steps of an erasure."""


@asynccontextmanager
async def leaving(readiness: Readiness, seconds: float, grace_seconds: float) -> AsyncIterator[None]:
    """Take SIGTERM before the HTTP server does, for the length of the block. For the main thread only."""
    loop = asyncio.get_running_loop()
    server = signal.getsignal(signal.SIGTERM)

    def hand_on(number: int) -> None:
        if callable(server):
            server(number, None)

    def begin(number: int, _frame: FrameType | None) -> None:
        if readiness.leaving:
            hand_on(number)
            return
        readiness.leaving = True
        _end_after(seconds + grace_seconds + LAST_SECONDS, os._exit)
        loop.call_soon_threadsafe(loop.call_later, seconds, hand_on, number)

    signal.signal(signal.SIGTERM, begin)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, server)


def _end_after(seconds: float, end: Callable[[int], object]) -> None:
    def give_up() -> None:
        structlog.get_logger().error("left_with_work_under_way")
        end(1)

    timer = threading.Timer(seconds, give_up)
    timer.daemon = True  # whoever is done in time does not wait for it
    timer.start()
