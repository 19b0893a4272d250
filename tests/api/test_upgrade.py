"""A home that an earlier release made and used is brought to this version: nothing lost, nothing changed.

`tests/data/home-at-0006.tar.xz` was made by that release itself: 25 fictional people of four channels, a
withdrawal, a request under way, an erasure, a rotation of keys, two linkage runs.
"""

import json
import sqlite3
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from api.diagnosis import diagnose
from api.migrations import KEYS, OPERATIONAL, is_current, versions
from api.restore import Source, restore
from api.services import open_services
from api.settings import Settings, SettingsError
from api.stores import create_home, open_operational
from consent.erasure_receipt_verification import verify_erasure_receipt
from consent.incoming import IncomingRecord
from identity.records import RecordKey
from tests.stores import only_on_sqlite
from tests.world import START, World

pytestmark = only_on_sqlite("a home of the first releases")

DATA = Path(__file__).resolve().parents[1] / "data" / "home-at-0006.tar.xz"
LATER = START + 60_000


@pytest.fixture
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `home` at schema 0006 and `facts.json`: what the earlier release said of it."""
    folder = tmp_path_factory.mktemp("old")
    home = folder / "home"
    home.mkdir(mode=0o700)
    with tarfile.open(DATA) as packed:
        packed.extractall(home, filter="data")
    (home / "facts.json").rename(folder / "facts.json")
    return folder


def settings_of(home: Path) -> Settings:
    return Settings.from_environment({"AUREA_HOME": str(home)})


def columns_of(store: Path) -> dict[str, list[str]]:
    """The columns of every table, but for the version's."""
    with sqlite3.connect(store) as conn:
        tables = [name for (name,) in conn.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {
            table: [name for (_, name, *_) in conn.execute(f"PRAGMA table_info({table})")]
            for table in tables
            if "version" not in table
        }


RENAMED = {("model_frequencies", "model_version"): "run_id"}  # and its rows by the run, migration 0016


def rows_of(store: Path, columns: Mapping[str, Sequence[str]]) -> dict[str, list[Any]]:
    """Every row of these tables and columns."""
    columns = {
        table: [name for name in names if (table, name) not in RENAMED] for table, names in columns.items()
    }
    with sqlite3.connect(store) as conn:
        return {
            table: sorted(
                map(repr, conn.execute(f"SELECT {', '.join(names)} FROM {table}"))  # noqa: S608 - our tables
            )
            for table, names in columns.items()
        }


def test_the_earlier_home_is_refused_until_it_is_upgraded(old: Path) -> None:
    with pytest.raises(SettingsError, match="aurea init"):
        open_services(settings_of(old / "home"))
    findings = {found.what: found for found in diagnose(settings_of(old / "home"), LATER)}
    assert "at version 0006" in findings["stores"].says


def test_an_upgrade_keeps_every_row_and_everything_works_on(old: Path) -> None:
    facts, settings = json.loads((old / "facts.json").read_text()), settings_of(old / "home")
    store = old / "home" / "aurea.db"
    columns = columns_of(store)  # later releases added some
    before = rows_of(store, columns)
    assert create_home(settings) is False
    after = rows_of(store, columns)
    added = {"delivery_no", "hold_no"}
    for table, rows in before.items():
        assert [row for row in after[table] if not any(name in row for name in added)] == [
            row for row in rows if not any(name in row for name in added)
        ], table
    services = open_services(settings, lambda: LATER)
    try:
        services.recover()
        assert services.ledger.verify(facts["checkpoint"]).ok
        with services.db.read() as conn:
            statuses = {
                who: (services.memberships.resolve(conn, facts[who]) or pytest.fail(who)).status
                for who in ("delia", "ana", "berta")
            }
            receipt = conn.execute(text("SELECT receipt FROM erasures")).scalar_one()
        assert set(statuses.values()) == {"active"}
        verify_erasure_receipt(receipt, services.ledger.verifier_key())
        numbers = [services.writer.find(RecordKey("crm", number)) or 0 for number in "12"]
        opened = services.sealed.open_fields(numbers, ["email"])
        assert {record.attributes["email"][0] for record in opened.values()} == {
            "ana@example.com", "berta@example.com",
        }  # fmt: skip
        assert services.writer.find(RecordKey("web", "1")) is None
        (again,) = services.writer.write([IncomingRecord("web", "1")], now=LATER)
        assert again.status == "suppressed"
        assert services.clients.authenticate(facts["client"], facts["secret"]).role == "consumer"
    finally:
        services.close()
    assert [found.what for found in diagnose(settings, LATER) if not found.ok] == []


def test_a_withdrawal_of_before_is_a_denial_after_and_a_rerun_moves_nobody(old: Path) -> None:
    facts = json.loads((old / "facts.json").read_text())
    create_home(settings_of(old / "home"))
    world = World(old)
    try:
        reader = world.client("consumer")
        status = {
            who: reader.get(f"/v1/profiles/{facts[who]}", params={"purpose": "personalization"}).status_code
            for who in ("delia", "berta")
        }
        assert status == {"delia": 200, "berta": 404}
        run = world.link()
        assert (run["created"], run["merged"], run["split"]) == (0, 0, 0)
        officer = world.client("officer")
        assert officer.get(f"/v1/requests/{facts['request']}").json()["state"] == "received"
    finally:
        world.close()


def test_the_command_backs_up_first_and_the_backup_restores_with_the_upgrade(old: Path, world: World) -> None:
    environment = {"AUREA_HOME": str(old / "home")}
    done = world.command("init", "--backup", str(old / "before"), "--json", environment=environment)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["created"] is False
    manifest = json.loads((old / "before" / "data" / "manifest.json").read_text())
    assert manifest["schema"] == {"operational": "0006", "keys": "0003"}
    home = old / "restored"
    home.mkdir()
    (home / "keyring").write_bytes((old / "home" / "keyring").read_bytes())
    (home / "keyring").chmod(0o600)
    source = Source(old / "before" / "data", old / "before" / "keys")
    answer = restore(settings_of(home), source, lambda: LATER)
    assert answer["records"] == 48
    services = open_services(settings_of(home), lambda: LATER)
    try:
        assert is_current(services.db, OPERATIONAL)
        assert is_current(services.keys, KEYS)
    finally:
        services.close()


def test_an_upgrade_that_fails_halfway_leaves_the_stores_as_they_were(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(old / "home")
    scripts = OPERATIONAL.scripts()
    last = scripts.get_revision("head")
    assert last is not None

    def fail() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(type(OPERATIONAL), "scripts", lambda _: scripts)
    monkeypatch.setattr(last.module, "upgrade", fail)
    store = old / "home" / "aurea.db"
    before = rows_of(store, columns_of(store))
    with pytest.raises(KeyboardInterrupt):
        create_home(settings)
    assert rows_of(store, columns_of(store)) == before
    db = open_operational(settings)
    assert versions(db, OPERATIONAL)[0] == "0006"
    db.close()
    monkeypatch.undo()
    create_home(settings)
    open_services(settings).close()
