"""`aurea demo` on few customers: it does the whole job, twice over, and ends when told to."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

CUSTOMERS = 400


def start(home: Path, *, serve: bool, port: int = 8000) -> subprocess.Popen[str]:
    """Start the demo as the command does, with fewer customers."""
    call = f"run_demo(serve={serve}, as_json=True, customers={CUSTOMERS}, port={port})"
    environment = {**os.environ, "AUREA_HOME": str(home)}
    return subprocess.Popen(
        [sys.executable, "-c", f"from api.demo.run import run_demo; {call}"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(home: Path) -> dict[str, Any]:
    with start(home, serve=False) as process:
        out, errors = process.communicate(timeout=200)
    assert process.returncode == 0, errors[-2_000:]
    answer: dict[str, Any] = json.loads(out.splitlines()[-1])
    return answer


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "home"


@pytest.fixture(scope="module")
def first(home: Path) -> dict[str, Any]:
    return run(home)


def test_it_ingests_links_and_measures(first: dict[str, Any]) -> None:
    assert first["people"] == CUSTOMERS
    assert first["ingested"]["created"] == first["ingested"]["read"] == first["linked"]["records"]
    assert first["ingested"]["rejected"] == 0
    assert first["linked"]["linkable"] < first["linked"]["records"]  # some refuse to be linked
    assert first["linked"]["golden_ids"] < first["linked"]["records"]
    permitted = first["accuracy_of_permitted_records"]["pairwise"]
    assert permitted["precision"] > 0.8
    assert permitted["recall"] > 0.5
    assert first["golden_id"].startswith("g_")


def test_a_second_time_everything_is_as_it_was(home: Path, first: dict[str, Any]) -> None:
    second = run(home)
    assert second["ingested"]["unchanged"] == second["ingested"]["read"] == first["ingested"]["read"]
    assert second["linked"]["golden_ids"] == first["linked"]["golden_ids"]
    assert (second["linked"]["created"], second["linked"]["merged"], second["linked"]["split"]) == (0, 0, 0)
    assert second["accuracy"] == first["accuracy"]
    assert (second["client_id"], second["golden_id"]) == (first["client_id"], first["golden_id"])


def test_it_serves_the_profile_it_names_and_ends_cleanly_when_interrupted(
    home: Path, first: dict[str, Any]
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    base = f"http://127.0.0.1:{port}"
    with start(home, serve=True, port=port) as process:
        wait_until_ready(base, process)
        kept = json.loads((home / "demo" / "client.json").read_text(encoding="utf-8"))
        token = httpx.post(
            f"{base}/v1/token",
            data={"grant_type": "client_credentials"},
            auth=(kept["client_id"], kept["client_secret"]),
        ).json()["access_token"]
        profile = httpx.get(
            f"{base}/v1/profiles/{first['golden_id']}",
            params={"purpose": "personalization"},
            headers={"Authorization": f"Bearer {token}"},
        )
        assert profile.status_code == 200
        assert profile.json()["records"] > 1
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert process.returncode in (0, 130)
    assert "Traceback" not in errors


def wait_until_ready(base: str, process: subprocess.Popen[str]) -> None:
    for _ in range(900):
        assert process.poll() is None, "the demo ended"
        try:
            if httpx.get(f"{base}/readyz").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    pytest.fail("the demo did not serve within 90 s")
