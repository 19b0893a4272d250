"""Keys are wrapped anew while the service runs; a destroyed epoch opens nothing, from no copy."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from api.services import open_services
from consent.errors import EpochClosedError, KeyringError, KeyUnavailableError
from consent.incoming import IncomingRecord
from consent.key_providers import RELOAD_SECONDS
from consent.vault import Vault
from identity.database import Database
from identity.records import RecordKey
from tests.stores import only_on_sqlite
from tests.world import START, World, row

ROOT = Path(__file__).resolve().parents[2]


def rotate(world: World) -> int:
    return world.services.rotation.rotate(world.clock()).epoch


def destroy(world: World, epoch: int) -> None:
    assert not world.services.rotation.destroy(epoch, "c_anna", world.clock()).destroyed
    assert world.services.rotation.destroy(epoch, "c_ben", world.clock()).destroyed


def emails(world: World) -> dict[int, list[str]]:
    opened = world.services.sealed.open_fields(range(1, 100), ["email"])
    return {number: record.attributes["email"] for number, record in opened.items()}


KEYS = "SELECT record_no, key_id, wrapped FROM record_keys"


def wrapped_keys(store: Path | Database) -> list[tuple[int, int, int, bytes]]:
    """Record number, key id, epoch and wrapped key of every live row, as a thief reads them from a copy."""
    rows: Iterable[Any]
    if isinstance(store, Path):
        with sqlite3.connect(store / "keys.db") as copy:
            rows = copy.execute(KEYS).fetchall()
    else:
        with store.read() as conn:
            rows = conn.execute(text(KEYS)).all()
    return [(no, key_id, int.from_bytes(w[:2], "big"), w[2:]) for no, key_id, w in rows if w]


def copy_of(world: World, name: str) -> Path:
    """A backup of both stores, made as the documents say: with SQLite's own backup."""
    folder = world.folder / name
    folder.mkdir()
    for store in ("keys.db", "aurea.db"):
        with sqlite3.connect(world.home / store) as source, sqlite3.connect(folder / store) as target:
            source.backup(target)
    return folder


def test_after_a_rotation_everything_opens_and_nothing_is_under_the_old_epoch(world: World) -> None:
    world.ingest(*(row("crm", str(n), f"Person{n}") for n in range(30)))
    before = emails(world)
    assert rotate(world) == 2
    assert emails(world) == before
    assert len(before) == 30
    old, new = world.services.rotation.epochs()
    assert (old.status, old.keys) == ("retiring", 0)
    assert (new.status, new.keys) == ("active", 60)  # data and evidence keys
    assert world.services.ledger.verify().ok
    world.ingest(row("crm", "later", "Later"))
    assert {epoch for *_, epoch, _ in wrapped_keys(world.services.keys)} == {2}
    assert oct((world.home / "keyring").stat().st_mode)[-3:] == "600"


@only_on_sqlite("copies of its files")
def test_an_old_copy_with_the_live_keyring_opens_nothing_of_an_erased_record(world: World) -> None:
    world.ingest(row("crm", "1", "Ana"), row("crm", "2", "Berta"))
    services = world.services
    record_no = services.writer.find(RecordKey("crm", "1"))
    assert record_no
    yesterday = copy_of(world, "yesterday")
    services.erasure.erase([record_no], request_id="r_1", now=world.clock())
    stolen = [key for key in wrapped_keys(yesterday) if key[0] == record_no]
    vault = Vault(services.keyring)
    for _, key_id, epoch, wrapped in stolen:  # until the epoch goes, the copy still opens it: so it is said
        vault.open_key(record_no=record_no, key_id=key_id, epoch=epoch, wrapped=wrapped)
    assert services.rotation.horizons().keys is None
    world.clock.pass_(days=1)
    rotate(world)
    destroy(world, 1)
    assert services.rotation.horizons().keys == world.clock()
    reopened = open_services(world.settings, world.clock)
    try:
        for keyring in (services.keyring, reopened.keyring):
            for number, key_id, epoch, wrapped in wrapped_keys(yesterday):  # nothing of anybody, in fact
                with pytest.raises(KeyUnavailableError):
                    Vault(keyring).open_key(record_no=number, key_id=key_id, epoch=epoch, wrapped=wrapped)
    finally:
        reopened.close()
    assert len(emails(world)) == 1
    # The data backup holds no token either, so that no guess can be tested against it.
    data = (yesterday / "aurea.db").read_bytes()
    for kind, value in (("email", "ana@example.com"), ("record", "crm:1")):
        assert services.stores.index.token(kind, value)[:8] not in data


