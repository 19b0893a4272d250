"""A disk that is really full, a small one in memory: writes and reads are refused, nothing is lost."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from api.diagnosis import diagnose
from consent.access_log_reading import verify
from tests.faults.checker import Expected, problems, unused_keys
from tests.world import World, a_world, record

SIZE_MB, BALLAST_MB = 16, 8


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, so small that it fills in seconds."""
    folder, mount = tmp_path / "disk", shutil.which("mount")
    folder.mkdir()
    command = [str(mount), "-t", "tmpfs", "-o", f"size={SIZE_MB}m", "tmpfs", str(folder)]
    if mount is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a small file system; test_busy_and_slow.py has the stores' part")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def post(http: httpx.Client, name: str) -> httpx.Response:
    large = {"traits": {"note": "x" * 4000}}
    return http.post("/v1/records", json={"records": [record("crm", name, name) | large]})


def read(http: httpx.Client, name: str) -> httpx.Response:
    asked = {"purpose": "personalization", "identifiers": [{"type": "record", "value": f"crm:{name}"}]}
    return http.post("/v1/profiles/lookup", json=asked)


def fill(folder: Path) -> None:
    """Leave no byte."""
    with (folder / "rest").open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)) == 4096:
                pass
        except OSError:
            return


def test_a_full_disk_refuses_what_it_cannot_keep_and_what_it_cannot_log(disk: Path) -> None:
    (disk / "ballast").write_bytes(bytes(BALLAST_MB << 20))
    with a_world(disk) as world:
        sender, reader = world.client("ingest"), world.client("consumer")
        stored = _written_until_full(world, sender)
        fill(disk)
        refused = read(reader, "Person0")
        assert refused.status_code == 503, "what cannot be logged is not shown"
        assert int(refused.headers["Retry-After"]) >= 1
        assert "person0@example.com" not in refused.text
        assert "disk" in world.anonymous().get("/readyz").json()["failing"]
        assert "disk" in {found.what for found in diagnose(world.settings, world.clock()) if not found.ok}

        (disk / "rest").unlink()
        (disk / "ballast").unlink()
        name = next(iter(stored.begun))[1]
        assert post(sender, name).status_code == 200
        stored.acknowledge(("crm", name))
        assert read(reader, "Person0").status_code == 200
        assert problems(world.services, stored) == []
        assert unused_keys(world.services, world.clock()) == 0
    assert verify(disk / "home" / "access-log").problems == ()


def _written_until_full(world: World, sender: httpx.Client) -> Expected:
    """Write until it is refused; what was acknowledged, and the one record that was not."""
    stored = Expected()
    for number in range(2_000):
        name = f"Person{number}"
        stored.begin(("crm", name), f"{name.lower()}@example.com")
        answer = post(sender, name)
        if answer.status_code != 200:
            assert (answer.status_code, answer.json()["type"]) == (503, "urn:aurea:problem:storage-full")
            return stored
        stored.acknowledge(("crm", name))
    pytest.fail("the disk did not fill")
