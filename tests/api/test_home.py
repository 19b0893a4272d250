"""The home on disk: nothing in it is for anybody but its owner, and no store of it is made twice."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import text

from api import store_places, stores
from api.backup import back_up
from api.diagnosis import diagnose
from api.services import open_services
from api.settings import Settings, SettingsError
from api.stores import create_home
from consent.key_providers import FileKeyring
from consent.key_store import KeyStore
from identity.errors import StoreUnreachableError
from tests.stores import environment, only_on_sqlite
from tests.world import START, World, row


@pytest.fixture(autouse=True)
def _a_generous_umask() -> "object":
    before = os.umask(0o002)
    yield
    os.umask(before)


def modes(home: Path) -> dict[str, int]:
    """The mode of the home and of everything in it."""
    return {
        str(path.relative_to(home.parent)): path.stat().st_mode & 0o777 for path in (home, *home.rglob("*"))
    }


def home_finding(settings: Settings) -> bool:
    return next(finding.ok for finding in diagnose(settings, START) if finding.what == "home")


@only_on_sqlite("its files")
def test_every_file_of_a_home_is_for_its_owner_only(tmp_path: Path, world: World) -> None:
    """While it is at work, with the stores' logs beside them, and after a run with its reports."""
    fresh = {"AUREA_HOME": str(tmp_path / "fresh")}
    world.answer("init", environment=fresh)
    rows = [row("crm", str(number), f"Person{number}") for number in range(20)]
    world.answer(
        "ingest", str(world.write_lines("in.jsonl", rows)), "--grant", "identity_linking", environment=fresh
    )
    world.answer("link", environment=fresh)
    services = open_services(Settings.from_environment(fresh))
    try:
        services.clients.create("x", "auditor")
        found = modes(tmp_path / "fresh")
    finally:
        services.close()
    assert {"fresh/aurea.db", "fresh/aurea.db-wal", "fresh/keys.db", "fresh/keyring"} <= set(found)
    assert {name: oct(mode) for name, mode in found.items() if mode & 0o077} == {}
    assert home_finding(services.settings)


@only_on_sqlite("its files")
def test_an_open_home_is_closed_to_others_when_it_is_opened(world: World) -> None:
    world.home.chmod(0o755)
    (world.home / "aurea.db").chmod(0o644)
    assert not home_finding(world.settings)
    open_services(world.settings).close()
    assert world.home.stat().st_mode & 0o777 == 0o700
    assert (world.home / "aurea.db").stat().st_mode & 0o777 == 0o600
    assert home_finding(world.settings)


def test_a_folder_that_others_made_readable_before_is_closed_when_it_becomes_a_home(tmp_path: Path) -> None:
    home = tmp_path / "made-by-hand"
    home.mkdir(mode=0o755)
    create_home(Settings.from_environment({"AUREA_HOME": str(home)}))
    assert home.stat().st_mode & 0o777 == 0o700


def test_an_open_home_of_somebody_else_is_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.home.chmod(0o755)
    somebody = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: somebody)
    with pytest.raises(SettingsError, match="chmod"):
        open_services(world.settings)
    assert world.home.stat().st_mode & 0o777 == 0o755