@only_on_sqlite("copies of its files")
def test_yesterdays_data_under_todays_key_store_keeps_the_person_erased(world: World) -> None:
    """A restore of the data alone; the key store is restored first or not at all (docs/operations.md)."""
    world.ingest(row("crm", "1", "Ana"), row("crm", "2", "Berta"))
    yesterday = copy_of(world, "yesterday")
    services = world.services
    erased, staying = (services.writer.find(RecordKey("crm", no)) for no in "12")
    assert erased
    services.erasure.erase([erased], request_id="r_1", now=world.clock())
    with (
        sqlite3.connect(yesterday / "aurea.db") as source,
        sqlite3.connect(world.home / "aurea.db") as target,
    ):
        source.backup(target)
    restored = open_services(world.settings, world.clock)
    try:
        restored.recover()
        assert set(restored.sealed.open_fields([erased, staying or 0], ["email"])) == {staying}
        assert restored.writer.find(RecordKey("crm", "1")) is None
        (again,) = restored.writer.write(
            [IncomingRecord("crm", "1", attributes={"email": ["ana@example.com"]})], now=world.clock()
        )
        assert again.status == "suppressed"
    finally:
        restored.close()


# Two people, and never a key lost


def test_with_a_keyring_older_than_the_keys_nobody_is_taken_for_erased_and_nothing_is_rotated(
    world: World,
) -> None:
    """As on another machine, to which the keyring was not brought after a rotation, or restored too old."""
    world.ingest(row("crm", "1", "Ana"))
    keyring = world.settings.keyring_file
    before = keyring.read_bytes()
    rotate(world)
    keyring.write_bytes(before)
    services = open_services(world.settings, world.clock)
    try:
        for work in (
            lambda: services.sealed.open_fields([1], ["email"]),  # profiles
            lambda: services.linkable.opened([1]),  # `aurea link`
            lambda: list(services.source_keys.every()),  # `aurea memberships`
            lambda: services.rotation.rotate(world.clock()),
        ):
            with pytest.raises(KeyringError, match="older than the key store, which is at epoch 2"):
                work()
    finally:
        services.close()
    assert keyring.read_bytes() == before


def test_an_epoch_is_destroyed_by_two_people_and_never_while_it_wraps_a_key(world: World) -> None:
    world.ingest(row("crm", "1", "Ana"))
    rotation = world.services.rotation
    for epoch, reason in ((1, "active"), (7, "no epoch 7")):
        with pytest.raises(KeyringError, match=reason):
            rotation.destroy(epoch, "c_anna", START)
    world.services.keyring.rotate()
    with pytest.raises(KeyringError, match="still wrapped under epoch 1"):
        rotation.destroy(1, "c_anna", START)
    rotate(world)
    for _ in range(2):  # asking twice is still one person
        assert not rotation.destroy(1, "c_anna", START).destroyed
    assert 1 in world.services.keyring.epochs()
    late = START + 8 * 86_400_000
    assert not rotation.destroy(1, "c_ben", late).destroyed  # too late: now he is the one who asks
    done = rotation.destroy(1, "c_anna", late)
    assert (done.destroyed, done.asked_by, done.confirmed_by) == (True, "c_ben", "c_anna")
    assert 1 not in world.services.keyring.epochs()
    assert rotation.epochs()[0].status == "destroyed"


def test_a_record_prepared_under_an_epoch_that_was_closed_meanwhile_is_prepared_again(world: World) -> None:
    writer, late = world.services.writer, IncomingRecord("crm", "1", attributes={"first_name": ["Ana"]})
    batch = writer._preparer.prepare([late], first_key_id=writer._numbers.take(1), source=None, now=START)
    rotate(world)
    destroy(world, 1)
    assert writer.committer.commit(batch) == [None]
    with world.services.keys.write() as conn, pytest.raises(EpochClosedError):
        world.services.key_store.insert(conn, [r.key_row for r in batch.records if r.key_row])
    (result,) = writer.write([late], now=START)
    assert result.status == "created"
    assert len(world.services.sealed.open_fields([result.record_no or 0], ["first_name"])) == 1


