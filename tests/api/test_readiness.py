"""Ready means that the next read and the next write can be answered; leaving means that they still are."""

import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text

from api import readiness
from consent.access_log_reading import verify
from identity.database import Database, open_database
from tests.api.test_serve import serving, wait_until_ready
from tests.stores import ON_POSTGRESQL, environment
from tests.world import World, fetch_token, row


def failing(world: World) -> list[str]:
    answer = world.anonymous().get("/readyz")
    if answer.status_code == 200:
        return []
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "5"
    problem = answer.json()
    assert problem["type"] == "urn:aurea:problem:not-ready"
    named: list[str] = problem["failing"]
    return named


def older_schema(world: World) -> None:
    with world.services.db.write() as conn:
        conn.execute(text("UPDATE schema_version SET version_num = '0006'"))


def another_homes_keyring(world: World) -> None:
    other = world.folder / "other"
    world.answer("init", environment=environment(other))
    shutil.copy(other / "keyring", world.home / "keyring")
    time.sleep(1.1)  # the keyring looks at its file once a second


def no_place_for_the_access_log(world: World) -> None:
    shutil.rmtree(world.settings.access_log_dir)
    world.settings.access_log_dir.write_text("a file")


def bad_policy(world: World) -> None:
    (world.home / "purposes.toml").write_text("purposes = 3")


def store_not_writable(world: World) -> Database:
    services = world.services
    url = world.settings.database_url
    read_only = open_database(
        f"{url}&options=-cdefault_transaction_read_only%3Don" if ON_POSTGRESQL
        else f"sqlite:///file:{world.home / 'aurea.db'}?mode=ro&uri=true"
    )  # fmt: skip
    services.readiness._parts = [
        (name, read_only.is_writable if name == "operational store" else works)
        for name, works in services.readiness._parts
    ]
    return read_only


FAULTS: dict[str, tuple[Callable[[World], Database | None], list[str]]] = {
    "the schema is another version's": (older_schema, ["schema"]),
    "the keyring is another home's": (another_homes_keyring, ["keyring"]),
    "the access log has no place": (no_place_for_the_access_log, ["access log"]),
    "the policy does not load": (bad_policy, ["policy"]),
    "the store may only be read": (store_not_writable, ["operational store"]),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_does_not_work_is_named(world: World, fault: str) -> None:
    cause, expected = FAULTS[fault]
    world.ingest(row("crm", "1", "Ana"))
    assert failing(world) == []
    opened = cause(world)
    assert failing(world) == expected
    if opened:
        opened.close()


def test_a_disk_that_is_nearly_full_is_not_ready(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(world.home)
    monkeypatch.setattr(readiness.shutil, "disk_usage", lambda _: usage._replace(free=10 << 20))
    assert failing(world) == ["disk"]


def test_a_home_without_records_and_one_whose_writer_is_busy_are_ready(world: World) -> None:
    assert failing(world) == []
    with world.services.db.write(), world.services.keys.write():
        assert failing(world) == []
    assert list(world.settings.access_log_dir.iterdir()) == [], "no probe is left"


# Leaving


def closed_segments(world: World) -> list[bool]:
    segments = sorted(world.settings.access_log_dir.glob("*.jsonl"))
    return ["closed" in json.loads(path.read_bytes().splitlines()[-1]) for path in segments]


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_readiness_goes_first_while_everything_is_still_served(settled: World, workers: int) -> None:
    golden_id = settled.golden_id("town_a", "Delia")
    shop, secret = settled.services.clients.create("shop", "consumer", ["personalization"])
    drained = {"AUREA_DRAIN_SECONDS": "4"}
    with serving(settled, workers=workers, environment=drained) as (base, process):
        wait_until_ready(base)
        with httpx.Client(base_url=base, trust_env=False, timeout=30) as http:
            headers = {"Authorization": f"Bearer {fetch_token(http, shop.client_id, secret)}"}
            path = f"/v1/profiles/{golden_id}?purpose=personalization"
            for _ in range(10):
                assert http.get(path, headers=headers).status_code == 200
        process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        while (answer := httpx.get(f"{base}/readyz", trust_env=False)).status_code == 200:  # new connections
            time.sleep(0.05)
        assert (answer.status_code, answer.json()["failing"]) == (503, ["shutting down"])
        assert httpx.get(base + path, headers=headers, trust_env=False).status_code == 200
        assert process.wait(timeout=40) == 0
        assert time.monotonic() - began < 20
    assert closed_segments(settled)
    assert all(closed_segments(settled))
    assert verify(settled.settings.access_log_dir).problems == ()


@pytest.mark.slow
def test_a_worker_with_a_request_that_never_ends_leaves_within_the_bound(world: World) -> None:
    ingest, secret = world.services.clients.create("in", "ingest")
    with serving(world, workers=1) as (base, process):
        wait_until_ready(base)
        with httpx.Client(base_url=base, trust_env=False, timeout=60) as http:
            token = fetch_token(http, ingest.client_id, secret)
            began = 0.0

            def never() -> "object":
                nonlocal began
                yield b'{"records": ['
                process.send_signal(signal.SIGTERM)
                began = time.monotonic()
                while process.poll() is None:
                    time.sleep(0.2)
                yield b""

            headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
            with suppress(httpx.TransportError):
                http.post("/v1/records", content=never(), headers=headers)  # type: ignore[arg-type]  # an iterator
        assert process.wait(timeout=40) == 0
        assert 9 < time.monotonic() - began < 25


def test_a_worker_whose_last_work_does_not_end_is_ended(world: World, tmp_path: Path) -> None:
    """In a process of its own, with a housekeeping that never ends and a bound of a second."""
    import subprocess
    import sys

    root = Path(__file__).resolve().parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", NEVER_ENDING, str(world.home)], cwd=root, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        env={**os.environ, **world.environment, "PYTHONPATH": str(root)},
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "at work\n"
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 1
        assert time.monotonic() - began < 5


NEVER_ENDING = """
import os, sys, time
from functools import partial
import uvicorn
from api import leaving
from api.app import create_app
from api.services import Services, open_services
from api.settings import Settings
leaving.LAST_SECONDS = 1.0
def forever(_services):
    print("at work", flush=True)
    time.sleep(60)
Services.housekeep = forever
services = open_services(Settings.from_environment({**os.environ, "AUREA_HOME": sys.argv[1]}))
during = partial(leaving.leaving, services.readiness, 0, 0)
app = create_app(services, housekeeping_seconds=0.1, during=during)
uvicorn.Server(uvicorn.Config(app, port=0, timeout_graceful_shutdown=1)).run()
"""


def test_ready_costs_little(world: World) -> None:
    """A probe comes every few seconds from everywhere: it may not take what a page takes."""
    world.ingest(*(row("crm", str(number), f"Person{number}") for number in range(50)))
    assert world.services.readiness.failing() == []
    began = time.process_time()
    for _ in range(20):
        world.services.readiness.failing()
    assert (time.process_time() - began) / 20 < 0.1, "processor seconds a probe"
