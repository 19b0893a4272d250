"""What fulfilling a data-subject request does, by its type; the command line; what the law keeps."""

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pypdf
import pytest
from sqlalchemy import text

from consent.erasure_receipt_verification import verify_erasure_receipt
from consent.events import REQUEST, Subject
from identity.errors import StoreBusyError
from tests.api.requesting import (
    ANNA,
    approved,
    fulfilled,
    officer,
    open_one,
    problem,
    profile,
    town,
)
from tests.consent.tc_strings import tc_string
from tests.world import START, World, a_world, record

__all__ = ["officer", "town"]  # fixtures


# Fulfilment


@pytest.mark.parametrize(
    "decision", [{"decision": "cancel"}, {"decision": "deny", "reason": "other"}, {"decision": "approve"}]
)
def test_an_erasure_that_has_begun_is_neither_taken_back_nor_widened(
    town: World, officer: httpx.Client, monkeypatch: pytest.MonkeyPatch, decision: dict[str, Any]
) -> None:
    request_id = approved(officer, "erasure")
    services = town.services

    def crash(step: str) -> None:
        if step == "remove":
            raise StoreBusyError("a crash")

    with monkeypatch.context() as patched:
        patched.setattr(services.erasure, "_hook", crash)
        assert officer.post(f"/v1/requests/{request_id}/fulfil", json={}).status_code == 503
    answer = officer.post(f"/v1/requests/{request_id}/decide", json=decision)
    # A new approval finds nobody any more where the keys are gone.
    assert problem(answer) in [(409, "request-state"), (409, "request-blocked")]
    done = officer.post(f"/v1/requests/{request_id}/fulfil", json={}).json()
    assert (done["state"], len(done["outcome"]["records"])) == ("fulfilled", 2)


def test_of_two_requests_for_one_person_whom_nobody_knew_yet_one_is_approved(
    town: World, officer: httpx.Client
) -> None:
    carla = [{"type": "email", "value": "carla@example.com"}]
    first, second = (open_one(officer, "erasure", identifiers=carla) for _ in range(2))
    town.send(record("web", "9", "Carla"))
    answers = []
    for request_id in (first, second):
        said = {"method": "email link", "outcome": "verified"}
        assert officer.post(f"/v1/requests/{request_id}/verify", json=said).status_code == 200
        answers.append(officer.post(f"/v1/requests/{request_id}/decide", json={"decision": "approve"}))
    assert answers[0].status_code == 200
    assert problem(answers[1])[0] == 409
    assert first in answers[1].text


def test_the_access_bundle_holds_what_is_known_and_who_looked_at_it(
    town: World, officer: httpx.Client
) -> None:
    profile(town)
    profile(town, of=("crm", "3"))
    said = fulfilled(officer)
    answer = officer.get(said["bundle"])
    assert answer.headers["cache-control"] == "no-store"
    bundle = answer.json()
    assert [(each["channel"], each["source_id"]) for each in bundle["records"]] == [
        ("web", "1"),
        ("pos", "2"),
    ]
    email = bundle["attributes"]["email"]
    assert [each["value"] for each in email] == ["anna@example.com"]
    assert [each["channel"] for each in email[0]["sources"]] == ["web", "pos"]
    purposes = {(each["purpose"], each["state"]) for each in bundle["consents"]}
    assert purposes == {("identity_linking", "granted"), ("personalization", "granted")}
    assert [(each["purpose"], each["decision"]) for each in bundle["reads"]] == [
        ("personalization", "revealed"), ("request:access", "disclosed"),
    ]  # fmt: skip
    assert [each["purposes"] for each in bundle["recipients"]] == [["personalization"]]
    assert bundle["matching"]["links"][0]["channels"] == ["web", "pos"]
    assert {each["right"] for each in bundle["rights"]} >= {"erasure", "complaint"}
    assert "Berta" not in answer.text


def test_the_bundle_can_be_read_and_printed(town: World, officer: httpx.Client) -> None:
    said = fulfilled(officer)
    answer = officer.get(said["bundle"], params={"format": "pdf"})
    assert answer.headers["content-type"] == "application/pdf"
    pages = " ".join(page.extract_text() for page in pypdf.PdfReader(BytesIO(answer.content)).pages)
    for part in ("anna@example.com", "personalization", "How your records were matched", "Your rights"):
        assert part in pages
    assert "Berta" not in pages