# Beside a running service


def test_another_process_wraps_under_the_new_epoch_within_a_second_and_reads_at_once(world: World) -> None:
    world.ingest(row("crm", "1", "Ana"))
    other = open_services(world.settings, world.clock)
    try:
        rotate(world)
        number = other.writer.find(RecordKey("crm", "1"))
        assert number
        assert len(other.sealed.open_fields([number], ["email"])) == 1
        time.sleep(RELOAD_SECONDS)
        assert other.keyring.active_epoch() == 2
    finally:
        other.close()


def test_records_written_while_keys_are_rotated_are_not_lost(world: World) -> None:
    world.ingest(*(row("crm", str(n), f"Person{n}") for n in range(50)))
    stop, written = threading.Event(), []

    def write() -> None:
        while not stop.is_set():
            number = len(written)
            said = IncomingRecord("web", str(number), attributes={"email": [f"w{number}@example.com"]})
            written.extend(world.services.writer.write([said], now=START))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert rotate(world) == 2
    finally:
        stop.set()
        writer.join()
    destroy(world, 1)
    numbers = [result.record_no or 0 for result in written]
    assert len(numbers) > 5
    assert len(world.services.sealed.open_fields(numbers, ["email"])) == len(numbers)
    assert {epoch for *_, epoch, _ in wrapped_keys(world.services.keys)} == {2}


CHILD = """
import os, signal, sys
from api.services import open_services
from api.settings import Settings
from consent import key_rotation
key_rotation._AT_ONCE = 10
settings = Settings.from_environment({**os.environ, "AUREA_HOME": sys.argv[1]})
services = open_services(settings, lambda: int(os.environ["NOW"]))
def stop(count):
    if count >= 20:
        os.kill(os.getpid(), signal.SIGKILL)
services.rotation.rotate(services.clock(), stop)
"""


def test_kill_9_during_a_rotation_and_the_next_one_completes_it_under_the_same_epoch(world: World) -> None:
    world.ingest(*(row("crm", str(n), f"Person{n}") for n in range(40)))
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(world.home)], cwd=ROOT, capture_output=True, check=False,
        env={**os.environ, **world.environment, "PYTHONPATH": str(ROOT), "NOW": str(START)},
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert {epoch for *_, epoch, _ in wrapped_keys(world.services.keys)} == {1, 2}
    assert len(emails(world)) == 40  # half-rotated, everything opens
    assert rotate(world) == 2
    assert {epoch for *_, epoch, _ in wrapped_keys(world.services.keys)} == {2}
    assert rotate(world) == 3  # only now a new one


def test_a_key_destroyed_during_the_rotation_stays_destroyed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.ingest(row("crm", "1", "Ana"), row("crm", "2", "Berta"))
    services = world.services
    original = services.rotation._swap

    def destroying(swap, changed):  # the erasure comes between reading a page and writing it
        services.writer.delete([RecordKey("crm", "1")], START)
        return original(swap, changed)

    monkeypatch.setattr(services.rotation, "_swap", destroying)
    rotate(world)
    assert len(wrapped_keys(world.services.keys)) == 1


def test_the_command_line_rotates_and_asks_for_two(world: World) -> None:
    world.ingest(row("crm", "1", "Ana"))
    done = world.answer("keys", "rotate")
    assert (done["epoch"], [each["status"] for each in done["epochs"]]) == (2, ["retiring", "active"])
    assert set(done["horizons"]) == {"keys", "tokens"}
    first = world.answer("keys", "destroy", "1")
    assert (first["destroyed"], first["asked_by"]) == (False, "operator")
    officer, secret = world.services.clients.create("Anna", "officer", ())
    steward, other = world.services.clients.create("Sam", "steward", ())
    refused = world.command(
        "keys", "destroy", "1", "--as", steward.client_id, environment={"AUREA_CLIENT_SECRET": other}
    )
    assert refused.returncode == 1
    second = world.answer(
        "keys", "destroy", "1", "--as", officer.client_id, environment={"AUREA_CLIENT_SECRET": secret}
    )
    assert (second["destroyed"], second["confirmed_by"]) == (True, officer.client_id)
    assert second["horizons"]["keys"]
