"""`aurea doctor`: every fault it knows is found, with a remedy, and a sound home is not accused."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from api import diagnosis
from api.diagnosis import Finding, diagnose
from consent.erasure import Erasure
from identity.leases import Lease
from tests.stores import ON_POSTGRESQL, copy_home, environment, only_on_sqlite
from tests.world import World, a_copied_world, a_world, record, row

ROOT = Path(__file__).resolve().parents[2]
HOUR = 3_600_000
QUEUE = """
    INSERT INTO deliveries (delivery_no, webhook_no, golden_no, url, body, attempts, due_at, created_at, dead)
    VALUES (1, 0, 0, 'https://shop.example/', '{}', :attempts, :due, 0, :dead)
"""


def findings(world: World, now: int | None = None) -> dict[str, Finding]:
    return {found.what: found for found in diagnose(world.settings, now or world.clock())}


def write(world: World, sql: str, **values: object) -> None:
    with world.services.db.write() as conn:
        conn.execute(text(sql), values)


@pytest.fixture(scope="module")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with records, consents, reads and a run."""
    folder = tmp_path_factory.mktemp("made")
    with a_copied_world(folder, World.settle) as world:
        world.send(record("crm", "1", "Ana"))
        reader = world.client("consumer")
        reader.get(f"/v1/profiles/{world.golden_id('crm', '1')}", params={"purpose": "personalization"})
        world.services.ledger.checkpoint(world.clock())
    return folder / "home"


@pytest.fixture
def used(made_once: Path, tmp_path: Path) -> Iterator[World]:
    copy_home(made_once, tmp_path / "home")
    with a_world(tmp_path) as world:
        yield world


def test_a_sound_home_is_sound_while_it_is_in_use(used: World) -> None:
    found = findings(used)
    assert {what for what, each in found.items() if not each.ok} == set()
    assert set(found) == {
        "home", "disk", "keyring", "policy", "access log", "linkage engine", "stores", "pages",
        "sample of records", "ledger", "clock", "linkage runs", "erasures", "rotation of keys", "deliveries",
    }  # fmt: skip
    assert found["sample of records"].says == "20 of 20 records looked at open"
    assert "1 chain(s), intact" in found["access log"].says


def lose_the_end_of_the_ledger(world: World) -> None:
    write(world, "DELETE FROM ledger WHERE idx >= 10")


def change_an_entry_that_was_signed(world: World) -> None:
    write(world, "UPDATE ledger SET leaf_hash = (SELECT leaf_hash FROM ledger WHERE idx = 3) WHERE idx = 2")


def set_the_clock_back(world: World) -> None:
    world.clock.pass_(days=-1)


def cut_a_run_off(world: World) -> None:
    Lease.acquire(world.services.db, world.clock)
    world.clock.pass_(seconds=120)


def stop_an_erasure(world: World) -> None:
    def stop(step: str) -> None:
        if step == "remove":
            raise KeyboardInterrupt

    services = world.services
    erasure = Erasure(services.writer, signing_key=services.keyring.signing_key(), hook=stop)
    with pytest.raises(KeyboardInterrupt):
        erasure.erase([1], request_id=None, now=world.clock())
    world.clock.pass_(seconds=600)


