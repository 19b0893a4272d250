"""`aurea serve` as a process of its own: workers over one home, beside a linkage run, and its end."""

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from tests.world import AUREA, World, fetch_token, record, row

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def serving(
    world: World, *, workers: int, environment: Mapping[str, str] | None = None
) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(AUREA), "serve", "--port", str(port), "--workers", str(workers)]
    env = {**os.environ, **world.environment, "AUREA_DRAIN_SECONDS": "0", **(environment or {})}
    with log_of(world).open("w") as log, subprocess.Popen(command, env=env, stderr=log, text=True) as process:
        try:
            yield f"http://127.0.0.1:{port}", process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            process.wait(timeout=40)


def log_of(world: World) -> Path:
    return world.folder / "serve.log"


def wait_until_ready(base: str) -> None:
    end = time.monotonic() + 120  # a machine with other work on it
    while time.monotonic() < end:
        with suppress(httpx.TransportError):
            if httpx.get(f"{base}/readyz", trust_env=False).status_code == 200:
                return
        time.sleep(0.1)
    pytest.fail("the server was not ready within two minutes")


@pytest.mark.slow
def test_two_workers_serve_while_a_linkage_run_publishes(world: World) -> None:
    world.ingest(*(row("crm", f"{number}", f"Person{number}") for number in range(300)))
    world.ingest(*(row("web", f"{number}", f"Person{number}") for number in range(300)))
    ingest, secret = world.services.clients.create("in", "ingest")
    reader, reader_secret = world.services.clients.create("out", "consumer", ["personalization"])
    with serving(world, workers=2) as (base, process):
        wait_until_ready(base)
        with httpx.Client(base_url=base, trust_env=False, timeout=30) as http:
            writing = {"Authorization": f"Bearer {fetch_token(http, ingest.client_id, secret)}"}
            reading = {"Authorization": f"Bearer {fetch_token(http, reader.client_id, reader_secret)}"}
            env = {**os.environ, **world.environment}
            command = [str(AUREA), "link", "--json"]
            with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
                sent: list[str] = []
                while run.poll() is None or not sent:
                    body = {"records": [record("pos", str(len(sent)), f"Newcomer{len(sent)}")]}
                    answer = http.post("/v1/records", json=body, headers=writing)
                    assert answer.status_code == 200, answer.text
                    sent.append(answer.json()["results"][0]["golden_id"])
                    path = f"/v1/profiles/{sent[-1]}?purpose=personalization"
                    assert http.get(path, headers=reading).status_code == 200
                outcome = json.loads(run.communicate()[0])
            assert run.returncode == 0
            for golden_id in sent:  # what arrived meanwhile is not undone by the run
                path = f"/v1/profiles/{golden_id}?purpose=personalization"
                assert http.get(path, headers=reading).status_code == 200
            assert http.get("/metrics").text.count("aurea_http_requests_total{") > 2
        assert outcome["golden_ids"] >= 300
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=40) == 0
    log = log_of(world).read_text()
    assert "Newcomer" not in log
    assert "/v1/profiles/{golden_id}" in log


def test_a_request_under_way_is_answered_before_the_server_ends(world: World) -> None:
    ingest, secret = world.services.clients.create("in", "ingest")
    with serving(world, workers=1) as (base, process):
        wait_until_ready(base)
        with httpx.Client(base_url=base, trust_env=False, timeout=30) as http:
            token = fetch_token(http, ingest.client_id, secret)
            body = {"records": [record("crm", str(number), f"Person{number}") for number in range(100)]}

            def slowly() -> Iterator[bytes]:
                content = json.dumps(body).encode()
                yield content[:1000]
                process.send_signal(signal.SIGTERM)
                time.sleep(0.5)
                yield content[1000:]

            headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
            answer = http.post("/v1/records", content=slowly(), headers=headers)
        assert answer.status_code == 200
        assert len(answer.json()["results"]) == 100
        assert process.wait(timeout=40) == 0


def test_serving_without_a_home_is_refused_with_the_remedy(world: World, tmp_path: Path) -> None:
    done = world.command("serve", environment={"AUREA_HOME": str(tmp_path / "nowhere")})
    assert done.returncode == 1
    assert "aurea init" in done.stderr
    assert "Traceback" not in done.stderr


def test_serving_without_the_keyring_is_refused_with_the_remedy(world: World) -> None:
    world.settings.keyring_file.rename(world.folder / "elsewhere")
    done = world.command("serve")
    assert done.returncode == 1
    assert "keyring" in done.stderr
    assert "restore" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_in_use_is_a_failure_with_a_remedy(world: World) -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen(1)
        done = world.command("serve", "--port", str(busy.getsockname()[1]))
    assert done.returncode == 1
    (sentence,) = done.stderr.splitlines()
    assert "is in use" in sentence
    assert "--port" in sentence


def test_an_address_that_is_none_is_a_failure_with_a_remedy(world: World) -> None:
    done = world.command("serve", "--host", "no such host")
    assert done.returncode == 1
    assert "--host" in done.stderr


@pytest.mark.slow
def test_workers_that_a_busy_machine_starts_slowly_are_left_to_start(world: World) -> None:
    late = world.folder / "late"
    late.mkdir()
    (late / "sitecustomize.py").write_text(
        "import sys, time\nif any('spawn_main' in each for each in sys.orig_argv): time.sleep(8)\n"
    )
    path = {"PYTHONPATH": f"{late}{os.pathsep}{ROOT}"}
    with serving(world, workers=2, environment=path) as (base, _):
        wait_until_ready(base)
    assert "died" not in log_of(world).read_text()


def test_a_keyring_in_the_environment_reaches_the_workers_but_not_their_environment(world: World) -> None:
    keyring = world.services.settings.keyring_file
    text = keyring.read_text()
    keyring.unlink()
    with serving(world, workers=2, environment={"AUREA_KEYRING": text}) as (base, process):
        wait_until_ready(base)
        started = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        environments = [Path(f"/proc/{pid}/environ").read_bytes() for pid in started]
        assert len(environments) >= 2
        assert not any(b"AUREA_KEYRING" in each for each in environments)
    assert text not in log_of(world).read_text()
