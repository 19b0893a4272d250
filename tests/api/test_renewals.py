"""Consent that ends soon is listed, so that people are asked again; whoever denied is not."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.requesting import annas
from tests.world import World, a_copied_world

DAYS = 730  # that a consent for personalization and for marketing by e-mail lasts


@pytest.fixture
def town(tmp_path: Path) -> Iterator[World]:
    """Anna has two records, both granted today; Berta one."""
    with a_copied_world(tmp_path, annas) as world:
        yield world


def due(town: World, within: int = 30, **more: Any) -> set[tuple[str, str]]:
    answer = town.client("officer").get("/v1/consents/due", params={"within": within, **more})
    assert answer.status_code == 200, answer.text
    return {(each["golden_id"], each["purpose"]) for each in answer.json()["renewals"]}


def say(town: World, state: str, subject: dict[str, Any], purpose: str, method: str = "direct") -> int:
    body = {"subject": subject, "purpose": purpose, "state": state, "method": method}
    answer = town.client("ingest").post("/v1/consents", json=body)
    assert answer.status_code == 201, answer.text
    return int(answer.json()["event"])


WEB = {"record": {"channel": "web", "source_id": "1"}}
POS = {"record": {"channel": "pos", "source_id": "2"}}
MAIL = {"contact": {"type": "email", "value": "anna@example.com"}}


def test_what_ends_within_the_window_is_listed_and_nothing_before(town: World) -> None:
    anna, berta = town.golden_id("web", "1"), town.golden_id("crm", "3")
    town.clock.pass_(days=DAYS - 31)
    assert due(town) == set()
    assert due(town, 32) >= {(anna, "personalization"), (berta, "personalization")}
    town.clock.pass_(days=2)
    assert due(town) >= {(anna, "personalization"), (berta, "personalization")}
    town.clock.pass_(days=30)
    assert (anna, "personalization") not in due(town), "it has ended: that is no renewal any more"


def test_whoever_denied_is_not_asked_again(town: World) -> None:
    town.clock.pass_(days=DAYS - 10)
    say(town, "withdrawn", POS, "personalization")
    assert (town.golden_id("web", "1"), "personalization") not in due(town)


def test_one_grant_that_lasts_longer_is_enough(town: World) -> None:
    town.clock.pass_(days=DAYS - 10)
    say(town, "granted", WEB, "personalization")
    assert (town.golden_id("web", "1"), "personalization") not in due(town)


def test_an_address_is_listed_by_itself(town: World) -> None:
    say(town, "granted", MAIL, "marketing_email")
    anna = town.golden_id("web", "1")
    town.clock.pass_(days=DAYS - 10)
    assert (anna, "marketing_email") in due(town)
    say(town, "granted", MAIL, "marketing_email")
    assert (anna, "marketing_email") not in due(town)


def test_the_receipt_of_a_renewal_says_so(town: World) -> None:
    def status(event: int) -> str:
        receipt = town.client("officer").get(f"/v1/consents/events/{event}/receipt").json()
        return str(receipt["dpv:hasConsentStatus"]["@type"])

    again = say(town, "granted", WEB, "personalization")
    town.clock.pass_(days=DAYS - 10)
    renewed = say(town, "granted", WEB, "personalization")
    say(town, "withdrawn", WEB, "personalization")
    anew = say(town, "granted", WEB, "personalization")
    assert [status(each) for each in (again, renewed, anew)] == [
        "dpv:ConsentGiven", "dpv:RenewedConsentGiven", "dpv:ConsentGiven",
    ]  # fmt: skip


def test_it_is_read_page_by_page_also_on_the_command_line(town: World) -> None:
    town.clock.pass_(days=DAYS - 10)
    whole, after, pages = due(town), -1, set()
    while after is not None:
        answer = town.client("officer").get("/v1/consents/due", params={"limit": 1, "after": after}).json()
        pages |= {(each["golden_id"], each["purpose"]) for each in answer["renewals"]}
        after = answer.get("next")
    assert pages == whole
    done = town.command_as("officer", "consent", "due", "--within", "30")
    assert done.returncode == 0, done.stderr
