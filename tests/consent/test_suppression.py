"""Who was erased is not recorded again, and nobody else is refused for it."""

from typing import Any

import pytest
from sqlalchemy import text

from api.incoming import incoming
from api.schemas import RecordIn
from api.times import rfc3339
from consent.incoming import IncomingRecord
from tests.consent.erasing import count, erase
from tests.world import START, World, row


def test_an_erased_person_is_refused_by_file_and_by_http_before_anything_is_linked(world: World) -> None:
    world.ingest(row("crm", "1", "Ana"))
    erase(world, "1")
    rows = [
        row("crm", "1", "Ana"),  # the same record
        row("web", "77", "Ana"),  # another, with her e-mail
        row("crm", "2", "Berta"),
    ]
    report = count(world, rows)
    assert (report["suppressed"], report["created"]) == (2, 1)
    http = world.client("ingest")
    answers = world.send(*(_record(each) for each in rows), by=http)
    assert [answer["status"] for answer in answers] == ["created", "created", "unchanged"]
    for answer in answers[:2]:  # answered as anybody new is, with an ID that is nobody's
        assert world.client("officer").get(f"/v1/golden-ids/{answer['golden_id']}").status_code == 404
    with world.services.db.read() as conn:
        assert conn.execute(text("SELECT count(*) FROM records")).scalar_one() == 1


def _record(said: dict[str, Any], *consents: dict[str, Any]) -> dict[str, Any]:
    attributes = {name: value for name, value in said.items() if name not in {"channel", "source_id"}}
    own = {"channel": said["channel"], "source_id": said["source_id"], "attributes": attributes}
    return own | {"consents": list(consents)}


@pytest.mark.parametrize("kind", ["email", "phone", "national_id", "loyalty_id", "user_id"])
def test_each_personal_identifier_alone_is_enough_and_a_device_is_not(world: World, kind: str) -> None:
    said = {
        "email": "ana@example.com", "phone": "+34600111222", "national_id": "12345678Z", "loyalty_id": "L1",
        "user_id": "u1", "device_id": "d1",
    }  # fmt: skip
    world.ingest({"channel": "crm", "source_id": "1", "first_name": "Ana", **said})
    erase(world, "1")
    rows = [
        {"channel": "web", "source_id": "a", "first_name": "Other", kind: said[kind]},
        {"channel": "web", "source_id": "b", "first_name": "Ana", "device_id": "d1"},
    ]
    report = count(world, rows)
    assert (report["suppressed"], report["created"]) == (1, 1)


def test_erasing_a_mother_does_not_block_her_family(world: World) -> None:
    home = {"email": "casa@example.com", "phone": "+34600999111"}
    world.ingest(
        {"channel": "crm", "source_id": "1", "first_name": "Ana", "birth_date": "1970-01-02", **home},
        {"channel": "crm", "source_id": "2", "first_name": "Leo", "birth_date": "2001-03-04", **home},
    )
    erase(world, "1")
    report = count(
        world,
        [
            {"channel": "crm", "source_id": "2", "first_name": "Leo", "last_name": "Vidal", **home},
            {"channel": "web", "source_id": "3", "first_name": "Leo", **home},
            {"channel": "web", "source_id": "4", "first_name": "Rosa", **home},
            {"channel": "web", "source_id": "5", "first_name": "ANA", **home},
            {"channel": "web", "source_id": "6", "birth_date": "1970-01-02", "email": home["email"]},
        ],
    )
    assert (report["updated"], report["created"], report["suppressed"]) == (1, 2, 2)


def test_the_last_of_a_family_to_be_erased_is_refused_by_what_only_they_had_left(world: World) -> None:
    home = {"email": "casa@example.com"}
    leo = {"channel": "crm", "source_id": "3", "phone": "+34600999333", **home}
    world.ingest(
        {"channel": "crm", "source_id": "1", "first_name": "Ana", **home},
        {"channel": "crm", "source_id": "2", "first_name": "Leo", **home},
    )
    erase(world, "1")
    assert count(world, [leo])["created"] == 1  # the address is Leo's as well
    world.clock.pass_(days=30)
    erase(world, "2", "3", request="r_2")
    assert count(world, [leo, {**leo, "source_id": "4"}])["suppressed"] == 2
    with world.services.keys.read() as conn:
        marks = conn.execute(text("SELECT named FROM suppressions WHERE released_at IS NULL")).scalars().all()
    assert marks.count(1) == 0


def test_whoever_is_erased_again_is_refused_for_the_whole_time_from_then_on(world: World) -> None:
    world.ingest(row("crm", "1", "Ana"), row("crm", "2", "Ana"))
    erase(world, "1")
    world.clock.pass_(days=1000)
    erase(world, "2", request="r_2")
    world.clock.pass_(days=1000)
    assert count(world, [row("app", "3", "Ana")])["suppressed"] == 1
    world.clock.pass_(days=100)
    assert count(world, [row("app", "3", "Ana")])["created"] == 1


GRANT = {"purpose": "personalization", "state": "granted", "method": "direct"}


@pytest.mark.parametrize(
    ("consent", "days", "status"),
    [
        (GRANT, 1, "created"),
        (GRANT, -1, "suppressed"),
        (GRANT | {"method": "api"}, 1, "suppressed"),
        (GRANT | {"state": "refused"}, 1, "suppressed"),
    ],
    ids=["her own grant afterwards", "her own, but before", "a grant by somebody else", "no grant"],
)
def test_only_a_grant_of_her_own_after_the_erasure_lets_her_in_again(
    world: World, consent: dict[str, Any], days: int, status: str
) -> None:
    world.ingest(row("crm", "1", "Ana"))
    erase(world, "1")
    world.clock.pass_(days=2)
    seen = rfc3339(START + days * 86_400_000)
    said = _record(row("web", "9", "Ana"), consent) | {"observed_at": seen}
    (result,) = world.services.writer.write([incoming(RecordIn.model_validate(said))], now=world.clock())
    assert result.status == status
    report = count(world, [row("web", "10", "Ana"), row("crm", "1", "Ana")])
    released = int(status == "created")
    assert report["created"] == released  # what she showed is released; her old record's key is not
    assert report["suppressed"] == 2 - released
    with world.services.keys.read() as conn:
        rows = conn.execute(text("SELECT released_at, length(entry) FROM suppressions")).all()
    assert {bool(at): size for at, size in rows}[False] == 32
    assert sum(at is not None for at, _ in rows) == 2 * released  # e-mail and phone


def test_suppression_ends_on_its_date(world: World) -> None:
    world.ingest(row("crm", "1", "Ana"))
    erase(world, "1")
    world.clock.pass_(days=1094)
    assert count(world, [row("crm", "1", "Ana")])["suppressed"] == 1
    world.clock.pass_(days=2)
    assert count(world, [row("crm", "1", "Ana")])["created"] == 1


def test_an_update_prepared_before_the_erasure_and_written_after_it_is_refused(world: World) -> None:
    world.ingest(row("crm", "1", "Ana"))
    writer = world.services.writer
    late = IncomingRecord("crm", "1", attributes={"first_name": ["Ana"], "email": ["new@example.com"]})
    batch = writer._preparer.prepare([late], first_key_id=writer._numbers.take(1), source=None, now=START + 9)
    keyed = writer.committer.keys.write(batch)
    erase(world, "1")
    assert writer.committer.finish(keyed) == [None]  # prepare it again: then it is suppressed
    (result,) = writer.write([late], now=START + 10)
    assert result.status == "suppressed"
