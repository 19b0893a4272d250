"""Connections that this service makes to others: none may last longer than its attempt."""

import http.client
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def cut_after(connection: http.client.HTTPConnection, seconds: float) -> Iterator[threading.Event]:
    """End the connection after so many seconds, however slowly it talks; the event then says so.

    A time-out of the socket bounds a silence only: a byte now and then would hold a thread for ever.
    """
    late = threading.Event()
    timer = threading.Timer(seconds, _cut, (connection, late))
    timer.daemon = True
    timer.start()
    try:
        yield late
    finally:
        timer.cancel()
        connection.close()


def _cut(connection: http.client.HTTPConnection, late: threading.Event) -> None:
    """Whoever waits for the other side is told that it hung up."""
    late.set()
    with suppress(OSError, AttributeError):  # it has ended, or there is no connection yet
        socket.socket.shutdown(connection.sock, socket.SHUT_RDWR)
