"""What a caller without a valid token can make the service read: almost nothing."""

import socket
from collections.abc import Iterator

import httpx
import jwt
import pytest

from api.limits import ANONYMOUS_BODY_BYTES, MAX_RECORDS_BYTES
from tests.world import World, record

LARGE = ANONYMOUS_BODY_BYTES + 1
ROUTES = ["/v1/records", "/v1/records/delete", "/v1/profiles/lookup", "/v1/consents", "/v1/consents/query"]


def announced(world: World, path: str, size: int, *headers: str) -> str:
    """Announce a body and send not a byte of it; return the status line of the answer."""
    host, _, port = world.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as sent:
        lines = [f"POST {path} HTTP/1.1", "Host: x", "Content-Type: application/json",
                 f"Content-Length: {size}", *headers]  # fmt: skip
        sent.sendall("\r\n".join([*lines, "", ""]).encode())
        return sent.recv(4096).decode().splitlines()[0]


def bearer(http: httpx.Client) -> str:
    return f"Authorization: {http.headers['authorization']}"


@pytest.mark.parametrize("path", ROUTES)
def test_without_a_token_a_large_body_is_refused_before_it_is_read(world: World, path: str) -> None:
    assert " 401 " in announced(world, path, LARGE)
    answer = world.anonymous().post(path, content=b"[" * LARGE)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.headers["content-type"] == "application/problem+json"


def test_where_no_token_is_asked_for_a_large_body_is_too_large(world: World) -> None:
    assert " 413 " in announced(world, "/v1/token", LARGE)
    assert " 413 " in announced(world, "/healthz", LARGE)


def test_an_expired_or_forged_token_opens_nothing(world: World) -> None:
    ingest = world.client("ingest")
    claims = jwt.decode(bearer(ingest).split()[-1], options={"verify_signature": False})
    forged = jwt.encode(claims, "k" * 32, algorithm="HS256")
    assert " 401 " in announced(world, "/v1/records", LARGE, f"Authorization: Bearer {forged}")
    world.clock.pass_(seconds=601)
    assert " 401 " in announced(world, "/v1/records", LARGE, bearer(ingest))


def test_a_body_of_no_stated_length_is_cut_off_at_the_same_limit(world: World) -> None:
    read = 0

    def endless() -> Iterator[bytes]:
        nonlocal read
        for _ in range(4096):
            read += 4096
            yield b" " * 4096

    try:
        status = world.anonymous().post("/v1/records", content=endless()).status_code
    except httpx.TransportError:  # the connection was closed while it was still sending
        status = 401
    assert status == 401


def test_with_a_token_records_may_come_in_up_to_eight_mebibytes(world: World) -> None:
    ingest = world.client("ingest")
    many = [record("crm", str(n), f"Person{n}", traits={"note": "x" * 4000}) for n in range(100)]
    assert len(world.send(*many, by=ingest)) == 100
    assert " 413 " in announced(world, "/v1/records", MAX_RECORDS_BYTES + 1, bearer(ingest))
    assert " 413 " in announced(world, "/v1/consents", 300_000, bearer(ingest))
