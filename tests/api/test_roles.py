"""Who may do what: the whole table, over a real socket. A refusal comes before anyone is looked up."""

from typing import Any, get_args

import pytest

from api.roles import Role
from tests.world import World

ALL: frozenset[str] = frozenset(get_args(Role))
READERS = {"steward", "officer", "auditor"}
SUBJECT: dict[str, Any] = {
    "subject": {"contact": {"type": "email", "value": "nobody@example.com"}},
    "purpose": "personalization",
}
EMPTY = {"records": [{"channel": "a", "source_id": "1", "attributes": {}}]}
ABSENT = {"records": [{"channel": "a", "source_id": "x"}]}
PAIR = {"first": {"number": 1}, "second": {"number": 2}}
LOOKUP = {"purpose": "personalization", "identifiers": [{"type": "email", "value": "nobody@example.com"}]}
LOOKUPS = {"purpose": LOOKUP["purpose"], "lookups": [{"golden_id": "g_x"}]}
REQUEST = {"type": "access", "jurisdiction": "EU", "identifiers": LOOKUP["identifiers"]}
SETTLED = {"record": 1, "outcome": "theirs"}
HELD = {"subject": {"record": {"channel": "a", "source_id": "x"}}, "reason": "litigation"}
NOBODYS = "a7551968-d5d6-44b2-9831-815ac9017798"
VERIFIED = {"method": "email link", "outcome": "verified"}

# (method, path, body, roles that may). Written from the contract, not from api.roles.
TABLE: dict[str, tuple[str, str, Any, set[str] | frozenset[str]]] = {
    "write records": ("POST", "/v1/records", EMPTY, {"ingest"}),
    "delete records": ("POST", "/v1/records/delete", ABSENT, {"ingest"}),
    "read a profile": ("GET", "/v1/profiles/g_x?purpose=personalization", None, {"consumer"}),
    "look a person up": ("POST", "/v1/profiles/lookup", LOOKUP, {"consumer"}),
    "look many people up": ("POST", "/v1/profiles/lookup/batch", LOOKUPS, {"consumer"}),
    "inspect a golden ID": ("GET", "/v1/golden-ids/g_x", None, READERS),
    "explain two records": ("POST", "/v1/explanations", PAIR, {"steward"}),
    "explain a golden ID": ("GET", "/v1/golden-ids/g_x/explanation", None, {"steward"}),
    "explain it plainly": ("GET", "/v1/golden-ids/g_x/plain-explanation", None, {"officer"}),
    "read the review queue": ("GET", "/v1/reviews", None, {"steward", "officer"}),
    "see what is known of two records": ("GET", "/v1/reviews/1/2", None, {"steward", "officer"}),
    "decide about two records": ("POST", "/v1/judgements", PAIR, {"steward", "officer"}),
    "take a decision back": ("POST", "/v1/judgements/1/undo", {}, {"steward", "officer"}),
    "read decisions": ("GET", "/v1/judgements", None, READERS),
    "record a consent": ("POST", "/v1/consents", SUBJECT | {"state": "withdrawn"}, {"ingest", "officer"}),
    "ask about consent": ("POST", "/v1/consents/query", SUBJECT, READERS | {"ingest"}),
    "read a receipt": ("GET", "/v1/consents/events/0/receipt", None, READERS | {"ingest"}),
    "see what to ask again": ("GET", "/v1/consents/due", None, {"steward", "officer"}),
    "open a request": ("POST", "/v1/requests", REQUEST, {"officer"}),
    "list requests": ("GET", "/v1/requests", None, {"officer", "steward"}),
    "see a request": ("GET", "/v1/requests/r_x", None, {"officer", "steward"}),
    "verify a requester": ("POST", "/v1/requests/r_x/verify", VERIFIED, {"officer"}),
    "decide a request": ("POST", "/v1/requests/r_x/decide", {"decision": "cancel"}, {"officer"}),
    "fulfil a request": ("POST", "/v1/requests/r_x/fulfil", {}, {"officer"}),
    "fetch a bundle": ("GET", "/v1/requests/r_x/bundle", None, {"officer"}),
    "settle whose a record is": ("POST", "/v1/requests/r_x/settle", SETTLED, {"officer"}),
    "declare a hold": ("POST", "/v1/holds", HELD, {"officer"}),
    "list holds": ("GET", "/v1/holds", None, {"officer", "steward"}),
    "lift a hold": ("POST", "/v1/holds/9/lift", None, {"officer"}),
    "open a request by OpenDSR": ("POST", "/opendsr/v2/requests", {}, {"officer"}),
    "see a request by OpenDSR": ("GET", f"/opendsr/v2/requests/{NOBODYS}", None, {"officer"}),
    "cancel a request by OpenDSR": ("DELETE", f"/opendsr/v2/requests/{NOBODYS}", None, {"officer"}),
    "read changes": ("GET", "/v1/changes", None, ALL - {"ingest"}),
    "read a checkpoint": ("GET", "/v1/ledger/checkpoint", None, ALL),
    "prove an entry": ("GET", "/v1/ledger/entries/0/proof", None, ALL),
    "prove consistency": ("GET", "/v1/ledger/consistency?first=0&second=0", None, ALL),
    "see the status": ("GET", "/v1/status", None, READERS | {"operator"}),
}  # fmt: skip


def test_each_role_may_do_what_the_table_says_and_nothing_else(world: World) -> None:
    for role in get_args(Role):
        http = world.client(role)
        for what, (method, path, body, permitted) in TABLE.items():
            status = http.request(method, path, json=body).status_code
            assert status != 401
            assert (status != 403) == (role in permitted), f"{role}: {what} answered {status}"


@pytest.mark.parametrize("what", TABLE)
def test_nothing_is_answered_without_a_token(world: World, what: str) -> None:
    method, path, body, _ = TABLE[what]
    answer = world.anonymous().request(method, path, json=body)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"


def test_a_wrong_role_is_refused_whatever_it_asks_for(world: World) -> None:
    http = world.client("auditor")
    bodies: list[Any] = [{}, {"purpose": 7}, []]
    answers = [http.post("/v1/profiles/lookup", json=body) for body in bodies]
    assert [answer.status_code for answer in answers] == [403, 403, 403]


def test_a_client_made_for_some_purposes_may_name_no_other(world: World) -> None:
    http = world.client("officer", "analytics")
    assert http.post("/v1/consents/query", json=SUBJECT).status_code == 403
    assert http.post("/v1/consents/query", json=SUBJECT | {"purpose": "analytics"}).status_code != 403
