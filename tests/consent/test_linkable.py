"""What linkage may see: permitted records, opened, and nothing that is uncertain."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from api.settings import Settings
from api.stores import load_keyring
from consent.incoming import IncomingConsent, IncomingRecord
from consent.linkable import LinkableRecords
from consent.prepared_records import RecordStores
from consent.worker_stores import StoreAccess
from identity.comparable import Comparable
from identity.records import RecordKey, RecordReader
from tests.consent.home import NOW, Home
from tests.stores import environment

GRANT = (IncomingConsent("identity_linking", "granted"),)
DAY = 86_400_000


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    one = Home(tmp_path)
    yield one
    one.close()


def stores(home: Home) -> RecordStores:
    return home.writer.stores


def reader(home: Home, now: int = NOW) -> LinkableRecords:
    return LinkableRecords(stores(home), lambda: now)


def add(home: Home, source_id: str, consents: tuple[IncomingConsent, ...] = GRANT, name: str = "Ana") -> int:
    record = IncomingRecord("web", source_id, attributes={"first_name": [name]}, consents=consents)
    (result,) = home.writer.write([record], now=NOW)
    assert result.record_no is not None
    return result.record_no


def permitted(linkable: RecordReader, batch_size: int = 2) -> dict[int, str]:
    found: dict[int, str] = {}
    for batch in linkable.permitted(batch_size=batch_size):
        assert list(batch.record_nos) == sorted(batch.record_nos)
        for record_no, channel, comparable in zip(
            batch.record_nos, batch.channels, batch.comparables, strict=True
        ):
            assert channel == "web"
            found[record_no] = Comparable.decode(comparable).text("first_name")
    return found


def test_permitted_records_come_out_opened_in_order(home: Home) -> None:
    numbers = [add(home, str(n), name=f"Name{'abc'[n]}") for n in range(3)]
    assert permitted(reader(home)) == dict(zip(numbers, ["namea", "nameb", "namec"], strict=True))


@pytest.mark.parametrize(
    "consents",
    [
        (),
        (IncomingConsent("identity_linking", "refused"),),
        (*GRANT, IncomingConsent("personalization", "restricted")),
    ],
    ids=["nobody granted it", "it was refused", "the record is restricted"],
)
def test_a_record_without_permission_never_comes_out(
    home: Home, consents: tuple[IncomingConsent, ...]
) -> None:
    granted, other = add(home, "1"), add(home, "2", consents)
    linkable = reader(home)
    assert dict(linkable.live()) == {granted: True, other: False}
    assert set(permitted(linkable)) == {granted}
    assert list(linkable.opened([granted, other]).record_nos) == [granted]


def test_a_permission_that_has_lapsed_is_none(home: Home) -> None:
    number = add(home, "1")
    lasts = home.purposes["identity_linking"].lasts_days
    assert lasts is not None
    assert set(permitted(reader(home, NOW + lasts * DAY - 1))) == {number}
    later = reader(home, NOW + lasts * DAY)
    assert dict(later.live()) == {number: False}
    assert permitted(later) == {}
    assert list(later.opened([number]).record_nos) == []


def test_by_their_keys_come_the_same_records_and_only_by_the_key_they_have_now(home: Home) -> None:
    granted, refused = add(home, "1"), add(home, "2", ())
    lapsing = add(home, "3")
    changed = add(home, "4")
    with home.db.read() as conn:
        rows = conn.execute(text("SELECT record_no, key_id FROM records")).all()
    before = {record_no: key_id for record_no, key_id in rows}  # noqa: C416 - a Row is no pair to mypy
    assert add(home, "4", name="Bea") == changed
    with home.db.write() as conn:
        until = text("UPDATE records SET linking_until = :until WHERE record_no = :no")
        conn.execute(until, {"until": NOW + DAY, "no": lapsing})
    later = reader(home, NOW + 2 * DAY)
    found = later.opened_under(before.values())
    assert {key_id: record_no for key_id, (record_no, _) in found.items()} == {before[granted]: granted}
    assert Comparable.decode(found[before[granted]][1]).text("first_name") == "ana"
    assert refused in before


def test_a_record_whose_key_is_destroyed_stays_out(home: Home) -> None:
    first, second = add(home, "1"), add(home, "2")
    with home.db.read() as conn:
        key_id = conn.execute(
            text("SELECT key_id FROM records WHERE record_no = :n"), {"n": first}
        ).scalar_one()
    home.key_store.destroy([key_id])
    assert set(permitted(reader(home))) == {second}
    assert list(reader(home).opened([first, second]).record_nos) == [second]


def test_a_deletion_under_way_is_no_live_record(home: Home) -> None:
    add(home, "1")
    with home.db.write() as conn:
        conn.execute(text("INSERT INTO pending_destructions SELECT key_id, 0 FROM records"))
    assert list(reader(home).live()) == []


def test_scattered_key_numbers_are_found_as_well(home: Home) -> None:
    """Updates leave gaps between the keys in use, far beyond what is read as one range."""
    numbers = []
    for n in range(6):
        home.key_store.allocate(10_000)
        home.writer = type(home.writer)(stores(home))  # a process that starts reserves fresh numbers
        numbers.append(add(home, str(n)))
    assert set(permitted(reader(home), batch_size=10**9)) == set(numbers)


def test_worker_processes_open_the_same(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = [add(home, str(n), name="Eva") for n in range(30)]
    settings = Settings.from_environment(environment(tmp_path / "home"))
    monkeypatch.setattr("consent.linkable._WORTH_WORKERS", 0)
    access = StoreAccess.to(stores(home), load_keyring(settings))
    linkable = LinkableRecords(stores(home), lambda: NOW, access=access)
    assert permitted(linkable) == dict.fromkeys(numbers, "eva")


def test_every_change_of_a_record_or_its_permission_is_seen(home: Home) -> None:
    linkable = reader(home)
    one, two, three = (add(home, n) for n in "123")
    start = linkable.sequence()
    assert linkable.changed_since(start) == set()
    add(home, "1")  # says the same again
    assert linkable.changed_since(start) == set()
    add(home, "1", name="Eva")
    add(home, "2", (IncomingConsent("identity_linking", "withdrawn"),))
    home.writer.delete([RecordKey("web", "3")], NOW)
    four = add(home, "4")
    assert linkable.changed_since(start) == {one, two, three, four}
    assert linkable.changed_since(linkable.sequence()) == set()


def test_a_batch_prints_no_value(home: Home) -> None:
    add(home, "1")
    assert "ana" not in repr(list(reader(home).permitted())).lower()
