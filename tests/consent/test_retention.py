"""Nothing is kept longer than the policy says, and nothing shorter."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from consent.incoming import IncomingRecord
from consent.purposes import DEFAULT_POLICY, Purposes
from consent.retention import DAY_MS, lifetimes
from identity.records import RECTIFICATION, RecordKey
from tests.consent.erasing import count, erase, numbers
from tests.world import START, World, a_world, row

POLICY = DEFAULT_POLICY.read_text()
DEFAULT = Purposes.load()


def attributes(world: World, record_no: int) -> set[str]:
    names = ("first_name", "last_name", "email", "phone", "birth_date", "gender", "city")
    return set(world.services.sealed.open_fields([record_no], names)[record_no].attributes)


def test_an_attribute_lives_as_long_as_the_longest_purpose_that_names_it() -> None:
    kept = lifetimes(DEFAULT, "crm")
    assert kept.of_attribute["email"] == 2190 * DAY_MS  # service
    assert kept.of_attribute["gender"] == 1095 * DAY_MS  # personalization
    assert kept.of_attribute["device_id"] == 1095 * DAY_MS  # advertising keeps it 730 days, linking longer
    assert kept.of_attribute["birth_date"] == 1095 * DAY_MS  # shown to none, but it decides about consent
    assert "national_id" not in kept.of_attribute
    assert kept.unnamed == 1095 * DAY_MS
    assert kept.whole == 2190 * DAY_MS


def test_only_purposes_that_see_a_channel_keep_its_records() -> None:
    only_crm = {
        name: replace(each, channels=("crm",)) if name == "service" else each
        for name, each in DEFAULT.by_name.items()
    }
    policy = replace(DEFAULT, by_name=only_crm)
    assert lifetimes(policy, "crm").whole == 2190 * DAY_MS
    assert lifetimes(policy, "web").whole == 1095 * DAY_MS


NAMES = st.sets(st.sampled_from(["email", "gender", "birth_date", "city", "#traits"]))


@given(age=st.integers(0, 4000), names=NAMES)
def test_nothing_expires_before_its_time_and_records_outlive_attributes(age: int, names: set[str]) -> None:
    kept = lifetimes(DEFAULT, "crm")
    expired = kept.expired(names, 0, age * DAY_MS)
    later = kept.expired(names, 0, (age + 1) * DAY_MS)
    assert set(expired) <= set(later) <= names
    for name in names:
        life = kept.of_attribute.get(name, kept.unnamed)
        assert (name in expired) == (life <= age * DAY_MS)
    if kept.is_over(0, age * DAY_MS):
        assert set(expired) == names
    if age * DAY_MS < kept.shortest:
        assert not expired


def test_attributes_then_the_record_and_then_the_proof_of_consent_go(world: World) -> None:
    world.ingest(row("crm", "1", "Ana", gender="f", favourite="tea"), row("crm", "2", "Berta"))
    services = world.services
    (ana,) = numbers(services, "1")
    assert services.retention.run(world.clock()).records == 0
    world.clock.pass_(days=1096)
    planned = services.retention.run(world.clock(), dry_run=True)
    assert (planned.records, planned.reduced) == (0, 2)
    assert "birth_date" in attributes(world, ana)
    with services.db.read() as conn:
        old_key = conn.execute(
            text("SELECT key_id FROM records WHERE record_no = :n"), {"n": ana}
        ).scalar_one()
    done = services.retention.run(world.clock())
    assert (done.reduced, done.attributes) == (planned.reduced, planned.attributes)
    assert done.attributes == {"birth_date": 2, "gender": 1, "traits": 1}
    assert attributes(world, ana) == {"first_name", "last_name", "email", "phone"}
    with services.keys.read() as conn:
        assert services.key_store.fetch(conn, [old_key]) == {}  # what it sealed opens no more, in any copy
    again = services.retention.run(world.clock())
    assert (again.records, again.reduced, again.evidence) == (0, 0, 0)

    world.clock.pass_(days=1095)
    assert services.retention.run(world.clock()).records == 2
    assert services.writer.find(RecordKey("crm", "1")) is None
    assert count(world, [row("crm", "2", "Berta")])["created"] == 1  # nobody is suppressed by it
    world.clock.pass_(days=1826)
    assert services.retention.run(world.clock()).evidence == 2
    report = services.ledger.verify()
    assert report.ok, report.reason
    assert report.shredded


def test_a_correction_expires_as_what_it_corrects_does(world: World) -> None:
    said = {"first_name": ["Anne"], "birth_date": ["1980-01-02"]}
    correction = IncomingRecord(RECTIFICATION, "r_1", observed_at=START, attributes=said)
    (written,) = world.services.writer.write([correction], now=START, correcting=True)
    assert written.record_no
    world.clock.pass_(days=1096)
    assert world.services.retention.run(world.clock()).reduced == 1
    assert attributes(world, written.record_no) == {"first_name"}
    assert world.services.retention.run(world.clock()).reduced == 0


def test_traits_are_kept_when_another_attribute_goes(tmp_path: Path) -> None:
    policy = POLICY.replace("[purposes.service]", "[purposes.service]", 1)
    head, tail = policy.split("[purposes.service]")
    policy = head + "[purposes.service]" + tail.replace("traits = []", 'traits = ["favourite"]', 1)
    with a_world(tmp_path, policy=policy) as world:
        world.ingest(row("crm", "1", "Ana", favourite="tea", size="M"))
        world.clock.pass_(days=1096)
        done = world.services.retention.run(world.clock())
        assert done.attributes == {"birth_date": 1}
        (ana,) = numbers(world.services, "1")
        opened = world.services.sealed.open_fields([ana], ["trait:favourite", "trait:size"])[ana]
        assert opened.traits == {"favourite": "tea", "size": "M"}


def test_a_reduced_record_keeps_its_permission_and_is_no_longer_found_by_what_went(world: World) -> None:
    world.ingest(row("crm", "1", "Ana"))
    world.link()
    golden_id = world.golden_id("crm", "1")
    world.clock.pass_(days=1094)
    assert world.services.retention.run(world.clock()).reduced == 0
    world.clock.pass_(days=2)
    world.services.retention.run(world.clock())
    with world.services.db.read() as conn:
        assert conn.execute(text("SELECT observed_at FROM records")).scalar_one() == START
    world.link()
    assert world.golden_id("crm", "1") == golden_id


def test_suppression_entries_are_emptied_when_their_time_is_over(world: World) -> None:
    world.ingest(row("crm", "1", "Ana"))
    erase(world, "1")
    world.clock.pass_(days=1096)
    assert world.services.retention.run(world.clock()).suppressions == 3
    assert world.services.retention.run(world.clock()).suppressions == 0
    with world.services.keys.read() as conn:
        assert conn.execute(text("SELECT sum(length(entry)) FROM suppressions")).scalar_one() == 0


def test_the_command_reports_and_a_dry_run_changes_nothing(world: World) -> None:
    old = row("crm", "1", "Ana", observed_at="2015-01-01T00:00:00Z")
    world.ingest(old, row("crm", "2", "Berta"))
    assert world.answer("retention", "run", "--dry-run")["records"] == 1
    assert world.answer("retention", "run")["records"] == 1
    assert world.answer("retention", "run")["records"] == 0


def test_what_its_channel_deletes_while_the_rules_are_carried_out_stays_deleted(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.ingest(row("crm", "1", "Ana", gender="f"))
    services, key = world.services, RecordKey("crm", "1")
    world.clock.pass_(days=1096)
    opened = services.sealed.open_fields

    def deleted_when_opened(record_nos: Sequence[int], names: Sequence[str]) -> Any:
        found = opened(record_nos, names)
        assert services.writer.delete([key], world.clock())[0]
        return found

    monkeypatch.setattr(services.sealed, "open_fields", deleted_when_opened)
    assert services.retention.run(world.clock()).reduced == 1
    assert services.writer.find(key) is None


@pytest.mark.parametrize("meanwhile", ["declared held", "sent again"])
def test_what_changed_since_it_was_looked_at_is_not_deleted(
    world: World, monkeypatch: pytest.MonkeyPatch, meanwhile: str
) -> None:
    world.ingest(row("crm", "1", "Ana"), row("crm", "2", "Berta"))
    services = world.services
    (record_no,) = numbers(services, "1")
    world.clock.pass_(days=5000)
    delete = services.retention._delete

    def late(records: Any, now: int) -> int:
        if meanwhile == "declared held":
            services.holds.declare([record_no], "litigation", client="c", now=now)
        else:
            world.ingest(row("crm", "1", "Ana", gender="f"))
        return delete(records, now)

    monkeypatch.setattr(services.retention, "_delete", late)
    assert services.retention.run(world.clock()).records == 1
    assert services.writer.find(RecordKey("crm", "1")) == record_no
    assert services.writer.find(RecordKey("crm", "2")) is None