def test_portability_holds_what_was_provided_and_nothing_derived(town: World, officer: httpx.Client) -> None:
    bundle = officer.get(fulfilled(officer, "portability")["bundle"]).json()
    assert set(bundle) == {"bundle", "request", "prepared_at", "records", "consents"}


def test_traits_belong_to_the_person_too(town: World, officer: httpx.Client) -> None:
    town.send(record("web", "1", "Anna", traits={"favourite_store": "Atocha"}))
    bundle = officer.get(fulfilled(officer)["bundle"]).json()
    assert bundle["attributes"]["favourite_store"][0]["value"] == "Atocha"


def test_evidence_that_came_with_a_statement_is_the_persons_to_see(
    town: World, officer: httpx.Client
) -> None:
    evidence = {"type": "iab_tcf", "value": tc_string({1, 3, 4})}
    said = {"purpose": "advertising", "state": "granted", "evidence": evidence}
    about = {"subject": {"record": {"channel": "web", "source_id": "1"}}}
    assert officer.post("/v1/consents", json=about | said).status_code == 201
    at = fulfilled(officer)["bundle"]
    assert officer.get(at).json()["consents"][-1]["evidence"] == evidence
    printed = pypdf.PdfReader(BytesIO(officer.get(at, params={"format": "pdf"}).content))
    assert "evidence iab_tcf" in " ".join(page.extract_text() for page in printed.pages).replace("\n", " ")


def test_a_bundle_cannot_be_had_when_the_access_log_cannot_be_written(
    town: World, officer: httpx.Client
) -> None:
    said = fulfilled(officer)
    town.services.access_log.close()
    folder = town.settings.access_log_dir
    folder.rename(folder.with_name("elsewhere"))
    folder.write_text("in the way")
    assert problem(officer.get(said["bundle"])) == (503, "access-log")
    folder.unlink()
    folder.with_name("elsewhere").rename(folder)


def test_a_bundle_can_be_fetched_for_thirty_days(town: World, officer: httpx.Client) -> None:
    said = fulfilled(officer)
    town.clock.pass_(days=30)
    assert town.client("officer").get(said["bundle"]).status_code == 200
    town.clock.pass_(seconds=1)
    assert problem(town.client("officer").get(said["bundle"])) == (409, "request-state")


def test_a_correction_outranks_every_channel_and_goes_on_to(town: World, officer: httpx.Client) -> None:
    said = fulfilled(
        officer, "rectification", corrections={"last_name": "Right", "email": ["a@right.example"]}
    )
    assert said["outcome"]["attributes"] == ["email", "last_name"]
    town.clock.pass_(days=1)
    town.send(record("web", "1", "Anna"), record("pos", "2", "Anna", traits={"seen": "again"}))
    shown = profile(town).json()["attributes"]
    assert (shown["last_name"], shown["email"]) == ("Right", ["a@right.example"])
    assert shown["phone"]
    changes = town.client("steward").get("/v1/changes").json()["changes"]
    assert town.golden_id("web", "1") in [each["golden_id"] for each in changes if each["type"] == "updated"]
    town.link(retrain=True)
    assert profile(town).json()["attributes"]["last_name"] == "Right"


def test_a_correction_that_says_what_a_stranger_says_joins_nobody_to_the_stranger(
    town: World, officer: httpx.Client
) -> None:
    berta = record("crm", "3", "Berta")["attributes"]
    fulfilled(officer, "rectification", corrections={name: berta[name] for name in ("email", "phone")})
    assert town.golden_id("crm", "3") != town.golden_id("web", "1")


def test_a_correction_stays_while_a_record_is_left_that_it_corrects_and_goes_with_the_last(
    town: World, officer: httpx.Client
) -> None:
    fulfilled(officer, "rectification", corrections={"last_name": "Right"})
    golden_id = town.golden_id("web", "1")
    for channel, source_id, left in (("web", "1", True), ("pos", "2", False)):
        body = {"records": [{"channel": channel, "source_id": source_id}]}
        assert town.client("ingest").post("/v1/records/delete", json=body).status_code == 200
        shown = town.client("consumer").get(f"/v1/profiles/{golden_id}", params={"purpose": "service"})
        assert shown.status_code == (200 if left else 404)
        if left:
            assert shown.json()["attributes"]["last_name"] == "Right"
    assert _annas_channels(town) == []


