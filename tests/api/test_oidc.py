"""Tokens of an outside issuer: what is taken, whose it is, and every way to pass off another one."""

import base64
import hmac
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from api import oidc_keys
from api.auth import Caller, InvalidTokenError
from api.oidc import LEEWAY_MS
from api.oidc_keys import AGAIN_MS, FRESH_MS, STALE_MS, IssuerKeys, IssuerUnavailableError, check_issuer
from api.settings import Settings, SettingsError
from tests.api.issuer import AUDIENCE, Issuer, an_issuer
from tests.world import World, a_world, record

PURPOSES = ("personalization", "analytics")


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with an_issuer() as one:
        yield one


@pytest.fixture(scope="module")
def shared(issuer: Issuer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    told = {"AUREA_OIDC_ISSUER": issuer.url, "AUREA_OIDC_AUDIENCE": AUDIENCE, "AUREA_OIDC_LOOPBACK": "1"}
    with a_world(tmp_path_factory.mktemp("oidc"), environment=told) as one:
        clients = one.services.clients
        clients.create("svc", "consumer", PURPOSES, oidc_subject="svc")
        clients.create("backend", "consumer", PURPOSES, oidc_subject="azp=backend")
        clients.create("any", "officer", oidc_subject="sub=any")
        clients.create("some", "officer", ["analytics"], oidc_subject="some")
        yield one


@pytest.fixture
def world(shared: World, issuer: Issuer) -> World:
    """The world with a fresh look at a well-behaved issuer."""
    issuer.behaviour, issuer.extra = "well", []
    issuer.asked.clear()
    outside = shared.services.access._outside
    assert outside is not None
    outside._keys = IssuerKeys(issuer.url, shared.clock, loopback=True)
    shared.services.access._held.clear()
    return shared


def read(world: World, token: str) -> Caller:
    return world.services.access.read(f"Bearer {token}")


def claims(world: World, issuer: Issuer, **more: Any) -> dict[str, Any]:
    return issuer.claims(world.clock.now, **more)


@pytest.mark.parametrize("kid", ["rsa", "ec", "ed"])
def test_a_token_of_the_issuer_is_that_of_the_client_registered_for_it(
    world: World, issuer: Issuer, kid: str
) -> None:
    caller = read(world, issuer.sign(claims(world, issuer), kid=kid))
    known = {client.name: client for client in world.services.clients.every()}["svc"]
    assert (caller.client_id, caller.role) == (known.client_id, "consumer")
    assert caller.purposes == set(PURPOSES)
    assert caller.people_per_day == world.settings.people_per_day


def test_such_a_token_reads_profiles_over_http_and_so_does_one_of_our_own(
    world: World, issuer: Issuer
) -> None:
    (sent,) = world.send(record("crm", "1", "Ana"))
    path = f"/v1/profiles/{sent['golden_id']}?purpose=personalization"
    http = world.anonymous()
    http.headers["Authorization"] = f"Bearer {issuer.sign(claims(world, issuer))}"
    assert http.get(path).status_code == 200
    assert http.get("/v1/golden-ids/x").status_code == 403
    assert world.client("consumer", "personalization").get(path).status_code == 200


SUBJECTS: dict[str, tuple[dict[str, Any], str | None]] = {
    "sub": ({"sub": "svc"}, "svc"),
    "azp, where the client is registered for it": ({"sub": "u-1", "azp": "backend"}, "backend"),
    "a sub that equals another client's azp": ({"sub": "backend"}, None),
    "an azp that equals another client's sub": ({"sub": "u-1", "azp": "svc"}, None),
    "claims that name two clients": ({"sub": "svc", "azp": "backend"}, None),
    "nobody": ({"sub": "u-1"}, None),
    "a sub that spells another claim": ({"sub": "azp=backend"}, None),
    "an empty sub": ({"sub": ""}, None),
    "the ID of a client": ({"sub": "CLIENT_ID"}, None),
}


@pytest.mark.parametrize(("said", "name"), SUBJECTS.values(), ids=SUBJECTS)
def test_who_it_is(world: World, issuer: Issuer, said: dict[str, Any], name: str | None) -> None:
    known = {client.name: client.client_id for client in world.services.clients.every()}
    said = {claim: known["svc"] if value == "CLIENT_ID" else value for claim, value in said.items()}
    token = issuer.sign(claims(world, issuer, **said))
    if name is None:
        with pytest.raises(InvalidTokenError):
            read(world, token)
    else:
        assert read(world, token).client_id == known[name]


SCOPES: dict[str, tuple[str, Any, set[str] | None]] = {
    "none": ("svc", None, set(PURPOSES)),
    "words that are no purposes": ("svc", "openid profile", set(PURPOSES)),
    "one of its purposes": ("svc", "openid analytics", {"analytics"}),
    "one of its own and one that it has not": ("svc", "analytics advertising", {"analytics"}),
    "only one that it has not": ("svc", "advertising", None),
    "a list": ("svc", ["analytics"], {"analytics"}),
    "something else": ("svc", {"analytics": True}, set(PURPOSES)),
    "of one that may name any": ("any", "advertising", {"advertising"}),
    "none, of one that may name any": ("any", None, set()),
    "only one that it has not, where having none means any": ("some", "advertising", None),
}


@pytest.mark.parametrize(("sub", "scope", "purposes"), SCOPES.values(), ids=SCOPES)
def test_a_scope_narrows_and_never_widens(
    world: World, issuer: Issuer, sub: str, scope: Any, purposes: set[str] | None
) -> None:
    token = issuer.sign(claims(world, issuer, sub=sub, scope=scope))
    if purposes is None:
        with pytest.raises(InvalidTokenError):
            read(world, token)
    else:
        assert read(world, token).purposes == purposes


WRONG_CLAIMS: dict[str, dict[str, Any]] = {
    "another audience": {"aud": "https://shop.example"},
    "no audience": {"aud": None},
    "an audience that begins alike": {"aud": AUDIENCE + ".evil"},
    "another issuer": {"iss": "https://elsewhere.example"},
    "our own name as issuer": {"iss": "aurea"},
    "no issuer": {"iss": None},
    "no subject": {"sub": None},
    "no end": {"exp": None},
    "no beginning": {"iat": None},
    "an end that is text": {"exp": "tomorrow"},
    "an end that is true": {"exp": True},
    "an endless end": {"exp": float("inf")},
    "a role and purposes of its own choice": {"sub": "u-1", "role": "officer", "purposes": []},
}


@pytest.mark.parametrize("wrong", WRONG_CLAIMS.values(), ids=WRONG_CLAIMS)
def test_claims_that_are_not_as_they_must_be_are_refused(world: World, issuer: Issuer, wrong: Any) -> None:
    with pytest.raises(InvalidTokenError):
        read(world, issuer.sign(claims(world, issuer, **wrong)))


def test_its_time_is_that_of_our_clock_give_or_take_the_leeway(world: World, issuer: Issuer) -> None:
    now, leeway = world.clock.now // 1_000, LEEWAY_MS // 1_000
    good = [{"exp": now - leeway + 1}, {"iat": now + leeway - 1}, {"nbf": now + leeway - 1}]
    late = [{"exp": now - leeway - 1}, {"iat": now + leeway + 1}, {"nbf": now + leeway + 1}]
    for times in good:
        assert read(world, issuer.sign(claims(world, issuer, **times)))
    for times in late:
        with pytest.raises(InvalidTokenError):
            read(world, issuer.sign(claims(world, issuer, **times)))


def test_a_remembered_one_ends_with_its_time(world: World, issuer: Issuer) -> None:
    header = "Bearer " + issuer.sign(claims(world, issuer, exp=world.clock.now // 1_000 + 1))
    access = world.services.access
    caller = access.read(header)
    before = world.clock.now
    try:
        world.clock.now = caller.expires_at - 1
        assert access.known(header) is caller
        world.clock.now = caller.expires_at
        assert access.known(header) is None
    finally:
        world.clock.now = before


def unsigned(claims: dict[str, Any], header: dict[str, Any], sign: Callable[[bytes], bytes]) -> str:
    def part(value: dict[str, Any]) -> bytes:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=")

    signed = part(header) + b"." + part(claims)
    return (signed + b"." + base64.urlsafe_b64encode(sign(signed)).rstrip(b"=")).decode()


def public_pem(issuer: Issuer, kid: str) -> bytes:
    key: bytes = (
        issuer.keys[kid]
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return key


MINE = rsa.generate_private_key(65_537, 2048)


def mine(claims: dict[str, Any], **header: Any) -> str:
    return jwt.encode(claims, MINE, "RS256", headers=header)


def my_jwk() -> dict[str, Any]:
    found: dict[str, Any] = jwt.algorithms.RSAAlgorithm.to_jwk(MINE.public_key(), as_dict=True)
    return found


Attack = Callable[[Issuer, dict[str, Any]], str]
ATTACKS: dict[str, Attack] = {
    "no algorithm": lambda _, c: unsigned(c, {"alg": "none", "kid": "rsa"}, lambda _: b""),
    "no algorithm, in capitals": lambda _, c: unsigned(c, {"alg": "NONE", "kid": "rsa"}, lambda _: b""),
    "an HMAC under the public key": lambda i, c: unsigned(
        c, {"alg": "HS256", "kid": "rsa"}, lambda m: hmac.digest(public_pem(i, "rsa"), m, "sha256")
    ),
    "the same, said to be RS256": lambda i, c: unsigned(
        c, {"alg": "RS256", "kid": "rsa"}, lambda m: hmac.digest(public_pem(i, "rsa"), m, "sha256")
    ),
    "an HMAC under the public key as our own token": lambda i, c: unsigned(
        {**c, "iss": "aurea", "role": "officer", "purposes": [], "jti": "x"},
        {"alg": "HS256", "kid": "1"}, lambda m: hmac.digest(public_pem(i, "rsa"), m, "sha256"),
    ),
    "an HMAC under nothing as our own token": lambda _, c: unsigned(
        {**c, "iss": "aurea", "role": "officer", "purposes": [], "jti": "x"},
        {"alg": "HS256", "kid": "1"}, lambda m: hmac.digest(b"", m, "sha256"),
    ),
    "another key under a known ID": lambda _, c: mine(c, kid="rsa"),
    "another key under an unknown ID": lambda _, c: mine(c, kid="mine"),
    "no ID": lambda i, c: jwt.encode(c, i.keys["rsa"], "RS256"),
    "an ID that is a number": lambda _, c: unsigned(c, {"alg": "RS256", "kid": 7}, lambda _: b"x"),
    "an algorithm that is a list": lambda _, c: unsigned(c, {"alg": ["RS256"], "kid": "rsa"}, lambda _: b"x"),
    "another of its keys than the one named": lambda i, c: jwt.encode(
        c, i.keys["ec"], "ES256", headers={"kid": "rsa"}
    ),
    "an algorithm of the right key that is not taken": lambda i, c: jwt.encode(
        c, i.keys["rsa"], "PS256", headers={"kid": "rsa"}
    ),
    "a key in the header": lambda _, c: mine(c, kid="mine", jwk=my_jwk()),
    "a key set elsewhere in the header": lambda i, c: mine(c, kid="mine", jku=f"{i.url}/mine"),
    "a certificate elsewhere in the header": lambda i, c: mine(c, kid="mine", x5u=f"{i.url}/mine"),
    "a certificate in the header": lambda _, c: mine(c, kid="mine", x5c=["AAAA"]),
    "a path as ID": lambda _, c: mine(c, kid="../../dev/null"),
    "a critical extension": lambda i, c: i.sign(c, crit=["exp"]),
    "an altered claim": lambda i, c: altered(i.sign(c)),
    "no signature": lambda i, c: i.sign(c).rpartition(".")[0] + ".",
    "two parts": lambda i, c: i.sign(c).rpartition(".")[0], "no token": lambda _i, _c: "x",
}  # fmt: skip


def altered(token: str) -> str:
    head, body, signature = token.split(".")
    said = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))) | {"sub": "any"}
    return ".".join(
        (head, base64.urlsafe_b64encode(json.dumps(said).encode()).decode().rstrip("="), signature)
    )


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_a_forged_token_is_refused_and_nothing_it_names_is_fetched(
    world: World, issuer: Issuer, attack: Attack
) -> None:
    assert read(world, issuer.sign(claims(world, issuer)))
    issuer.asked.clear()
    with pytest.raises(InvalidTokenError):
        read(world, attack(issuer, claims(world, issuer)))
    assert set(issuer.asked) <= {"/.well-known/openid-configuration", "/keys"}


def jwk_of(key: Any, algorithm: Any, **more: Any) -> dict[str, Any]:
    return {**algorithm.to_jwk(key.public_key(), as_dict=True), **more}


def test_of_a_key_set_only_keys_that_sign_in_one_of_three_ways_are_used(world: World, issuer: Issuer) -> None:
    kinds, other_curve = jwt.algorithms, ec.generate_private_key(ec.SECP384R1())
    small = rsa.generate_private_key(65_537, 1024)  # noqa: S505 - it must be refused
    issuer.extra = [
        {"kty": "oct", "kid": "oct", "k": "AAAA"},
        jwk_of(small, kinds.RSAAlgorithm, kid="small"),
        jwk_of(MINE, kinds.RSAAlgorithm, kid="encrypts", use="enc"),
        jwk_of(MINE, kinds.RSAAlgorithm, kid="other algorithm", alg="RS512"),
        jwk_of(MINE, kinds.RSAAlgorithm, kid="twice"),
        jwk_of(MINE, kinds.RSAAlgorithm, kid="twice"),
        jwk_of(MINE, kinds.RSAAlgorithm), jwk_of(MINE, kinds.RSAAlgorithm, kid="for nothing", key_ops=None),
        jwk_of(other_curve, kinds.ECAlgorithm, kid="curve"),
        {"kty": "EC", "crv": "P-256", "kid": "off", "x": "AAAA", "y": "AAAA"},
        {"kty": ["RSA"], "kid": "a"}, {"kty": "EC", "crv": ["P-256"], "kid": "c"}, {"kid": "none"}, "", None,
    ]  # fmt: skip
    keys = IssuerKeys(issuer.url, world.clock, loopback=True)
    assert keys.find("rsa") is not None
    assert set(keys._keys) == {"rsa", "ec", "ed"}
    assert {kid: key.algorithm for kid, key in keys._keys.items()} == {
        "rsa": "RS256", "ec": "ES256", "ed": "EdDSA",
    }  # fmt: skip


def test_keys_are_kept_and_asked_for_again_at_most_once_a_minute(world: World, issuer: Issuer) -> None:
    keys = IssuerKeys(issuer.url, world.clock, loopback=True)
    start = world.clock.now
    try:
        for _ in range(20):
            assert keys.find("rsa")
            assert keys.find("unknown") is None
        assert len(issuer.asked) == 2, "discovery and keys, once"
        world.clock.now = start + AGAIN_MS
        issuer.keys["new"] = issuer.keys["rsa"]
        issuer.extra = [jwk_of(issuer.keys.pop("new"), jwt.algorithms.RSAAlgorithm, kid="new")]
        assert keys.find("new")
        assert len(issuer.asked) == 4
        world.clock.now = start + AGAIN_MS + FRESH_MS
        issuer.extra = []
        assert keys.find("new") is None, "a key that was taken back goes with the next look"
        assert len(issuer.asked) == 6
    finally:
        world.clock.now = start


@pytest.mark.parametrize("behaviour", ["down", "huge", "slow", "trickling", "moved", "other"])
def test_an_issuer_that_does_not_answer_as_it_should_is_taken_at_no_word(
    world: World, issuer: Issuer, behaviour: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oidc_keys, "ATTEMPT_SECONDS", 0.5)
    issuer.behaviour = behaviour
    token = issuer.sign(claims(world, issuer))
    began = time.monotonic()
    with pytest.raises(IssuerUnavailableError):
        read(world, token)
    assert time.monotonic() - began < 3
    asked = len(issuer.asked)
    with pytest.raises(IssuerUnavailableError):
        read(world, token)
    assert len(issuer.asked) == asked, "it is not asked again at once"
    assert "/elsewhere" not in issuer.asked


def test_over_http_that_is_503_with_the_time_to_ask_again_and_our_own_tokens_go_on(
    world: World, issuer: Issuer
) -> None:
    issuer.behaviour = "down"
    answer = world.anonymous().get(
        "/v1/changes", headers={"Authorization": f"Bearer {issuer.sign(claims(world, issuer))}"}
    )
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "60")
    assert answer.json()["type"] == "urn:aurea:problem:issuer-unavailable"
    assert world.client("auditor").get("/v1/changes").status_code == 200


