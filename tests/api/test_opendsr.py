"""OpenDSR 2.0: controllers ask under their own ids, every answer is signed, each step is told."""

import base64
import json
from dataclasses import replace
from hashlib import sha256
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from api.opendsr_signing import OpenDsrSigner
from api.services import open_services
from api.settings import SettingsError
from consent.recipients import BACKOFF_SECONDS
from tests.api.requesting import town
from tests.api.test_webhooks import Listener, listener
from tests.world import World

__all__ = ["listener", "town"]  # fixtures

ID = "a7551968-d5d6-44b2-9831-815ac9017798"
ANNA = {"identity_type": "email", "identity_value": "anna@example.com", "identity_format": "raw"}


def said(**more: Any) -> dict[str, Any]:
    return {
        "regulation": "gdpr", "subject_request_id": ID, "subject_request_type": "erasure",
        "submitted_time": "2026-05-28T10:00:00Z", "subject_identities": [ANNA], "api_version": "2.0",
        "extensions": {"example-other-processor.com": {"foo": 654321}}, **more,
    }  # fmt: skip


def verified(answer: httpx.Response | tuple[dict[str, str], bytes], controller: httpx.Client) -> Any:
    """Check a signature as a controller would, and return the body."""
    headers, body = (answer.headers, answer.content) if isinstance(answer, httpx.Response) else answer
    discovery = controller.get("/opendsr/v2/discovery").json()
    domain = headers["x-opendsr-processor-domain"]
    assert discovery["processor_certificate"] == f"https://{domain}/opendsr/v2/certificate"
    certificate = x509.load_pem_x509_certificate(controller.get("/opendsr/v2/certificate").content)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [domain]
    key = certificate.public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    signature = base64.b64decode(headers["x-opendsr-signature"])
    key.verify(signature, body, padding.PKCS1v15(), hashes.SHA256())
    return json.loads(body)


