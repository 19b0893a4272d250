"""What a running service and the next start clear away without being asked."""

import asyncio
from pathlib import Path

import pytest

from api.app import create_app
from api.housekeeping import kept, only_one
from api.spill import KEY_COPY, spill_folder, sweep_spill
from tests.world import World, row


def spilled(home: Path) -> list[Path]:
    return list((home / "spill").glob("*"))


def test_a_run_removes_its_spill_folder_even_if_it_fails(world: World) -> None:
    world.ingest(row("crm", "1", "Ana"), row("web", "1", "Ana"))
    world.link()
    assert spilled(world.home) == []
    with pytest.raises(RuntimeError), spill_folder(world.home) as folder:  # noqa: PT012 - what a run does
        (folder / "duckdb_temp_storage_0.tmp").write_bytes(b"x")
        raise RuntimeError
    assert spilled(world.home) == []


def test_what_a_crash_left_goes_at_the_next_start_and_a_run_at_work_keeps_its_own(world: World) -> None:
    left = world.home / "spill" / "crashed"
    left.mkdir(parents=True)
    (left / "duckdb_temp_storage_0.tmp").write_bytes(b"x")
    with spill_folder(world.home) as folder:
        sweep_spill(world.home)
        assert folder.is_dir()
    world.services.recover()
    assert spilled(world.home) == []


def test_of_a_backup_that_was_killed_the_copy_of_the_key_store_is_overwritten(world: World) -> None:
    left = world.home / "spill" / "crashed"
    left.mkdir(parents=True)
    (left / KEY_COPY).write_bytes(b"wrapped keys and tokens")
    with (left / KEY_COPY).open("rb") as disk:
        sweep_spill(world.home)
        assert disk.read() == bytes(23)
    assert spilled(world.home) == []


def test_the_running_service_keeps_house_by_itself(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    store = type(world.services.key_store)
    for name in ("sweep_orphans", "merge_recent"):
        real = getattr(store, name)

        def heard(*given: object, _name: str = name, _real: object = real, **named: object) -> object:
            done.append(_name)
            return _real(*given, **named)  # type: ignore[operator]  # the method itself

        monkeypatch.setattr(store, name, heard)
    app = create_app(world.services, housekeeping_seconds=0.02)

    async def a_moment() -> None:
        async with app.router.lifespan_context(app):
            await asyncio.sleep(0.5)

    asyncio.run(a_moment())
    assert {"sweep_orphans", "merge_recent"} <= set(done)


def test_one_process_at_a_time_keeps_house(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[int] = []
    monkeypatch.setattr(world.services, "recover", lambda: done.append(1))
    with only_one(world.home) as first:
        assert first
        world.services.housekeep()
        assert done == []
    world.services.housekeep()
    assert done == [1]


def test_housekeeping_that_fails_is_tried_again() -> None:
    tries: list[int] = []

    def failing() -> None:
        tries.append(1)
        raise OSError

    async def a_moment() -> None:
        async with kept(failing, 0.01):
            await asyncio.sleep(0.3)

    asyncio.run(a_moment())
    assert len(tries) > 1
