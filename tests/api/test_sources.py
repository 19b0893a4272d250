"""A source declared to hold no duplicates, as its owner, a steward and a data engineer meet it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from identity import source_store
from tests.world import TOWN, World, a_copied_world, record, row


def made(world: World) -> None:
    """Every person of the town in crm and web; Zoe twice in crm."""
    world.ingest(*(row(channel, name, name) for name in TOWN for channel in ("crm", "web")))
    world.ingest(row("crm", "Zoe-2", "Zoe", email="zoe.work@example.com"))
    world.link()


@pytest.fixture
def town(tmp_path: Path) -> Iterator[World]:
    with a_copied_world(tmp_path, made) as world:
        yield world


def declare(world: World, channel: str) -> None:
    with world.services.db.write() as conn:
        source_store.declare(conn, channel, author="operator", now=world.clock())


def key(channel: str, source_id: str) -> dict[str, Any]:
    return {"record": {"channel": channel, "source_id": source_id}}


def explained(world: World, first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    answer = world.client("steward").post("/v1/explanations", json={"first": first, "second": second})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_a_declaration_from_the_command_line_to_the_report_and_back(town: World) -> None:
    before = town.golden_id("crm", "Zoe")
    assert before == town.golden_id("crm", "Zoe-2")
    assert town.answer("source", "declare", "crm", "--no-duplicates")["no_duplicates"] is True
    (listed,) = town.answer("source", "list")["sources"]
    assert (listed["channel"], listed["author"], listed["no_duplicates"]) == ("crm", "operator", True)
    done = town.command("link", "--json")
    assert done.returncode == 0, done.stderr
    assert "crm is declared to hold no duplicates: 1 record(s) of it stay apart" in done.stderr
    outcome = json.loads(done.stdout)
    assert outcome["sources"] == [{"channel": "crm", "records": len(TOWN) + 1, "kept_apart": 1, "judged": 0}]
    assert town.golden_id("crm", "Zoe") != town.golden_id("crm", "Zoe-2")
    report = json.loads((town.services.settings.runs_dir / f"{outcome['run_id']}.json").read_text())
    assert any("crm is declared" in each for each in report["notices"])
    told = town.command("explain", "crm:Zoe", "crm:Zoe-2").stdout
    assert "The source crm is declared to hold no duplicates" in told
    assert town.answer("source", "withdraw", "crm")["no_duplicates"] is False
    assert town.answer("source", "list") == {"sources": []}
    assert town.link()["sources"] == ()
    assert town.golden_id("crm", "Zoe") == town.golden_id("crm", "Zoe-2") == before


def test_what_a_declaration_keeps_apart_is_explained(town: World) -> None:
    declare(town, "crm")
    town.link()
    why = explained(town, key("crm", "Zoe"), key("crm", "Zoe-2"))
    assert (why["source"], why["same_person"], why["decision"], why["guard"]) == ("crm", False, "link", None)
    assert why["reasons"] == [
        "The source crm is declared to hold no duplicates, so no score joins two of its records."
    ]
    alone = "Zoe-2" if town.golden_id("web", "Zoe") == town.golden_id("crm", "Zoe") else "Zoe"
    across = explained(town, key("web", "Zoe"), key("crm", alone))
    assert "so no score joins two golden IDs that both hold records of it" in across["reasons"][0]
    assert explained(town, key("crm", "Delia"), key("web", "Delia"))["source"] is None


def test_a_dry_run_tells_beforehand_what_a_declaration_would_do(town: World) -> None:
    declare(town, "crm")
    assert town.link(dry_run=True)["sources"][0]["kept_apart"] == 1
    assert town.golden_id("crm", "Zoe") == town.golden_id("crm", "Zoe-2")
    assert explained(town, key("crm", "Zoe"), key("crm", "Zoe-2"))["reasons"][-1] == (
        "The source crm is declared to hold no duplicates; the next run parts the two."
    )


def test_a_record_that_arrives_over_http_obeys_at_once(town: World) -> None:
    declare(town, "web")
    (result,) = town.send(record("web", "Delia-2", "Delia"))
    assert result["decision"] == "new"
    (other,) = town.send(record("app", "Delia", "Delia"))
    assert other["decision"] == "attached"
    assert town.golden_id("web", "Delia") != result["golden_id"]
    town.link()
    assert town.golden_id("web", "Delia") != town.golden_id("web", "Delia-2")


def test_a_stewards_same_outweighs_it_and_whoever_asks_is_told(town: World) -> None:
    declare(town, "crm")
    town.link()
    steward = town.client("steward")
    asked = {"first": key("crm", "Zoe"), "second": key("crm", "Zoe-2"), "verdict": "same", "reason": "seen"}
    said = steward.post("/v1/judgements", json=asked).json()
    assert (said["same_person"], said["overrides_source"]) == (True, "crm")
    assert explained(town, key("crm", "Zoe"), key("crm", "Zoe-2"))["reasons"][-1] == (
        "The source crm is declared to hold no duplicates; a steward's word outweighs that."
    )
    done = town.command("link", "--json")
    assert json.loads(done.stdout)["sources"][0]["judged"] == 1
    assert "stewards judged 1 record(s) of it to be the same person" in done.stderr
    assert town.golden_id("crm", "Zoe") == town.golden_id("crm", "Zoe-2")
    asked |= {"first": key("crm", "Delia"), "second": key("web", "Delia")}
    assert steward.post("/v1/judgements", json=asked).json()["overrides_source"] is None


def test_what_cannot_be_declared_is_refused(world: World) -> None:
    assert world.command("source", "declare", "crm").returncode == 2
    assert world.command("source", "declare", "c r m", "--no-duplicates").returncode == 2
    assert world.command("source", "withdraw", "crm").returncode == 1
    assert world.command("source", "list").stdout == "nothing is declared\n"


def test_once_a_client_exists_a_steward_or_an_operator_declares(world: World) -> None:
    said = ("source", "declare", "crm", "--no-duplicates")
    for role, status in (("steward", 0), ("operator", 0), ("auditor", 1)):
        assert world.command_as(role, *said).returncode == status, role
    assert world.command(*said).returncode == 1
    assert world.command("source", "list").returncode == 0  # names of channels, nobody's data
