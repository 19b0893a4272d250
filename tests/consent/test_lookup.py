"""Finding a person by identifiers."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from consent.answers import Profile
from consent.key_store import KeyRow
from consent.purposes import Purposes
from identity.records import RecordKey
from tests.consent.home import Home, a_home, record_ref

MAIL = {"email": "ana@example.com"}
GRANTED = {"personalization": "granted"}


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    with a_home(tmp_path) as one:
        yield one


def ana(home: Home) -> str:
    """A person of two records."""
    web = home.add("1", attributes=MAIL, consents=GRANTED)
    pos = home.add("2", channel="pos", attributes=MAIL, consents=GRANTED)
    return home.person(web, pos)


def test_finds_by_any_identifier_and_by_the_record_key(home: Home) -> None:
    golden_id = ana(home)

    for identifier in (("email", " ANA@example.com"), ("record", "web:1"), ("record", "pos:2")):
        found = home.look_up(identifier)
        assert isinstance(found, Profile)
        assert found.golden_id == golden_id


def test_a_shared_identifier_finds_nobody_unless_another_decides(home: Home) -> None:
    family = {"email": "family@example.com"}
    mother = home.person(home.add("1", attributes={**family, "user_id": "u1"}, consents=GRANTED))
    home.person(home.add("2", attributes={**family, "user_id": "u2"}, consents=GRANTED))

    assert home.look_up(("email", "family@example.com")) == "shared"
    found = home.look_up(("email", "family@example.com"), ("user_id", "u1"))
    assert isinstance(found, Profile)
    assert found.golden_id == mother


def test_a_shared_identifier_finds_nobody_while_one_of_its_people_is_updated(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What changes between the snapshots of the two stores must not leave the other person alone with it."""
    family = {"email": "family@example.com"}
    home.person(home.add("1", attributes=family, consents=GRANTED))
    home.person(home.add("2", attributes=family, consents=GRANTED))
    find_many, truncate_log = home.key_store.find_many, home.keys.truncate_log
    updates = iter(["Bilbao"])

    def then_updated(*asked: Any) -> dict[bytes, list[KeyRow]]:
        found = find_many(*asked)
        for city in updates:
            home.add("1", attributes={**family, "city": city})
        return found

    monkeypatch.setattr(home.key_store, "find_many", then_updated)
    # The update waits for the snapshot that it comes in the middle of.
    monkeypatch.setattr(home.keys, "truncate_log", lambda _deadline, tables: truncate_log(0.05, tables))
    assert home.look_up(("email", "family@example.com")) == "shared"
    updates = iter(["Bermeo"])
    assert home.lookup.record(RecordKey("web", "1")) == 1


def test_identifiers_of_different_people_fit_nobody(home: Home) -> None:
    home.person(home.add("1", attributes={"user_id": "u1"}, consents=GRANTED))
    home.person(home.add("2", attributes={"email": "b@example.com"}, consents=GRANTED))

    assert home.look_up(("user_id", "u1"), ("email", "b@example.com")) == "unknown"


@pytest.mark.parametrize(
    "identifier", [("email", "no@example.com"), ("email", "no address"), ("record", "x")]
)
def test_what_nobody_carries_finds_nobody(identifier: tuple[str, str], home: Home) -> None:
    ana(home)

    assert home.look_up(identifier) == "unknown"


def test_a_value_that_a_record_no_longer_has_finds_nobody(home: Home) -> None:
    home.person(home.add("1", attributes={"email": "old@example.com"}, consents=GRANTED))
    home.now += 1
    home.add("1", attributes={"email": "new@example.com"})

    assert home.look_up(("email", "old@example.com")) == "unknown"
    assert isinstance(home.look_up(("email", "new@example.com")), Profile)


def test_a_record_without_a_golden_id_is_not_found(home: Home) -> None:
    home.add("1", attributes=MAIL, consents=GRANTED)

    assert home.look_up(("email", "ana@example.com")) == "unknown"


def test_a_purpose_finds_nobody_by_what_it_may_not_see(tmp_path: Path) -> None:
    policy = Purposes.load()
    personal = replace(policy["personalization"], channels=("web",))
    changed = replace(policy, by_name={**policy.by_name, "personalization": personal})
    with a_home(tmp_path, changed) as home:
        web = home.add("1", attributes={"user_id": "u1"}, consents=GRANTED)
        pos = home.add("2", channel="pos", attributes={"loyalty_id": "l1"}, consents=GRANTED)
        home.person(web, pos)

        assert isinstance(home.look_up(("user_id", "u1")), Profile)
        assert home.look_up(("loyalty_id", "l1")) == "entry"


def test_verified_entry_keeps_a_stranger_with_the_victims_address_out(tmp_path: Path) -> None:
    policy = Purposes.load()
    personal = replace(policy["personalization"], entry="verified")
    changed = replace(policy, by_name={**policy.by_name, "personalization": personal})
    with a_home(tmp_path, changed) as home:
        victim = {"user_id": "victim", "email": "ana@example.com", "city": "Bilbao"}
        stranger = {"user_id": "stranger", "email": "ana@example.com"}
        crm = home.add("1", channel="crm", attributes=victim, verified=("user_id",))
        web = home.add("2", attributes=stranger, consents=GRANTED)
        golden_id = home.person(crm, web)

        assert "city" not in home.profile(golden_id).attributes  # the stranger grants for web alone
        home.say(record_ref("1", "crm"), "granted", "personalization")
        assert home.look_up(("user_id", "stranger")) == "entry"
        assert home.look_up(("email", "ana@example.com")) == "entry"
        assert isinstance(home.look_up(("user_id", "victim")), Profile)
