"""One golden ID, seen by a lenient and by a cautious purpose: nested views, and what follows from them."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from consent.answers import Profile, Scattered
from consent.purposes import Purposes
from consent.subjects import GoldenRef
from tests.consent.home import NOW, Home, a_home, counted, record_ref

LENIENT, CAREFUL, CAUTIOUS = "service", "personalization", "advertising"
PERMITTED = {CAREFUL: "granted", CAUTIOUS: "granted"}
MAIL = "marketing_email"
MINIMA = {LENIENT: 0.0, CAREFUL: 0.95, CAUTIOUS: 0.99}
DAY = 86_400_000
SURE, FAIR, WEAK = 9.0, 5.0, 2.0  # bits: 0.998051, 0.969697 and 0.8


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    policy = Purposes.load()
    shown = ("first_name", "city", "email", "user_id")
    scoped = {
        name: replace(policy[name], minimum_confidence=minimum, attributes=shown)
        for name, minimum in {**MINIMA, MAIL: 0.95}.items()
    }
    by_name = {**policy.by_name, **scoped}
    with a_home(tmp_path, replace(policy, by_name=by_name)) as one:
        yield one


def chain(home: Home) -> tuple[str, list[int]]:
    """A person of four records, each less surely joined than the one before: 1 -- 2 -- 3 -- 4."""
    numbers = [
        home.add(
            str(no),
            channel=f"c{no}",
            attributes={"user_id": f"u{no}", "city": f"City {no}", "email": f"ana{no}@example.com"},
            consents=PERMITTED,
        )
        for no in (1, 2, 3, 4)
    ]
    links = list(zip(numbers, numbers[1:], (SURE, FAIR, WEAK), strict=False))
    return home.person(*numbers, confidences=[1.0, 0.998051, 0.969697, 0.8], links=links), numbers


def channels(home: Home, golden_id: str) -> dict[str, tuple[str, ...]]:
    return {purpose: home.profile(golden_id, purpose).channels for purpose in MINIMA}


def test_each_purpose_sees_the_records_that_are_sure_enough_for_it(home: Home) -> None:
    golden_id, _ = chain(home)

    assert channels(home, golden_id) == {
        LENIENT: ("c1", "c2", "c3", "c4"), CAREFUL: ("c1", "c2", "c3"), CAUTIOUS: ("c1", "c2"),
    }  # fmt: skip


def test_the_profile_says_how_sure_its_own_view_is(home: Home) -> None:
    golden_id, _ = chain(home)

    assert {purpose: home.profile(golden_id, purpose).confidence for purpose in MINIMA} == {
        LENIENT: 0.8, CAREFUL: 0.969697, CAUTIOUS: 0.998051,
    }  # fmt: skip


def test_values_come_from_the_records_in_the_view_alone(home: Home) -> None:
    golden_id, _ = chain(home)

    assert home.profile(golden_id, LENIENT).attributes["email"] == [
        f"ana{no}@example.com" for no in (1, 2, 3, 4)
    ]
    assert home.profile(golden_id, CAUTIOUS).attributes["email"] == [f"ana{no}@example.com" for no in (1, 2)]


def test_a_lookup_by_a_record_outside_the_view_finds_nobody(home: Home) -> None:
    golden_id, _ = chain(home)

    lenient = home.look_up(("user_id", "u4"), purpose=LENIENT)
    assert isinstance(lenient, Profile)
    assert lenient.golden_id == golden_id
    for identifier in (("user_id", "u4"), ("email", "ana4@example.com"), ("record", "c4:4")):
        assert home.look_up(identifier, purpose=CAREFUL) == "entry"
        assert home.look_up(("user_id", "u1"), identifier, purpose=CAREFUL) == "entry"
    assert isinstance(home.look_up(("user_id", "u1"), ("user_id", "u3"), purpose=CAREFUL), Profile)


def test_a_denial_counts_from_outside_the_view(home: Home) -> None:
    golden_id, _ = chain(home)
    doubtful = record_ref("4", "c4")
    home.say(doubtful, "withdrawn", CAUTIOUS)
    assert home.why(golden_id, CAUTIOUS) == "not_permitted"

    home.say(doubtful, "granted", CAUTIOUS)  # its own word, taken back
    assert home.profile(golden_id, CAUTIOUS).records == 2


def test_only_a_record_in_the_view_can_grant(home: Home) -> None:
    sure = home.add("1", attributes={"city": "Bilbao"})
    doubtful = home.add("2", attributes={"city": "Getxo"}, consents=PERMITTED)
    golden_id = home.person(sure, doubtful, confidences=[1.0, 0.8], links=[(sure, doubtful, WEAK)])

    assert home.why(golden_id, CAREFUL) == "not_permitted"


def test_a_grant_about_the_golden_id_is_not_given_for_records_too_doubtful_for_it(home: Home) -> None:
    sure = home.add("1", attributes={"email": "ana@example.com"})
    doubtful = home.add("2", attributes={"email": "eva@example.com"})
    golden_id = home.person(sure, doubtful, confidences=[1.0, 0.8], links=[(sure, doubtful, WEAK)])
    home.say(golden_id, "granted", CAREFUL)
    home.say(golden_id, "granted", LENIENT)

    apart = home.person(doubtful)  # it was somebody else's
    assert isinstance(home.read(golden_id, CAREFUL), Profile)
    assert home.why(apart, CAREFUL) == "not_permitted"
    assert [event.purpose for event in home.recorder.query(GoldenRef(apart), LENIENT, home.now).events] == [
        LENIENT
    ]


def test_a_denial_about_the_golden_id_is_said_of_every_record(home: Home) -> None:
    golden_id, numbers = chain(home)
    home.say(golden_id, "withdrawn", CAUTIOUS)

    assert home.why(home.person(numbers[3]), CAUTIOUS) == "not_permitted"


def test_a_grant_to_be_written_to_is_for_the_addresses_of_records_that_are_sure_enough(home: Home) -> None:
    sure = home.add("1", attributes={"email": "ana@example.com"})
    doubtful = home.add("2", attributes={"email": "eva@example.com"})
    golden_id = home.person(sure, doubtful, confidences=[1.0, 0.8], links=[(sure, doubtful, WEAK)])
    home.say(golden_id, "granted", MAIL)

    assert home.profile(golden_id, MAIL).attributes["email"] == ["ana@example.com"]
    assert home.why(home.person(doubtful), MAIL) == "not_permitted"


class TestAMergedId:
    """Whoever holds the ID of one person is not shown another, on a merge that is too doubtful to rely on."""

    def test_answers_as_its_survivor_where_all_its_records_are_sure_enough(self, home: Home) -> None:
        survivor, numbers = chain(home)
        merged = home.person()
        home.retire(merged, "merged", into=[survivor], former=numbers[1:3])

        for purpose in (LENIENT, CAREFUL):
            answer = home.profile(merged, purpose)
            assert (answer.golden_id, answer.requested_id) == (survivor, merged)
        assert home.why(merged, CAUTIOUS) == "entry"
        assert home.profile(survivor, CAUTIOUS).golden_id == survivor

    def test_whose_records_are_all_gone_answers_as_nobody_else(self, home: Home) -> None:
        """Of an erased person who was merged with another nothing is left to vouch for it."""
        survivor, _ = chain(home)
        merged, forgotten = home.person(), home.person()
        home.retire(merged, "merged", into=[survivor], former=[9_999])
        home.retire(forgotten, "merged", into=[survivor])

        for purpose in (LENIENT, CAREFUL):
            assert home.why(merged, purpose) == "entry"
            assert home.why(forgotten, purpose) == "entry"

    def test_closes_a_split_id_whose_successor_it_is(self, home: Home) -> None:
        survivor, numbers = chain(home)
        merged, split = home.person(), home.person()
        home.retire(merged, "merged", into=[survivor], former=numbers[3:])
        home.retire(split, "split", into=[survivor, merged])

        assert isinstance(home.read(split, LENIENT), Scattered)
        assert home.why(split, CAUTIOUS) == "entry"


def test_a_lookup_outside_the_view_asks_the_stores_what_one_for_nobody_does(home: Home) -> None:
    home.person(home.add("0", attributes={"user_id": "u0"}))
    chain(home)
    home.look_up(("user_id", "u1"), purpose=CAREFUL)  # fills the caches of the token index
    work = {}
    for who, user_id in {"outside the view": "u4", "not permitted": "u0", "nobody": "u9"}.items():
        with counted(home) as statements:
            assert isinstance(home.look_up(("user_id", user_id), purpose=CAREFUL), str)
        work[who] = [re.sub(r"\(\?(, \?)*\)", "(?)", statement) for statement in statements]

    assert work["outside the view"] == work["not permitted"] == work["nobody"]


class TestWhenARecordIsLost:
    """Its key is destroyed and the golden ID not yet resolved again: a crash can leave it so for a while."""

    def test_what_hung_on_it_alone_is_seen_no_more(self, home: Home) -> None:
        golden_id, _ = chain(home)
        home.writer.delete([record_ref("2", "c2").key], home.now)

        assert channels(home, golden_id) == dict.fromkeys(MINIMA, ("c1",))
        assert home.look_up(("user_id", "u3"), purpose=LENIENT) == "entry"

    def test_what_another_path_joins_is_as_sure_as_that_path(self, home: Home) -> None:
        numbers = [home.add(str(no), channel=f"c{no}", consents=PERMITTED) for no in (1, 2, 3)]
        one, two, three = numbers
        links = [(one, two, SURE), (two, three, SURE), (one, three, FAIR)]
        golden_id = home.person(*numbers, confidences=[1.0, 0.998051, 0.998051], links=links)
        assert home.profile(golden_id, CAUTIOUS).channels == ("c1", "c2", "c3")

        home.writer.delete([record_ref("2", "c2").key], home.now)
        assert channels(home, golden_id) == {
            LENIENT: ("c1", "c3"), CAREFUL: ("c1", "c3"), CAUTIOUS: ("c1",),
        }  # fmt: skip
        assert home.profile(golden_id, LENIENT).confidence == 0.969697

    def test_without_the_anchor_no_purpose_sees_more_than_before(self, home: Home) -> None:
        golden_id, _ = chain(home)
        home.writer.delete([record_ref("1", "c1").key], home.now)

        assert home.profile(golden_id, LENIENT).channels == ("c2", "c3", "c4")
        assert home.profile(golden_id, CAREFUL).channels == ("c2", "c3")
        assert home.why(golden_id, CAUTIOUS) == "not_permitted"

    def test_what_the_rest_say_against_a_purpose_still_counts(self, home: Home) -> None:
        golden_id, _ = chain(home)
        home.say(record_ref("4", "c4"), "withdrawn", CAUTIOUS)
        home.writer.delete([record_ref("2", "c2").key], home.now)

        assert home.why(golden_id, CAUTIOUS) == "not_permitted"


class TestWhenThePermissionToLinkRunsOut:
    """Nothing is written on that day: the next run parts the records, and until then the read does."""

    LINKED = PERMITTED | {"identity_linking": "granted"}

    def two(self, home: Home, *, days_between: int) -> str:
        """A person of two records, linked by permissions given one after the other."""
        first = home.add("1", channel="c1", consents=self.LINKED)
        home.now += days_between * DAY
        second = home.add("2", channel="c2", consents=self.LINKED)
        return home.person(first, second, confidences=[1.0, 0.998051], links=[(first, second, SURE)])

    def test_the_record_is_seen_no_more_as_a_part_of_the_person(self, home: Home) -> None:
        golden_id = self.two(home, days_between=10)
        home.now = NOW + 1095 * DAY - 1
        assert home.profile(golden_id, LENIENT).channels == ("c1", "c2")

        home.now += 1
        assert home.profile(golden_id, LENIENT).channels == ("c2",)
        assert home.look_up(("record", "c1:1"), purpose=LENIENT) == "entry"

    def test_what_it_says_against_a_purpose_counts_until_the_records_are_parted(self, home: Home) -> None:
        golden_id = self.two(home, days_between=10)
        home.say(record_ref("1", "c1"), "restricted", LENIENT)
        home.now = NOW + 1095 * DAY
        assert home.why(golden_id, LENIENT) == "not_permitted"

    def test_of_all_at_once_the_anchor_stands_alone(self, home: Home) -> None:
        golden_id = self.two(home, days_between=0)
        home.now = NOW + 1095 * DAY
        assert home.profile(golden_id, LENIENT).channels == ("c1",)

    def test_of_a_record_that_is_alone_changes_nothing(self, home: Home) -> None:
        golden_id = home.person(home.add("1", channel="c1", consents=self.LINKED))
        home.now += 1095 * DAY
        assert home.profile(golden_id, LENIENT).confidence == 1.0
