"""Records over HTTP: what becomes of each, and what repeating a request does."""

from typing import Any

import pytest
from sqlalchemy import text

from api.incoming import incoming
from api.ingest.mapping import fit
from api.ingest.rows import RowMapper
from api.ingesting import ingest_files
from api.memberships import by_key
from api.schemas import RecordIn
from consent.frequency_tokens import frequency_token
from consent.suppression import Arrivals
from identity.matching import OnlineScorer
from identity.records import RecordKey
from tests.stores import only_on_sqlite
from tests.world import World, record, row


def test_a_record_is_created_then_unchanged_then_updated_and_keeps_its_golden_id(world: World) -> None:
    http = world.client("ingest")
    (created,) = world.send(record("crm", "1", "Ana"), by=http)
    (unchanged,) = world.send(record("crm", "1", "Ana"), by=http)
    (updated,) = world.send(record("crm", "1", "Anabel"), by=http)
    assert [each["status"] for each in (created, unchanged, updated)] == ["created", "unchanged", "updated"]
    assert {each["golden_id"] for each in (created, unchanged, updated)} == {created["golden_id"]}
    assert (created["decision"], created["linking"]) == ("new", "permitted")


def test_a_record_without_permission_to_link_stays_alone(settled: World) -> None:
    alone = record("crm", "1", "Delia") | {"consents": []}
    (sent,) = settled.send(alone)
    assert (sent["linking"], sent["decision"]) == ("not_permitted", "new")
    assert sent["golden_id"] != settled.golden_id("town_a", "Delia")


def test_a_record_that_matches_attaches_by_the_trained_model(settled: World) -> None:
    (sent,) = settled.send(record("crm", "1", "Delia"))
    assert sent["decision"] == "attached"
    assert sent["golden_id"] == settled.golden_id("town_a", "Delia")


def test_of_one_new_persons_records_in_a_request_the_first_is_new_and_the_others_attach(
    settled: World,
) -> None:
    sent = settled.send(*(record(channel, "1", "Nora") for channel in ("crm", "web", "app")))
    assert [each["decision"] for each in sent] == ["new", "attached", "attached"]
    assert len({each["golden_id"] for each in sent}) == 1


def test_a_record_that_waits_for_a_steward_says_so_whenever_it_is_sent(settled: World) -> None:
    doubtful = record("crm", "1", "Delia")
    doubtful["attributes"] |= {"email": None, "phone": None, "birth_date": "1951-01-01"}
    sent = [settled.send(doubtful)[0] for _ in range(2)]
    assert [(each["status"], each["decision"]) for each in sent] == [
        ("created", "review"),
        ("unchanged", "review"),
    ]


def test_a_verified_identifier_that_is_none_is_rejected_and_one_without_a_value_is_not(world: World) -> None:
    misspelt, empty = world.send(
        record("crm", "1", "Ana", verified=["e-mail"]), record("crm", "2", "Bea", verified=["user_id"])
    )
    assert (misspelt["status"], misspelt["error"]["column"]) == ("rejected", "verified")
    assert empty["status"] == "created"


def test_a_record_finds_its_person_however_many_records_that_person_has(settled: World) -> None:
    settled.ingest(*(row("pos", str(number), "Delia") for number in range(500)))
    settled.link()
    owners = by_key(settled.services)
    golden_id = owners[RecordKey("town_a", "Delia")]
    assert all(owners[RecordKey("pos", str(number))] == golden_id for number in range(500))
    (sent,) = settled.send(record("crm", "1", "Delia"))
    assert (sent["decision"], sent["golden_id"]) == ("attached", golden_id)


