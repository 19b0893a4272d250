"""A world to test in: the whole real service on temporary stores, with verbs for what people do to it.

Nothing is faked but the clock, which a test may move. The server is the real one on a real socket.
"""

import asyncio
import io
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import structlog
import uvicorn

from api.app import create_app
from api.ingesting import ingest_files
from api.linkage import LinkRequest, run_link
from api.memberships import by_key
from api.observability import LOG_CONFIG, configure_logging
from api.roles import Role
from api.server import KEEP_ALIVE_SECONDS
from api.services import Services, open_services
from api.settings import Settings
from identity.records import RecordKey
from identity.report_page import SCRIPT_NAME, chart_script
from tests import stores
from tests.commands import commands
from tests.homes import kept_until_the_end, new_home

START = 1_780_000_000_000  # 2026-05-28T20:26:40Z, in milliseconds
NO_TLS = ssl.create_default_context()  # the server has none, and each client would read every authority anew
AUREA = Path(sys.executable).with_name("aurea")
ALL_PURPOSES = ("personalization", "marketing_email", "advertising", "analytics", "service")


def row(channel: str, source_id: str, person: str, **more: Any) -> dict[str, Any]:
    """A row of a file about a made-up person; equal names of persons give equal values."""
    number = int(sha256(person.encode()).hexdigest(), 16) % 100_000
    return {
        "channel": channel, "source_id": source_id,
        "first_name": person, "last_name": f"{person}sson",
        "email": f"{person.lower()}@example.com", "phone": f"+346001{number:05d}",
        "birth_date": f"19{50 + number % 50}-0{1 + number % 9}-{10 + number % 19}", **more,
    }  # fmt: skip


def record(channel: str, source_id: str, person: str, *consents: str, **more: Any) -> dict[str, Any]:
    """The same as a record of the API; `consents` are granted besides linking and personalization."""
    attributes = row(channel, source_id, person)
    del attributes["channel"], attributes["source_id"]
    granted = ("identity_linking", "personalization", *consents)
    return {
        "channel": channel, "source_id": source_id, "attributes": attributes,
        "consents": [{"purpose": purpose, "state": "granted"} for purpose in granted], **more,
    }  # fmt: skip


TOWN = (
    "Delia", "Elena", "Fabio", "Gerardo", "Hector", "Ines", "Jaime", "Karina", "Lucas", "Marta", "Nuria",
    "Oscar", "Pablo", "Quim", "Rosa", "Sonia", "Tomas", "Ursula", "Vera", "Walter", "Ximena", "Yago", "Zoe",
)  # fmt: skip


@dataclass
class Clock:
    """Time as the service sees it: milliseconds since the epoch, moved by hand, never by itself."""

    now: int = START

    def __call__(self) -> int:
        return self.now

    def pass_(self, *, seconds: float = 0, days: float = 0) -> None:
        self.now += int((seconds + days * 86_400) * 1000)


