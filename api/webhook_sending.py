"""One attempt to deliver a webhook, over a connection that cannot be led astray.

The host is resolved once, every address it has must be public, and the connection goes to the address
that was checked: a name that answers otherwise the second time reaches nothing. A redirect is an answer
like any other, and no success. Of the recipient's answer nothing is kept but its status.
"""

import http.client
import ipaddress
import socket
from collections.abc import Mapping
from typing import Final
from urllib.parse import SplitResult, urlsplit

from api.outgoing import cut_after
from api.settings import SettingsError

TIMEOUT_SECONDS: Final = 10.0  # of silence
ATTEMPT_SECONDS: Final = 30.0  # from the connection to the status, however slowly it comes
_PORTS: Final = {"https": 443, "http": 80}


class DeliveryError(Exception):
    """The attempt failed; the message is a status or a kind of error, nothing of the recipient's answer."""


def check_url(url: str, *, private: bool) -> SplitResult:
    """Return the parts of an acceptable address. Raises SettingsError with the remedy."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise SettingsError("the webhook's address is no URL") from None
    if parts.scheme not in (_PORTS if private else {"https"}) or not parts.hostname:
        raise SettingsError("a webhook's address begins with https:// and names a host")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise SettingsError("a webhook's address carries no user, password or fragment")
    if not url.isascii() or any(character <= " " for character in url):
        raise SettingsError("a webhook's address is ASCII without spaces; write the host in punycode")
    return parts


def check_new_url(url: str, *, private: bool) -> None:
    """Do so for one that is to be stored: a private address is refused now, a name when it is resolved."""
    host = check_url(url, private=private).hostname or ""
    if not private and _is_private_literal(host):
        raise SettingsError("a webhook's address is public; this one is private")


def send(url: str, headers: Mapping[str, str], body: bytes, *, private: bool) -> None:
    """POST `body`, or raise DeliveryError. Only a status of 200 to 299 is a success."""
    parts = check_url(url, private=private)
    host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
    address = _resolve(host, port, private=private)
    connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        with cut_after(connection, ATTEMPT_SECONDS) as attempt:
            attempt.connect(connection, (address, port), tls=parts.scheme == "https", timeout=TIMEOUT_SECONDS)
            fixed = {"content-type": "application/json", "user-agent": "aurea-webhooks/1"}
            connection.request("POST", path, body, {**fixed, **headers})
            status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        raise DeliveryError(type(error).__name__) from None
    if attempt.late.is_set():
        raise DeliveryError("took too long")
    if not 200 <= status < 300:
        raise DeliveryError(f"status {status}")


def _resolve(host: str, port: int, *, private: bool) -> str:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise DeliveryError("no such host") from None
    addresses = [str(entry[4][0]) for entry in found]
    if not private and not all(_is_public(address) for address in addresses):
        raise DeliveryError("private address")
    return addresses[0]


def _is_private_literal(host: str) -> bool:
    """Whether the host is an address and no public one; a name is judged when it is resolved."""
    try:
        return not _is_public(host)
    except ValueError:
        return False


def _is_public(address: str) -> bool:
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if inner is not None:
            return _is_public(str(inner))
        if ip in _NAT64:
            return _is_public(str(ipaddress.IPv4Address(ip.packed[-4:])))
        if ip not in _UNICAST:
            return False
    return ip.is_global and not ip.is_multicast


_UNICAST: Final = ipaddress.IPv6Network("2000::/3")  # all that is assigned to public hosts (RFC 4291)
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
