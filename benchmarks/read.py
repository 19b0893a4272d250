"""Measure what a profile read costs over answering HTTP at all.

One server process of the real application, plus one route that returns constant bytes. A client process
drives both in turn, in short alternating bursts over kept-alive connections, so that what the machine does
meanwhile falls on both alike. The profile read is all there is: token, role and purpose, golden ID,
members, consent, the access log on disk, opening three sealed records, survivorship, JSON. Everybody is read
many times and nothing is written meanwhile, so most answers are kept from before (consent/kept_answers.py);
what follows `opened` is a second server that keeps none.

    python benchmarks/read.py [--people 2000] [--seconds 20] [--connections 32] [--home HOME]

HOME is a linked home (benchmarks/link.py --keep DIR leaves DIR/home): people are drawn from all of it, of
those who may be read. It gets a client and an access log, so give a copy. Without one a home of `--people`
is made.

Prints one JSON object: requests a second of both, their ratio, latencies in milliseconds, and how many
profiles a second two callers get that look up a thousand at once. All that once more under `opened`.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import socket
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random
from statistics import quantiles
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import uvicorn
from fastapi import FastAPI
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.app import create_app
from api.ingesting import ingest_files
from api.linkage import LinkRequest, run_link
from api.memberships import by_key
from api.observability import configure_logging
from api.server import collect_rarely, hand_over_soon
from api.services import open_services
from api.settings import KEPT_PROFILES, Settings
from api.stores import create_home
from consent.answers import Profile, RevealRequest

PURPOSE = "personalization"
CONSTANT = b'{"status":"constant"}'
BURST_SECONDS = 1.0
BATCH = 1_000
_MOST_DRAWS = 10  # of a thousand records for every thousand people: fewer than one in ten may be read then


def populate(home: Path, people: int) -> tuple[str, list[str]]:
    """Make a home of `people` with three records each; return a consumer's token and the golden IDs."""
    settings = Settings.from_environment({"AUREA_HOME": str(home)})
    create_home(settings)
    file = home / "people.jsonl"
    with file.open("w") as lines:
        for number in range(people):
            for channel in ("crm", "web", "pos"):
                lines.write(json.dumps(person(channel, number)) + "\n")
    services = open_services(settings)
    ingest_files(services, [file], grants=("identity_linking", PURPOSE))
    run_link(services, LinkRequest())
    client, _ = services.clients.create("bench", "consumer", [PURPOSE])
    token = services.tokens.issue(client).token
    golden_ids = sorted(set(by_key(services).values()))
    services.close()
    return token, golden_ids


