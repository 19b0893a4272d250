"""Connections that this service makes to others: none may last longer than its attempt."""

import http.client
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Attempt:
    """One connection that can be cut off at any moment, whatever it is doing."""

    def __init__(self) -> None:
        self.late = threading.Event()
        self._socket: socket.socket | None = None

    def connect(
        self, connection: http.client.HTTPConnection, address: tuple[str, int], *, tls: bool, timeout: float
    ) -> None:
        """Connect `connection` to `address`, which need not be what its host resolves to."""
        self._socket = connection.sock = socket.create_connection(address, timeout=timeout)
        if tls:
            # The handshake comes once the secured socket is known here: else nothing could cut it short.
            secured = ssl.create_default_context().wrap_socket(
                connection.sock, server_hostname=connection.host, do_handshake_on_connect=False
            )
            self._socket = connection.sock = secured
            secured.do_handshake()

    def cut(self) -> None:
        """End it: whoever waits for the other side is told that it hung up."""
        self.late.set()
        held = (
            self._socket
        )  # the connection lets go of it before the body is read, where the other side closes
        if held is not None:
            with suppress(OSError):  # it has ended
                socket.socket.shutdown(held, socket.SHUT_RDWR)


@contextmanager
def cut_after(connection: http.client.HTTPConnection, seconds: float) -> Iterator[Attempt]:
    """Yield an attempt on `connection` that ends after so many seconds, however slowly the other side talks.

    A time-out of the socket bounds a silence only: a byte now and then would hold a thread for ever.
    """
    attempt = Attempt()
    timer = threading.Timer(seconds, attempt.cut)
    timer.daemon = True
    timer.start()
    try:
        yield attempt
    finally:
        timer.cancel()
        connection.close()
