"""The home on disk: nothing in it is for anybody but its owner."""

import os
from pathlib import Path

import pytest

from api.diagnosis import diagnose
from api.services import open_services
from api.settings import Settings, SettingsError
from api.stores import create_home
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
