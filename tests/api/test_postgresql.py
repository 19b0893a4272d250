"""The service on PostgreSQL: several processes over one pair of stores, in two databases or two schemas."""

import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text

from api.services import Services, open_services
from api.settings import Settings, SettingsError
from api.stores import create_home
from consent.errors import DestructionIncompleteError
from consent.incoming import IncomingRecord
from identity import database
from identity.database import open_database
from identity.errors import StoreBusyError, StoreUnreachableError
from identity.records import RecordKey
from tests import stores
from tests.api.test_serve import serving, wait_until_ready
from tests.api.test_withdrawal_race import assert_nothing_was_served_late, race
from tests.world import World, a_world, fetch_token, record, row

pytestmark = stores.needs_postgresql

LAYOUTS = [
    pytest.param(stores.on_postgresql, id="two databases"),
    pytest.param(stores.in_schemas, id="two schemas", marks=pytest.mark.slow),
]


@pytest.fixture(scope="module", params=LAYOUTS)
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("world")
    with a_world(folder, store_urls=request.param(folder / "home")) as one:
        one.settle()
        yield one


@pytest.fixture
def others(world: World) -> Iterator[list[Services]]:
    """Two more processes' worth of services over the same stores."""
    opened = [open_services(world.settings, world.clock) for _ in range(2)]
    yield opened
    for each in opened:
        each.close()


def test_a_person_is_found_read_withdrawn_and_erased(world: World) -> None:
    world.ingest(row("crm", "1", "Amadeo"), row("web", "1", "Amadeo"))
    assert world.link()["golden_ids"] == world.link()["golden_ids"]
    golden_id = world.golden_id("crm", "1")
    assert world.golden_id("web", "1") == golden_id
    consumer, officer = world.client("consumer"), world.client("officer")
    found = {"purpose": "personalization", "identifiers": [{"type": "email", "value": "amadeo@example.com"}]}
    assert consumer.post("/v1/profiles/lookup", json=found).json()["golden_id"] == golden_id
    said = {"subject": {"golden_id": golden_id}, "purpose": "personalization", "state": "withdrawn"}
    assert officer.post("/v1/consents", json={**said, "method": "direct"}).status_code == 201
    assert consumer.get(f"/v1/profiles/{golden_id}?purpose=personalization").status_code == 404
    numbers = [world.services.writer.find(RecordKey(channel, "1")) or 0 for channel in ("crm", "web")]
    world.services.erasure.erase(numbers, request_id="r_1", now=world.clock())
    assert world.services.sealed.open_fields(numbers, ["email"]) == {}
    assert world.send(record("crm", "1", "Amadeo"))[0]["status"] == "created"  # so it says; it is suppressed
    assert world.services.writer.find(RecordKey("crm", "1")) is None
    assert world.services.rotation.rotate(world.clock()).rewrapped > 0
    assert world.answer("ledger", "verify")["ok"] is True


def test_a_golden_id_that_no_text_of_the_store_can_be_is_not_found(world: World) -> None:
    """PostgreSQL's text has no NUL."""
    steward = world.client("steward")
    for path in ("/v1/golden-ids/g_%00", "/v1/requests/r_%00"):
        assert world.client("officer").get(path).status_code in {404, 422}, path
    assert steward.get("/v1/golden-ids/%00").status_code in {404, 422}


def test_records_of_one_new_person_sent_to_two_processes_at_once_get_one_golden_id(
    world: World, others: list[Services]
) -> None:
    start = threading.Barrier(len(others))

    def arrive(place: int, person: str) -> str:
        services = others[place]
        attributes = record(f"till_{place}", person, person)["attributes"]
        incoming = IncomingRecord(
            f"till_{place}", person, attributes={name: [value] for name, value in attributes.items()}
        )
        start.wait(timeout=20)
        (written,) = services.writer.write([incoming], now=world.clock(), grants=["identity_linking"])
        resolution = services.resolver.resolve(written.record_no or 0, world.clock())
        return resolution.golden_id

    with ThreadPoolExecutor(len(others)) as pool:
        for number in range(12):
            pair = list(pool.map(arrive, range(2), [f"Nova{number}"] * 2))
            with world.services.db.read() as conn:
                view = [world.services.memberships.resolve(conn, each) for each in pair]
            assert view[0] is not None
            assert view[1] is not None
            assert view[0].final == view[1].final, "two golden IDs for one person"


def test_writers_of_two_processes_lose_nothing_and_number_without_gaps(
    world: World, others: list[Services]
) -> None:
    before = world.services.ledger.verify().size

    def write(place: int) -> None:
        for number in range(15):
            incoming = IncomingRecord(channel=f"shop_{place}", source_id=f"{number}", attributes={})
            others[place].writer.write([incoming], now=world.clock(), grants=["identity_linking"])

    with ThreadPoolExecutor(len(others)) as pool:
        list(pool.map(write, range(2)))
    keys = [RecordKey(f"shop_{place}", f"{number}") for place in range(2) for number in range(15)]
    assert all(world.services.writer.find(key) for key in keys)
    report = world.services.ledger.verify()
    assert (report.ok, report.size) == (True, before + 30)