def stop_a_rotation(world: World) -> None:
    def stop(_count: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        world.services.rotation.rotate(world.clock(), stop)
    world.clock.pass_(seconds=600)


def give_a_delivery_up(world: World) -> None:
    write(
        world,
        QUEUE,
        attempts=10,
        due=0,
        dead=1,
    )


def let_a_delivery_wait(world: World) -> None:
    write(
        world,
        QUEUE,
        attempts=0,
        due=world.clock() - HOUR,
        dead=0,
    )


def mix_the_keyring_up(world: World) -> None:
    other = world.folder / "other"
    world.answer("init", environment=environment(other))
    shutil.copy(other / "keyring", world.home / "keyring")


def empty_the_keyring(world: World) -> None:
    (world.home / "keyring").write_bytes(b"")


def lose_every_key(world: World) -> None:
    with world.services.keys.write() as conn:
        conn.execute(text("UPDATE record_keys SET wrapped = :empty"), {"empty": b""})


def cut_the_access_log(world: World) -> None:
    (segment,) = world.settings.access_log_dir.glob("*.jsonl")
    lines = segment.read_bytes().splitlines(keepends=True)
    segment.write_bytes(lines[0] + lines[1].replace(b"revealed", b"withheld"))
    with segment.open("ab") as file:
        file.write(lines[1])


def write_a_bad_policy(world: World) -> None:
    (world.home / "purposes.toml").write_text("purposes = 3")


def go_back_to_an_older_schema(world: World) -> None:
    write(world, "UPDATE schema_version SET version_num = '0006'")


def lose_the_key_store(world: World) -> None:
    for path in world.home.glob("keys.db*"):
        path.unlink()


FAULTS: dict[str, tuple[Callable[[World], None], str, str]] = {
    "the ledger lost its end": (lose_the_end_of_the_ledger, "ledger", "lost its end"),
    "a signed entry was changed": (change_an_entry_that_was_signed, "ledger", "not those that were signed"),
    "the clock was set back": (set_the_clock_back, "clock", "set it"),
    "a run was cut off": (cut_a_run_off, "linkage runs", "run `aurea link` again"),
    "an erasure stopped": (stop_an_erasure, "erasures", "start `aurea serve`"),
    "a rotation stopped": (stop_a_rotation, "rotation of keys", "run `aurea keys rotate` again"),
    "a delivery was given up": (give_a_delivery_up, "deliveries", "--retry"),
    "a delivery is overdue": (let_a_delivery_wait, "deliveries", "start `aurea serve`"),
    "the keyring is empty": (empty_the_keyring, "keyring", "restore it from where it is backed up"),
    "the keyring is another home's": (mix_the_keyring_up, "sample of records", "Restore the matching"),
    "no record has a key": (lose_every_key, "sample of records", "restore the key store"),
    "the access log was altered": (cut_the_access_log, "access log", "compare it with a backup"),
    "the policy does not load": (write_a_bad_policy, "policy", "purposes"),
    "the stores are older": (go_back_to_an_older_schema, "stores", "run `aurea init --backup DIR`"),
    "the key store is gone": (lose_the_key_store, "stores", "restore a backup"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found_with_its_remedy(used: World, fault: str) -> None:
    cause, what, remedy = FAULTS[fault]
    if cause is lose_the_key_store and ON_POSTGRESQL:
        pytest.skip("about SQLite: its files")
    cause(used)
    found = findings(used)[what]
    assert not found.ok
    assert remedy in found.says


def test_of_a_home_that_is_not_there_every_fault_has_its_remedy(world: World, tmp_path: Path) -> None:
    said = world.command("doctor", environment=environment(tmp_path / "nowhere")).stdout.splitlines()
    failed = [line for line in said if line.startswith("FAIL")]
    assert [line.split(":")[0] for line in failed] == ["FAIL  home", "FAIL  keyring"]
    assert all("run `aurea init`" in line for line in failed)
    assert not any("disk" in line for line in said)


@only_on_sqlite("its pages")
def test_a_damaged_page_is_found(used: World) -> None:
    with used.services.db.read() as conn:
        page = conn.execute(text("SELECT rootpage FROM sqlite_master WHERE name = 'members'")).scalar_one()
    used.services.db.close()
    with (used.home / "aurea.db").open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xff" * 4096)
    found = findings(used)
    assert not found["pages"].ok
    assert "restore a backup" in found["pages"].says


def test_a_full_disk_is_found_before_it_is_full(used: World, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(used.home)
    monkeypatch.setattr(diagnosis.shutil, "disk_usage", lambda _: usage._replace(free=100 << 20))
    found = findings(used)["disk"]
    assert not found.ok
    assert "100 MiB are free" in found.says


def test_what_is_under_way_this_moment_is_not_interrupted(used: World) -> None:
    Lease.acquire(used.services.db, used.clock)
    let_a_delivery_wait(used)
    write(used, "UPDATE deliveries SET due_at = :now", now=used.clock())
    found = findings(used)
    assert found["linkage runs"].ok
    assert found["deliveries"].ok


CHILD = """
import os, signal, sys
from api.services import open_services
from api.settings import Settings
from identity.leases import Lease
services = open_services(Settings.from_environment({**os.environ, "AUREA_HOME": sys.argv[1]}))
Lease.acquire(services.db, services.clock)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_run_whose_process_was_killed_is_found_at_once_and_the_command_fails(world: World) -> None:
    world.ingest(row("crm", "1", "Ana"))
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(world.home)], cwd=ROOT, capture_output=True, check=False,
        env={**os.environ, **world.environment, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    said = world.command("doctor")
    assert said.returncode == 1
    assert "FAIL  linkage runs: run_" in said.stdout