def test_a_folder_meant_for_many_is_no_home(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    with pytest.raises(SettingsError, match="others"):
        create_home(Settings.from_environment({"AUREA_HOME": str(shared)}))
    assert list(shared.iterdir()) == []


# A backup before an upgrade, where there is nothing yet


@only_on_sqlite("its backups")
def test_an_init_that_makes_a_home_says_that_it_made_no_backup(world: World) -> None:
    (world.folder / "by-hand").mkdir(mode=0o700)
    for name in ("fresh", "by-hand"):
        named = {"AUREA_HOME": str(world.folder / name)}
        done = world.command("init", "--backup", str(world.folder / "kept"), environment=named)
        assert (done.returncode, done.stdout.startswith("made ")) == (0, True), done.stderr
        assert f"no backup was made: {world.folder / name} held nothing yet" in done.stderr
        assert not (world.folder / "kept").exists()
    done = world.command("init", "--backup", str(world.folder / "kept"))
    assert (done.returncode, "backed up to" in done.stderr) == (0, True), done.stderr


# A lost keyring


def test_where_a_key_store_is_a_lost_keyring_is_to_be_restored_and_not_made(world: World) -> None:
    (world.home / "keyring").unlink()
    for command in ("link", "doctor", "init"):
        done = world.command(command)
        assert done.returncode == 1
        assert "restore it" in done.stdout + done.stderr
        assert "run `aurea init`" not in done.stdout + done.stderr
    with pytest.raises(SettingsError, match=r"no keyring at .*: restore its keyring"):
        open_services(world.settings)


def test_where_nothing_is_yet_a_keyring_comes_with_a_new_home(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir(mode=0o700)
    settings = Settings.from_environment({"AUREA_HOME": str(tmp_path / "home")})
    with pytest.raises(SettingsError, match=r"no keyring at .*: run `aurea init` for a new home"):
        open_services(settings)


# A lost store


LOST = {
    "aurea.db": "aurea.db {} but its key store exists and is in use: restore a backup",
    "keys.db": "keys.db {} but its operational store exists and is in use: restore a backup",
}


def lose(world: World, store: str) -> None:
    world.services.close()
    for path in world.home.glob(f"{store}*"):
        path.unlink()


@only_on_sqlite("its files")
@pytest.mark.parametrize("store", LOST)
def test_a_lost_store_is_said_to_be_lost_and_made_anew_by_nothing(world: World, store: str) -> None:
    """An empty one would be a ledger that begins anew under the same key, without what people withdrew."""
    world.ingest(row("crm", "1", "Ana"))
    lose(world, store)
    said = LOST[store].format("is missing")
    for use in (create_home, open_services, lambda settings: back_up(settings, world.folder / "b", START)):
        with pytest.raises(SettingsError, match=said):
            use(world.settings)
    for command in (("client", "list"), ("link",), ("init",)):
        done = world.command(*command)
        assert (done.returncode, done.stderr) == (1, f"aurea: {said}\n")
    doctor = world.command("doctor")
    assert doctor.returncode == 1
    assert f"FAIL  stores: {said}\n" in doctor.stdout
    assert not (world.home / store).exists()


@only_on_sqlite("its files")
@pytest.mark.parametrize("store", LOST)
def test_an_empty_file_in_the_place_of_a_store_is_no_new_store_either(world: World, store: str) -> None:
    world.ingest(row("crm", "1", "Ana"))
    lose(world, store)
    (world.home / store).touch(mode=0o600)
    said = LOST[store].format("holds nothing")
    for use in (create_home, open_services, lambda settings: back_up(settings, world.folder / "b", START)):
        with pytest.raises(SettingsError, match=said):
            use(world.settings)
    assert said in next(found.says for found in diagnose(world.settings, START) if found.what == "stores")


@only_on_sqlite("its files")
def test_a_store_that_vanishes_under_a_running_service_is_not_made_by_its_next_connection(
    world: World,
) -> None:
    world.services.db.engine.dispose()
    (world.home / "aurea.db").rename(world.folder / "elsewhere.db")
    with pytest.raises(StoreUnreachableError, match="missing"), world.services.db.read() as conn:
        conn.execute(text("SELECT 1"))
    assert not (world.home / "aurea.db").exists()


STEPS: dict[str, tuple[object, str]] = {
    "before the first store is made": (store_places.Place, "make"),
    "before the keyring": (FileKeyring, "create"),
    "before the tables": (stores, "upgrade"),
    "before the key store is whose it is": (KeyStore, "initialise"),
}


@pytest.mark.parametrize("nth", [1, 2])
@pytest.mark.parametrize("step", STEPS)
def test_a_first_init_that_was_interrupted_is_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, nth: int
) -> None:
    """Nothing is in use yet, so neither store counts as lost, whichever of the two is there already."""
    settings = Settings.from_environment(environment(tmp_path / "home"))
    where, name = STEPS[step]
    whole: Callable[..., object] = getattr(where, name)
    calls = []

    def stop(*given: object, **named: object) -> object:
        calls.append(given)
        if len(calls) == nth:
            raise KeyboardInterrupt
        return whole(*given, **named)

    monkeypatch.setattr(where, name, stop)
    with suppress(KeyboardInterrupt):
        create_home(settings)
    monkeypatch.undo()
    create_home(settings)
    open_services(settings).close()


@only_on_sqlite("its files")
def test_a_home_that_nobody_used_may_get_another_operational_store(tmp_path: Path) -> None:
    named = {"AUREA_HOME": str(tmp_path / "home")}
    create_home(Settings.from_environment(named))
    moved = Settings.from_environment(named | {"AUREA_DATABASE_URL": f"sqlite:///{tmp_path}/other.db"})
    with pytest.raises(SettingsError, match="run `aurea init`"):
        open_services(moved)
    assert create_home(moved) is False
    open_services(moved).close()
