"""A backup is of one moment, opens nothing by itself, and brings nobody back who was erased since."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import pytest
from sqlalchemy import text

from api.backup import back_up
from api.diagnosis import diagnose
from api.restore import Source, restore
from api.services import Services, open_services
from api.settings import Settings, SettingsError
from consent.errors import BackupError
from consent.incoming import IncomingRecord
from identity.records import RecordKey
from tests.consent.erasing import erase
from tests.stores import only_on_sqlite
from tests.world import World, row

pytestmark = only_on_sqlite("backups of its files")
ROOT = Path(__file__).resolve().parents[2]


def backed_up(world: World, name: str = "backup") -> Path:
    back_up(world.settings, world.folder / name, world.clock())
    return world.folder / name


def new_home(world: World, name: str = "new") -> Settings:
    """An empty home with the keyring, as somebody puts it there."""
    home = world.folder / name
    home.mkdir(mode=0o700)
    shutil.copy(world.home / "keyring", home / "keyring")
    return Settings.from_environment({"AUREA_HOME": str(home)})


def parts(folder: Path, **more: Any) -> Source:
    return Source(**{"data": folder / "data", "keys": folder / "keys"} | more)


@contextmanager
def restored(world: World, settings: Settings, source: Source) -> Iterator[tuple[dict[str, Any], Services]]:
    answer = restore(settings, source, world.clock)
    services = open_services(settings, world.clock)
    try:
        yield answer, services
    finally:
        services.close()


def emails(services: Services, *source_ids: str, channel: str = "crm") -> list[list[str]]:
    """The e-mails of records that can be opened."""
    numbers = [services.writer.find(RecordKey(channel, source_id)) for source_id in source_ids]
    opened = services.sealed.open_fields([no for no in numbers if no], ["email"])
    return [list(opened[no].attributes["email"]) for no in numbers if no in opened]


def test_a_restored_home_serves_what_was_backed_up(settled: World) -> None:
    golden_id = settled.golden_id("town_a", "Delia")
    client, secret = settled.services.clients.create("shop", "consumer", ["personalization"])
    before = settled.services.ledger.checkpoint(settled.clock())
    settings = new_home(settled)
    with restored(settled, settings, parts(backed_up(settled))) as (answer, services):
        assert (answer["records"], answer["records_dropped"], answer["erasures_replayed"]) == (46, 0, 0)
        assert services.ledger.verify(before).ok
        assert [found.what for found in diagnose(settings, settled.clock()) if not found.ok] == []
    again = {"AUREA_HOME": str(settings.home), "AUREA_CLIENT_SECRET": secret}
    as_client = ("--as", client.client_id, "--purpose", "personalization")
    profile = settled.answer("profile", golden_id, *as_client, environment=again)
    assert profile["attributes"]["first_name"] == "Delia"


def test_a_backup_holds_no_value_no_key_and_no_token_and_is_for_its_owner_only(settled: World) -> None:
    folder = backed_up(settled)
    (settled.home / "opendsr.pem").write_text("-----BEGIN PRIVATE KEY-----")
    second = backed_up(settled, "second")
    copies = [path for made in (folder, second) for path in made.rglob("*") if path.is_file()]
    content = b"".join(path.read_bytes() for path in copies)
    token = settled.services.stores.index.token("email", "delia@example.com")
    keyring = json.loads((settled.home / "keyring").read_text())
    secrets = [keyring["ledger_key"], keyring["token_secret"], keyring["epochs"][0]["kek"]]
    assert token in (settled.home / "keys.db").read_bytes() + (settled.home / "keys.db-wal").read_bytes()
    for secret in (b"delia@example.com", b"Delia", token[:8], b"PRIVATE KEY", *map(str.encode, secrets)):
        assert secret not in content
    modes = {path.stat().st_mode & 0o777 for path in (folder, *folder.rglob("*"))}
    assert modes == {0o700, 0o600}
    assert not list((settled.home / "spill").iterdir()), "no plain copy of the key store is left"


# While everybody goes on writing


class Writers:
    """Threads that create, replace and delete records until they are stopped; what was acknowledged when."""

    def __init__(self, world: World) -> None:
        self._world, self._stop = world, threading.Event()
        self.created: list[str] = []  # acknowledged, in order
        self.deleted: list[str] = []
        self.versions = {str(number): 0 for number in range(8)}
        self._threads = [threading.Thread(target=work) for work in (self._create, self._update, self._delete)]

    def __enter__(self) -> Self:
        for number in self.versions:
            self.say("changing", number)
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def say(self, channel: str, number: str, version: int = 0) -> None:
        value = IncomingRecord(
            channel, number, attributes={"email": [f"{channel}{number}.{version}@example.com"]}
        )
        self._world.services.writer.write([value], now=self._world.clock())

    def _create(self) -> None:
        while not self._stop.is_set():
            self.say("new", str(len(self.created)))
            self.created.append(str(len(self.created)))

    def _update(self) -> None:
        while not self._stop.is_set():
            for number in self.versions:
                self.say("changing", number, self.versions[number] + 1)
                self.versions[number] += 1

    def _delete(self) -> None:
        while not self._stop.is_set():
            number = str(len(self.deleted))
            self.say("going", number)
            self._world.services.writer.delete([RecordKey("going", number)], self._world.clock())
            self.deleted.append(number)


@pytest.mark.parametrize("attempt", range(2))
def test_a_backup_beside_writers_is_of_one_moment(world: World, attempt: int) -> None:
    with Writers(world) as writers:
        time.sleep(0.5)
        before = len(writers.created), dict(writers.versions), len(writers.deleted)
        folder = backed_up(world)
        after = len(writers.created), dict(writers.versions)
        time.sleep(0.2)
    assert len(writers.created) > before[0] > 0, "writers went on"
    with restored(world, new_home(world), parts(folder)) as (answer, services):
        assert answer["records_dropped"] == 0
        created = emails(services, *writers.created, channel="new")
        assert before[0] <= len(created) <= after[0] + 1
        assert created == [[f"new{number}.0@example.com"] for number in range(len(created))]
        for number, version in before[1].items():  # replaced meanwhile: one whole version of it, none lost
            (((email,)),) = emails(services, number, channel="changing")
            found = int(email.partition(".")[2].partition("@")[0])
            assert version <= found <= after[1][number] + 1
        assert emails(services, *writers.deleted[: before[2]], channel="going") == []
        report = services.ledger.verify()
        assert report.ok, report.reason
        with services.db.read() as conn:
            numbers = conn.execute(text("SELECT record_no FROM records")).scalars().all()
        assert len(services.sealed.open_fields(numbers, ["email"])) == len(numbers)  # no record without key


# Erasure stays provable


def test_without_the_log_the_answer_says_what_the_backup_lacks(world: World) -> None:
    world.ingest(row("crm", "1", "Ana"))
    folder = backed_up(world)
    world.ingest(row("crm", "2", "Berta"))
    kept = world.folder / "kept.txt"
    kept.write_text(world.services.ledger.checkpoint(world.clock()))
    environment = {"AUREA_HOME": str(world.folder / "new")}
    named = ("--keyring", str(world.home / "keyring"), "--checkpoint", str(kept))
    done = world.command("restore", str(folder), *named, "--json", environment=environment)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["ledger_entries_lost"] == 2
    assert "2 consent events after the backup are lost" in done.stderr


def test_the_data_under_the_key_store_that_was_kept_brings_back_nothing_deleted(world: World) -> None:
    world.ingest(row("crm", "1", "Ana"), row("crm", "2", "Berta"), row("crm", "3", "Carla"))
    folder = backed_up(world)
    world.clock.pass_(days=1)
    world.services.writer.delete([RecordKey("crm", "1")], world.clock())
    erase(world, "2")
    world.services.close()
    for path in world.home.glob("aurea.db*"):
        path.unlink()
    (world.home / "purposes.toml").unlink(missing_ok=True)
    shutil.rmtree(world.home / "runs")
    answer = world.answer("restore", str(folder), "--keep-keys")
    assert (answer["records"], answer["records_dropped"], answer["erasures_unrefused"]) == (1, 2, 0)
    world.services = open_services(world.settings, world.clock)
    assert emails(world.services, "1", "2", "3") == [["carla@example.com"]]
    again = IncomingRecord("crm", "9", attributes={"email": ["berta@example.com"]})
    assert world.services.writer.write([again], now=world.clock())[0].status == "suppressed"


def test_nobody_opens_the_keys_of_a_backup_once_their_epoch_is_destroyed(world: World) -> None:
    world.ingest(row("crm", "1", "Ana"))
    folder = backed_up(world)
    services = world.services
    services.rotation.rotate(world.clock())
    for who in ("c_anna", "c_ben"):
        services.rotation.destroy(1, who, world.clock())
    with pytest.raises(BackupError, match="destroyed, so that nobody opens them"):
        restore(new_home(world), parts(folder), world.clock)
    newer = backed_up(world, "newer")
    with restored(world, new_home(world, "second"), parts(newer)) as (_, opened):
        assert emails(opened, "1") == [["ana@example.com"]]


# What is refused


def change_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


REFUSED = {
    "data was altered": ("data/aurea.db", change_a_byte, "is not the file that was backed up"),
    "keys were altered": ("keys/keys.sealed", change_a_byte, "is not the file that was backed up"),
    "the manifest was altered": ("data/manifest.json", change_a_byte, "manifest"),
    "a file is missing": ("data/aurea.db", Path.unlink, "missing"),
    "the backup never ended": ("keys/manifest.json", Path.unlink, "no complete backup"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_backup_is_refused_where(world: World, what: str) -> None:
    name, harm, reason = REFUSED[what]
    world.ingest(row("crm", "1", "Ana"))
    folder = backed_up(world)
    harm(folder / name)
    settings = new_home(world)
    with pytest.raises(BackupError, match=reason):
        restore(settings, parts(folder), world.clock)
    assert sorted(path.name for path in settings.home.iterdir()) == ["keyring"]


def test_keys_older_than_the_data_and_a_home_in_use_are_refused(world: World) -> None:
    world.ingest(row("crm", "1", "Ana"))
    older = backed_up(world, "older")
    world.clock.pass_(days=1)
    newer = backed_up(world, "newer")
    with pytest.raises(BackupError, match="older than the data"):
        restore(new_home(world), Source(newer / "data", older / "keys"), world.clock)
    with restored(world, new_home(world, "third"), Source(older / "data", newer / "keys")) as (answer, _):
        assert answer["records_dropped"] == 0
    with pytest.raises(BackupError, match="not empty"):
        restore(world.settings, parts(newer), world.clock)
    with pytest.raises(BackupError, match="not empty"):
        back_up(world.settings, newer, world.clock())


def test_another_homes_keyring_is_refused(world: World) -> None:
    folder = backed_up(world)
    other = {"AUREA_HOME": str(world.folder / "other")}
    world.answer("init", environment=other)
    home = world.folder / "new"
    home.mkdir()
    shutil.copy(world.folder / "other" / "keyring", home / "keyring")
    with pytest.raises(BackupError, match="not that of the home"):
        restore(Settings.from_environment({"AUREA_HOME": str(home)}), parts(folder), world.clock)


# Crashes

CHILD = """
import os, signal, sys
from pathlib import Path
import api.restore
from api.restore import Source, restore
from api.settings import Settings
home, folder, step = sys.argv[1:]
def stop(*given, **named):
    os.kill(os.getpid(), signal.SIGKILL)
