"""Records that arrive one by one over HTTP at a small home: `POST /v1/records`, one record a request.

    python benchmarks/arrivals_http.py [--records 4000] [--seconds 20] [--connections 8] [--workers 2]

The home holds --records records after one linkage run; the server is the one of `aurea serve`, in processes
of its own, and the client that drives it, over kept-alive connections, takes its share of the same cores.
Half of the arrivals repeat what another channel's record of the home says, so that they meet somebody; half
are people the home has never seen. Each answer comes when the record is stored, resolved and on disk. Prints
one JSON object: requests a second, latencies in milliseconds, and what became of the records.
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
from collections import Counter
from collections.abc import Sequence
from itertools import chain, islice
from pathlib import Path
from random import Random
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from measure import percentiles, report

from api import server
from api.demo.channels import COLUMNS
from api.demo.generator import generate
from api.ingesting import ingest_files
from api.linkage import LinkRequest, run_link
from api.services import open_services
from api.settings import Settings
from api.stores import create_home
from identity.attributes import STANDARD

GRANTED: Final = ("identity_linking", "personalization")
_STARTING_SECONDS: Final = 60
_WARM_SECONDS: Final = 5.0


def rows(count: int, seed: int) -> list[dict[str, Any]]:
    """Return `count` records of the demo's generator."""
    people = chain.from_iterable(generate(customers=count, seed=seed))
    return [dict(zip(COLUMNS, row, strict=True)) for row, _ in islice(people, count)]


def populate(settings: Settings, known: Sequence[dict[str, Any]]) -> str:
    """Make a home of these records, link it once, and return an ingest client's token."""
    create_home(settings)
    file = settings.home / "records.jsonl"
    with file.open("w") as lines:
        for row in known:
            lines.write(json.dumps(record_of(row, row["source_id"])) + "\n")
    services = open_services(settings)
    ingest_files(services, [file], grants=GRANTED)
    run_link(services, LinkRequest())
    client, _ = services.clients.create("bench", "ingest", [])
    token = services.tokens.issue(client).token
    services.close()
    file.unlink()
    return token


def record_of(row: dict[str, Any], source_id: str) -> dict[str, Any]:
    """Return a row as a file's record: the attributes beside the record key."""
    said = {name: row[name] for name in STANDARD if row.get(name)}
    return {"channel": row["channel"], "source_id": source_id, **said}


def requests(known: Sequence[dict[str, Any]], count: int, port: int, token: str) -> list[bytes]:
    """Return what arrives, as whole requests: known and unknown people in turn."""
    chance = Random(7)  # noqa: S311 - which rows, the same in every run
    unknown = rows(count, seed=99)
    consents = [{"purpose": purpose, "state": "granted"} for purpose in GRANTED]
    head = (
        f"POST /v1/records HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {token}\r\n"
        "Content-Type: application/json\r\nContent-Length: "
    )
    made = []
    for at in range(count):
        row = chance.choice(known if at % 2 else unknown)
        attributes = record_of(row, "")
        channel = attributes.pop("channel")
        del attributes["source_id"]
        record = {
            "channel": channel,
            "source_id": f"new-{at}",
            "attributes": attributes,
            "consents": consents,
        }
        body = json.dumps({"records": [record]}).encode()
        made.append(f"{head}{len(body)}\r\n\r\n".encode() + body)
    return made


def serve(settings: Settings, port: int, workers: int) -> None:
    """Do what `aurea serve` does; its log, a line a request, goes nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    server.run(settings, host="127.0.0.1", port=port, workers=workers)


async def ready(port: int) -> None:
    """Wait until the server answers."""
    for _ in range(_STARTING_SECONDS * 10):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.1)
        else:
            writer.close()
            return
    raise SystemExit("the server did not start")


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> str:
    """Send one request and return what became of its record."""
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    at = head.lower().index(b"content-length: ") + 16
    body = await reader.readexactly(int(head[at : head.index(b"\r", at)]))
    if not head.startswith(b"HTTP/1.1 200"):
        raise SystemExit(f"unexpected answer: {head.splitlines()[0].decode()}")
    (result,) = json.loads(body)["results"]
    return f"{result['status']}, {result.get('decision', 'none')}"


async def drive(
    port: int, arrivals: Sequence[bytes], seconds: float, connections: int
) -> tuple[list[float], Counter[str]]:
    """Send from all connections for `seconds` after a while to warm up; return latencies and outcomes."""
    await ready(port)
    waiting = iter(arrivals)
    latencies: list[float] = []
    outcomes: Counter[str] = Counter()

    async def one(end: float) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while (started := time.perf_counter()) < end:
            outcome = await ask(reader, writer, next(waiting))
            latencies.append(time.perf_counter() - started)
            outcomes[outcome] += 1
        writer.close()

    # The first worker to listen gets every connection of the warm-up: measured are others, made after it.
    for phase in (_WARM_SECONDS, seconds):
        latencies.clear()
        outcomes.clear()
        end = time.perf_counter() + phase
        await asyncio.gather(*(one(end) for _ in range(connections)))
    return latencies, outcomes


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--records", type=int, default=4_000)
    options.add_argument("--seconds", type=float, default=20)
    options.add_argument("--connections", type=int, default=8)
    options.add_argument("--workers", type=int, default=2)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        environment = {"AUREA_HOME": str(Path(folder) / "home"), "AUREA_CLIENT_RATE": "0"}
        settings = Settings.from_environment(environment)
        known = rows(chosen.records, seed=1)
        token = populate(settings, known)
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        most = int((chosen.seconds + _WARM_SECONDS) * 2_000)
        arrivals = requests(known, most, port, token)
        process = multiprocessing.get_context("spawn").Process(
            target=serve, args=(settings, port, chosen.workers)
        )
        process.start()
        try:
            latencies, outcomes = asyncio.run(drive(port, arrivals, chosen.seconds, chosen.connections))
        finally:
            process.terminate()
            process.join()
    report(
        "arrivals_http", records=chosen.records, workers=chosen.workers, connections=chosen.connections,
        records_per_second=round(len(latencies) / chosen.seconds, 1), **percentiles(latencies),
        outcomes=dict(outcomes.most_common()),
    )  # fmt: skip


if __name__ == "__main__":
    main()