def drawn(home: Path, people: int) -> tuple[str, list[str]]:
    """Return a consumer's token and the golden IDs of `people` of a linked home who may be read."""
    services = open_services(Settings.from_environment({"AUREA_HOME": str(home)}))
    client, _ = services.clients.create(f"bench-{time.time_ns():x}", "consumer", [PURPOSE])
    token = services.tokens.issue(client).token
    chance = Random(7)  # noqa: S311 - who is asked for, the same in every run
    found: set[str] = set()
    with services.db.read() as conn:
        (top,) = conn.exec_driver_sql("SELECT max(record_no) FROM records").one()
    for _ in range(_MOST_DRAWS * (1 + people // BATCH)):
        if len(found) >= people:
            break
        with services.db.snapshot() as conn:
            goldens = services.memberships.goldens_of(conn, chance.sample(range(1, top + 1), min(top, BATCH)))
            names = services.memberships.names(conn, goldens.values())
        asked = [RevealRequest(PURPOSE, client.client_id, golden_id=each) for each in names.values()]
        answers = services.door.reveal_each(asked, services.clock())
        found.update(each.golden_id for each in answers if isinstance(each, Profile))
    services.close()
    if len(found) < people:
        raise SystemExit(f"{home} has not {people} people who may be read: name fewer with --people")
    return token, chance.sample(sorted(found), people)


def person(channel: str, number: int) -> dict[str, str]:
    chance = Random(number)  # noqa: S311 - made-up people, the same in every run

    def word(syllables: int) -> str:
        return "".join(chance.choice("bcdfglmnprstv") + chance.choice("aeiou") for _ in range(syllables))

    first, last = word(3).title(), f"{word(3)} {word(4)}".title()
    return {
        "channel": channel, "source_id": str(number), "first_name": first, "last_name": last,
        "email": f"{word(5)}@example.com", "phone": f"+346{chance.randrange(10**8):08d}",
        "city": chance.choice(("Madrid", "Sevilla", "Bilbao")),
        "postcode": f"{chance.randrange(1000, 52000):05d}",
    }  # fmt: skip


def serve(home: str, listener: socket.socket, kept: int = KEPT_PROFILES) -> None:
    """Run the application with the bare route, in a process of its own."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    configure_logging("info")  # logging is part of the cost, and of the product
    environment = {"AUREA_HOME": home, "AUREA_KEPT_PROFILES": str(kept)}
    application = create_app(open_services(Settings.from_environment(environment)))
    collect_rarely()  # as `aurea serve` does; the bare route gains by it too
    hand_over_soon()
    bare = FastAPI(docs_url=None, redoc_url=None)
    bare.get("/constant")(lambda: Response(CONSTANT, media_type="application/json"))

    async def both(scope: Scope, receive: Receive, send: Send) -> None:
        chosen = bare if scope.get("path") == "/constant" else application
        await chosen(scope, receive, send)

    config = uvicorn.Config(
        both, loop="uvloop", http="httptools", log_config=None, access_log=False, ws="none"
    )
    uvicorn.Server(config).run(sockets=[listener])


class Connection:
    """A kept-alive connection that sends prepared bytes: the client must not be what is measured."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def ask(self, request: bytes) -> None:
        """Send one request and read its whole answer, which must be a 200."""
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise SystemExit(f"unexpected answer: {head.splitlines()[0].decode()}")
        at = head.lower().index(b"content-length: ") + 16
        await self._reader.readexactly(int(head[at : head.index(b"\r", at)]))


async def burst(connections: Sequence[Connection], requests: Sequence[bytes], seconds: float) -> list[float]:
    """Ask on all connections for `seconds`; return the latencies in milliseconds."""
    latencies: list[float] = []
    end = time.perf_counter() + seconds

    async def one(connection: Connection, offset: int) -> None:
        at = offset
        while (started := time.perf_counter()) < end:
            await connection.ask(requests[at % len(requests)])
            latencies.append((time.perf_counter() - started) * 1000)
            at += 7919  # a prime: neighbours are not read one after the other

    await asyncio.gather(*(one(connection, 131 * place) for place, connection in enumerate(connections)))
    return latencies


async def measure(port: int, token: str, golden_ids: list[str], seconds: float, count: int) -> dict[str, Any]:
    connections = [Connection(*await asyncio.open_connection("127.0.0.1", port)) for _ in range(count)]
    head = f"Host: x\r\nAuthorization: Bearer {token}\r\n\r\n"
    profiles = [f"GET /v1/profiles/{one}?purpose={PURPOSE} HTTP/1.1\r\n{head}".encode() for one in golden_ids]
    constant = [f"GET /constant HTTP/1.1\r\n{head}".encode()]
    for requests in (profiles, constant):  # caches, prepared statements, first disclosures
        await burst(connections, requests, 3 * BURST_SECONDS)
    read: list[float] = []
    bare: list[float] = []
    rounds = max(1, round(seconds / (2 * BURST_SECONDS)))
    for _ in range(rounds):
        bare += await burst(connections, constant, BURST_SECONDS)
        read += await burst(connections, profiles, BURST_SECONDS)
    spent = rounds * BURST_SECONDS
    batches = [
        batch(golden_ids[at : at + BATCH], token) for at in range(0, len(golden_ids) - BATCH + 1, BATCH)
    ]
    await burst(connections[:2], batches, BURST_SECONDS)
    started = time.perf_counter()
    answered = len(await burst(connections[:2], batches, 5 * BURST_SECONDS)) * BATCH
    in_batches = answered / (time.perf_counter() - started)
    return {
        "profile_reads_per_second": round(len(read) / spent, 1),
        "bare_requests_per_second": round(len(bare) / spent, 1),
        "ratio": round(len(bare) / len(read), 2),
        "profile_ms": latency(read),
        "bare_ms": latency(bare),
        "connections": count,
        "profiles_per_second_in_batches": round(in_batches),
    }


def batch(golden_ids: Sequence[str], token: str) -> bytes:
    """Return one request that looks all of them up."""
    body = json.dumps({"purpose": PURPOSE, "lookups": [{"golden_id": each} for each in golden_ids]}).encode()
    head = (
        f"POST /v1/profiles/lookup/batch HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def latency(values: list[float]) -> dict[str, float]:
    cuts = quantiles(values, n=100)
    return {"p50": round(cuts[49], 2), "p99": round(cuts[98], 2)}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--people", type=int, default=2_000)
    options.add_argument("--seconds", type=float, default=20)
    options.add_argument("--connections", type=int, default=32)
    options.add_argument("--home", type=Path)
    chosen = options.parse_args()
    if chosen.people < BATCH:
        options.error(f"--people: {BATCH} at least, for one whole batch")
    with tempfile.TemporaryDirectory() as folder:
        home = chosen.home or Path(folder) / "home"
        token, golden_ids = (populate if chosen.home is None else drawn)(home, chosen.people)
        found = served(home, KEPT_PROFILES, token, golden_ids, chosen)
        opened = served(home, 0, token, golden_ids, chosen)
    told = {"benchmark": "read", "people": chosen.people, "golden_ids": len(golden_ids)}
    print(json.dumps({**told, **found, "opened": opened}))


def served(
    home: Path, kept: int, token: str, golden_ids: list[str], chosen: argparse.Namespace
) -> dict[str, Any]:
    """Measure a server of its own that keeps up to `kept` answers."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    server = multiprocessing.get_context("spawn").Process(
        target=serve, args=(str(home), listener, kept), daemon=True
    )
    server.start()
    found = asyncio.run(measure(port, token, golden_ids, chosen.seconds, chosen.connections))
    server.terminate()
    server.join()
    return found


if __name__ == "__main__":
    main()
