"""After a withdrawal is acknowledged no worker serves the purpose: raced over several worker processes."""

import threading
import time
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import httpx
import pytest

from tests.api.test_serve import serving, wait_until_ready
from tests.world import World, fetch_token, record

READERS, AFTERWARDS, BOUND_SECONDS = 4, 6, 60


@pytest.mark.parametrize("rounds", [4, pytest.param(12, marks=pytest.mark.slow)])
def test_no_worker_serves_a_purpose_after_the_acknowledgement(world: World, rounds: int) -> None:
    clients = world.services.clients
    writer, secret = clients.create("in", "ingest")
    reader, reader_secret = clients.create("out", "consumer", ["personalization"])
    with serving(world, workers=3) as (base, _):
        wait_until_ready(base)
        with httpx.Client(base_url=base, trust_env=False, timeout=30) as http:
            http.headers["Authorization"] = f"Bearer {fetch_token(http, writer.client_id, secret)}"
            with httpx.Client(base_url=base, trust_env=False, timeout=30) as asking:
                token = fetch_token(asking, reader.client_id, reader_secret)
            answers = race([base], http, token, rounds=rounds)
    assert_nothing_was_served_late(answers, rounds)


def assert_nothing_was_served_late(answers: Sequence[tuple[float, float, int]], rounds: int) -> None:
    assert {status for *_, status in answers} == {200, 404}
    assert not [begun for begun, acknowledged, status in answers if status == 200 and begun > acknowledged]
    late = [begun for begun, acknowledged, _ in answers if begun > acknowledged]
    assert len(late) > rounds * READERS * (AFTERWARDS - 2), "the race was not run"


def race(
    bases: Sequence[str], http: httpx.Client, token: str, *, rounds: int, channel: str = "crm"
) -> list[tuple[float, float, int]]:
    """Return of every read when it was sent, when the withdrawal was acknowledged, and its status.

    Everybody reads at one of `bases` in turn; what is written goes to that of `http`.
    """
    found: list[tuple[float, float, int]] = []
    end = time.monotonic() + BOUND_SECONDS
    for number in range(rounds):
        assert time.monotonic() < end, "the race took too long"
        sent = http.post(
            "/v1/records", json={"records": [record(channel, str(number), _person(channel, number))]}
        ).json()
        path = f"/v1/profiles/{sent['results'][0]['golden_id']}?purpose=personalization"
        reads: list[tuple[float, int]] = []
        stop = threading.Event()
        readers = [
            threading.Thread(target=_read, args=(bases[each % len(bases)], path, token, reads, stop))
            for each in range(READERS)
        ]
        for each in readers:
            each.start()
        while not any(status == 200 for _, status in reads[:]):
            assert time.monotonic() < end, "nobody could read"
            time.sleep(0.005)
        said: dict[str, Any] = {
            "subject": {"record": {"channel": channel, "source_id": str(number)}},
            "purpose": "personalization", "state": "withdrawn", "method": "direct",
        }  # fmt: skip
        assert http.post("/v1/consents", json=said).status_code == 201
        acknowledged = time.monotonic()
        stop.set()
        for each in readers:
            each.join(timeout=20)
        found += [(begun, acknowledged, status) for begun, status in reads]
    return found


def _person(channel: str, number: int) -> str:
    """A name like nobody else's: who joined a person of an earlier race would be denied from the start."""
    return "Ana" + sha256(f"{channel} {number}".encode()).hexdigest()[:16]


def _read(base: str, path: str, token: str, reads: list[tuple[float, int]], stop: threading.Event) -> None:
    """Read on a connection of its own each time, so that any worker may answer; some more after the end."""
    left = AFTERWARDS
    limits = httpx.Limits(max_keepalive_connections=0)
    headers = {"Authorization": f"Bearer {token}"}
    with httpx.Client(base_url=base, headers=headers, trust_env=False, timeout=30, limits=limits) as http:
        while left:
            left -= stop.is_set()
            begun = time.monotonic()
            reads.append((begun, http.get(path).status_code))
