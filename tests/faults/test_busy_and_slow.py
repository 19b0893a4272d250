"""A writer that holds the lock, a store that is slow, a disk that is full: 503, and nothing is lost."""

import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any

import httpx
import pytest
from sqlalchemy import event

from identity.database import Database
from tests.faults.checker import Expected, problems, unused_keys
from tests.world import World, record

PEOPLE = ("Ana", "Berta", "Carla", "Dora")


def on_every_connection(database: Database, change: Any) -> None:
    """Do something to the driver's connections from now on."""
    database.close()
    event.listen(database.engine, "connect", lambda connection, _: change(connection))


def impatient(world: World) -> None:
    """Wait a fifth of a second for the lock instead of thirty."""
    for database in (world.services.db, world.services.keys):
        on_every_connection(database, lambda connection: connection.execute("PRAGMA busy_timeout=200"))


@contextmanager
def another_writer(world: World, store: str) -> Iterator[None]:
    with closing(sqlite3.connect(world.home / store, isolation_level=None)) as conn:
        conn.execute("BEGIN IMMEDIATE")
        yield
        conn.execute("ROLLBACK")


def expected_of(*people: str) -> Expected:
    names = {("crm", person): f"{person.lower()}@example.com" for person in people}
    return Expected(acknowledged=dict(names), permitted={(name, "personalization") for name in names})


def post(http: httpx.Client, person: str) -> httpx.Response:
    return http.post("/v1/records", json={"records": [record("crm", person, person)]})


def read(http: httpx.Client, person: str) -> httpx.Response:
    asked = {"purpose": "personalization", "identifiers": [{"type": "record", "value": f"crm:{person}"}]}
    return http.post("/v1/profiles/lookup", json=asked)


@pytest.mark.parametrize("store", ["aurea.db", "keys.db"])
def test_a_writer_that_holds_the_lock_costs_writes_a_retry_and_reads_nothing(
    world: World, store: str
) -> None:
    world.send(record("crm", "Ana", "Ana"))
    sender, reader = world.client("ingest"), world.client("consumer")
    assert read(reader, "Ana").status_code == 200  # whom a client is told of the first time is noted: a write
    assert problems(world.services, expected_of("Ana")) == []
    impatient(world)
    subject = {"record": {"channel": "crm", "source_id": "Ana"}}
    denial = {"subject": subject, "purpose": "analytics", "state": "objected", "method": "direct"}
    with another_writer(world, store):
        for answer in (post(sender, "Berta"), sender.post("/v1/consents", json=denial)):
            assert (answer.status_code, answer.json()["type"]) == (503, "urn:aurea:problem:busy")
            assert int(answer.headers["Retry-After"]) >= 1
        assert read(reader, "Ana").status_code == 200
        assert world.anonymous().get("/readyz").status_code == 200, "a busy store is not a broken one"
        expected = expected_of("Ana")
        expected.begin(("crm", "Berta"), "berta@example.com")
        assert problems(world.services, expected) == []
    assert post(sender, "Berta").json()["results"][0]["status"] == "created"
    assert sender.post("/v1/consents", json=denial).status_code == 201
    expected = expected_of("Ana", "Berta")
    expected.denied.add((("crm", "Ana"), "analytics"))
    assert problems(world.services, expected) == []
    assert unused_keys(world.services, world.clock()) == 0


def test_a_command_beside_a_writer_that_holds_the_lock_fails_with_the_remedy(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.ingest({"channel": "crm", "source_id": "1", "email": "ana@example.com"})
    impatient(world)
    from api.commands.frame import explain_failure
    from identity.errors import StoreBusyError

    with another_writer(world, "aurea.db"), pytest.raises(StoreBusyError) as failed:
        world.link()
    assert explain_failure(failed.value) == "another process holds the write lock; try again"
    assert world.link()["records"] == 1


def test_a_slow_store_answers_late_and_loses_and_doubles_nothing(world: World) -> None:
    """Every statement takes 10 ms longer, twenty clients at once, some of them of the same record."""
    sender, reader = world.client("ingest"), world.client("consumer")
    for database in (world.services.db, world.services.keys):
        on_every_connection(
            database, lambda connection: connection.set_trace_callback(lambda _: time.sleep(0.01))
        )
    with ThreadPoolExecutor(12) as pool:
        posted = [pool.submit(post, sender, person) for person in PEOPLE * 2]
        alive = [pool.submit(world.anonymous().get, "/healthz") for _ in range(4)]
        statuses = [one.result().json()["results"][0]["status"] for one in posted]
        assert sorted(statuses) == ["created"] * len(PEOPLE) + ["unchanged"] * len(PEOPLE)
        assert all(one.result().status_code == 200 for one in alive)
        assert all(one.status_code == 200 for one in pool.map(read, [reader] * len(PEOPLE), PEOPLE))
    assert problems(world.services, expected_of(*PEOPLE)) == []


@pytest.mark.parametrize("store", ["db", "keys"])
def test_a_full_disk_refuses_writes_with_503_keeps_what_was_acknowledged_and_goes_on(
    world: World, store: str
) -> None:
    """`max_page_count` answers as a full disk does; `test_full_disk.py` has a real one."""
    sender = world.client("ingest")
    database: Database = getattr(world.services, store)
    stored, room = expected_of(), threading.Event()

    def limit(connection: sqlite3.Connection) -> None:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count={1_000_000 if room.is_set() else pages + 4}")

    world.send(record("crm", "first", "First"))
    stored.acknowledged["crm", "first"] = "first@example.com"
    on_every_connection(database, limit)
    for number in range(200):
        name = f"Person{number}"
        stored.begin(("crm", name), f"{name.lower()}@example.com")
        answer = post(sender, name)
        if answer.status_code != 200:
            break
        stored.acknowledge(("crm", name))
    assert (answer.status_code, answer.json()["type"]) == (503, "urn:aurea:problem:storage-full")
    assert int(answer.headers["Retry-After"]) >= 1
    assert problems(world.services, stored) == []
    room.set()
    database.close()
    assert post(sender, name).status_code == 200
    stored.acknowledge(("crm", name))
    assert problems(world.services, stored) == []
    assert unused_keys(world.services, world.clock()) == 0