@pytest.fixture
def told(town: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """A town whose callbacks may go to this machine."""
    monkeypatch.setattr("api.app.TELLING_SECONDS", 3_600.0)  # only the test says when they are told
    town.services.close()
    town.services = open_services(replace(town.settings, webhooks_private=True), town.clock)
    return town


@pytest.fixture
def controller(town: World) -> httpx.Client:
    return town.client("officer")


def test_discovery_says_what_is_supported_to_anybody(town: World) -> None:
    found = town.anonymous().get("/opendsr/v2/discovery").json()
    assert found["api_version"] == "2.0"
    assert found["supported_subject_request_types"] == ["access", "portability", "erasure"]
    for form in ("raw", "sha256"):
        assert {"identity_type": "email", "identity_format": form} in found["supported_identities"]
    assert found["self_signed"] is True


def test_a_request_is_received_signed_and_pending_until_an_officer_verifies(
    town: World, controller: httpx.Client
) -> None:
    answer = controller.post("/opendsr/v2/requests", json=said())
    assert answer.status_code == 201, answer.text
    received = verified(answer, controller)
    assert received["subject_request_id"] == ID
    assert received["controller_id"].startswith("c_")
    assert received["expected_completion_time"] == "2026-06-29T23:59:59Z"  # 28 June is a Sunday
    assert json.loads(base64.b64decode(received["encoded_request"])) == said()
    status = verified(controller.get(f"/opendsr/v2/requests/{ID}"), controller)
    assert (status["request_status"], status["results_url"]) == ("pending", None)

    (request,) = controller.get("/v1/requests").json()["requests"]
    assert (request["type"], request["jurisdiction"], request["state"]) == ("erasure", "EU", "received")
    refused = controller.post(f"/v1/requests/{request['id']}/fulfil")
    assert refused.status_code == 409


@pytest.mark.parametrize("form", ["raw", "sha256"])
def test_identities_find_the_person_in_either_format(
    town: World, controller: httpx.Client, form: str
) -> None:
    value = ANNA["identity_value"] if form == "raw" else sha256(b"anna@example.com").hexdigest()
    identity = {**ANNA, "identity_value": value, "identity_format": form}
    answer = controller.post("/opendsr/v2/requests", json=said(subject_identities=[identity]))
    assert answer.status_code == 201
    (request,) = controller.get("/v1/requests").json()["requests"]
    assert request["golden_id"] == town.golden_id("web", "1")
    members = controller.get(f"/v1/requests/{request['id']}").json()["members"]
    assert {each["channel"] for each in members} == {"web", "pos"}


def test_the_same_id_again_is_the_same_request_and_with_another_content_is_refused(
    controller: httpx.Client,
) -> None:
    first = controller.post("/opendsr/v2/requests", json=said()).json()
    assert controller.post("/opendsr/v2/requests", json=said()).json() == first
    other = controller.post("/opendsr/v2/requests", json=said(subject_request_type="access"))
    assert other.status_code == 400
    assert "another request" in verified(other, controller)["error"]["message"]


def test_a_controller_sees_its_own_requests_only(town: World, controller: httpx.Client) -> None:
    controller.post("/opendsr/v2/requests", json=said())
    stranger = town.client("officer")
    for method in ("GET", "DELETE"):
        answer = stranger.request(method, f"/opendsr/v2/requests/{ID}")
        assert answer.status_code == 400
        assert answer.json()["error"]["errors"][0]["reason"] == "not-found"


def test_only_a_pending_request_is_cancelled(controller: httpx.Client) -> None:
    controller.post("/opendsr/v2/requests", json=said())
    (request,) = controller.get("/v1/requests").json()["requests"]
    cancelled = controller.delete(f"/opendsr/v2/requests/{ID}")
    assert cancelled.status_code == 202
    assert verified(cancelled, controller)["subject_request_id"] == ID
    assert controller.get(f"/v1/requests/{request['id']}").json()["state"] == "cancelled"
    assert controller.delete(f"/opendsr/v2/requests/{ID}").status_code == 400


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"regulation": "lgpd"}, "regulation"),
        ({"subject_request_id": "not-a-uuid"}, "subject_request_id"),
        ({"subject_request_type": "rectification"}, "subject_request_type"),
        ({"submitted_time": "yesterday"}, "submitted_time"),
        ({"submitted_time": "2036-01-01T00:00:00Z"}, "received_at"),
        ({"regulation": "ccpa", "submitted_time": "0001-01-01T00:00:00Z"}, "received_at"),
        ({"subject_identities": []}, "subject_identities"),
        ({"subject_identities": [{**ANNA, "identity_type": "shoe_size"}]}, "identity_type"),
        ({"subject_identities": [{**ANNA, "identity_format": "md5"}]}, "identity_format"),
        ({"subject_identities": [{**ANNA, "identity_format": "sha256"}]}, "identity_value"),
        ({"api_version": "1.0"}, "api_version"),
        ({"status_callback_urls": ["http://example.org/hook"]}, "status_callback_urls"),
        ({"status_callback_urls": ["https://10.0.0.8/hook"]}, "status_callback_urls"),
        ({"status_callback_urls": ["https://[::1]/hook"]}, "status_callback_urls"),
    ],
)
def test_what_is_not_as_specified_is_refused_with_400_and_nothing_of_the_person(
    controller: httpx.Client, change: dict[str, Any], field: str
) -> None:
    answer = controller.post("/opendsr/v2/requests", json=said(**change))
    assert answer.status_code == 400
    error = verified(answer, controller)["error"]
    assert error["code"] == 400
    assert field in error["message"]
    assert "anna" not in answer.text
    assert controller.get("/v1/requests").json()["requests"] == []


def test_a_body_that_is_no_json_is_refused(controller: httpx.Client) -> None:
    answer = controller.post("/opendsr/v2/requests", content=b'{"subject_identities": ["anna@')
    assert answer.status_code == 400
    assert "anna" not in answer.text


def delivered(told: World) -> int:
    """Do what the service does every few seconds, and return how many messages arrived."""
    told.services.opendsr.queue()
    return told.services.webhooks.work().delivered


