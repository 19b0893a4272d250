"""Reads that come together share statements and the log's write, and nothing else."""

import asyncio
from collections.abc import Awaitable, Iterator, Sequence
from pathlib import Path

import pytest
from sqlalchemy import text

from consent.access_log import AccessEntry
from consent.access_log_reading import entries
from consent.answers import Answer, Profile, RevealRequest, Withheld
from consent.errors import AccessLogError, VaultError
from consent.events import CONTACT, RECORD, Subject
from consent.gathered_reads import MOST_AT_ONCE, MOST_TOGETHER, PART
from consent.lookup import Identifier
from consent.permission import Evidence, Member, Permission, permission
from consent.purposes import Purpose
from tests.consent.home import NOW, Home, a_home, counted
from tests.stores import only_on_sqlite

GRANTED = {"identity_linking": "granted", "personalization": "granted"}


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    with a_home(tmp_path) as one:
        yield one


def people(home: Home, count: int) -> list[str]:
    """Make people of one record each; every fourth permits nothing."""
    return [
        home.person(
            home.add(
                f"{number}",
                attributes={"first_name": f"Ana{number}", "email": f"a{number}@example.com"},
                consents=GRANTED if number % 4 else {"identity_linking": "granted"},
            )
        )
        for number in range(count)
    ]


def together(
    home: Home, reads: Sequence[Sequence[RevealRequest]], **more: object
) -> list[list[Answer] | BaseException]:
    async def ask() -> list[list[Answer] | BaseException]:
        asked = (home.door.revealed(read, NOW, **more) for read in reads)  # type: ignore[arg-type]  # of tests
        return await asyncio.gather(*asked, return_exceptions=True)

    return asyncio.run(ask())


def by_id(golden_id: str, purpose: str = "personalization") -> list[RevealRequest]:
    return [RevealRequest(purpose, "c_1", golden_id=golden_id)]


def test_each_is_answered_as_it_would_be_alone(home: Home) -> None:
    known = people(home, 9)
    found = [
        RevealRequest("personalization", "c_1", identifiers=(Identifier("email", f"a{number}@example.com"),))
        for number in range(9)
    ]
    reads = [by_id(golden_id) for golden_id in (*known, "g_unknown")]
    reads += [by_id(golden_id, "service") for golden_id in known]
    reads += [found[:4], found[4:]]
    alone = [home.door.reveal_each(read, NOW) for read in reads]
    assert together(home, reads) == alone
    assert {type(answer) for answers in alone for answer in answers} == {Profile, Withheld}


def test_of_a_purpose_the_ledger_gives_its_own_events_and_every_restriction(home: Home) -> None:
    said = {"identity_linking": "granted", "personalization": "granted", "service": "objected"}
    golden_ids = [
        home.person(home.add(name, attributes={"email": f"{name}@example.com"}, consents=said))
        for name in "ab"
    ]
    home.say(golden_ids[0], "restricted", "service")
    home.say(golden_ids[1], "withdrawn", "marketing_email")  # also on the contact point
    with home.db.read() as conn:
        subjects = [Subject(RECORD, 1), Subject(RECORD, 2), Subject(CONTACT, 1), Subject(CONTACT, 2)]
        every = home.ledger.events_for(conn, subjects)
        for purpose in (*said, "marketing_email", "analytics"):
            found = home.ledger.events_for(conn, subjects, purpose)
            assert found == [each for each in every if each.purpose == purpose or each.state == "restricted"]
            assert len(found) < len(every)


def test_together_they_take_as_many_statements_as_one(home: Home) -> None:
    known = people(home, 8)
    together(home, [by_id(known[1])])
    with counted(home) as of_one:
        together(home, [by_id(known[1])])
    with counted(home) as of_all:
        together(home, [by_id(golden_id) for golden_id in known])
    assert len(of_all) == len(of_one) > 0


