"""Personal values never show where they do not belong: logs, metrics, problems, headers."""

import json
from typing import Any

import httpx

from tests.world import World, record

CANARIES = {
    "first_name": "Canaryfirst", "last_name": "Canarylast", "email": "canary.mail@example.com",
    "phone": "+34600777888", "street": "Canary Street", "national_id": "99999999R", "user_id": "canary-user",
}  # fmt: skip
TRACES = (*CANARIES.values(), "canary", "600777888", "Canarysource")


def provoke(world: World) -> list[httpx.Response]:
    """Send values everywhere a caller can put them, in right requests and in wrong ones."""
    ingest, reader, officer = world.client("ingest"), world.client("consumer"), world.client("officer")
    one = record("crm", "Canarysource", "Ana") | {"attributes": dict(CANARIES)}
    mail = CANARIES["email"]
    lookup = {"purpose": "personalization", "identifiers": [{"type": "email", "value": mail}]}
    assert ingest.post("/v1/records", json={"records": [one]}).status_code == 200
    assert reader.post("/v1/profiles/lookup", json=lookup).status_code == 200
    steward = world.client("steward")
    named = {"record": {"channel": "crm", "source_id": mail}}
    unknown = {"first": named, "second": {"record": {"channel": mail, "source_id": mail}}}
    wrong = [
        reader.get(f"/v1/profiles/{mail}", params={"purpose": "personalization"}),
        reader.get("/v1/profiles/x", params={"purpose": mail}),
        reader.get(f"/v1/nowhere/{mail}", params={"q": mail}),
        reader.request("PROPFIND", f"/v1/{mail}"),
        reader.post("/v1/profiles/lookup", json=lookup | {mail: mail}),
        reader.post("/v1/profiles/lookup", json=lookup | {"identifiers": [{"type": mail, "value": mail}]}),
        reader.post("/v1/profiles/lookup", json=lookup | {"purpose": mail}),
        reader.post("/v1/profiles/lookup", content=f'{{"purpose": "{mail}"'),
        reader.post("/v1/profiles/lookup", content=mail, headers={"content-type": mail}),
        ingest.post("/v1/records", json={"records": [one | {"channel": mail}]}),
        ingest.post("/v1/records", json={"records": [one | {"attributes": {mail: [mail, mail]}}]}),
        ingest.post("/v1/records", json={"records": [one | {"observed_at": mail}]}),
        ingest.post("/v1/records", json={"records": [one | {"observed_at": [mail]}]}),
        ingest.post("/v1/records", json={"records": mail}),
        officer.post("/v1/consents", json={"subject": {mail: mail}, "purpose": mail, "state": mail}),
        officer.post("/v1/consents", json={"subject": {"contact": {"type": "phone", "value": mail}},
                                           "purpose": "personalization", "state": "granted"}),
        officer.get("/v1/changes", params={"after": mail}),
        officer.get(f"/v1/ledger/entries/{mail}/proof"),
        officer.get(f"/v1/golden-ids/{mail}", headers={"x-request-id": mail}),
        steward.post("/v1/explanations", json={"first": {mail: mail}, "second": {"number": mail}}),
        steward.post("/v1/explanations", json=unknown),
        steward.get(f"/v1/golden-ids/{mail}/explanation"),
        officer.get(f"/v1/golden-ids/{mail}/plain-explanation"),
        world.anonymous().post("/v1/token", data={"grant_type": mail, "scope": mail}, auth=(mail, mail)),
        world.anonymous().get("/healthz", headers={"authorization": mail, "user-agent": mail}),
    ]  # fmt: skip
    officer.get("/v1/status")
    return wrong


def without_traces(text: str, where: str) -> None:
    found = [trace for trace in TRACES if trace.lower() in text.lower()]
    assert not found, f"{where}: {found} in {text[:400]}"


def test_no_problem_repeats_what_was_sent(world: World) -> None:
    for answer in provoke(world):
        where = f"{answer.request.method} answered {answer.status_code}"
        without_traces(answer.text, where)
        without_traces(str(answer.headers), where)
        if answer.status_code >= 400:
            assert answer.headers["content-type"] == "application/problem+json", where
            assert answer.json()["status"] == answer.status_code


def test_logs_and_metrics_name_nobody(world: World) -> None:
    provoke(world)
    logs = world.logs.getvalue()
    without_traces(logs, "the log")
    metrics = world.anonymous().get("/metrics").text
    without_traces(metrics, "the metrics")
    lines = [json.loads(line) for line in logs.splitlines()]
    assert {line.get("route") for line in lines} >= {"/v1/profiles/{golden_id}", "/v1/records", "unmatched"}
    assert all(line["request_id"] for line in lines if line["event"] == "request")
    assert 'route="/v1/profiles/{golden_id}"' in metrics


def test_a_failure_of_ours_is_logged_by_class_and_place_only(world: World, monkeypatch: Any) -> None:
    def fail(*_arguments: object) -> None:
        raise RuntimeError(CANARIES["email"])

    monkeypatch.setattr("api.routes.status._last_run", fail)
    answer = world.client("officer").get("/v1/status")
    assert answer.status_code == 500
    without_traces(answer.text, "the answer")
    logs = world.logs.getvalue()
    without_traces(logs, "the log")
    (line,) = [json.loads(one) for one in logs.splitlines() if '"unhandled"' in one]
    assert line["error"] == "RuntimeError"
    assert line["at"].startswith("api/routes/status.py:")
    assert line["request_id"] == answer.headers["x-request-id"]


def test_personal_values_are_in_no_file_of_the_home(world: World) -> None:
    provoke(world)
    for file in world.home.rglob("*"):
        if file.is_file():
            content = file.read_bytes().lower()
            found = [trace for trace in TRACES if trace.lower().encode() in content]
            assert not found, f"{file.name}: {found}"
