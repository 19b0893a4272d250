"""The description of the API is complete, and pages that need no token are safe to open."""

import pytest

from tests.world import World

CONTRACT = {
    ("post", "/v1/token"), ("post", "/v1/records"), ("post", "/v1/records/delete"),
    ("get", "/v1/profiles/{golden_id}"), ("post", "/v1/profiles/lookup"),
    ("get", "/v1/golden-ids/{golden_id}"), ("post", "/v1/consents"), ("post", "/v1/consents/query"),
    ("get", "/v1/changes"), ("get", "/v1/ledger/checkpoint"), ("get", "/v1/ledger/entries/{n}/proof"),
    ("get", "/v1/ledger/consistency"), ("get", "/healthz"), ("get", "/readyz"), ("get", "/metrics"),
    ("get", "/console/"), ("post", "/v1/requests"), ("get", "/v1/requests/{id}"),
    ("post", "/v1/requests/{id}/verify"), ("post", "/v1/requests/{id}/decide"),
    ("post", "/v1/requests/{id}/fulfil"),
}  # fmt: skip
OPEN = {
    "/v1/token",
    "/healthz",
    "/readyz",
    "/metrics",
    "/console/",
    "/.well-known/gpc.json",
    "/opendsr/v2/discovery",
    "/opendsr/v2/certificate",
}


def test_every_route_of_the_contract_is_described(world: World) -> None:
    document = world.anonymous().get("/openapi.json").json()
    described = {(method, path) for path, methods in document["paths"].items() for method in methods}
    assert described >= CONTRACT


def test_every_operation_states_its_errors_its_purpose_and_its_security(world: World) -> None:
    document = world.anonymous().get("/openapi.json").json()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            where = f"{method} {path}"
            assert operation["description"], where
            if path in OPEN:
                continue
            assert operation["security"], where
            assert {"401", "403", "429", "503"} <= set(operation["responses"]), where
            for status, answer in operation["responses"].items():
                if int(status) >= 400:
                    assert "application/problem+json" in answer["content"], f"{where} {status}"


def test_every_reference_in_the_description_resolves(world: World) -> None:
    text = world.anonymous().get("/openapi.json").text
    document = world.anonymous().get("/openapi.json").json()
    for name in {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}:
        assert name in document["components"]["schemas"]


def test_the_console_loads_nothing_from_elsewhere_and_may_not(world: World) -> None:
    http = world.anonymous()
    page = http.get("/console/")
    assert page.status_code == 200
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for file in ("", "console.js", "console.css"):
        answer = http.get(f"/console/{file}")
        assert answer.status_code == 200
        assert "http://" not in answer.text
        assert "https://" not in answer.text


def test_health_and_readiness_are_open_and_say_nothing_else(world: World) -> None:
    http = world.anonymous()
    assert http.get("/healthz").json() == {"status": "ok"}
    assert http.get("/readyz").json() == {"status": "ready"}


def test_every_route_that_takes_a_body_states_its_limit_and_that_it_may_be_busy(world: World) -> None:
    document = world.anonymous().get("/openapi.json").json()
    for path, methods in document["paths"].items():
        if "post" in methods:
            assert {"413", "503"} <= set(methods["post"]["responses"]), path


def test_a_link_gives_an_operation_a_parameter_that_it_takes(world: World) -> None:
    paths = world.anonymous().get("/openapi.json").json()["paths"]
    operations = [operation for methods in paths.values() for operation in methods.values()]
    taken = {each["operationId"]: {one["name"] for one in each.get("parameters", [])} for each in operations}
    links = [
        link
        for operation in operations
        for answer in operation["responses"].values()
        for link in answer.get("links", {}).values()
    ]
    assert len(links) >= 20
    for link in links:
        assert set(link["parameters"]) <= taken[link["operationId"]]


@pytest.mark.parametrize(
    ("method", "path", "served"),
    [
        ("PUT", "/v1/holds", {"GET", "POST"}),
        ("PUT", "/opendsr/v2/requests/x", {"GET", "DELETE"}),
        ("PUT", "/v1/profiles/lookup", {"POST"}),
        ("PUT", "/v1/profiles/x", {"GET"}),
    ],
)
def test_a_method_that_is_not_served_is_told_every_one_that_is(
    world: World, method: str, path: str, served: set[str]
) -> None:
    answer = world.anonymous().request(method, path)
    assert answer.status_code == 405
    assert set(answer.headers["allow"].split(", ")) == served
