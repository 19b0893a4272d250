"""Whether the memory of a server stays level over mixed load.

One worker of `aurea serve` as it is installed. Clients write records, replace them, read them by lookup,
state and withdraw consent, delete records again and fetch tokens, over and over, so that the number of
records stays the same. Every second the resident memory of the server's processes is noted. The first third
of the time is warm-up: caches fill. Of the rest the medians of the first and the last fifth are compared.

    python benchmarks/soak.py [--minutes 2] [--clients 4] [--people 200]

Prints one JSON object; exit status 1 if memory grew by more than 5% and 16 MB, or if a request failed.
"""

import argparse
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import httpx

from api.services import open_services
from api.settings import Settings
from api.stores import create_home
from benchmarks.measure import report

PURPOSE = "personalization"
LEVEL_PERCENT, LEVEL_MB = 5.0, 16.0


class Client:
    """One thread's part of the load: its own people, who come, change, and go."""

    def __init__(self, base: str, number: int, people: int, keys: dict[str, tuple[str, str]]) -> None:
        self._base, self._number, self._people, self._keys = base, number, people, keys
        self.answers: Counter[tuple[str, int]] = Counter()

    def run(self, until: float) -> None:
        """Work until the monotonic time `until`."""
        turn = 0
        with httpx.Client(base_url=self._base, timeout=60, trust_env=False) as http:
            while time.monotonic() < until:
                if turn % 100 == 0:
                    headers = {role: self._authorization(http, role) for role in self._keys}
                self._turn(http, headers, turn)
                turn += 1

    def _turn(self, http: httpx.Client, headers: dict[str, Any], turn: int) -> None:
        key = {"channel": "soak", "source_id": f"{self._number}-{turn % self._people}"}
        email = f"soak{self._number}.{turn}@example.com"
        granted = [{"purpose": purpose, "state": "granted"} for purpose in ("identity_linking", PURPOSE)]
        record = {**key, "attributes": {"first_name": "Soak", "email": email}, "consents": granted}
        lookup = {"purpose": PURPOSE, "identifiers": [{"type": "email", "value": email}]}
        said = {"subject": {"record": key}, "purpose": PURPOSE, "state": "withdrawn", "method": "direct"}
        self._post(http, "/v1/records", headers["ingest"], {"records": [record]})
        for _ in range(3):
            self._post(http, "/v1/profiles/lookup", headers["consumer"], lookup)
        if turn % 5 == 0:
            self._post(http, "/v1/consents", headers["ingest"], said)
            self._post(http, "/v1/profiles/lookup", headers["consumer"], lookup)
        if turn % 3 == 0:
            self._post(http, "/v1/records/delete", headers["ingest"], {"records": [key]})

    def _post(self, http: httpx.Client, path: str, headers: dict[str, str], body: dict[str, Any]) -> None:
        self.answers[path, http.post(path, json=body, headers=headers).status_code] += 1

    def _authorization(self, http: httpx.Client, role: str) -> dict[str, str]:
        form = {"grant_type": "client_credentials"}
        answer = http.post("/v1/token", data=form, auth=self._keys[role])
        self.answers["/v1/token", answer.status_code] += 1
        return {"Authorization": f"Bearer {answer.json()['access_token']}"}


def made(home: Path) -> dict[str, tuple[str, str]]:
    """Make a home with a client for each role and return their credentials."""
    settings = Settings.from_environment({"AUREA_HOME": str(home)})
    create_home(settings)
    services = open_services(settings)
    consumer, consumer_secret = services.clients.create("reader", "consumer", [PURPOSE])
    sender, sender_secret = services.clients.create("sender", "ingest")
    services.close()
    return {
        "consumer": (consumer.client_id, consumer_secret),
        "ingest": (sender.client_id, sender_secret),
    }


@contextmanager
def served(home: Path) -> Iterator[tuple[str, int]]:
    """Serve the home in a process of its own; its address and number."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        **os.environ,
        "AUREA_HOME": str(home),
        "AUREA_LOG_LEVEL": "warning",
        "AUREA_DRAIN_SECONDS": "0",
    }
    command = [sys.executable, "-c", "from api.cli import main; main()", "serve", "--port", str(port)]
    root = Path(__file__).resolve().parents[1]
    with subprocess.Popen(command, env=environment, cwd=root, stderr=subprocess.DEVNULL) as process:
        base = f"http://127.0.0.1:{port}"
        try:
            while True:
                try:
                    if httpx.get(f"{base}/readyz", trust_env=False).status_code == 200:
                        break
                except httpx.TransportError:
                    if process.poll() is not None:
                        raise SystemExit("the server did not start") from None
                time.sleep(0.2)
            yield base, process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=60)


def resident_mb(pid: int) -> float:
    """Return the resident memory of a process and those it started, in MB."""
    status = Path(f"/proc/{pid}/status").read_text().split("VmRSS:")[1].split()[0]
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(status) / 1024 + sum(resident_mb(int(child)) for child in children)


def soak(seconds: float, *, clients: int, people: int) -> dict[str, Any]:
    """Load a server for that long and return the figures."""
    with tempfile.TemporaryDirectory() as folder:
        keys = made(Path(folder) / "home")
        with served(Path(folder) / "home") as (base, pid):
            until = time.monotonic() + seconds
            load = [Client(base, number, people, keys) for number in range(clients)]
            threads = [threading.Thread(target=client.run, args=(until,)) for client in load]
            for thread in threads:
                thread.start()
            samples = []
            while time.monotonic() < until:
                samples.append(resident_mb(pid))
                time.sleep(min(1.0, seconds / 60))
            for thread in threads:
                thread.join()
    warm = samples[len(samples) // 3 :]
    fifth = max(1, len(warm) // 5)
    begin, end = median(warm[:fifth]), median(warm[-fifth:])
    answers = sum((client.answers for client in load), Counter[tuple[str, int]]())
    return {
        "seconds": round(seconds),
        "requests": answers.total(),
        "failed": sum(count for (_, status), count in answers.items() if status >= 500),
        "warm_mb": round(begin, 1),
        "end_mb": round(end, 1),
        "grew_mb": round(end - begin, 1),
        "most_mb": round(max(samples), 1),
        "statuses": {str(status): _count(answers, status) for status in sorted({s for _, s in answers})},
    }


def _count(answers: Counter[tuple[str, int]], status: int) -> int:
    return sum(count for (_, each), count in answers.items() if each == status)


def is_level(figures: dict[str, Any]) -> bool:
    """Whether memory did not grow beyond what a heap breathes."""
    return figures["grew_mb"] <= max(LEVEL_MB, figures["warm_mb"] * LEVEL_PERCENT / 100)


def main() -> int:
    """Run once."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=2)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--people", type=int, default=200)
    options = parser.parse_args()
    figures = soak(options.minutes * 60, clients=options.clients, people=options.people)
    report("soak", **figures)
    return 0 if is_level(figures) and not figures["failed"] else 1


if __name__ == "__main__":
    raise SystemExit(main())
