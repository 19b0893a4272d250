"""A consent event over HTTP until it is durable, beside its budget of 10 ms at the median.

One server process of the real service over a real socket; one client sends statements one after the other.

    python benchmarks/consent_events.py [--people 1000] [--events 500]
"""

import argparse
import json
import socket
import sys
import tempfile
import time
from multiprocessing import get_context
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import httpx

from api.ingesting import ingest_files
from api.server import run
from api.services import open_services
from api.settings import Settings
from api.stores import create_home
from benchmarks.measure import percentiles, report


def serve(settings: Settings, port: int) -> None:
    run(settings, host="127.0.0.1", port=port, workers=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=1_000)
    parser.add_argument("--events", type=int, default=500)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings.from_environment({"AUREA_HOME": f"{folder}/home", "AUREA_LOG_LEVEL": "error"})
        create_home(settings)
        file = Path(folder) / "people.jsonl"
        file.write_text(
            "".join(
                json.dumps({"channel": "crm", "source_id": str(number), "email": f"p{number}@example.com"})
                + "\n"
                for number in range(options.people)
            )
        )
        services = open_services(settings)
        ingest_files(services, [file], grants=("identity_linking", "personalization"))
        client, secret = services.clients.create("in", "ingest")
        services.close()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        process = get_context("spawn").Process(target=serve, args=(settings, port), daemon=True)
        process.start()
        try:
            taken = measure(f"http://127.0.0.1:{port}", client.client_id, secret, options)
        finally:
            process.terminate()
            process.join()
    report(
        "consent_events.http", people=options.people, events=options.events, budget_ms=10,
        **percentiles(taken),
    )  # fmt: skip


def measure(base: str, client_id: str, secret: str, options: argparse.Namespace) -> list[float]:
    taken = []
    with httpx.Client(base_url=base, trust_env=False, timeout=30) as http:
        for _ in range(300):
            try:
                http.get("/readyz").raise_for_status()
                break
            except httpx.HTTPError:
                time.sleep(0.1)
        form = {"grant_type": "client_credentials"}
        token = http.post("/v1/token", data=form, auth=(client_id, secret)).json()["access_token"]
        for number in range(options.events):
            said = {
                "subject": {"record": {"channel": "crm", "source_id": str(number % options.people)}},
                "purpose": "personalization", "method": "direct",
                "state": "withdrawn" if number % 2 else "granted",
            }  # fmt: skip
            start = time.perf_counter()
            answer = http.post("/v1/consents", json=said, headers={"Authorization": f"Bearer {token}"})
            taken.append(time.perf_counter() - start)
            answer.raise_for_status()
    return taken


if __name__ == "__main__":
    main()