def test_whoever_has_withdrawn_linking_is_erased_with_the_corrections_and_told_of_them(
    town: World, officer: httpx.Client
) -> None:
    fulfilled(officer, "rectification", corrections={"last_name": "Right"})
    fulfilled(officer, "withdrawal", purposes=["identity_linking"])
    of = [{"type": "record", "value": "web:1"}]  # by the e-mail they would be two people now
    told = officer.get(fulfilled(officer, "access", identifiers=of)["bundle"]).json()
    assert [each["channel"] for each in told["records"]] == ["web", "pos", "rectification"]
    fulfilled(officer, "erasure", identifiers=of)
    assert _annas_channels(town) == []


def _annas_channels(town: World) -> list[str]:
    statement = "SELECT channel FROM records WHERE channel IN ('web', 'pos', 'rectification')"
    with town.services.db.read() as conn:
        return list(conn.execute(text(statement)).scalars())


def test_no_sender_may_use_the_channel_of_corrections(town: World) -> None:
    result = town.send(record("rectification", "1", "Anna"))[0]
    assert (result["status"], result["error"]["column"]) == ("rejected", "channel")


def test_a_withdrawal_takes_back_what_was_granted_on_every_record(town: World, officer: httpx.Client) -> None:
    assert profile(town).status_code == 200
    said = fulfilled(officer, "withdrawal", purposes=["personalization"])
    assert said["outcome"]["purposes"] == ["personalization"]
    assert len(said["outcome"]["events"]) == 2
    assert profile(town).status_code == 404
    imported = {"purpose": "personalization", "state": "granted"}
    town.send(
        record("web", "1", "Anna") | {"consents": [imported, imported | {"purpose": "identity_linking"}]}
    )
    assert profile(town).status_code == 404


