"""The keyring of `aurea restore`: tried before it is kept, never ignored; and of a backup it stays apart."""

import shutil
import subprocess
from pathlib import Path

import pytest

from api.restore import restore
from api.settings import Settings
from consent.errors import BackupError
from tests.api.test_backup import backed_up, new_home, parts, restored
from tests.stores import only_on_sqlite
from tests.world import World, row

pytestmark = only_on_sqlite("backups of its files")


def test_after_a_wrong_keyring_the_right_one_restores(world: World) -> None:
    """Neither another home's keyring nor a file that is none is left in the home, where it would stay."""
    world.ingest(row("crm", "1", "Ana"))
    folder = backed_up(world)
    world.answer("init", environment={"AUREA_HOME": str(world.folder / "other")})
    no_keyring = world.folder / "notes.txt"
    no_keyring.write_bytes(b"\xff\x00 the keyring is in the safe")
    home = world.folder / "new"

    def run(keyring: Path) -> subprocess.CompletedProcess[str]:
        return world.command(
            "restore", str(folder), "--keyring", str(keyring), environment={"AUREA_HOME": str(home)}
        )

    for wrong, said in (
        (world.folder / "other" / "keyring", "the keyring is not that of the home"),
        (no_keyring, "the keyring is damaged"),
        (world.folder / "nowhere", "No such file"),
    ):
        done = run(wrong)
        assert (done.returncode, said in done.stderr) == (1, True), done.stderr
        assert list(home.iterdir()) == []
    done = run(world.home / "keyring")
    assert done.returncode == 0, done.stderr
    assert (home / "keyring").read_bytes() == (world.home / "keyring").read_bytes()
    assert (home / "keyring").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("inside", [".", "backups/today"])
def test_a_backup_is_not_put_beside_the_keyring(world: World, inside: str) -> None:
    held = sorted(path.name for path in world.home.iterdir())
    done = world.command("backup", str(world.home / inside))
    assert (done.returncode, "inside the home, beside the keyring" in done.stderr) == (1, True)
    assert sorted(path.name for path in world.home.iterdir()) == held


def test_without_a_keyring_the_option_is_named_that_brings_it(world: World) -> None:
    """`aurea init` would make a keyring that opens nothing of the backup, and a home that is not empty."""
    folder, home = backed_up(world), world.folder / "new"
    done = world.command("restore", str(folder), environment={"AUREA_HOME": str(home)})
    assert done.returncode == 1
    assert done.stderr == f"aurea: there is no keyring at {home}/keyring: name it with --keyring FILE\n"


def test_another_keyring_than_the_one_that_the_home_holds_is_refused_and_not_ignored(world: World) -> None:
    folder, settings = backed_up(world), new_home(world)
    world.answer("init", environment={"AUREA_HOME": str(world.folder / "other")})
    right = world.folder / "right"
    (settings.home / "keyring").rename(right)
    shutil.copy(world.folder / "other" / "keyring", settings.home / "keyring")
    with pytest.raises(BackupError, match="move it away"):
        restore(settings, parts(folder, keyring=right), world.clock)
    (settings.home / "keyring").unlink()
    with restored(world, settings, parts(folder, keyring=right)) as (answer, _):
        assert answer["backup"]
    carried = Settings.from_environment(
        {"AUREA_HOME": str(world.folder / "third"), "AUREA_KEYRING": right.read_text()}
    )
    with pytest.raises(BackupError, match="AUREA_KEYRING: name one"):
        restore(carried, parts(folder, keyring=right), world.clock)