@pytest.mark.parametrize(
    "processes",
    [
        pytest.param([2], id="two workers", marks=pytest.mark.slow),
        pytest.param([1, 1], id="two processes"),
    ],
)
def test_no_process_serves_a_purpose_after_a_withdrawal_anywhere(world: World, processes: list[int]) -> None:
    clients = world.services.clients
    name = f"{len(processes)} {time.monotonic()}"
    writer, secret = clients.create(f"in {name}", "ingest")
    reader, reader_secret = clients.create(f"out {name}", "consumer", ["personalization"])
    with ExitStack() as stack:
        bases = [stack.enter_context(serving(world, workers=workers))[0] for workers in processes]
        for base in bases:
            wait_until_ready(base)
        with httpx.Client(base_url=bases[0], trust_env=False, timeout=30) as http:
            http.headers["Authorization"] = f"Bearer {fetch_token(http, writer.client_id, secret)}"
            token = fetch_token(http, reader.client_id, reader_secret)
            answers = race(bases, http, token, rounds=3, channel=f"race_{len(bases)}")
    assert_nothing_was_served_late(answers, 3)


def test_a_reader_that_stays_open_makes_a_destruction_incomplete(world: World) -> None:
    """Its snapshot still has the key, so VACUUM could not remove it."""
    (written,) = world.services.writer.write([IncomingRecord("crm", "held")], now=world.clock())
    opened = world.services.sealed.open_fields([written.record_no or 0], ["email"])
    assert len(opened) == 1
    with world.services.db.read() as conn:
        of_record = text("SELECT key_id FROM records WHERE record_no = :no")
        key_id = conn.execute(of_record, {"no": written.record_no}).scalar_one()
    with world.services.keys.read() as conn:
        assert world.services.key_store.fetch(conn, [key_id])
        with pytest.raises(DestructionIncompleteError, match="repeat the destruction"):
            world.services.key_store.destroy([key_id], deadline_s=0.1)
        assert world.services.key_store.fetch(conn, [key_id])  # this snapshot is what keeps it
    world.services.key_store.destroy([key_id], deadline_s=5)


def test_a_writer_that_waits_too_long_is_told_to_try_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_TIMEOUT_MS", 100)
    url = world.environment["AUREA_DATABASE_URL"]
    impatient = open_database(url, lock_id=1)
    with world.services.db.write(), pytest.raises(StoreBusyError, match="try again"), impatient.write():
        pytest.fail("two writers at once")
    impatient.close()


def test_a_server_that_breaks_off_is_named_and_found_again(world: World) -> None:
    other = open_database(world.environment["AUREA_DATABASE_URL"], lock_id=1)
    with other.read() as conn:
        pid = conn.execute(text("SELECT pg_backend_pid()")).scalar_one()
    with world.services.db.write() as conn:
        conn.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
    with pytest.raises(StoreUnreachableError), other.read() as conn:
        conn.execute(text("SELECT 1"))
    with other.read() as conn:
        assert conn.execute(text("SELECT 1")).scalar_one() == 1
    other.close()


def test_requests_over_connections_that_the_server_ended_are_503_until_they_are_replaced(
    world: World,
) -> None:
    consumer = world.client("consumer")
    path = f"/v1/profiles/{world.golden_id('town_a', 'Elena')}?purpose=personalization"
    assert consumer.get(path).status_code == 200
    with world.services.db.write() as conn:
        conn.execute(
            text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
                 "AND backend_type = 'client backend' AND datname LIKE :mine"),
            {"mine": "%" + str(world.services.db.engine.url.database)[-16:]},
        )  # fmt: skip
    answers = [consumer.get(path) for _ in range(6)]
    assert {answer.status_code for answer in answers} == {503, 200}
    assert {answer.json()["type"] for answer in answers if answer.status_code == 503} == {
        "urn:aurea:problem:store-unreachable"
    }
    assert answers[-1].status_code == 200


def test_a_server_that_is_not_there_is_named_without_the_password(tmp_path: Path) -> None:
    variables = {
        "AUREA_HOME": str(tmp_path / "home"),
        "AUREA_DATABASE_URL": "postgresql+psycopg://aurea:hush@localhost:1/aurea_data",
    }
    with a_world(tmp_path / "other", store_urls={}) as world:
        done = world.command("init", environment=variables)
    assert done.returncode == 1
    said = "aurea: the database aurea_data at localhost:1 as aurea does not answer: connection failed: "
    assert done.stderr.startswith(said)
    assert done.stderr.endswith("Connection refused\n")
    assert len(done.stderr.splitlines()) == 1
    assert "hush" not in done.stderr


def test_an_empty_database_in_the_place_of_a_used_one_is_no_new_home(world: World) -> None:
    """The key store and its keyring are in use: a ledger that begins anew would be a fork of theirs."""
    elsewhere = stores.store_url(world.folder / "elsewhere", "aurea", "postgresql")
    named = {**world.environment, "AUREA_DATABASE_URL": elsewhere}
    for command in ("init", "link", "doctor"):
        done = world.command(command, environment=named)
        said = done.stdout + done.stderr
        assert done.returncode == 1
        assert "the store that AUREA_DATABASE_URL names holds nothing but its key store exists" in said
        assert "restore a backup, or correct AUREA_DATABASE_URL" in said
        assert "run `aurea init`" not in said


def test_without_the_driver_the_remedy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    settings = Settings.from_environment(
        {"AUREA_HOME": str(tmp_path), "AUREA_DATABASE_URL": "postgresql+psycopg://localhost/aurea"}
    )
    with pytest.raises(SettingsError, match=r"pip install aurea\[postgres\]"):
        create_home(settings)
