"""Client credentials, access tokens, and what they do not reveal."""

import jwt
import pytest

from tests.stores import only_on_sqlite
from tests.world import World, fetch_token


def test_a_client_trades_its_secret_for_a_token_of_at_most_ten_minutes(world: World) -> None:
    client, secret = world.services.clients.create("shop", "consumer", ["personalization", "analytics"])
    answer = world.anonymous().post(
        "/v1/token", data={"grant_type": "client_credentials"}, auth=(client.client_id, secret)
    )
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    body = answer.json()
    assert body["token_type"] == "Bearer"
    assert 0 < body["expires_in"] <= 600
    assert body["scope"] == "personalization analytics"
    claims = jwt.decode(body["access_token"], options={"verify_signature": False})
    assert claims["exp"] - claims["iat"] <= 600


def test_credentials_may_come_in_the_body(world: World) -> None:
    client, secret = world.services.clients.create("shop", "consumer", ["analytics"])
    form = {"grant_type": "client_credentials", "client_id": client.client_id, "client_secret": secret}
    assert world.anonymous().post("/v1/token", data=form).status_code == 200


def test_a_scope_narrows_the_token_and_never_widens_it(world: World) -> None:
    client, secret = world.services.clients.create("shop", "consumer", ["personalization", "analytics"])
    http = world.anonymous()
    token = fetch_token(http, client.client_id, secret, scope="analytics")
    assert jwt.decode(token, options={"verify_signature": False})["purposes"] == ["analytics"]
    refused = http.post(
        "/v1/token",
        data={"grant_type": "client_credentials", "scope": "analytics advertising"},
        auth=(client.client_id, secret),
    )
    assert refused.status_code == 400
    assert refused.json()["error"] == "invalid_scope"


REFUSED = {
    "a wrong secret": ("known", "s_wrong", 401, "invalid_client"),
    "an unknown client": ("c_nobody", "s_wrong", 401, "invalid_client"),
}


@pytest.mark.parametrize(("name", "secret", "status", "error"), REFUSED.values(), ids=REFUSED.keys())
def test_bad_credentials_are_refused_alike(
    world: World, name: str, secret: str, status: int, error: str
) -> None:
    client, _ = world.services.clients.create("shop", "consumer", ["analytics"])
    name = client.client_id if name == "known" else name
    answer = world.anonymous().post(
        "/v1/token", data={"grant_type": "client_credentials"}, auth=(name, secret)
    )
    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert answer.headers["content-type"] == "application/problem+json"


def test_an_expired_token_is_refused(world: World) -> None:
    http = world.client("auditor")
    assert http.get("/v1/changes").status_code == 200
    world.clock.pass_(seconds=601)
    answer = http.get("/v1/changes")
    assert answer.status_code == 401
    assert "invalid_token" in answer.headers["www-authenticate"]


FORGED = {
    "no algorithm": {"alg": "none"},
    "another key": {"alg": "HS256"},
}


@pytest.mark.parametrize("header", FORGED.values(), ids=FORGED.keys())
def test_a_forged_token_is_refused(world: World, header: dict[str, str]) -> None:
    claims = {
        "iss": "aurea", "sub": "c_x", "role": "officer", "purposes": [], "iat": 0, "exp": 2**40, "jti": "x",
    }  # fmt: skip
    key = "" if header["alg"] == "none" else "k" * 32
    token = jwt.encode(claims, key, algorithm=header["alg"])
    answer = world.anonymous().get("/v1/changes", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 401


@only_on_sqlite("the bytes of its files")
def test_secrets_are_stored_as_argon2_hashes_only(world: World) -> None:
    client, secret = world.services.clients.create("shop", "consumer", ["analytics"])
    assert client.secret_hash.startswith("$argon2id$")
    made = world.answer("client", "create", "till", "--role", "auditor")["client_id"]
    as_shipped = world.services.clients.find(made)
    assert as_shipped is not None
    assert as_shipped.secret_hash.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    stored = b"".join(path.read_bytes() for path in world.home.glob("*.db*"))
    assert secret.encode() not in stored


def test_a_request_that_is_not_as_the_rfc_says_is_invalid(world: World) -> None:
    client, secret = world.services.clients.create("shop", "consumer", ["analytics"])
    form = {"grant_type": "client_credentials", "client_id": client.client_id}
    twice: dict[str, str | list[str]] = {**form, "client_secret": secret, "scope": ["analytics", "analytics"]}
    for data in (form, twice):
        answer = world.anonymous().post("/v1/token", data=data)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