def test_while_it_is_down_known_keys_serve_for_the_stated_time(world: World, issuer: Issuer) -> None:
    keys, start = IssuerKeys(issuer.url, world.clock, loopback=True), world.clock.now
    assert keys.find("rsa")
    issuer.behaviour = "down"
    try:
        world.clock.now = start + STALE_MS - 1
        assert keys.find("rsa")
        assert keys.find("unknown") is None
        world.clock.now = start + STALE_MS
        with pytest.raises(IssuerUnavailableError):
            keys.find("rsa")
        issuer.behaviour = "well"
        world.clock.now += AGAIN_MS
        assert keys.find("rsa")
    finally:
        world.clock.now = start


def test_a_revoked_clients_outside_tokens_are_refused(world: World, issuer: Issuer) -> None:
    world.services.clients.create("gone", "auditor", oidc_subject="gone")
    token = issuer.sign(claims(world, issuer, sub="gone"))
    assert read(world, token).role == "auditor"
    world.services.clients.revoke("gone")
    with pytest.raises(InvalidTokenError):
        read(world, token)


@pytest.mark.parametrize(
    ("url", "loopback"),
    [
        ("http://issuer.example", False), ("http://issuer.example", True), ("http://127.0.0.1:8", False),
        ("ftp://127.0.0.1", True), ("https://user:pw@issuer.example", False), ("https://", False),
        ("https://issuer.example/?a=b", False), ("https://issuer.example:port", False),
    ],
)  # fmt: skip
def test_an_address_that_is_no_issuers_is_refused(url: str, loopback: bool) -> None:
    with pytest.raises(SettingsError):
        check_issuer(url, loopback=loopback)


def test_issuer_and_audience_are_set_together() -> None:
    with pytest.raises(SettingsError, match="AUREA_OIDC_AUDIENCE"):
        Settings.from_environment({"AUREA_HOME": "x", "AUREA_OIDC_ISSUER": "https://issuer.example"})


def test_without_an_outside_issuer_its_tokens_are_refused(tmp_path: Any, issuer: Issuer) -> None:
    with a_world(tmp_path) as other, pytest.raises(InvalidTokenError):
        read(other, issuer.sign(issuer.claims(other.clock.now)))