setattr(api.restore, step, stop)
source = Source(Path(folder, "data"), Path(folder, "keys"))
restore(Settings.from_environment({"AUREA_HOME": home}), source, lambda: int(os.environ["NOW"]))
"""


@pytest.mark.parametrize(
    "step",
    ["_replay", *(pytest.param(each, marks=pytest.mark.slow) for each in ("_put", "_bring_up", "_verified"))],
)
def test_kill_9_before_any_step_of_a_restore_leaves_a_closed_home_and_the_next_one_completes(
    world: World, step: str
) -> None:
    world.ingest(row("crm", "1", "Ana"))
    folder, settings = backed_up(world), new_home(world)
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(settings.home), str(folder), step], cwd=ROOT, capture_output=True,
        check=False, env={**os.environ, "PYTHONPATH": str(ROOT), "NOW": str(world.clock())},
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    with pytest.raises(SettingsError, match="interrupted"):
        open_services(settings)
    with restored(world, settings, parts(folder)) as (answer, services):
        assert answer["records"] == 1
        assert emails(services, "1") == [["ana@example.com"]]


def test_the_commands_from_backup_to_restore(world: World) -> None:
    world.ingest(row("crm", "1", "Ana"))
    folder = world.folder / "made"
    made = world.answer("backup", str(folder))
    assert (made["records"], made["ledger_size"], made["key_epoch"]) == (1, 2, 1)
    (folder / "keys").rename(world.folder / "apart")
    environment = {"AUREA_HOME": str(world.folder / "new")}
    named = ("--keys", str(world.folder / "apart"), "--keyring", str(world.home / "keyring"))
    done = world.answer("restore", str(folder), *named, environment=environment)
    assert (done["backup"], done["records"], done["ledger_entries_lost"]) == (made["backup"], 1, 0)
    assert world.answer("doctor", environment=environment)["ok"]
    assert (world.folder / "new").stat().st_mode & 0o777 == 0o700
