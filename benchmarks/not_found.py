"""How long a 404 takes, by its cause: unknown, erased, restricted, not permitted.

A server process of the real application, and one client that asks for a golden ID of each cause in turn, in
an order drawn anew each round, so that what the machine does meanwhile falls on all alike.

    python benchmarks/not_found.py [--rounds 2000] [--people 200]

Prints one JSON object: the median and the mean of each cause in milliseconds, over `rounds` requests each,
and by how much the largest median is above the smallest (`spread_percent`). Exit status 1 from 5% on.
"""

import argparse
import http.client
import multiprocessing
import socket
import sys
import tempfile
import time
from pathlib import Path
from random import Random
from statistics import mean, median

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from measure import report
from read import PURPOSE, populate, serve

from api.services import open_services
from api.settings import Settings
from consent.recording import Saying
from consent.subjects import GoldenRef

CAUSES = ("unknown", "erased", "restricted", "not permitted")
BOUND_PERCENT = 5.0


def golden_ids_of(home: Path, known: list[str], chance: Random) -> dict[str, list[str]]:
    """Make a part of the people each be not found by another cause; return their golden IDs by cause."""
    services = open_services(Settings.from_environment({"AUREA_HOME": str(home)}))
    part = len(known) // 4
    ids = {cause: known[at * part : (at + 1) * part] for at, cause in enumerate(CAUSES)}
    letters = "abcdefghijklmnopqrstuvwxyz234567"
    ids["unknown"] = ["g_" + "".join(chance.choices(letters, k=26)) for _ in range(part)]
    for at, golden_id in enumerate(ids["erased"]):
        with services.db.read() as conn:
            view = services.memberships.resolve(conn, golden_id)
            members = services.memberships.members(conn, view.golden_no) if view else []
        numbers = [each.record_no for each in members]
        services.erasure.erase(numbers, request_id=f"r_{at}", now=services.clock())
    for cause, state in (("restricted", "restricted"), ("not permitted", "withdrawn")):
        for golden_id in ids[cause]:
            saying = Saying(purpose=PURPOSE, state=state, method="verified", source="client:bench")
            services.recorder.record(GoldenRef(golden_id), saying, services.clock())
    services.close()
    return ids


def measure(
    port: int, token: str, ids: dict[str, list[str]], rounds: int, chance: Random
) -> dict[str, list[float]]:
    """Ask `rounds` times for each cause; return the milliseconds."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.connect()
    connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    taken: dict[str, list[float]] = {cause: [] for cause in CAUSES}
    warm = 50
    for at in range(rounds + warm):
        for cause in chance.sample(CAUSES, len(CAUSES)):
            path = f"/v1/profiles/{ids[cause][at % len(ids[cause])]}?purpose={PURPOSE}"
            began = time.perf_counter()
            connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
            answer = connection.getresponse()
            answer.read()
            spent = (time.perf_counter() - began) * 1000
            if answer.status != 404:
                raise SystemExit(f"{cause}: unexpected answer {answer.status}")
            if at >= warm:
                taken[cause].append(spent)
    connection.close()
    return taken


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--rounds", type=int, default=2_000)
    options.add_argument("--people", type=int, default=200)
    chosen = options.parse_args()
    chance = Random(1)  # noqa: S311 - which is asked for first
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        token, golden_ids = populate(home, chosen.people)
        ids = golden_ids_of(home, golden_ids, chance)
        listener = socket.create_server(("127.0.0.1", 0))
        server = multiprocessing.get_context("spawn").Process(
            target=serve, args=(str(home), listener), daemon=True
        )
        server.start()
        taken = measure(listener.getsockname()[1], token, ids, chosen.rounds, chance)
        server.terminate()
        server.join()
    medians = {cause: median(times) for cause, times in taken.items()}
    spread = (max(medians.values()) / min(medians.values()) - 1) * 100
    report(
        "not_found",
        rounds=chosen.rounds,
        median_ms={cause: round(each, 3) for cause, each in medians.items()},
        mean_ms={cause: round(mean(times), 3) for cause, times in taken.items()},
        spread_percent=round(spread, 2),
        bound_percent=BOUND_PERCENT,
    )
    return int(spread >= BOUND_PERCENT)


if __name__ == "__main__":
    raise SystemExit(main())