@pytest.mark.parametrize("cause", ["not permitted", "split", "merged"])
def test_who_is_asked_for_again_and_again_is_decided_once(
    home: Home, cause: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a thousand times one golden ID would tell by the time whether somebody stands behind it."""
    asked_for, *others = (
        home.person(home.add(name, attributes={"email": f"{name}@example.com"}, consents=GRANTED))
        for name in "abc"
    )
    if cause == "split":
        home.retire(asked_for, "split", into=others)
        home.say(others[0], "withdrawn", "personalization")
    elif cause == "merged":  # on evidence too weak to be shown another person's profile
        home.retire(asked_for, "merged", into=others[:1])
    else:
        home.say(asked_for, "withdrawn", "personalization")
    decisions: list[str] = []

    def counting(members: Sequence[Member], evidence: Evidence, purpose: Purpose) -> Permission:
        decisions.append(purpose.name)
        return permission(members, evidence, purpose)

    monkeypatch.setattr("consent.cases.permission", counting)
    (once,) = home.door.reveal_each(by_id(asked_for), NOW)
    of_once = len(decisions)
    with counted(home) as asked:
        home.door.reveal_each(by_id(asked_for), NOW)
    with counted(home) as asked_often:
        assert home.door.reveal_each(by_id(asked_for) * 40, NOW) == [once] * 40
    assert isinstance(once, Withheld)
    assert len(decisions) == 3 * of_once > 0
    assert len(asked_often) == len(asked)
    assert len(list(entries(home.log_folder))) == 42


def test_they_share_one_write_of_the_log_up_to_a_bound(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    known = people(home, 2)
    writes: list[int] = []
    appended = home.access_log.appended

    def counting(items: Sequence[AccessEntry]) -> Awaitable[None]:
        writes.append(len(items))
        return appended(items)

    monkeypatch.setattr(home.access_log, "appended", counting)
    together(home, [by_id(known[1]) for _ in range(MOST_TOGETHER + 1)])
    assert writes == [MOST_TOGETHER, 1]
    assert len(list(entries(home.log_folder))) == sum(writes)


def test_a_long_list_is_asked_in_parts_between_which_others_are_answered(home: Home) -> None:
    known = people(home, 2)
    answered: list[str] = []

    async def ask(name: str, requests: Sequence[RevealRequest]) -> list[Answer]:
        found = await home.door.revealed(requests, NOW)
        answered.append(name)
        return found

    async def all_at_once() -> list[list[Answer]]:
        asked = [request for number in range(10 * PART) for request in by_id(f"g_{number}")]
        lists = [asyncio.create_task(ask(f"list {number}", asked)) for number in (1, 2)]
        await asyncio.sleep(0.001)
        read = asyncio.create_task(ask("read", by_id(known[1])))
        return await asyncio.gather(*lists, read)

    one, other, (read,) = asyncio.run(all_at_once())
    assert answered[0] == "read"
    assert isinstance(read, Profile)
    assert one == other
    assert [type(answer) for answer in one] == [Withheld] * 10 * PART


def test_a_list_that_repeats_itself_is_asked_in_few_parts(home: Home) -> None:
    """Else each part would read the person anew, and the time tell what stands behind one golden ID."""
    known = people(home, 2)
    with counted(home) as of_one:
        together(home, [by_id(known[0])])
    with counted(home) as of_many:
        ((*answers,),) = together(home, [by_id(known[0]) * MOST_AT_ONCE])
    assert len(of_many) == len(of_one)
    assert len(answers) == MOST_AT_ONCE


def test_a_record_that_was_altered_fails_for_whoever_asked_for_it_alone(home: Home) -> None:
    known = people(home, 6)
    with home.db.write() as conn:
        whole = conn.execute(text("SELECT sealed FROM records WHERE record_no = 2")).scalar_one()
        altered = bytes(whole[:-1]) + bytes([whole[-1] ^ 1])
        conn.execute(text("UPDATE records SET sealed = :altered WHERE record_no = 2"), {"altered": altered})
    altered_one, *others = together(home, [by_id(known[1]), by_id(known[2]), by_id(known[3])])
    assert isinstance(altered_one, VaultError)
    assert [type(answers[0]) for answers in others if isinstance(answers, list)] == [Profile, Profile]


def test_where_the_log_cannot_be_written_nobody_is_answered(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = people(home, 4)

    def broken(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fdatasync", broken)
    told: list[int] = []
    for answers in together(home, [by_id(golden_id) for golden_id in known], noted=told.extend):
        assert isinstance(answers, AccessLogError)
    assert told == [], "else the change feed would tell of people of whom the log says nothing"


def test_nothing_is_opened_before_it_is_noted_who_is_told_of_whom(home: Home) -> None:
    known = people(home, 4)
    told: list[Sequence[int]] = []

    async def failing() -> None:
        await asyncio.sleep(0)
        raise RuntimeError("not stored")

    def noted(golden_nos: Sequence[int]) -> Awaitable[None] | None:
        told.append(golden_nos)
        return failing() if golden_nos else None

    denied, *permitted = together(home, [by_id(golden_id) for golden_id in known], noted=noted)
    assert isinstance(denied, list)  # nobody is named to whom nothing is shown
    assert {type(answers) for answers in permitted} == {RuntimeError}
    assert {len(numbers) for numbers in told} == {0, 1}


def test_who_does_not_wait_any_longer_spoils_nothing_for_others(home: Home) -> None:
    known = people(home, 3)

    async def ask() -> list[Answer]:
        leaving = asyncio.create_task(home.door.revealed(by_id(known[1]), NOW))
        staying = asyncio.create_task(home.door.revealed(by_id(known[2]), NOW))
        await asyncio.sleep(0)
        leaving.cancel()
        return await staying

    (answer,) = asyncio.run(ask())
    assert isinstance(answer, Profile)


@only_on_sqlite("its count of commits")
@pytest.mark.parametrize("withdrawn", [False, True], ids=["nothing", "a withdrawal"])
def test_what_is_committed_while_a_disclosure_is_noted_is_decided_on_again(
    home: Home, withdrawn: bool
) -> None:
    golden_id, told = people(home, 2)[1], list[int]()

    def noted(golden_nos: Sequence[int]) -> Awaitable[None] | None:
        if told or not golden_nos:
            return None
        told.extend(golden_nos)
        if withdrawn:
            home.say(golden_id, "withdrawn", "personalization")
        return asyncio.sleep(0)

    ((answer,),) = together(home, [by_id(golden_id)], noted=noted)
    assert isinstance(answer, Withheld if withdrawn else Profile)
    assert len(list(entries(home.log_folder))) == 1 + withdrawn