def fulfil(controller: httpx.Client) -> None:
    (request,) = controller.get("/v1/requests").json()["requests"]
    path = f"/v1/requests/{request['id']}"
    controller.post(f"{path}/verify", json={"method": "controller", "outcome": "verified"})
    controller.post(f"{path}/decide", json={"decision": "approve"})
    assert controller.post(f"{path}/fulfil").status_code == 200


def test_the_controller_is_told_of_each_change_of_state_once_and_signed(
    told: World, listener: Listener
) -> None:
    controller = told.client("officer")
    asked = said(subject_request_type="access", status_callback_urls=[listener.url])
    assert controller.post("/opendsr/v2/requests", json=asked).status_code == 201
    assert delivered(told) == 1
    fulfil(controller)
    assert delivered(told) == 2
    assert delivered(told) == 0

    bodies = [verified(each, controller) for each in listener.got]
    assert [each["request_status"] for each in bodies] == ["pending", "in_progress", "completed"]
    assert {each["status_callback_url"] for each in bodies} == {listener.url}
    assert {each["subject_request_id"] for each in bodies} == {ID}
    assert bodies[0]["results_url"] is None
    path = bodies[2]["results_url"].removeprefix("https://localhost")
    assert controller.get(path).json()["records"]
    assert "anna" not in "".join(body.decode() for _, body in listener.got)


def test_a_third_failed_verification_is_told_as_cancelled(told: World, listener: Listener) -> None:
    controller = told.client("officer")
    controller.post("/opendsr/v2/requests", json=said(status_callback_urls=[listener.url]))
    (request,) = controller.get("/v1/requests").json()["requests"]
    for _ in range(3):
        body = {"method": "controller", "outcome": "failed"}
        controller.post(f"/v1/requests/{request['id']}/verify", json=body)
    delivered(told)
    assert [each["request_status"] for each in listener.told()] == ["pending", "cancelled"]


def test_a_callback_that_fails_is_tried_again_and_at_last_given_up(told: World, listener: Listener) -> None:
    controller = told.client("officer")
    listener.status = 503
    controller.post("/opendsr/v2/requests", json=said(status_callback_urls=[listener.url]))
    for seconds in (0, *BACKOFF_SECONDS):
        assert not told.services.recipients.dead()
        told.clock.pass_(seconds=seconds)
        assert delivered(told) == 0
    (letter,) = told.services.recipients.dead()
    assert (letter.attempts, letter.error) == (len(BACKOFF_SECONDS) + 1, "status 503")


def test_no_identity_is_kept_outside_the_sealed_request(town: World, controller: httpx.Client) -> None:
    hashed = sha256(b"anna@example.com").hexdigest()
    identities = [ANNA, {**ANNA, "identity_value": hashed, "identity_format": "sha256"}]
    controller.post("/opendsr/v2/requests", json=said(subject_identities=identities))
    fulfil(controller)
    town.services.db.truncate_log(0.0)
    for path in town.settings.home.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert b"anna@example.com" not in content, path
            assert hashed.encode() not in content, path


def test_a_certificate_of_ones_own_is_used_and_a_wrong_key_is_named(town: World) -> None:
    own = OpenDsrSigner.of(town.settings)
    path = town.settings.home / "opendsr.pem"
    assert path.stat().st_mode & 0o777 == 0o600
    assert OpenDsrSigner.of(town.settings).certificates == own.certificates
    set_up = replace(town.settings, opendsr_certificate=path, opendsr_key=path)
    assert OpenDsrSigner.of(set_up).trusted
    with pytest.raises(SettingsError, match="AUREA_OPENDSR_KEY"):
        OpenDsrSigner.of(replace(set_up, opendsr_key=None))
    other = town.settings.home / "other.pem"
    other.write_bytes(b"-----BEGIN nothing")
    with pytest.raises(SettingsError, match="PEM"):
        OpenDsrSigner.of(replace(set_up, opendsr_key=other))
