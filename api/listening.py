"""Addresses to listen on, and a listening socket for each worker.

Of one socket that all workers share, whoever wakes first accepts every connection that waits: clients that
connect at the same moment and keep their connections then have one worker among them, however many there are.
With SO_REUSEPORT (https://man7.org/linux/man-pages/man7/socket.7.html) the kernel deals connections out.
"""

import errno
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from api.settings import SettingsError

_REFUSED: Final = {
    errno.EADDRINUSE: ("is in use", "stop what listens there, or name another port with --port"),
    errno.EACCES: ("is reserved", "name a port above 1023 with --port"),
    errno.EADDRNOTAVAIL: ("is not of this machine", "name another address with --host"),
}


def check_address(host: str, port: int) -> None:
    """See whether this machine can listen there. Raises SettingsError with the remedy."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except socket.gaierror:
        raise SettingsError("--host is no address: name one of this machine, such as 127.0.0.1") from None
    except OSError as error:
        raise refusal(host, port, error.errno) from None


@contextmanager
def claimed(host: str, port: int) -> Iterator[None]:
    """Keep other servers of this kind from the address, also while no worker listens there yet.

    Sockets with SO_REUSEPORT let each other in. A name of the kernel's own goes with the process that has it
    (https://man7.org/linux/man-pages/man7/unix.7.html, abstract). Raises SettingsError.
    """
    if sys.platform != "linux":
        yield
        return
    address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][4]
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as claim:
        try:
            claim.bind(f"\0aurea serve {address[0]} {port}")
        except OSError:
            raise refusal(host, port, errno.EADDRINUSE) from None
        yield


def refusal(host: str, port: int, code: int | None) -> SettingsError:
    """Return what tells why this machine cannot listen there, and the remedy."""
    why, remedy = _REFUSED.get(code or 0, ("cannot be listened on", "name another --host or --port"))
    return SettingsError(f"port {port} of {host} {why}: {remedy}")


class EachItsOwn(socket.socket):
    """A socket that holds an address; where it is unpickled, another of the same address comes out.

    So a worker process that is given this one, at the start or in place of one that died, has its own. It
    does not listen itself: the kernel deals connections out to those that do.
    """

    @classmethod
    def bound(cls, host: str, port: int) -> "EachItsOwn":
        """Return a socket bound there, or (port 0) to a port that is free. Raises SettingsError."""
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        try:
            return cls._bound(family, kind, address)
        except OSError as error:
            raise refusal(host, port, error.errno) from None

    @classmethod
    def _bound(cls, family: int, kind: int, address: Any) -> "EachItsOwn":
        own = cls(family, kind)
        own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            own.bind(address)
        except OSError:
            own.close()
            raise
        return own

    def __reduce__(self) -> tuple[Any, ...]:
        return self._bound, (int(self.family), int(self.type), self.getsockname())
