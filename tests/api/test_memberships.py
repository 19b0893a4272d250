"""Writing the memberships file: whole, for its owner only, where it was asked for."""

import pytest

from tests.world import World, row


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_memberships_are_never_written_through_a_planted_link(world: World, ending: str) -> None:
    world.ingest(row("crm", "1", "Ana"))
    victim = world.folder / "victim"
    victim.write_text("kept")
    for planted in (f".m.{ending}.partial", f"m.{ending}"):
        (world.folder / planted).symlink_to(victim)
    world.answer("memberships", "--out", str(world.folder / f"m.{ending}"))
    written = world.folder / f"m.{ending}"
    assert victim.read_text() == "kept"
    assert not written.is_symlink()
    assert written.stat().st_mode & 0o777 == 0o600
    assert not (world.folder / f".m.{ending}.partial").exists()