def test_the_guard_hears_records_that_share_nothing_with_the_one_that_arrives(
    settled: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    settled.send(record("crm", "far", "Zacarias"))
    same = [
        {"record": {"channel": "town_a", "source_id": "Delia"}},
        {"record": {"channel": "crm", "source_id": "far"}},
    ]
    said = {"first": same[0], "second": same[1], "verdict": "same", "reason": "married"}
    assert settled.client("steward").post("/v1/judgements", json=said).json()["same_person"]
    heard: list[int] = []
    evidence = OnlineScorer.evidence

    def listening(scorer: OnlineScorer, record_nos: list[int], *said: Any) -> Any:
        heard.extend(record_nos)
        return evidence(scorer, record_nos, *said)

    monkeypatch.setattr(OnlineScorer, "evidence", listening)
    (sent,) = settled.send(record("crm", "1", "Delia"))
    assert sent["decision"] == "attached"
    assert settled.services.lookup.record(RecordKey("crm", "far")) in heard


def test_before_the_first_run_only_identifiers_verified_on_both_sides_attach(world: World) -> None:
    def customer(source_id: str, name: str, *verified: str) -> dict[str, Any]:
        one = record("app", source_id, name, verified=list(verified))
        one["attributes"]["user_id"] = "u-77"
        return one

    first, alike, unverified = world.send(
        customer("1", "Ana", "user_id"), customer("2", "Anita", "user_id"), customer("3", "Ana")
    )
    assert alike["golden_id"] == first["golden_id"]
    assert alike["decision"] == "attached"
    assert unverified["golden_id"] != first["golden_id"]


def test_a_bad_record_is_rejected_alone_by_column_and_reason(world: World) -> None:
    canary = "canary-4711"
    results = world.send(
        record("crm", "1", "Ana"),
        {"channel": f"no {canary}", "source_id": "1", "attributes": {}},
        {"channel": "crm", "source_id": " ", "attributes": {}},
        {"channel": "crm", "source_id": "2", "attributes": {"email": {"of": canary}}},
        {"channel": "crm", "source_id": "3", "attributes": {"first_name": "x" * 4097}},
        {"channel": "crm", "source_id": "4", "attributes": {}, "observed_at": canary},
        {"channel": "crm", "source_id": "5", "attributes": {}, "observed_at": "2099-01-01T00:00:00Z"},
        {"channel": "crm", "source_id": "6", "attributes": {canary: "x" * 4097}},
        record("crm", "7", "Bea"),
    )
    assert [each["status"] for each in results] == ["created", *["rejected"] * 7, "created"]
    columns = [each["error"]["column"] for each in results[1:-1]]
    assert columns == ["channel", "source_id", "email", "first_name", "observed_at", "observed_at", "traits"]
    assert canary not in str(results)


def test_a_poisoned_record_is_rejected_alone(world: World) -> None:
    canary = "canary-4711"
    poisoned = [record("crm", str(number), "Ana") for number in range(5)]
    poisoned[0]["attributes"]["email"] = [f"ana{each}@example.com" for each in range(255)]
    poisoned[1]["traits"] = {f"{canary}{each}": "x" for each in range(70_000)}
    poisoned[2]["traits"] = {f"{canary}\n": "x"}
    poisoned[3]["consents"][0]["notice"] = f"{canary}@example.com"
    poisoned[4]["traits"] = {canary * 20: "x"}
    results = world.send(record("crm", "a", "Ana"), *poisoned, record("crm", "b", "Bea"))
    assert [each["status"] for each in results] == ["created", *["rejected"] * 5, "created"]
    columns = [each["error"]["column"] for each in results[1:-1]]
    assert columns == ["email", "traits", "traits", "consents", "traits"]
    assert canary not in str(results)


def test_half_a_surrogate_pair_is_no_record_to_delete(world: World) -> None:
    http = world.client("ingest")
    for body in (rb'{"channel": "crm", "source_id": "\ud800"}', rb'{"channel": "\udfff", "source_id": "1"}'):
        answer = http.post(
            "/v1/records/delete",
            content=b'{"records": [' + body + b"]}",
            headers={"Content-Type": "application/json"},
        )
        assert answer.status_code == 422, answer.text


def test_an_older_observation_changes_nothing(world: World) -> None:
    newer = record("crm", "1", "Ana", observed_at="2026-05-02T00:00:00+02:00")
    older = record("crm", "1", "Anabel", observed_at="2026-05-01T00:00:00Z")
    assert [each["status"] for each in world.send(newer)] == ["created"]
    assert [each["status"] for each in world.send(older)] == ["unchanged"]


def test_other_names_than_the_standard_ones_are_traits(world: World) -> None:
    sent = record("crm", "1", "Ana")
    sent["attributes"]["shoe_size"] = 38
    assert world.send(sent)[0]["status"] == "created"


def test_at_most_a_thousand_records_and_at_least_one(world: World) -> None:
    http = world.client("ingest")
    bad = {"channel": "", "source_id": "", "attributes": {}}
    assert http.post("/v1/records", json={"records": [bad] * 1000}).status_code == 200
    assert http.post("/v1/records", json={"records": [bad] * 1001}).status_code == 422
    assert http.post("/v1/records", json={"records": []}).status_code == 422


def test_a_body_over_the_limit_is_refused_unread(world: World) -> None:
    http = world.client("ingest")
    answer = http.post("/v1/consents", content=b"x" * 300_000)
    assert answer.status_code == 413
    assert answer.headers["content-type"] == "application/problem+json"

    def endless() -> Any:
        for _ in range(40):
            yield b" " * 10_000

    assert world.client("ingest").post("/v1/consents", content=endless()).status_code == 413


def test_a_deleted_record_is_gone_at_once_and_may_come_again(world: World) -> None:
    http = world.client("ingest")
    (sent,) = world.send(record("crm", "1", "Ana"), by=http)
    keys = {"records": [{"channel": "crm", "source_id": "1"}, {"channel": "crm", "source_id": "2"}]}
    assert http.post("/v1/records/delete", json=keys).json() == {
        "results": [{"status": "deleted"}, {"status": "absent"}]
    }
    reader = world.client("consumer")
    path = f"/v1/profiles/{sent['golden_id']}?purpose=personalization"
    assert reader.get(path).status_code == 404
    (again,) = world.send(record("crm", "1", "Ana"), by=http)
    assert again["status"] == "created"
    assert again["golden_id"] != sent["golden_id"]


def test_who_comes_again_while_it_is_deleted_is_new_and_whoever_comes_along_is_stored(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    (before,) = world.send(record("crm", "1", "Ana"))
    finish, met = world.services.writer.finish_destructions, list[dict[str, Any]]()

    def in_between(now: int) -> int:  # the deletion is noted, and the keys are not destroyed yet
        monkeypatch.undo()
        met.extend(world.send(record("crm", "1", "Bea"), record("crm", "2", "Carl")))
        return finish(now)

    monkeypatch.setattr(world.services.writer, "finish_destructions", in_between)
    http, keys = world.client("ingest"), {"records": [{"channel": "crm", "source_id": "1"}]}
    assert http.post("/v1/records/delete", json=keys).json() == {"results": [{"status": "deleted"}]}
    assert [each["status"] for each in met] == ["created", "created"]
    assert met[0]["golden_id"] == world.golden_id("crm", "1") != before["golden_id"]


def test_the_permission_to_link_that_comes_later_attaches_at_once(settled: World) -> None:
    settled.ingest(row("crm", "1", "Ana"))
    settled.link()
    without = record("web", "1", "Ana") | {"consents": []}
    assert [each["decision"] for each in settled.send(without)] == ["new"]
    (permitted,) = settled.send(record("web", "1", "Ana"))
    assert (permitted["status"], permitted["linking"]) == ("unchanged", "permitted")
    assert permitted["golden_id"] == settled.golden_id("crm", "1")


def test_losing_the_permission_to_link_detaches_at_once(settled: World) -> None:
    settled.ingest(row("crm", "1", "Ana"), row("web", "1", "Ana"))
    settled.link()
    assert settled.golden_id("crm", "1") == settled.golden_id("web", "1")
    said = {
        "subject": {"record": {"channel": "web", "source_id": "1"}},
        "purpose": "identity_linking",
        "state": "withdrawn",
    }
    assert settled.client("ingest").post("/v1/consents", json=said).status_code == 201
    assert settled.golden_id("crm", "1") != settled.golden_id("web", "1")
    settled.link()
    assert settled.golden_id("crm", "1") != settled.golden_id("web", "1")


def test_the_same_idempotency_key_does_the_same_request_once(world: World) -> None:
    http = world.client("ingest")
    body, key = {"records": [record("crm", "1", "Ana")]}, {"Idempotency-Key": "k-1"}
    first = http.post("/v1/records", json=body, headers=key)
    second = http.post("/v1/records", json=body, headers=key)
    assert second.content == first.content
    assert second.json()["results"][0]["status"] == "created"
    assert second.headers["idempotency-replayed"] == "true"


def test_the_same_idempotency_key_with_another_body_is_refused(world: World) -> None:
    http = world.client("ingest")
    key = {"Idempotency-Key": "k-1"}
    assert (
        http.post("/v1/records", json={"records": [record("crm", "1", "Ana")]}, headers=key).status_code
        == 200
    )
    answer = http.post("/v1/records", json={"records": [record("crm", "1", "Bea")]}, headers=key)
    assert answer.status_code == 422
    assert answer.json()["type"].endswith("idempotency-key-reused")


def test_idempotency_keys_belong_to_a_client_and_a_route_and_last_a_day(world: World) -> None:
    body, key = {"records": [record("crm", "1", "Ana")]}, {"Idempotency-Key": "k-1"}
    one, other = world.client("ingest"), world.client("ingest")
    assert one.post("/v1/records", json=body, headers=key).json()["results"][0]["status"] == "created"
    assert other.post("/v1/records", json=body, headers=key).json()["results"][0]["status"] == "unchanged"
    said = {
        "subject": {"record": {"channel": "crm", "source_id": "1"}},
        "purpose": "analytics",
        "state": "refused",
    }
    event = one.post("/v1/consents", json=said, headers=key)
    assert event.status_code == 201
    assert one.post("/v1/consents", json=said, headers=key).json() == event.json()
    world.clock.pass_(days=1, seconds=1)
    late = world.client("ingest")  # a day later every token has run out
    assert late.post("/v1/records", json=body, headers=key).json()["results"][0]["status"] == "unchanged"


@only_on_sqlite("the bytes of its files")
def test_what_is_stored_for_idempotency_holds_no_personal_data(world: World) -> None:
    http = world.client("ingest")
    body, key = {"records": [record("crm", "canary-source", "Canaryname")]}, {"Idempotency-Key": "canary-key"}
    assert http.post("/v1/records", json=body, headers=key).status_code == 200
    stored = b"".join(path.read_bytes() for path in world.home.glob("*.db*"))
    for canary in (b"canary-source", b"Canaryname", b"canaryname", b"canary-key"):
        assert canary not in stored


def test_a_value_reads_the_same_over_http_and_from_a_file(world: World) -> None:
    attributes = {"house_number": 12.0, "postcode": 28013, "user_id": True, "city": " "}
    traits = {"shoe_size": 42.0, "vip": False, "colours": ["red", 3], "likes": {"tea": 1.0}}
    sent = incoming(RecordIn.model_validate(
        {"channel": "crm", "source_id": "1", "attributes": attributes, "traits": traits}
    ))  # fmt: skip
    row = {"source_id": "1", **attributes, **traits}
    read = RowMapper(fit(None, frozenset(row), channel="crm")).record(row, world.clock())
    assert (sent.attributes, sent.traits) == (read.attributes, read.traits)
    assert sent.attributes == {"house_number": ["12"], "postcode": ["28013"], "user_id": ["true"]}
    assert sent.traits["colours"] == '["red",3]'


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_what_is_no_number_of_json_is_refused(world: World, number: str) -> None:
    head = '{"records": [{"channel": "a", "source_id": "1", "attributes": {}, "traits": {"t": ['
    body = head + number + "]}}]}"
    http = world.client("ingest")
    answer = http.post("/v1/records", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    file = world.folder / "in.jsonl"
    file.write_text('{"source_id": "0"}\n{"source_id": "1", "email": ' + number + "}\n")
    assert ingest_files(world.services, [file], channel="a").report.rejected == 1


@pytest.mark.parametrize(
    ("consents", "linking"), [(("identity_linking",), "permitted"), ((), "not_permitted")]
)
def test_an_erased_person_is_answered_as_anybody_new_who_says_the_same(
    world: World, monkeypatch: pytest.MonkeyPatch, consents: tuple[str, ...], linking: str
) -> None:
    def said(source_id: str, name: str) -> dict[str, Any]:
        statements = [{"purpose": purpose, "state": "granted"} for purpose in consents]
        return record("crm", source_id, name) | {"consents": statements}

    (new,) = world.send(said("1", "Ana"))
    suppression = type(world.services.stores.suppression)
    monkeypatch.setattr(suppression, "matches", lambda *_: Arrivals(erased=frozenset({0})))
    (erased,) = world.send(said("2", "Bea"))
    assert {**erased, "golden_id": ""} == {**new, "golden_id": ""}
    assert erased["linking"] == linking


def test_a_thousand_long_keys_can_be_deleted_in_one_request(world: World) -> None:
    keys = [{"channel": "crm", "source_id": f"{number:0300}"} for number in range(1000)]
    answer = world.client("ingest").post("/v1/records/delete", json={"records": keys})
    assert answer.status_code == 200


HOME = {"last_name": "Vidal", "email": "casa.vidal@example.com", "phone": "+34600999111", "device_id": "d-77"}


def test_what_a_run_kept_of_a_shared_contact_goes_with_the_last_record_that_carries_it(world: World) -> None:
    def kept() -> set[str]:
        columns = {"email_several": "email", "phone_several": "phone", "device_id_several": "device_id"}
        with world.services.db.read() as conn:
            rows = {
                tuple(row) for row in conn.execute(text("SELECT column_name, token FROM model_frequencies"))
            }
        index = world.services.stores.index
        return {name for name in columns if (name, frequency_token(index, name, HOME[columns[name]])) in rows}

    everything = {"email_several", "phone_several", "device_id_several"}
    world.ingest(
        *({"channel": "shop", "source_id": name, "first_name": name, **HOME} for name in ("Ana", "Bea"))
    )
    world.settle()
    assert kept() == everything
    http = world.client("ingest")
    http.post("/v1/records/delete", json={"records": [{"channel": "shop", "source_id": "Ana"}]})
    assert kept() == everything
    moved = {
        "channel": "shop",
        "source_id": "Bea",
        "attributes": {"first_name": "Bea", "phone": HOME["phone"]},
    }
    world.send(moved, by=http)
    assert kept() == {"phone_several"}
    http.post("/v1/records/delete", json={"records": [{"channel": "shop", "source_id": "Bea"}]})
    assert kept() == set()
