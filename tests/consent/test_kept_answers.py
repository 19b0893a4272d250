"""An answer is given again only while reading anew would give the same: nothing outlives a withdrawal."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from sqlalchemy.exc import SQLAlchemyError

from api.migrations import marks
from consent import kept_answers
from consent.access_log import AccessEntry
from consent.access_log_reading import entries
from consent.ages import of_age
from consent.answers import Answer, Profile, RevealRequest, Withheld
from consent.errors import AccessLogError
from consent.events import StatedEvidence
from consent.gathered_reads import MOST_AT_ONCE, PART
from consent.holds import Holds
from consent.lookup import Identifier
from consent.purposes import Purposes
from consent.subjects import ContactRef
from identity.errors import IdentityError
from identity.records import RecordKey
from tests import stores
from tests.consent.home import NOW, Home, a_home, counted, record_ref

pytestmark = stores.only_on_sqlite("on PostgreSQL no answer is kept")

DAY = 86_400_000
SAID = {"identity_linking": "granted", "personalization": "granted"}
ASKED = RevealRequest("personalization", "c_1", identifiers=(Identifier("user_id", "u1"),))


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    with a_home(tmp_path, keeps=100) as one:
        yield one


def ana(home: Home, **more: str) -> tuple[str, list[int]]:
    """A person of two records; return the golden ID and the records."""
    numbers = [
        home.add(
            source,
            attributes={
                "first_name": f"Ana{source}",
                "email": "ana@example.com",
                "user_id": f"u{source}",
                **more,
            },
            consents=SAID | {"marketing_email": "granted"},
        )
        for source in "12"
    ]
    return home.person(*numbers), numbers


def by_id(golden_id: str, purpose: str = "personalization", client: str = "c_1") -> RevealRequest:
    return RevealRequest(purpose, client, golden_id=golden_id)


def asked(home: Home, *requests: RevealRequest) -> list[Answer]:
    return asyncio.run(_asked(home, requests))


async def _asked(home: Home, requests: Sequence[RevealRequest]) -> list[Answer]:
    return await home.door.revealed(requests, home.now)


def anew(home: Home, *requests: RevealRequest) -> list[Answer]:
    """What the door answers that keeps nothing."""
    return home.door.reveal_each(requests, home.now)


def test_a_second_read_gives_the_same_answer_as_of_now_without_reading_the_stores(home: Home) -> None:
    golden_id, _ = ana(home)
    (first,) = asked(home, by_id(golden_id))
    home.now += 1_000
    with counted(home) as statements:
        (second,) = asked(home, by_id(golden_id))
    assert set(statements) == {"PRAGMA user_version"}
    assert isinstance(first, Profile)
    assert second == replace(first, as_of=home.now)
    assert [second] == anew(home, by_id(golden_id))


def test_every_read_of_it_is_in_the_access_log_under_its_own_client_and_time(home: Home) -> None:
    golden_id, numbers = ana(home)
    for client in ("c_1", "c_2"):
        home.now += 1
        asked(home, by_id(golden_id, client=client))
    first, second = entries(home.log_folder)
    assert second == replace(first, client="c_2", time=home.now)
    assert second.record_nos == tuple(numbers)


def test_where_the_log_cannot_be_written_a_kept_answer_is_not_given(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    golden_id, _ = ana(home)
    asked(home, by_id(golden_id))

    def broken(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fdatasync", broken)
    with pytest.raises(AccessLogError):
        asked(home, by_id(golden_id))


Change = Callable[[Home, str, list[int]], object]
CHANGES: dict[str, Change] = {
    "withdrawn": lambda home, golden_id, _: home.say(golden_id, "withdrawn", "personalization"),
    "restricted for another purpose": lambda home, golden_id, _: home.say(golden_id, "restricted", "service"),
    "an address objects": lambda home, *_: home.say(
        ContactRef("email", "ana@example.com"), "withdrawn", "marketing_email"
    ),
    "a record is updated": lambda home, *_: home.add("1", attributes={"first_name": "Anna", "user_id": "u1"}),
    "a record is seen again later": lambda home, *_: home.add(
        "2",
        attributes={"first_name": "Ana2", "email": "ana@example.com", "user_id": "u2"},
        observed_at=home.now + 1,
    ),
    "a record is deleted": lambda home, *_: home.writer.delete([RecordKey("web", "2")], now=home.now),
    "a record is in doubt": lambda home, _, numbers: Holds(home.db).doubt(
        numbers[:1], "r_1", client="c_1", now=home.now
    ),
    "a key is destroyed": lambda home, *_: home.key_store.destroy([key_of(home, "1")]),
    "every key is destroyed": lambda home, *_: home.key_store.destroy([key_of(home, "1"), key_of(home, "2")]),
    "a record leaves": lambda home, _, numbers: home.person(numbers[1]),
    "the golden ID merges": lambda home, golden_id, numbers: home.retire(
        golden_id, "merged", into=[home.person(*numbers)], former=numbers
    ),
    "the golden ID is erased": lambda home, golden_id, _: home.retire(golden_id, "erased"),
    "the address becomes another's too": lambda home, *_: home.person(
        home.add("3", attributes={"user_id": "u1"}, consents={"personalization": "granted"})
    ),
}


def key_of(home: Home, source_id: str) -> int:
    number = home.writer.find(RecordKey("web", source_id))
    person = home.people.of_records([number or 0], home.now)
    return person.contents[number or 0].key.key_id


@pytest.mark.parametrize("change", CHANGES)
def test_after_a_change_the_answer_is_what_reading_anew_gives(home: Home, change: str) -> None:
    golden_id, numbers = ana(home)
    requests = [by_id(golden_id), by_id(golden_id, "marketing_email"), by_id(golden_id, "service"), ASKED]
    before = [asked(home, request)[0] for request in requests]
    assert len(home.kept) == sum(isinstance(answer, Profile) for answer in before) >= 3
    home.now += 10
    CHANGES[change](home, golden_id, numbers)
    after = [asked(home, request)[0] for request in requests]
    assert after == [anew(home, request)[0] for request in requests]
    assert [replace(each, as_of=0) if isinstance(each, Profile) else each for each in after] != [
        replace(each, as_of=0) if isinstance(each, Profile) else each for each in before
    ], "a change that changes no answer shows nothing here"


def test_a_store_that_has_moved_gives_nothing_any_more(home: Home) -> None:
    golden_id, _ = ana(home)
    asked(home, by_id(golden_id))
    with home.db.write() as conn:
        marks.leave(conn, "counters")
    with pytest.raises((IdentityError, SQLAlchemyError)):
        asked(home, by_id(golden_id))


def test_what_another_process_commits_counts_as_much(home: Home, tmp_path: Path) -> None:
    golden_id, _ = ana(home)
    asked(home, by_id(golden_id))
    with a_home(tmp_path) as other:  # the same stores, opened once more
        other.say(golden_id, "withdrawn", "personalization")
    assert isinstance(asked(home, by_id(golden_id))[0], Withheld)


def test_a_consent_that_ends_is_not_outlived(home: Home) -> None:
    golden_id, _ = ana(home)
    asked(home, by_id(golden_id))
    (event, *_) = home.people.of_golden(1, home.now).evidence.about(home.purposes["personalization"]).events
    assert event.expires_at is not None
    home.now = event.expires_at - 1
    assert isinstance(asked(home, by_id(golden_id))[0], Profile)
    home.now = event.expires_at
    assert isinstance(asked(home, by_id(golden_id))[0], Withheld)
    assert asked(home, by_id(golden_id)) == anew(home, by_id(golden_id))


def test_a_permission_to_link_that_ends_takes_its_record_out(home: Home) -> None:
    golden_id, _ = ana(home)
    home.now += 700 * DAY
    for source in "12":
        home.say(record_ref(source), "granted", "personalization")
    home.say(record_ref("1"), "granted", "identity_linking")
    until = home.people.of_golden(1, home.now).linked_until
    home.now = until - 1
    before = asked(home, by_id(golden_id))
    home.now = until
    after = asked(home, by_id(golden_id))
    assert after == anew(home, by_id(golden_id))
    assert [each.records for each in (*before, *after) if isinstance(each, Profile)] == [2, 1]


def test_a_grant_that_is_about_to_begin_begins_and_a_clock_set_back_revives_nothing(home: Home) -> None:
    golden_id, _ = ana(home)
    home.say(record_ref("1"), "withdrawn", "personalization")
    home.say(record_ref("1"), "granted", "personalization", event_time=NOW + 60_000)
    for now in (NOW, NOW + 60_000, NOW + 60_001, NOW + 59_999, NOW, NOW + 60_000):
        home.now = now
        assert asked(home, by_id(golden_id)) == anew(home, by_id(golden_id))


@pytest.mark.parametrize("born", ["1980-02-03", "2008-02-03", "2010-09-23"])
def test_whose_age_matters_is_kept_like_anybody_else_until_it_changes_something(
    home: Home, born: str
) -> None:
    """Else the time of a second read would tell who is young."""
    golden_id, _ = ana(home, birth_date=born)
    evidence = StatedEvidence("guardian", "forms/12")
    home.say(record_ref("1"), "granted", "personalization", "verified_guardian", evidence=evidence)
    first = asked(home, by_id(golden_id))
    with counted(home) as statements:
        asked(home, by_id(golden_id))
    assert isinstance(first[0], Profile)
    assert set(statements) == {"PRAGMA user_version"}
    of_age_at = of_age(date.fromisoformat("2010-09-23").toordinal(), 16)
    assert NOW < of_age_at < NOW + 5 * DAY
    for now in (of_age_at - 1, of_age_at, of_age_at + 1):
        home.now = now
        assert asked(home, by_id(golden_id)) == anew(home, by_id(golden_id))


def test_a_purpose_that_is_shown_households_is_read_anew_each_time(tmp_path: Path) -> None:
    """Others have a say in it."""
    policy = Purposes.load()
    shown = replace(policy["personalization"], household=True)
    with a_home(
        tmp_path, replace(policy, by_name={**policy.by_name, "personalization": shown}), keeps=100
    ) as home:
        golden_id, _ = ana(home)
        assert isinstance(asked(home, by_id(golden_id))[0], Profile)
        assert len(home.kept) == 0


def test_nobody_who_may_not_be_read_is_kept(home: Home) -> None:
    golden_id = home.person(
        home.add("1", attributes={"city": "Lugo"}, consents={"identity_linking": "granted"})
    )
    assert isinstance(asked(home, by_id(golden_id))[0], Withheld)
    assert isinstance(asked(home, by_id("g_unknown"))[0], Withheld)
    assert len(home.kept) == 0


def test_a_key_destroyed_between_the_decision_and_the_answer_withholds_it(home: Home) -> None:
    golden_id, _ = ana(home)
    asked(home, by_id(golden_id))
    appended = home.access_log.appended

    async def destroying(items: Sequence[AccessEntry]) -> None:
        await appended(items)
        home.key_store.destroy([key_of(home, "1"), key_of(home, "2")])

    home.access_log.appended = destroying  # type: ignore[method-assign]  # between log and answer
    (answer,) = asked(home, by_id(golden_id))
    assert isinstance(answer, Withheld)


def test_what_changed_leaves_memory_though_nobody_asks(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    golden_id, _ = ana(home)
    monkeypatch.setattr("consent.gathered_reads.SWEEP_SECONDS", 0.02)

    async def read_and_wait() -> int:
        await _asked(home, [by_id(golden_id)])
        await asyncio.sleep(0.1)
        assert len(home.kept) == 1
        home.say(golden_id, "withdrawn", "personalization")
        await asyncio.sleep(0.1)
        return len(home.kept)

    assert asyncio.run(read_and_wait()) == 0


def test_a_sweep_that_fails_leaves_nothing(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    golden_id, _ = ana(home)
    asked(home, by_id(golden_id))

    def broken() -> int:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(home.keys, "commits", broken)
    with pytest.raises(OSError, match="Too many"):
        home.kept.sweep()
    assert len(home.kept) == 0


def test_an_answer_that_is_made_anew_does_not_keep_others_longer(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_answers, "LONGEST_S", 0.1)
    golden_id, _ = ana(home)
    other = home.person(home.add("3", attributes={"city": "Lugo"}, consents=SAID))
    home.now += 10
    asked(home, by_id(golden_id))
    asked(home, by_id(other))
    time.sleep(0.06)
    home.now -= 1  # the clock is set back: it is read anew
    asked(home, by_id(golden_id))
    time.sleep(0.06)
    home.kept.sweep()
    assert len(home.kept) == 1


def test_what_is_not_swept_yet_is_not_given_after_its_time(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_answers, "LONGEST_S", 0.0)
    golden_id, _ = ana(home)
    asked(home, by_id(golden_id))
    assert len(home.kept) == 1
    with counted(home) as statements:
        asked(home, by_id(golden_id))
    assert len(statements) > 5


def test_nothing_is_kept_for_long(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    golden_id, _ = ana(home)
    monkeypatch.setattr("consent.gathered_reads.SWEEP_SECONDS", 0.02)
    monkeypatch.setattr(kept_answers, "LONGEST_S", 0.05)

    async def read_and_wait() -> int:
        await _asked(home, [by_id(golden_id)])
        assert len(home.kept) == 1
        await asyncio.sleep(0.2)
        return len(home.kept)

    assert asyncio.run(read_and_wait()) == 0


def test_no_more_are_kept_than_were_allowed_and_the_newest(tmp_path: Path) -> None:
    with a_home(tmp_path, keeps=3) as home:
        ids = [home.person(home.add(f"{no}", attributes={"city": "Lugo"}, consents=SAID)) for no in range(5)]
        for golden_id in ids:
            asked(home, by_id(golden_id))
        assert len(home.kept) == 3
        with counted(home) as statements:
            asked(home, by_id(ids[4]))
        assert set(statements) == {"PRAGMA user_version"}


def test_none_is_kept_that_is_large(home: Home) -> None:
    golden_id, _ = ana(home, city="Lugo " * 600, last_name="Paz " * 600)
    assert isinstance(asked(home, by_id(golden_id))[0], Profile)
    assert len(home.kept) == 0


def test_none_is_kept_that_is_asked_by_something_large(home: Home) -> None:
    """What was asked by is remembered as it came."""
    ana(home)
    wide = Identifier("user_id", "u1" + " " * 4_090)
    assert isinstance(asked(home, replace(ASKED, identifiers=(wide,)))[0], Profile)
    assert len(home.kept) == 0
    asked(home, ASKED)
    assert len(home.kept) == 1


def test_with_none_allowed_each_is_read_anew(tmp_path: Path) -> None:
    with a_home(tmp_path) as home:
        golden_id, _ = ana(home)
        for _ in range(2):
            with counted(home) as statements:
                asked(home, by_id(golden_id))
            assert len(statements) > 3


def test_a_long_list_of_kept_answers_takes_few_parts_and_of_others_more(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [
        home.person(home.add(f"{no}", attributes={"city": "Lugo"}, consents=SAID)) for no in range(3 * PART)
    ]
    writes: list[int] = []
    appended = home.access_log.appended

    def counting(items: Sequence[AccessEntry]) -> Awaitable[None]:
        writes.append(len(items))
        return appended(items)

    monkeypatch.setattr(home.access_log, "appended", counting)
    first = asked(home, *map(by_id, ids))
    assert writes == [PART] * 3
    writes.clear()
    again = asked(home, *map(by_id, [*ids, *ids, *ids]))
    assert writes == [MOST_AT_ONCE, 3 * len(ids) - MOST_AT_ONCE]
    assert again == first * 3
