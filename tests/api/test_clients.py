"""Clients' secrets and the key of their tokens: replaced without an outage, taken back at once."""

import asyncio
import time
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest

from api.access import REMEMBERED, REMEMBERED_SECONDS
from api.auth import Caller, InvalidTokenError
from api.clients import ClientExistsError, SubjectTakenError, UnknownClientError
from consent.key_providers import RELOAD_SECONDS, FileKeyring
from tests.world import World, fetch_token


def try_secret(http: httpx.Client, client_id: str, secret: str) -> int:
    form = {"grant_type": "client_credentials"}
    return http.post("/v1/token", data=form, auth=(client_id, secret)).status_code


def kid(http: httpx.Client) -> str:
    return str(jwt.get_unverified_header(http.headers["Authorization"].split()[1])["kid"])


def test_after_a_rotation_both_secrets_work_until_the_grace_ends(world: World) -> None:
    client, old = world.services.clients.create("shop", "consumer", ["analytics"])
    given = world.answer("client", "rotate", "shop", "--grace", "2")
    new, http = given["client_secret"], world.anonymous()
    assert given["client_id"] == client.client_id
    moment = world.services.clients.find(client.client_id)
    assert moment is not None
    world.clock.now = (moment.previous_until or 0) - 1
    assert [try_secret(http, client.client_id, secret) for secret in (old, new)] == [200, 200]
    world.clock.pass_(seconds=1)
    assert [try_secret(http, client.client_id, secret) for secret in (old, new)] == [401, 200]


def test_without_a_grace_the_old_secret_ends_at_once(world: World) -> None:
    client, old = world.services.clients.create("shop", "consumer", ["analytics"])
    new = world.answer("client", "rotate", client.client_id, "--grace", "0")["client_secret"]
    http = world.anonymous()
    assert [try_secret(http, client.client_id, secret) for secret in (old, new)] == [401, 200]


def test_a_second_rotation_ends_the_first_secret(world: World) -> None:
    clients = world.services.clients
    client, first = clients.create("shop", "consumer", ["analytics"])
    _, second = clients.rotate("shop", grace_hours=1)
    _, third = clients.rotate("shop", grace_hours=1)
    http = world.anonymous()
    assert [try_secret(http, client.client_id, each) for each in (first, second, third)] == [401, 200, 200]


def test_a_revoked_client_is_refused_within_the_stated_time_with_secret_and_token(world: World) -> None:
    client, secret = world.services.clients.create("shop", "consumer", ["personalization"])
    http = world.anonymous()
    http.headers["Authorization"] = f"Bearer {fetch_token(http, client.client_id, secret)}"
    assert http.get("/v1/changes").status_code == 200
    world.answer("client", "revoke", "shop")
    revoked = time.monotonic()
    while http.get("/v1/changes").status_code == 200:
        assert time.monotonic() - revoked < REMEMBERED_SECONDS + 1
        time.sleep(0.05)
    answer = http.get("/v1/changes")
    assert (answer.status_code, "invalid_token" in answer.headers["www-authenticate"]) == (401, True)
    assert try_secret(http, client.client_id, secret) == 401
    again = world.command("client", "rotate", "shop")
    assert (again.returncode, "aurea client list" in again.stderr) == (1, True)
    (listed,) = world.answer("client", "list")["clients"]
    assert (listed["name"], listed["state"]) == ("shop", "revoked")
    assert "secret" not in str(listed)


def test_an_unknown_and_a_revoked_client_cost_the_same_work(world: World, monkeypatch: Any) -> None:
    import api.clients as module

    checked: list[str] = []
    fits = module._fits
    monkeypatch.setattr(
        module, "_fits", lambda hashed, secret: checked.append(hashed) or fits(hashed, secret)
    )
    clients = world.services.clients
    for name in ("known", "revoked", "rotated"):
        clients.create(name, "auditor")
    clients.revoke("revoked")
    clients.rotate("rotated", grace_hours=1)
    counts = {}
    for client_id in (*(client.client_id for client in clients.every()), "c_nobody"):
        checked.clear()
        with pytest.raises(module.InvalidClientError):
            clients.authenticate(client_id, "s_wrong")
        counts[client_id] = len(checked)
    assert set(counts.values()) == {2}


def test_names_and_subjects_are_taken_once(world: World) -> None:
    clients = world.services.clients
    clients.create("one", "auditor", oidc_subject="abc")
    with pytest.raises(ClientExistsError):
        clients.create("one", "auditor")
    with pytest.raises(SubjectTakenError):
        clients.create("two", "auditor", oidc_subject="sub=abc")
    clients.revoke("one")
    assert clients.create("two", "auditor", oidc_subject="abc")[0].oidc_subject == "sub=abc"
    with pytest.raises(UnknownClientError):
        clients.revoke("nobody")


def test_the_key_of_tokens_is_replaced_and_the_old_one_is_taken_while_its_tokens_live(world: World) -> None:
    before = world.client("auditor")
    world.services.keyring.rotate_tokens(world.clock.now, 605_000)
    after = world.client("auditor")
    assert (kid(before), kid(after)) == ("1", "2")
    world.clock.pass_(seconds=599)
    assert [http.get("/v1/changes").status_code for http in (before, after)] == [200, 200]
    world.clock.pass_(seconds=10)
    assert before.get("/v1/changes").status_code == 401
    assert kid(world.client("auditor")) == "2"


