"""The `aurea` command: what it prints for machines, how it ends, and what it never says."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.stores import environment
from tests.world import TOWN, World, row

GRANTS = ("--grant", "identity_linking", "--grant", "personalization")


ROWS = [row(channel, name, name) for name in TOWN for channel in ("crm", "web")]


@pytest.fixture
def town(world: World) -> World:
    world.ingest(*ROWS)
    return world


def test_from_files_to_golden_ids_to_a_profile(world: World) -> None:
    town = world
    counts = town.answer("ingest", str(town.write_lines("town.jsonl", ROWS)), *GRANTS)
    assert counts == {
        "read": len(ROWS), "created": len(ROWS), "updated": 0, "unchanged": 0, "suppressed": 0,
        "rejected": 0, "unreadable": {},
    }  # fmt: skip
    dry = town.answer("link", "--dry-run")
    assert dry["golden_ids"] == len(TOWN)
    summary = town.answer("link")
    expected = {
        "run_id",
        "records",
        "golden_ids",
        "created",
        "merged",
        "split",
        "unchanged",
        "seconds",
        "peak_rss_mb",
    }
    assert expected <= set(summary)
    assert (summary["records"], summary["golden_ids"]) == (2 * len(TOWN), len(TOWN))
    first, second = (town.folder / name for name in ("first.csv", "second.csv"))
    assert town.answer("memberships", "--out", str(first))["records"] == 2 * len(TOWN)
    again = json.loads(town.process("link", "--json").stdout)  # with another seed for hashes
    assert (again["created"], again["merged"], again["split"]) == (0, 0, 0)
    town.answer("memberships", "--out", str(second))
    assert first.read_bytes() == second.read_bytes()
    with first.open() as file:
        members = list(csv.DictReader(file))
    assert [*members[0]] == ["channel", "source_id", "golden_id", "confidence"]
    assert members == sorted(members, key=lambda one: (one["channel"], one["source_id"]))
    truth = town.folder / "truth.csv"
    truth.write_text(
        "channel,source_id,person\n" + "".join(f"{c},{n},{n}\n" for n in TOWN for c in ("crm", "web"))
    )
    metrics = town.answer("evaluate", "--truth", str(truth))
    assert metrics["pairwise"] == {"precision": 1.0, "recall": 1.0, "f1": 1.0}
    assert metrics["true_entities"] == len(TOWN)
    profile = town.answer("profile", members[0]["golden_id"], "--purpose", "personalization")
    assert profile["channels"] == ["crm", "web"]
    found = town.answer(
        "lookup", "--type", "record", "--value", "-", "--purpose", "personalization", stdin="crm:Delia\n"
    )
    assert found["attributes"]["first_name"] == "Delia"
    why = town.answer("explain", "crm:Delia", "web:Delia")
    assert why["same_person"] is True
    assert why["path"][0]["match_weight"] > 0


@pytest.mark.slow
def test_memberships_in_parquet_say_the_same(town: World) -> None:
    import pyarrow.parquet as pq

    town.answer("link")
    town.answer("memberships", "--out", str(town.folder / "m.parquet"))
    town.answer("memberships", "--out", str(town.folder / "m.csv"))
    table = pq.read_table(town.folder / "m.parquet").to_pylist()
    with (town.folder / "m.csv").open() as file:
        lines = [one | {"confidence": float(one["confidence"])} for one in csv.DictReader(file)]
    assert table == lines


def test_rejected_rows_give_status_3_and_a_list_without_values(world: World) -> None:
    rows = [row("crm", "1", "Ana"), {"channel": "crm", "first_name": "Canary"}]
    file = world.write_lines("in.jsonl", rows)
    done = world.command("ingest", str(file), "--json")
    assert done.returncode == 3
    assert json.loads(done.stdout)["rejected"] == 1
    listed = (world.folder / "in.jsonl.rejected.jsonl").read_text()
    assert json.loads(listed)["line"] == 2
    assert "Canary" not in listed + done.stdout + done.stderr


def test_linking_nothing_warns_and_says_what_to_do(world: World) -> None:
    world.answer("ingest", str(world.write_lines("in.jsonl", [row("crm", "1", "Ana")])))
    done = world.command("link", "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["golden_ids"] == 1
    assert "--grant identity_linking" in done.stderr


def test_linking_says_what_may_have_cost_links_or_made_wrong_ones(settled: World) -> None:
    settled.ingest(*(row("pos", str(number), "Delia") for number in range(60)))
    settled.ingest({**row("pos", "ana", "Ana"), "email": "noreply@example.com"})
    done = settled.command("link", "--json")
    assert done.returncode == 0
    (giant, junk) = json.loads(done.stdout)["notices"]
    assert giant.startswith("the largest golden ID has 62 records")
    assert junk == "1 email value(s) belong to nobody in particular and were not compared"
    assert all(f"aurea: {notice}\n" in done.stderr for notice in (giant, junk))
    assert "noreply" not in done.stdout + done.stderr


def test_once_a_client_exists_whoever_reads_must_say_who_they_are(town: World) -> None:
    made = town.answer("client", "create", "shop", "--role", "consumer", "--purpose", "personalization")
    assert set(made) == {"client_id", "client_secret", "role", "purposes"}
    read = ("lookup", "--type", "record", "--value", "crm:Delia", "--purpose", "personalization")
    town.link()
    assert town.command(*read).returncode == 1
    secret = {"AUREA_CLIENT_SECRET": made["client_secret"]}
    assert town.answer(*read, "--as", made["client_id"], environment=secret)["records"] == 2
    wrong = town.command(*read, "--as", made["client_id"], environment={"AUREA_CLIENT_SECRET": "s_wrong"})
    assert wrong.returncode == 1
    other = (*read[:-1], "analytics", "--as", made["client_id"])
    assert town.command(*other, environment=secret).returncode == 1


def test_once_a_client_exists_only_an_officer_records_a_verified_grant(world: World) -> None:
    world.ingest(row("crm", "1", "Ana"))
    said = ("consent", "record", "--record", "crm:1", "--purpose", "personalization", "--state", "granted",
            "--method", "verified")  # fmt: skip
    assert world.command(*said).returncode == 0  # nobody else is there yet: the operator
    officer, feeder = (
        world.answer("client", "create", role, "--role", role) for role in ("officer", "ingest")
    )
    assert world.command(*said).returncode == 1
    secret = {"AUREA_CLIENT_SECRET": feeder["client_secret"]}
    refused = world.command(*said, "--as", feeder["client_id"], environment=secret)
    assert (refused.returncode, "may not record verified consents" in refused.stderr) == (1, True)
    secret = {"AUREA_CLIENT_SECRET": officer["client_secret"]}
    assert world.command(*said, "--as", officer["client_id"], environment=secret).returncode == 0


def test_consent_can_be_recorded_shown_and_explained(town: World) -> None:
    who = ("--record", "crm:Delia", "--purpose", "personalization")
    assert town.answer("consent", "show", *who) == {"state": "granted", "allowed": True}
    event = town.answer("consent", "record", *who, "--state", "withdrawn")["event"]
    explained = town.answer("consent", "explain", *who)
    assert (explained["state"], explained["allowed"]) == ("withdrawn", False)
    assert explained["reasons"][0]["event"] == event


def test_the_ledger_is_verified_against_a_checkpoint_kept_elsewhere(town: World) -> None:
    kept = town.folder / "checkpoint"
    kept.write_text(town.client("auditor").get("/v1/ledger/checkpoint").json()["checkpoint"])
    report = town.answer("ledger", "verify", "--checkpoint", str(kept))
    assert report["ok"] is True
    kept.write_text(kept.read_text().replace("\n92\n", "\n91\n"))
    assert town.command("ledger", "verify", "--checkpoint", str(kept)).returncode == 1


def test_a_deleted_record_is_gone(town: World) -> None:
    assert town.answer("delete", "crm:Delia") == {"status": "deleted"}
    assert town.command("delete", "crm:Delia").returncode == 1
    assert town.command("explain", "crm:Delia", "web:Delia").returncode == 1


def test_init_and_doctor_and_epochs(world: World, tmp_path: Path) -> None:
    fresh = environment(tmp_path / "fresh")
    assert world.command("doctor", environment=fresh).returncode == 1
    assert world.answer("init", environment=fresh)["created"] is True
    assert world.answer("init", environment=fresh)["created"] is False
    assert world.answer("doctor", environment=fresh)["ok"] is True
    assert (tmp_path / "fresh" / "keyring").stat().st_mode & 0o777 == 0o600
    (epoch,) = world.answer("keys", "epochs")["epochs"]
    assert (epoch["epoch"], epoch["status"], epoch["keys"]) == (1, "active", 0)


WRONG_USAGE = {
    "an unknown command": ("conquer",),
    "an unknown role": ("client", "create", "x", "--role", "king"),
    "a missing option": ("memberships",),
    "an identifier of no type": ("lookup", "--type", "soul", "--value", "x", "--purpose", "analytics"),
    "a record without a channel": ("delete", "nobody"),
    "a consent about nobody": ("consent", "show", "--purpose", "analytics"),
}


@pytest.mark.parametrize("arguments", WRONG_USAGE.values(), ids=WRONG_USAGE.keys())
def test_wrong_usage_ends_with_2(world: World, arguments: tuple[str, ...]) -> None:
    assert world.command(*arguments).returncode == 2


NO_VALUES = {
    "a name without its quotes": (
        ("lookup", "--type", "email", "--value", "Jane", "Secretdoe", "--purpose", "analytics"),
        "`aurea lookup` takes fewer arguments; a value with spaces stands in quotes: see `aurea lookup --",
    ),
    "an invalid choice": (
        ("request", "verify", "r_1", "--outcome", "Secretdoe"),
        "--outcome is one of verified, failed: see `aurea request verify --help`",
    ),
    "a choice where none may be": (("link", "--dry-run=Secretdoe"), "--dry-run came without its value"),
    "an unknown command": (("Secretdoe",), "`aurea` has no such command: see `aurea --help`"),
    "an unknown command of a family": (("consent", "Secretdoe"), "`aurea consent` has no such command"),
    "an unknown option": (
        ("link", "--Secretdoe"),
        "`aurea link` has no such option: see `aurea link --help`",
    ),
    "an option nearly right": (("link", "--dryrun"), "has no such option (near it: --dry-run)"),
    "no number": (("review", "list", "--limit", "Secretdoe"), "--limit is a whole number from 1 to 200"),
    "a number out of range": (("keys", "destroy", "0"), "EPOCH is a whole number of at least 1"),
    "an identifier of no type": (
        ("lookup", "--type", "Secretdoe", "--value", "x", "--purpose", "x"),
        "--type is",
    ),
    "a missing option": (("memberships",), "--out is missing"),
}


@pytest.mark.parametrize("what", NO_VALUES)
def test_wrong_usage_is_one_sentence_of_option_and_rule_without_the_value(world: World, what: str) -> None:
    arguments, said = NO_VALUES[what]
    done = world.command(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("aurea: ")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "secretdoe" not in done.stderr.lower()


def test_help_goes_to_standard_output_with_the_status_it_had(world: World) -> None:
    for arguments, status in ((("--help",), 0), (("lookup", "--help"), 0), ((), 2), (("consent",), 2)):
        done = world.command(*arguments)
        assert (done.returncode, "Usage:" in done.stdout, done.stderr) == (status, True, "")


FAILURES = {
    "no such file": ("ingest", "nowhere.csv"),
    "no such purpose": ("client", "create", "x", "--role", "consumer", "--purpose", "fun"),
    "no such golden ID": ("profile", "g_nobody", "--purpose", "personalization"),
    "no such purpose to read for": ("profile", "g_nobody", "--purpose", "fun"),
    "no such truth": ("evaluate", "--truth", "nowhere.csv"),
    "an unknown format": ("memberships", "--out", "m.xlsx"),
    "no such record": ("delete", "crm:nobody"),
}


@pytest.mark.parametrize("arguments", FAILURES.values(), ids=FAILURES.keys())
def test_a_failure_is_one_sentence_and_status_1(world: World, arguments: tuple[str, ...]) -> None:
    done = world.command(*arguments)
    assert done.returncode == 1
    assert done.stderr.startswith("aurea: ")
    assert len(done.stderr.splitlines()) == 1
    assert "Traceback" not in done.stderr
    assert "internal failure" not in done.stderr


def test_a_command_that_links_nothing_loads_none_of_the_libraries_that_linkage_needs(world: World) -> None:
    code = (
        "import sys; sys.argv=['aurea','client','list']\n"
        "import api.cli\n"
        "try: api.cli.main()\n"
        "except SystemExit as end: assert not end.code\n"
        "heavy = {'splink', 'pyarrow', 'duckdb', 'scipy', 'sqlglot', 'alembic', 'fastapi'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    environment = {**os.environ, **world.environment}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_server_loads_what_arrivals_need_before_the_first_one_comes() -> None:
    code = "import sys, api.app; print(sorted({'scipy.sparse.csgraph', 'sqlglot'} - set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_help_loads_none_of_the_heavy_libraries() -> None:
    code = (
        "import sys; sys.argv=['aurea','--help']\n"
        "import api.cli\n"
        "try: api.cli.main()\n"
        "except SystemExit: pass\n"
        "print(sorted({'splink','pyarrow','duckdb','sqlalchemy','fastapi','numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    "command",
    [
        ("doctor",),
        *(
            pytest.param(command, marks=pytest.mark.slow)
            for command in (
                ("consent", "due"),
                ("keys", "epochs"),
                ("ledger", "verify"),
                ("request", "list"),
                ("retention", "run", "--dry-run"),
                ("review", "list"),
                ("source", "list"),
                ("webhook", "dead"),
            )
        ),
    ],
    ids=lambda command: command[0],
)
def test_the_installed_command_of_every_family_works_from_nothing(
    world: World, command: tuple[str, ...]
) -> None:
    """Other tests fork a process that has the libraries; here a command imports what it needs itself."""
    done = world.process(*command)
    assert done.returncode == 0, done.stderr
