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


NO_TEXT = {
    "a checkpoint of a restore": ("restore", "backup", "--checkpoint", "binary"),
    "a checkpoint of the ledger": ("ledger", "verify", "--checkpoint", "binary"),
    "a receipt": ("receipt", "verify", "binary"),
    "a checkpoint of a receipt": ("receipt", "verify", "receipt.json", "--checkpoint", "binary"),
}


@pytest.mark.parametrize("what", NO_TEXT)
def test_a_file_that_is_no_text_is_named_with_what_it_was_to_be(world: World, what: str) -> None:
    (world.folder / "binary").write_bytes(b"\xff\xfe\x00\x9d")
    (world.folder / "receipt.json").write_text("{}")
    done = world.command(*NO_TEXT[what])
    assert done.returncode == 1
    named = "checkpoint" if "checkpoint" in what else "receipt"
    assert done.stderr == f"aurea: binary is no text: name the {named} as it was kept\n"


UNUSABLE_STORES = {
    "a port that is no number": (
        {"AUREA_DATABASE_URL": "postgresql+psycopg://aurea:hush@db.example:notaport/aurea"},
        "AUREA_DATABASE_URL is no database URL: use postgresql+psycopg://user@host/name",
    ),
    "an @ in the password": (
        {"AUREA_DATABASE_URL": "postgresql+psycopg://aurea:in@hush@db.example/aurea"},
        "AUREA_DATABASE_URL: write %40 for an @ in the password, or use PGPASSFILE",
    ),
    "no URL at all": ({"AUREA_KEYS_URL": "hush"}, "AUREA_KEYS_URL is no database URL"),
    "a folder that does not exist": (
        {"AUREA_KEYS_URL": "sqlite:////nonexistent/keys.db"},
        "AUREA_KEYS_URL names a store in /nonexistent, and there is no such folder: make it",
    ),
}


@pytest.mark.parametrize("what", UNUSABLE_STORES)
def test_a_store_that_is_nowhere_is_named_by_its_variable(world: World, what: str) -> None:
    variables, said = UNUSABLE_STORES[what]
    for home, command in (("new", "init"), ("home", "link")):
        done = world.command(command, environment={"AUREA_HOME": str(world.folder / home), **variables})
        assert done.returncode == 1
        assert done.stderr.startswith("aurea: ")
        assert len(done.stderr.splitlines()) == 1
        assert "internal failure" not in done.stderr
        assert "hush" not in done.stderr
        assert command == "link" or said in done.stderr


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
