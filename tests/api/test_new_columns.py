"""A column that comes to be filled after the model was trained."""

from typing import Any

from tests.world import TOWN, World, row


def bare(channel: str, name: str) -> dict[str, Any]:
    found = row(channel, name, name)
    del found["phone"]
    return found


def test_a_run_tells_of_columns_its_model_does_not_compare_until_it_is_retrained(world: World) -> None:
    world.ingest(*(bare(channel, name) for name in TOWN for channel in ("crm", "web")))
    assert world.link()["uncompared"] == ()
    world.ingest(*(row("pos", name, name) for name in TOWN))
    done = world.command("link")
    assert done.returncode == 0
    assert "hold phone" in done.stderr
    assert "--retrain" in done.stderr
    assert world.link(retrain=True)["uncompared"] == ()
    assert "--retrain" not in world.command("link").stderr
