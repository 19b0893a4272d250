"""Recipients are told of changes: signed, in their own form, again until they answer, and nowhere private."""

import base64
import hmac
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from api import webhook_sending
from api.services import open_services
from api.settings import SettingsError
from api.webhook_sending import DeliveryError, check_url, send
from consent.recipients import BACKOFF_SECONDS
from consent.webhook_signatures import PREFIX, headers
from tests.world import World, record

RECORD = {"record": {"channel": "crm", "source_id": "1"}}


class Listener:
    """A recipient's server: keeps what arrives and answers with a status of the test's choice."""

    def __init__(self) -> None:
        self.status = 204
        self.got: list[tuple[dict[str, str], bytes]] = []
        listener = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                listener.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
                self.send_response(listener.status)
                if listener.status in (302, 307):
                    self.send_header("Location", f"{listener.url}/elsewhere")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"

    def told(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.got]


@contextmanager
def listening() -> Iterator[Listener]:
    listener = Listener()
    thread = threading.Thread(target=listener.server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield listener
    finally:
        listener.server.shutdown()
        thread.join(timeout=10)
        listener.server.server_close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    with listening() as one:
        yield one


@pytest.fixture
def told(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """A world whose webhooks may go to this machine."""
    monkeypatch.setattr("api.app.TELLING_SECONDS", 3_600.0)  # only the test says when they are told
    world.services.close()
    world.services = open_services(replace(world.settings, webhooks_private=True), world.clock)
    return world


def consumer(world: World, *purposes: str, pairwise: bool = False) -> tuple[str, Any]:
    http = world.client("consumer", *(purposes or ("personalization",)), pairwise=pairwise)
    token = http.headers["Authorization"].split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    return str(claims["sub"]), http


def withdraw(world: World, purpose: str = "personalization") -> None:
    said = {"subject": RECORD, "purpose": purpose, "state": "withdrawn", "method": "direct"}
    assert world.client("ingest").post("/v1/consents", json=said).status_code == 201


def test_a_message_has_the_published_signature() -> None:
    secret = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    sent = headers(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert sent["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("pairwise", [False, True])
def test_a_consumer_is_told_of_a_withdrawal_by_the_id_it_knows(
    told: World, listener: Listener, pairwise: bool
) -> None:
    told.send(record("crm", "1", "Ana"))
    client_id, http = consumer(told, pairwise=pairwise)
    asked = {"purpose": "personalization", "identifiers": [{"type": "record", "value": "crm:1"}]}
    known = http.post("/v1/profiles/lookup", json=asked).json()["golden_id"]
    number, secret = told.services.webhooks.add(client_id, listener.url)
    withdraw(told)

    assert told.services.webhooks.work().delivered == 1
    ((sent, body),) = listener.got
    assert json.loads(body) == {
        "type": "golden_id.withdrawn",
        "timestamp": "2026-05-28T20:26:40.000Z",
        "data": {"golden_id": known},
    }
    signed = f"{sent['webhook-id']}.{sent['webhook-timestamp']}.".encode() + body
    key = base64.b64decode(secret.removeprefix(PREFIX))
    expected = base64.b64encode(hmac.digest(key, signed, "sha256")).decode()
    assert sent["webhook-signature"] == f"v1,{expected}"
    assert told.services.webhooks.work().queued == 0
    polled = http.get("/v1/changes").json()["changes"]
    assert polled[-1]["type"] == "updated"
    assert number == 1


def test_nobody_is_told_of_an_id_it_does_not_know_or_a_purpose_it_does_not_read_for(
    told: World, listener: Listener
) -> None:
    told.send(record("crm", "1", "Ana"))
    stranger, _ = consumer(told)
    analyst, http = consumer(told, "analytics")
    asked = {"purpose": "analytics", "identifiers": [{"type": "record", "value": "crm:1"}]}
    assert http.post("/v1/profiles/lookup", json=asked).status_code == 200
    for client_id in (stranger, analyst):
        told.services.webhooks.add(client_id, listener.url)
    withdraw(told)
    assert told.services.webhooks.work().delivered == 0

    withdraw(told, "analytics")
    assert told.services.webhooks.work().delivered == 1


def test_what_a_linkage_and_a_deletion_do_is_told_too(told: World, listener: Listener) -> None:
    told.send(record("crm", "1", "Ana"))
    client_id, http = consumer(told)
    asked = {"purpose": "personalization", "identifiers": [{"type": "record", "value": "crm:1"}]}
    http.post("/v1/profiles/lookup", json=asked)
    told.services.webhooks.add(client_id, listener.url)
    told.client("ingest").post("/v1/records/delete", json={"records": [{"channel": "crm", "source_id": "1"}]})
    told.services.webhooks.work()
    assert [each["type"] for each in listener.told()] == ["golden_id.gone"]


def at_home(channel: str, source_id: str, person: str, *consents: dict[str, str]) -> dict[str, Any]:
    one = record(channel, source_id, person)
    one["attributes"]["email"] = "casa@example.org"
    return one | {"consents": list(consents)}


@pytest.mark.parametrize(("purpose", "state"), [("personalization", "refused"), ("analytics", "restricted")])
def test_a_denial_that_arrives_with_the_record_is_told_like_one_that_is_said(
    told: World, listener: Listener, purpose: str, state: str
) -> None:
    brought_by = record("crm", "1", "Ana") | {"consents": [{"purpose": purpose, "state": state}]}
    told.send(record("crm", "1", "Ana"))
    client_id, http = consumer(told)
    asked = {"purpose": "personalization", "identifiers": [{"type": "record", "value": "crm:1"}]}
    assert http.post("/v1/profiles/lookup", json=asked).status_code == 200
    told.services.webhooks.add(client_id, listener.url)
    told.send(brought_by)
    told.services.webhooks.work()
    assert "golden_id.withdrawn" in [each["type"] for each in listener.told()]

    told.send(brought_by)  # says nothing new
    told.services.webhooks.work()
    assert [each["type"] for each in listener.told()].count("golden_id.withdrawn") == 1


def test_whoever_shares_an_address_that_a_record_refuses_is_told_of(told: World, listener: Listener) -> None:
    told.send(at_home("crm", "1", "Ana", {"purpose": "marketing_email", "state": "granted"}))
    client_id, http = consumer(told, "marketing_email")
    asked = {"purpose": "marketing_email", "identifiers": [{"type": "record", "value": "crm:1"}]}
    assert http.post("/v1/profiles/lookup", json=asked).status_code == 200
    told.services.webhooks.add(client_id, listener.url)

    told.send(at_home("web", "7", "Bernardo", {"purpose": "marketing_email", "state": "refused"}))
    told.services.webhooks.work()
    assert [each["type"] for each in listener.told()] == ["golden_id.withdrawn"]
    assert http.post("/v1/profiles/lookup", json=asked).status_code == 404


def queued(world: World, url: str) -> None:
    world.send(record("crm", "1", "Ana"))
    client_id, http = consumer(world)
    asked = {"purpose": "personalization", "identifiers": [{"type": "record", "value": "crm:1"}]}
    http.post("/v1/profiles/lookup", json=asked)
    world.services.webhooks.add(client_id, url)
    withdraw(world)


def test_a_failure_is_tried_again_later_under_the_same_id_and_at_last_given_up(
    told: World, listener: Listener
) -> None:
    queued(told, listener.url)
    listener.status = 500
    assert told.services.webhooks.work().failed == 1
    assert told.services.webhooks.work().failed == 0  # not before its time
    for seconds in BACKOFF_SECONDS:
        assert not told.services.recipients.dead()
        told.clock.pass_(seconds=seconds)
        assert told.services.webhooks.work().failed == 1
    (letter,) = told.services.recipients.dead()
    assert (letter.attempts, letter.error) == (len(BACKOFF_SECONDS) + 1, "status 500")
    assert len({sent["webhook-id"] for sent, _ in listener.got}) == 1
    assert len({sent["webhook-timestamp"] for sent, _ in listener.got}) == len(BACKOFF_SECONDS) + 1

    listener.status = 200
    assert told.services.recipients.revive(told.clock()) == 1
    assert told.services.webhooks.work().delivered == 1
    assert not told.services.recipients.dead()


def test_a_revoked_client_is_not_sent_what_waited_for_it(told: World, listener: Listener) -> None:
    queued(told, listener.url)
    listener.status = 500
    assert told.services.webhooks.work().failed == 1
    for client in told.services.clients.every():
        told.services.clients.revoke(client.name)
    listener.status = 204
    told.clock.pass_(seconds=BACKOFF_SECONDS[0])
    assert told.services.webhooks.work().delivered == 0
    assert len(listener.got) == 1
    assert not told.services.recipients.webhooks()


def test_a_redirect_is_not_followed(told: World, listener: Listener) -> None:
    queued(told, listener.url)
    listener.status = 307
    assert told.services.webhooks.work().failed == 1
    assert len(listener.got) == 1


def test_a_recipient_that_answers_a_byte_at_a_time_does_not_hold_up_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(webhook_sending, "ATTEMPT_SECONDS", 0.5)
    stop = threading.Event()

    def drip(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection, suppress(OSError):
            connection.sendall(b"HTTP/1.1 200 OK\r\nx: ")
            while not stop.wait(0.05):
                connection.sendall(b"x")

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=drip, args=(server,))
        thread.start()
        before = time.monotonic()
        threading.Timer(5, stop.set).start()
        try:
            with pytest.raises(DeliveryError):
                send(f"http://127.0.0.1:{server.getsockname()[1]}/", {}, b"{}", private=True)
            assert time.monotonic() - before < 4
        finally:
            stop.set()
            thread.join(timeout=10)


def test_what_is_queued_about_an_erased_person_is_forgotten(told: World, listener: Listener) -> None:
    queued(told, listener.url)
    listener.status = 500
    told.services.webhooks.work()
    told.services.recipients.forget(list(range(1, 10)))
    told.clock.pass_(seconds=10)
    assert told.services.webhooks.work().failed == 0


PRIVATE = (  # addresses to refuse
    "127.0.0.1", "10.1.2.3", "192.168.1.1", "172.16.0.1", "169.254.169.254", "100.64.0.1",
    "224.0.0.1", "[::1]", "[fe80::1]", "[fc00::1]", "[::ffff:127.0.0.1]", "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]", "localhost", "2130706433", "0x7f.1", "[fec0::1]", "[64:ff9b:1::a00:1]",
    "[::127.0.0.1]", "[::ffff:0:7f00:1]",
)  # fmt: skip


@pytest.mark.parametrize("host", PRIVATE)
def test_a_private_address_is_refused(host: str) -> None:
    with pytest.raises(DeliveryError, match="private address"):
        send(f"https://{host}:9/hook", {}, b"{}", private=False)


def test_a_public_address_passes_the_guard() -> None:
    assert webhook_sending._is_public("93.184.216.34")
    assert webhook_sending._is_public("2606:2800:220:1::1")


def test_a_world_without_the_setting_delivers_to_no_private_address(world: World, listener: Listener) -> None:
    with pytest.raises(SettingsError, match="https"):
        queued(world, listener.url)
    world.services.recipients.add("c_x", listener.url, "0.0", world.clock())
    world.services.webhooks.work()
    assert not listener.got


@pytest.mark.parametrize(
    "url", ["http://example.com/", "https://u:p@example.com/", "ftp://example.com", "https:///x",
            "https://example.com/ x", "https://example.com:port/", "https://exämple.com/", "nothing"],
)  # fmt: skip
def test_an_address_that_is_none_is_refused_with_the_remedy(url: str) -> None:
    with pytest.raises(SettingsError):
        check_url(url, private=False)


def test_webhooks_are_managed_on_the_command_line(world: World, tmp_path: Path) -> None:
    client_id, _ = consumer(world)
    added = world.answer("webhook", "add", client_id, "https://shop.example/hook")
    assert added["secret"].startswith("whsec_")
    assert world.answer("webhook", "list")["webhooks"] == [
        {"webhook": 1, "client_id": client_id, "url": "https://shop.example/hook"}
    ]
    assert world.answer("webhook", "dead", "--retry") == {"dead": [], "retried": True}
    assert world.answer("webhook", "remove", "1") == {"removed": 1}
    assert world.command("webhook", "remove", "1").returncode == 1
    assert world.command("webhook", "add", "c_nobody", "https://shop.example/hook").returncode == 1
