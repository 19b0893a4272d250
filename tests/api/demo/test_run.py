"""`aurea demo` on few customers: it does the whole job, twice over, and ends when told to."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

CUSTOMERS = 400


def start(home: Path, *, serve: bool, port: int = 8000) -> subprocess.Popen[str]:
    """Start the demo as the command does, with fewer customers."""
    call = f"run_demo(serve={serve}, as_json=True, customers={CUSTOMERS}, port={port})"
    environment = {**os.environ, "AUREA_HOME": str(home), "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", f"from api.demo.run import run_demo; {call}"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@dataclass
class Demo:
    """A demo that has done everything, and serves."""

    home: Path
    process: subprocess.Popen[str]
    base: str
    told: dict[str, Any]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    home = tmp_path_factory.mktemp("demo") / "home"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with start(home, serve=True, port=port) as process:
        assert process.stdout is not None
        told = process.stdout.readline()
        if not told:
            pytest.fail(process.communicate()[1][-2_000:])
        yield Demo(home, process, f"http://127.0.0.1:{port}", json.loads(told))
        process.kill()


def test_it_ingests_links_and_measures(demo: Demo) -> None:
    first = demo.told
    assert first["people"] == CUSTOMERS
    assert first["ingested"]["created"] == first["ingested"]["read"] == first["linked"]["records"]
    assert first["ingested"]["rejected"] == 0
    assert first["linked"]["linkable"] < first["linked"]["records"]  # some refuse to be linked
    assert first["linked"]["golden_ids"] < first["linked"]["records"]
    permitted = first["accuracy_of_permitted_records"]["pairwise"]
    assert permitted["precision"] > 0.8
    assert permitted["recall"] > 0.5
    assert first["golden_id"].startswith("g_")


def test_its_home_is_one_that_the_doctor_finds_nothing_wrong_with(demo: Demo) -> None:
    doctor = [sys.executable, "-c", "from api.cli import main; main()", "doctor", "--json"]
    environment = {**os.environ, "AUREA_HOME": str(demo.home)}
    done = subprocess.run(doctor, env=environment, capture_output=True, text=True, check=False)
    assert [check for check in json.loads(done.stdout)["checks"] if not check["ok"]] == []


def test_it_serves_the_profile_it_names_and_ends_cleanly_when_interrupted(demo: Demo) -> None:
    wait_until_ready(demo.base, demo.process)
    kept = json.loads((demo.home / "demo" / "client.json").read_text(encoding="utf-8"))
    token = httpx.post(
        f"{demo.base}/v1/token",
        data={"grant_type": "client_credentials"},
        auth=(kept["client_id"], kept["client_secret"]),
    ).json()["access_token"]
    profile = httpx.get(
        f"{demo.base}/v1/profiles/{demo.told['golden_id']}",
        params={"purpose": "personalization"},
        headers={"Authorization": f"Bearer {token}"},
    )
    assert profile.status_code == 200
    assert profile.json()["records"] > 1
    demo.process.send_signal(signal.SIGINT)
    _, errors = demo.process.communicate(timeout=30)
    assert demo.process.returncode in (0, 130)
    assert "Traceback" not in errors


@pytest.mark.slow
def test_a_second_time_everything_is_as_it_was(demo: Demo) -> None:
    with start(demo.home, serve=False) as process:
        out, errors = process.communicate(timeout=200)
    assert process.returncode == 0, errors[-2_000:]
    first, second = demo.told, json.loads(out.splitlines()[-1])
    assert second["ingested"]["unchanged"] == second["ingested"]["read"] == first["ingested"]["read"]
    assert second["linked"]["golden_ids"] == first["linked"]["golden_ids"]
    assert (second["linked"]["created"], second["linked"]["merged"], second["linked"]["split"]) == (0, 0, 0)
    assert second["accuracy"] == first["accuracy"]
    assert (second["client_id"], second["golden_id"]) == (first["client_id"], first["golden_id"])


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