class World:
    """One home, its services, and on demand a server over it."""

    def __init__(
        self,
        folder: Path,
        *,
        policy: str | None = None,
        environment: Mapping[str, str] | None = None,
        store_urls: Mapping[str, str] | None = None,
    ) -> None:
        self.home = folder / "home"
        self.folder = folder
        self.clock = Clock()
        urls = stores.environment(self.home) if store_urls is None else store_urls
        self.environment = {"AUREA_HOME": str(self.home), **urls, **(environment or {})}
        self.settings = Settings.from_environment(self.environment)
        new_home(self.settings)
        if policy is not None:
            (self.home / "purposes.toml").write_text(policy)
        self.services: Services = open_services(self.settings, self.clock)
        self.logs = io.StringIO()
        self._server: _Server | None = None
        self._clients: list[httpx.Client] = []
        self._made = 0

    @property
    def url(self) -> str:
        """Where the server listens; starts it if need be."""
        if self._server is None:
            self._server = _Server(self.services, self.logs)
        return self._server.url

    def client(self, role: Role, *purposes: str, pairwise: bool = False) -> httpx.Client:
        """An HTTP client that has fetched its access token."""
        self._made += 1
        name = f"{role}-{self._made}"
        if role == "consumer" and not purposes:
            purposes = ALL_PURPOSES
        made, secret = self.services.clients.create(name, role, purposes, pairwise=pairwise)
        http = self.anonymous()
        http.headers["Authorization"] = f"Bearer {fetch_token(http, made.client_id, secret)}"
        return http

    def anonymous(self) -> httpx.Client:
        """An HTTP client without credentials."""
        http = httpx.Client(base_url=self.url, timeout=30, trust_env=False, verify=NO_TLS)
        self._clients.append(http)
        return http

    def send(self, *records: Mapping[str, Any], by: httpx.Client | None = None) -> list[dict[str, Any]]:
        """Post records to the API and return their results."""
        http = by or self.client("ingest")
        answer = http.post("/v1/records", json={"records": list(records)})
        assert answer.status_code == 200, answer.text
        results: list[dict[str, Any]] = answer.json()["results"]
        return results

    def ingest(
        self, *rows: Mapping[str, Any], grants: Sequence[str] = ("identity_linking", "personalization")
    ) -> None:
        """Ingest rows as a file would bring them: stored, and not resolved before the next `link`."""
        self._made += 1
        path = self.write_lines(f"rows-{self._made}.jsonl", rows)
        report = ingest_files(self.services, [path], grants=grants).report
        assert report.rejected == 0

    def link(self, **options: Any) -> dict[str, Any]:
        """Run the batch linkage."""
        return run_link(self.services, LinkRequest(**options))

    def settle(self) -> None:
        """Populate the world, so that a model trained here has something to learn from; link it."""
        self.ingest(*(row(channel, name, name) for name in TOWN for channel in ("town_a", "town_b")))
        self.link()

    def golden_id(self, channel: str, source_id: str) -> str:
        """The golden ID of a record."""
        return by_key(self.services)[RecordKey(channel, source_id)]

    def command(
        self, *arguments: str, stdin: str = "", environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run `aurea` on this home, in a process of its own (tests/commands says which)."""
        if "link" in arguments:
            self._keep_charts()
        env = {**os.environ, **self.environment, **(environment or {})}
        return commands().run(arguments, stdin=stdin, environment=env, folder=self.folder)

    def _keep_charts(self) -> None:
        """Put the script of run reports where a first run puts it, two seconds later (test_report.py)."""
        kept = self.settings.runs_dir / SCRIPT_NAME
        if not kept.exists():
            kept.write_text(chart_script())
            kept.chmod(0o600)

    def process(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the installed `aurea` on this home, from nothing."""
        return subprocess.run(
            [str(AUREA), *arguments], env={**os.environ, **self.environment}, cwd=self.folder, text=True,
            capture_output=True, timeout=240, check=False,
        )  # fmt: skip

    def command_as(self, role: Role, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run `aurea ... --as` a client of this role."""
        self._made += 1
        made, secret = self.services.clients.create(f"{role}-{self._made}", role)
        environment = {**options.pop("environment", {}), "AUREA_CLIENT_SECRET": secret}
        return self.command(*arguments, "--as", made.client_id, environment=environment, **options)

    def answer(self, *arguments: str, **options: Any) -> dict[str, Any]:
        """Run `aurea ... --json`, which must succeed, and return what it printed."""
        done = self.command(*arguments, "--json", **options)
        assert done.returncode == 0, done.stderr
        printed: dict[str, Any] = json.loads(done.stdout)
        return printed

    def write_lines(self, name: str, rows: Sequence[Mapping[str, Any]]) -> Path:
        """Write rows as a JSON Lines file in the world's folder."""
        path = self.folder / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    def close(self) -> None:
        """Stop the server and release the stores."""
        for http in self._clients:
            http.close()
        if self._server is not None:
            self._server.stop()
        self.services.close()


class _PromptServer(uvicorn.Server):
    """Ends when it is told to: uvicorn looks ten times a second, and then waits for a tenth of one more.

    That is waited for after nearly every test. Who waits for an answer then is for test_serve.py.
    """

    async def main_loop(self) -> None:
        while not await self.on_tick(0):  # noqa: ASYNC110 - uvicorn has a flag and no event
            await asyncio.sleep(0.01)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:  # noqa: ARG002 - uvicorn's
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        await asyncio.sleep(0.005)  # they close meanwhile; the next look is a tenth of a second later
        await self._wait_tasks_to_complete()
        await self.lifespan.shutdown()


class _Server:
    """uvicorn on a free port, in a thread."""

    def __init__(self, services: Services, logs: io.StringIO) -> None:
        configure_logging("info")
        structlog.configure(
            logger_factory=structlog.WriteLoggerFactory(file=logs), cache_logger_on_first_use=False
        )
        config = uvicorn.Config(
            create_app(services),
            port=0,
            log_config=LOG_CONFIG,
            access_log=False,
            ws="none",
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
        )
        self._server = _PromptServer(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        while not self._server.started:
            assert self._thread.is_alive(), "the server did not start"
            threading.Event().wait(0.002)
        self.url = f"http://127.0.0.1:{self._server.servers[0].sockets[0].getsockname()[1]}"

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(timeout=20)
        assert not self._thread.is_alive(), "the server did not stop"


def fetch_token(http: httpx.Client, client_id: str, secret: str, **form: str) -> str:
    """Trade credentials for an access token."""
    data = {"grant_type": "client_credentials", **form}
    answer = http.post("/v1/token", data=data, auth=(client_id, secret))
    assert answer.status_code == 200, answer.text
    return str(answer.json()["access_token"])


@contextmanager
def a_world(
    folder: Path,
    *,
    policy: str | None = None,
    environment: Mapping[str, str] | None = None,
    store_urls: Mapping[str, str] | None = None,
) -> Iterator[World]:
    """A world for the length of a block, on the usual stores of the tests or those of `store_urls`."""
    world = World(folder, policy=policy, environment=environment, store_urls=store_urls)
    try:
        yield world
    finally:
        world.close()


@cache
def _home_made(make: Callable[[World], object], policy: str | None) -> tuple[Path, int]:
    folder = kept_until_the_end()
    with a_world(folder, policy=policy) as one:
        make(one)
    stores.keep_home(one.home)
    return one.home, one._made


@contextmanager
def a_copied_world(
    folder: Path, make: Callable[[World], object], *, policy: str | None = None
) -> Iterator[World]:
    """What `a_world` and `make` give, copied from a home that `make` filled before."""
    home, made = _home_made(make, policy)
    stores.copy_home(home, folder / "home")
    with a_world(folder) as one:
        one._made = made
        yield one
