"""What the command line says to mistakes, and who it acts as."""

import pytest
import typer

from api.commands.frame import interruptible, was_interrupted
from tests.world import World, row


@pytest.mark.parametrize(
    ("name", "content", "status", "said"),
    [
        ("a.json", "[{}]", 1, "one object per line"),
        ("a.jsonl", "", 0, ""),
    ],
)
def test_a_file_without_objects(world: World, name: str, content: str, status: int, said: str) -> None:
    (world.folder / name).write_text(content)
    done = world.command("ingest", name, "--channel", "crm", "--json")
    assert done.returncode == status
    assert said in done.stderr
    assert status or '"read":0' in done.stdout


def test_a_missing_mapping_and_an_empty_standard_input(world: World) -> None:
    file = world.write_lines("in.jsonl", [row("crm", "1", "Ana")])
    done = world.command("ingest", str(file), "--mapping", "none.toml")
    assert (done.returncode, "no such file" in done.stderr) == (1, True)
    done = world.command("lookup", "--type", "email", "--value", "-", "--purpose", "analytics")
    assert done.returncode == 2


def test_a_truth_that_fits_nothing_or_contradicts_itself_is_a_failure(world: World) -> None:
    world.ingest(row("crm", "1", "Ana"))
    truth = world.folder / "truth.csv"
    for lines, said in (("crm,9,a", "aurea link"), ("crm,1,a\ncrm,1,b", "two persons")):
        truth.write_text(f"channel,source_id,person\n{lines}\n")
        done = world.command("evaluate", "--truth", str(truth))
        assert done.returncode == 1
        assert said in done.stderr


def test_before_the_first_link_people_are_told_what_is_missing(world: World) -> None:
    world.ingest(row("crm", "1", "Ana"))
    done = world.command("memberships", "--out", "m.csv")
    assert (done.returncode, "aurea link" in done.stderr) == (0, True)


def test_a_consent_that_breaks_a_rule_is_wrong_usage_by_option_without_the_value(world: World) -> None:
    long = "canary" * 20
    done = world.command("consent", "show", "--record", "crm:1", "--purpose", long)
    assert done.returncode == 2
    assert "--purpose" in done.stderr
    assert "canary" not in done.stderr


def test_whoever_is_named_acts_in_its_own_role(world: World) -> None:
    world.ingest(row("crm", "1", "Ana"), row("web", "1", "Ana"))
    made = {role: world.services.clients.create(role, role) for role in ("officer", "ingest")}
    about = ("--record", "crm:1", "--purpose", "personalization")

    def run(role: str, *arguments: str) -> int:
        client, secret = made[role]
        command = (*arguments, "--as", client.client_id)
        return world.command(*command, environment={"AUREA_CLIENT_SECRET": secret}).returncode

    assert run("officer", "consent", "record", *about, "--state", "withdrawn") == 0
    assert run("officer", "consent", "show", *about) == 0
    assert run("officer", "delete", "crm:1") == 1
    assert run("officer", "explain", "crm:1", "web:1") == 1
    told = world.answer("consent", "explain", *about)
    assert told["events"][-1]["source"] == f"client:{made['officer'][0].client_id}"
    assert run("ingest", "consent", "show", "--golden-id", "g_x", "--purpose", "analytics") == 1
    assert run("ingest", "delete", "crm:1") == 0


def test_an_interrupt_is_recognised_however_it_is_wrapped(capsys: pytest.CaptureFixture[str]) -> None:
    wrapped = ValueError("of Splink")
    wrapped.__cause__ = RuntimeError("Query interrupted")
    wrapped.__cause__.__cause__ = KeyboardInterrupt()
    assert was_interrupted(wrapped)
    assert not was_interrupted(ValueError())
    with pytest.raises(typer.Exit) as caught, interruptible("interrupted; nothing changed"):
        raise wrapped
    assert caught.value.exit_code == 130
    assert capsys.readouterr().err == "aurea: interrupted; nothing changed\n"


def test_once_a_client_exists_weights_and_levels_are_a_stewards(world: World) -> None:
    """Before, whoever works on this machine is the operator."""
    world.ingest(row("crm", "1", "Ana"), row("web", "1", "Ana"))
    world.link()
    reading = (
        ("explain", "crm:1", "web:1"), ("explain", "crm:1"), ("review", "list"),
        ("review", "show", "crm:1", "web:1"), ("review", "history"),
    )  # fmt: skip
    assert {world.command(*command).returncode for command in reading[::2]} == {0}
    world.services.clients.create("shop", "consumer", ["personalization"])
    for command in (*reading, ("explain", "crm:1", "--plain")):
        refused = world.command(*command)
        assert (refused.returncode, "--as CLIENT_ID" in refused.stderr) == (1, True), command
    assert world.command_as("steward", "explain", "crm:1", "web:1").returncode == 0
    assert world.command_as("steward", "review", "list").returncode == 0
    refused = world.command_as("auditor", "explain", "crm:1")
    assert (refused.returncode, "may not explain links" in refused.stderr) == (1, True)
    assert world.command_as("auditor", "review", "list").returncode == 1
