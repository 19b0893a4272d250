"""The main job on real input: five sources of one customer base, over the real command line and HTTP.

Published for the same files: 2,233 golden records (Splink), 2,270 (Kanoniv), 3,583 (exact rules by hand).
"""

import csv
import json
import os
import socket
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.shared import shared

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
MAPPINGS = ROOT / "docs" / "examples" / "kanoniv"
FILES = {
    "crm": "crm_contacts.csv",
    "billing": "billing_accounts.csv",
    "support": "support_users.csv",
    "app": "app_signups.csv",
    "partner": "partner_leads.csv",
}
PUBLISHED = {"Splink": 2_233, "Kanoniv": 2_270, "exact rules by hand": 3_583}
PURPOSE = "personalization"


class Home:
    """The `aurea` command over one home, as a user runs it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("AUREA_")},
            "AUREA_HOME": str(folder / "home"),
            "AUREA_DRAIN_SECONDS": "0",
            "AUREA_DEFAULT_REGION": "US",  # the files' phone numbers come without a country
        }

    def run(self, *arguments: str | Path) -> dict[str, Any]:
        command = [Path(sys.executable).with_name("aurea"), *arguments, "--json"]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2_000:]
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    data = shared("data/kanoniv_5source")
    home = Home(tmp_path_factory.mktemp("kanoniv"))
    home.run("init")
    for channel, name in FILES.items():
        home.run("ingest", data / name, "--mapping", MAPPINGS / f"{channel}.toml")
    return home


@pytest.fixture(scope="module")
def linked(home: Home) -> dict[str, Any]:
    return home.run("link")


@pytest.fixture(scope="module")
def memberships(home: Home, linked: Mapping[str, Any]) -> dict[tuple[str, str], str]:
    out = home.folder / "memberships.csv"
    home.run("memberships", "--out", out)
    with out.open(encoding="utf-8") as file:
        return {(row["channel"], row["source_id"]): row["golden_id"] for row in csv.DictReader(file)}


@pytest.fixture(scope="module")
def server(home: Home, memberships: Mapping[tuple[str, str], str]) -> Iterator[dict[str, httpx.Client]]:
    """Yield HTTP clients by role, over a server that runs as its own process."""
    consumer = home.run("client", "create", "shop", "--role", "consumer", "--purpose", PURPOSE)
    officer = home.run("client", "create", "privacy-desk", "--role", "officer")
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    command = [Path(sys.executable).with_name("aurea"), "serve", "--port", str(port)]
    with subprocess.Popen(command, env=home.environment, stderr=subprocess.DEVNULL) as process:
        try:
            wait_until_ready(base, process)
            clients = {made["role"]: log_in(base, made) for made in (consumer, officer)}
            yield clients
            for client in clients.values():
                client.close()
        finally:
            process.terminate()
            process.wait(timeout=30)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until_ready(base: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(300):
        assert process.poll() is None, "the server ended"
        try:
            if httpx.get(f"{base}/readyz").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    pytest.fail("the server was not ready within 30 s")


def log_in(base: str, made: Mapping[str, Any]) -> httpx.Client:
    client = httpx.Client(base_url=base, timeout=30)
    answer = client.post(
        "/v1/token",
        data={"grant_type": "client_credentials"},
        auth=(made["client_id"], made["client_secret"]),
    )
    assert answer.status_code == 200
    client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
    return client


def lookup(client: httpx.Client, record: tuple[str, str]) -> httpx.Response:
    identifier = {"type": "record", "value": f"{record[0]}:{record[1]}"}
    return client.post("/v1/profiles/lookup", json={"purpose": PURPOSE, "identifiers": [identifier]})


def known_to_crm_and_app(memberships: Mapping[tuple[str, str], str]) -> list[tuple[str, str]]:
    """Pairs of a CRM and an app identifier with one unmistakable e-mail address, which linkage must join."""
    data = shared("data/kanoniv_5source")
    owners: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for channel, key in (("crm", "crm_contact_id"), ("app", "app_user_id")):
        with (data / FILES[channel]).open(encoding="utf-8") as file:
            for row in csv.DictReader(file):
                if row["email"]:
                    owners[row["email"].strip().lower()][channel].append(row[key])
    both = [of for of in owners.values() if len(of["crm"]) == len(of["app"]) == 1]
    return [(of["crm"][0], of["app"][0]) for of in both]


def test_every_record_of_the_five_files_lands_and_gets_a_golden_id(
    linked: Mapping[str, Any], memberships: Mapping[tuple[str, str], str]
) -> None:
    expected = sum(
        len((shared("data/kanoniv_5source") / name).read_text(encoding="utf-8").splitlines()) - 1
        for name in FILES.values()
    )
    assert linked["records"] == len(memberships) == expected


def test_the_count_of_golden_ids_is_plausible(
    linked: Mapping[str, Any], memberships: Mapping[tuple[str, str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    count = len(set(memberships.values()))
    with capsys.disabled():
        others = ", ".join(f"{name} {number:,}" for name, number in PUBLISHED.items())
        sys.stdout.write(
            f"\nkanoniv: {count:,} golden IDs of {len(memberships):,} records; published: {others}\n"
        )
    assert count == linked["golden_ids"]
    assert 1_900 <= count <= 2_700


def test_the_crm_and_the_app_identifier_of_a_customer_give_one_golden_id(
    server: Mapping[str, httpx.Client], memberships: Mapping[tuple[str, str], str]
) -> None:
    pairs = known_to_crm_and_app(memberships)
    joined = [pair for pair in pairs if memberships["crm", pair[0]] == memberships["app", pair[1]]]
    assert len(joined) / len(pairs) > 0.95
    crm, app = joined[0]
    by_crm, by_app = lookup(server["consumer"], ("crm", crm)), lookup(server["consumer"], ("app", app))
    assert by_crm.status_code == by_app.status_code == 200
    assert by_crm.json()["golden_id"] == by_app.json()["golden_id"] == memberships["crm", crm]
    assert {"crm", "app"} <= set(by_crm.json()["channels"])


def test_after_withdrawing_personalization_the_next_read_answers_404(
    server: Mapping[str, httpx.Client], memberships: Mapping[tuple[str, str], str]
) -> None:
    crm, app = next(
        pair
        for pair in known_to_crm_and_app(memberships)[1:]
        if memberships["crm", pair[0]] == memberships["app", pair[1]]
    )
    assert lookup(server["consumer"], ("crm", crm)).status_code == 200
    withdrawal = {
        "subject": {"record": {"channel": "app", "source_id": app}},
        "purpose": PURPOSE,
        "state": "withdrawn",
        "method": "direct",
    }
    assert server["officer"].post("/v1/consents", json=withdrawal).status_code == 201
    unknown = lookup(server["consumer"], ("crm", "CRM_does_not_exist"))
    for record in (("crm", crm), ("app", app)):
        answer = lookup(server["consumer"], record)
        assert answer.status_code == 404
        assert answer.content == unknown.content  # nobody learns that there is somebody