def test_a_fulfilment_that_was_cut_off_is_completed_by_repeating_it(
    town: World, officer: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_id = approved(officer, "withdrawal")
    record_all, done = town.services.recorder.record, []

    def record_one(*said: Any) -> Any:
        if done:
            raise StoreBusyError("as if the process had died here")
        done.append(said)
        return record_all(*said)

    monkeypatch.setattr(town.services.recorder, "record", record_one)
    assert officer.post(f"/v1/requests/{request_id}/fulfil").status_code == 503
    assert officer.get(f"/v1/requests/{request_id}").json()["state"] == "in_progress"
    monkeypatch.undo()
    again = officer.post(f"/v1/requests/{request_id}/fulfil").json()
    assert again["state"] == "fulfilled"
    assert again["outcome"]["purposes"][-1] == "identity_linking"
    assert town.golden_id("web", "1") != town.golden_id("pos", "2")
    assert profile(town).status_code == 404


def test_without_named_purposes_the_law_says_which(town: World, officer: httpx.Client) -> None:
    expected = {
        "objection": ["marketing_email", "advertising", "analytics"],
        "opt_out": ["advertising"],
        "withdrawal": ["personalization", "marketing_email", "advertising", "identity_linking"],
        "restriction": ["identity_linking"],
    }
    for kind, purposes in expected.items():
        answer = officer.post(
            "/v1/requests", json={"type": kind, "jurisdiction": "ES", "identifiers": ANNA}
        ).json()
        assert answer["purposes"] == purposes, kind
        officer.post(f"/v1/requests/{answer['id']}/decide", json={"decision": "cancel"})


def test_a_restriction_leaves_nothing_but_storage(town: World, officer: httpx.Client) -> None:
    assert profile(town, purpose="service").status_code == 200
    fulfilled(officer, "restriction")
    assert profile(town, purpose="service").status_code == 404
    assert profile(town, purpose="service", of=("pos", "2")).status_code == 404


def test_an_erasure_leaves_a_receipt_that_proves_it_and_spares_everybody_else(
    town: World, officer: httpx.Client
) -> None:
    said = fulfilled(officer, "erasure")
    assert len(erased_records(town, said)) == 2
    assert profile(town, of=("crm", "3")).status_code == 200
    sent = town.send(record("web", "1", "Anna"))[0]
    gone = town.client("consumer").get(
        f"/v1/profiles/{sent['golden_id']}", params={"purpose": "personalization"}
    )
    assert gone.status_code == 404, "an erased person is not recorded again"


def erased_records(world: World, request: dict[str, Any]) -> list[int]:
    """Return what the receipt of an erasure proves to be erased, for that request."""
    receipt = request["outcome"]["receipt"]
    proven = verify_erasure_receipt(json.dumps(receipt), world.services.ledger.verifier_key())
    assert proven.statement["request"] == request["id"]
    return sorted(proven.statement["records"])


# The command line, and what the law keeps


def test_the_command_line_takes_a_request_to_its_bundle(settled: World) -> None:
    opened = settled.answer(
        "request",
        "open",
        "access",
        "--jurisdiction",
        "EU",
        "--identifier",
        "-",
        stdin="email:delia@example.com\n",
    )
    request_id = opened["id"]
    settled.answer("request", "verify", request_id, "--method", "in person", "--outcome", "verified")
    settled.answer("request", "decide", request_id, "approve")
    assert settled.answer("request", "fulfil", request_id)["state"] == "fulfilled"
    settled.answer("request", "bundle", request_id, "--out", "delia.json")
    file = settled.folder / "delia.json"
    assert file.stat().st_mode & 0o077 == 0
    assert json.loads(file.read_text())["attributes"]["first_name"][0]["value"] == "Delia"
    assert settled.command("request", "bundle", request_id, "--out", "delia.json").returncode == 1
    listed = settled.answer("request", "list")["requests"]
    assert [(each["id"], each["state"]) for each in listed] == [(request_id, "fulfilled")]


HELD = """
[purposes.invoices]
title = "Keep invoices as tax law demands"
dpv = "LegalCompliance"
legal_basis = "legal_obligation"
regime = "none"
binds = "person"
attributes = ["full_address"]
traits = []
channels = ["pos"]
minimum_confidence = 0.0
entry = "any"
retention_days = 365
notice = "tax"
"""


def test_what_the_law_keeps_is_restricted_and_stated_field_by_field(tmp_path: Path) -> None:
    policy = (Path(__file__).parents[2] / "consent" / "purposes.toml").read_text() + HELD
    with a_world(tmp_path, policy=policy) as world:
        world.settle()
        bought = record("pos", "2", "Anna")
        bought["attributes"]["full_address"] = "Calle Mayor 1, Madrid"
        world.send(record("web", "1", "Anna", traits={"shoe_size": "38"}), bought)
        said = fulfilled(world.client("officer"), "erasure")
        outcome = said["outcome"]
        web, pos = outcome["records"]
        assert erased_records(world, said) == [web]
        address = outcome["fields"]["full_address"]
        assert address[0] | {"until": None} == {
            "record": pos, "outcome": "kept, restricted to storage", "purposes": ["invoices"], "until": None,
            "because": "legal obligation, GDPR 17(3)(b)",
        }  # fmt: skip
        assert address[0]["until"] == "2027-05-28"
        assert outcome["fields"]["traits"] == [{"record": web, "outcome": "erased"}]
        assert [each["outcome"] for each in outcome["fields"]["last_name"]] == [
            "erased", "kept, restricted to storage",
        ]  # fmt: skip
        assert profile(world, purpose="service", of=("pos", "2")).status_code == 404
        with world.services.keys.read() as conn:
            key = world.services.key_store.evidence.fetch(conn, [Subject(REQUEST, 1)])
        assert not key, "what an erased person's request said is destroyed at once"
        assert world.clock.now == START
        for days, later in (
            (364, []),
            (1, [(pos, "erased")]),
        ):  # when the obligation ends the erasure goes on
            world.clock.pass_(days=days)
            world.services.recover()
            shown = world.client("officer").get(f"/v1/requests/{said['id']}").json()["outcome"]
            settled = shown.get("settled", ())
            assert [(each["record"], each["outcome"]) for each in settled] == later


def test_an_obligation_that_has_ended_keeps_nothing_from_an_erasure(tmp_path: Path) -> None:
    policy = (Path(__file__).parents[2] / "consent" / "purposes.toml").read_text() + HELD
    with a_world(tmp_path, policy=policy) as world:
        world.settle()
        bought = record("pos", "2", "Anna")
        bought["attributes"]["full_address"] = "Calle Mayor 1, Madrid"
        world.send(bought)
        world.clock.pass_(days=365)
        said = fulfilled(world.client("officer"), "erasure")
        assert erased_records(world, said) == said["outcome"]["records"]