def test_a_token_of_a_key_rotated_by_another_process_is_known_at_once(world: World) -> None:
    world.url  # noqa: B018 - the server is running, its keyring is read
    other = FileKeyring.load(world.settings.keyring_file)
    other.rotate_tokens(world.clock.now, 605_000)
    issued = world.client("auditor").headers["Authorization"].split()[1]
    token = jwt.encode(
        jwt.decode(issued, options={"verify_signature": False}),
        other.token_keys()[0].secret.reveal(), algorithm="HS256", headers={"kid": "2"},
    )  # fmt: skip
    assert world.services.tokens.read(token).role == "auditor"


def test_a_key_that_others_may_know_is_taken_no_more_within_the_stated_time(world: World) -> None:
    http = world.client("auditor")
    assert http.get("/v1/changes").status_code == 200
    assert world.answer("keys", "rotate-tokens", "--now")["former"] == []
    rotated = time.monotonic()
    while http.get("/v1/changes").status_code == 200:
        assert time.monotonic() - rotated < REMEMBERED_SECONDS + RELOAD_SECONDS + 1
        time.sleep(0.05)
    assert world.client("auditor").get("/v1/changes").status_code == 200


def test_a_keyring_of_the_first_release_has_one_key_without_a_number(world: World, tmp_path: Path) -> None:
    import json

    document = json.loads(world.settings.keyring_file.read_text())
    del document["token_number"], document["former_tokens"]
    ring = FileKeyring.from_text(json.dumps(document))
    assert [key.number for key in ring.token_keys()] == [1]
    assert ring.token_keys() == world.services.keyring.token_keys()


def test_a_remembered_token_ends_with_its_time_to_the_millisecond(world: World) -> None:
    http = world.client("auditor")
    access, header = world.services.access, http.headers["Authorization"]
    caller = access.read(header)
    assert access.known(header) is caller
    world.clock.now = caller.expires_at - 1
    assert access.known(header) is caller
    world.clock.now = caller.expires_at
    assert access.known(header) is None
    with pytest.raises(InvalidTokenError):
        access.read(header)


def test_no_more_tokens_are_remembered_than_stated_and_none_in_clear(world: World) -> None:
    client, _ = world.services.clients.create("shop", "auditor")
    access = world.services.access
    header = f"Bearer {world.services.tokens.issue(client).token}"
    caller = access.read(header)
    access._held = {number.to_bytes(32): (caller, 2.0**40) for number in range(REMEMBERED)}
    access.read(header)
    assert len(access._held) == REMEMBERED
    assert access.known(header) is not None
    assert not any(b"." in key and header.encode() in key for key in access._held)


def test_many_that_come_with_one_token_have_it_verified_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    header, verified = counted_reads(world, monkeypatch)

    async def at_once() -> set[str]:
        waiting = [asyncio.create_task(world.services.access.of(header)) for _ in range(20)]
        await asyncio.sleep(0)
        waiting.pop().cancel()  # who does not wait any longer takes nothing from the others
        return {caller.client_id for caller in await asyncio.gather(*waiting)}

    assert len(asyncio.run(at_once())) == 1
    assert len(verified) == 1


def test_a_token_that_comes_often_is_verified_again_before_its_time_and_nobody_waits(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    header, verified = counted_reads(world, monkeypatch)
    access = world.services.access

    async def come() -> str:
        caller = await access.of(header)
        for _ in range(1_000):  # the thread that verifies
            if not access._reading[asyncio.get_running_loop()]:
                break
            await asyncio.sleep(0.001)
        return caller.client_id

    def pass_half_the_time() -> None:
        for digest, (caller, until) in access._held.items():
            access._held[digest] = caller, until - REMEMBERED_SECONDS / 2

    for count in range(1, 5):
        assert asyncio.run(come())
        assert len(verified) == count
        pass_half_the_time()
    world.services.clients.revoke("shop")
    assert asyncio.run(come())  # by what was remembered, a second ago
    assert access.known(header) is None
    with pytest.raises(InvalidTokenError):
        asyncio.run(come())


def counted_reads(world: World, monkeypatch: pytest.MonkeyPatch) -> tuple[str, list[str | None]]:
    """Return a header and the list of verifications."""
    client, _ = world.services.clients.create("shop", "auditor")
    access, verified = world.services.access, list[str | None]()
    read = access.read

    def counting(header: str | None) -> Caller:
        verified.append(header)
        return read(header)

    monkeypatch.setattr(access, "read", counting)
    return f"Bearer {world.services.tokens.issue(client).token}", verified


def test_a_refused_token_is_not_remembered(world: World) -> None:
    access = world.services.access
    for header in ("Bearer x.y.z", "Bearer ", None, "Basic abc"):
        with pytest.raises(InvalidTokenError):
            access.read(header)
        assert access.known(header) is None
