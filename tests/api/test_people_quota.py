"""How many people a client may be told of a day: exact over several workers, and silent about everybody."""

import threading
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

from api.auth import Caller
from api.migrations import OPERATIONAL, upgrade
from api.people_quota import PeopleQuota
from api.problems import QUOTA_SPENT, ProblemError
from identity.database import Database, open_database
from tests.stores import store_url
from tests.world import Clock, World, record


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    database = open_database(store_url(tmp_path_factory.mktemp("quota"), "store"))
    upgrade(database, OPERATIONAL)
    yield database
    database.close()


def consumer(name: str, quota: int | None) -> Caller:
    return Caller(name, "consumer", frozenset({"analytics"}), False, 2**62, None, quota)


def told(quota: PeopleQuota, caller: Caller, *golden_nos: int) -> bool:
    """Whether the caller may be told of one of these people; it is."""
    try:
        with quota.reserved(caller) as tell:
            tell(golden_nos)
    except ProblemError as refused:
        if refused.problem is not QUOTA_SPENT:
            raise
        return False
    return True


def test_different_people_count_and_the_same_ones_again_do_not(store: Database) -> None:
    quota, caller = PeopleQuota(store, Clock()), consumer("again", 10)
    assert all(told(quota, caller, number) for _ in range(5) for number in range(9))
    assert told(quota, caller, 9)
    assert not told(quota, caller, 10)


def test_whoever_is_nobody_costs_nothing(store: Database) -> None:
    quota, caller = PeopleQuota(store, Clock()), consumer("nobody", 2)
    assert all(told(quota, caller) for _ in range(50))
    assert told(quota, caller, 1)


def test_once_it_is_spent_everybody_is_refused_those_told_before_too(store: Database) -> None:
    quota, caller = PeopleQuota(store, Clock()), consumer("spent", 1)
    assert told(quota, caller, 1)
    assert not told(quota, caller, 1)
    assert not told(quota, caller)


def test_at_midnight_another_day_begins(store: Database) -> None:
    clock = Clock()
    quota, caller = PeopleQuota(store, clock), consumer("midnight", 1)
    assert told(quota, caller, 1)
    with pytest.raises(ProblemError) as caught, quota.reserved(caller):
        pass
    seconds = int(caught.value.headers["Retry-After"])
    assert 0 < seconds <= 86_400
    clock.pass_(seconds=seconds)
    assert told(quota, caller, 2)


def test_without_a_quota_and_to_other_roles_there_is_no_end(store: Database) -> None:
    quota = PeopleQuota(store, Clock())
    assert all(told(quota, consumer("free", None), number) for number in range(300))
    officer = Caller("c_o", "officer", frozenset(), False, 2**62, None, 1)
    assert all(told(quota, officer, number) for number in range(300))


def test_several_workers_tell_of_exactly_as_many_as_one(store: Database) -> None:
    """Each person is asked for at several workers, some twice within a second."""
    clock, chance = Clock(), Random(7)  # noqa: S311 - which person is asked for where
    workers = [PeopleQuota(store, clock) for _ in range(3)]
    caller, people = consumer("many", 500), set()
    for turn in range(6_000):
        person = chance.randrange(450)
        if told(chance.choice(workers), caller, person):
            people.add(person)
        if turn % 50 == 0:
            for each in workers:
                each.tell()
    assert people == set(range(450)), "450 different people fit into 500"
    newcomers = [person for person in range(1_000, 1_400) if told(chance.choice(workers), caller, person)]
    assert len(newcomers) <= 50, "more than the quota"
    for each in workers:  # what idle workers hold comes back
        each.tell()
        each.tell()
    late = PeopleQuota(store, clock)
    newcomers += [person for person in range(2_000, 2_100) if told(late, caller, person)]
    assert len(newcomers) == 50


def test_racing_threads_of_several_workers_never_exceed_it(store: Database) -> None:
    workers, caller = [PeopleQuota(store, Clock()) for _ in range(2)], consumer("race", 200)
    found: list[int] = []

    def read(worker: PeopleQuota, start: int) -> None:
        found.extend(number for number in range(start, start + 100) if told(worker, caller, number))
        worker.tell()

    threads = [threading.Thread(target=read, args=(workers[n % 2], 1_000 * n)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 180 <= len(found) <= 200


def test_whoever_is_forestalled_by_others_of_this_worker_is_not_refused_while_the_quota_lasts(
    store: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lists of a thousand at once: each takes nearly all of the block that another has just fetched."""
    quota, caller = PeopleQuota(store, Clock()), consumer("lists", 1_000_000)
    exchange, others = quota._exchange, iter(range(3))

    def forestalled(*given: Any, **more: Any) -> bool:
        enough = exchange(*given, **more)
        if next(others, None) is not None:
            assert quota._at_hand(caller.client_id, 1_000_000, 1_000)
        return enough

    monkeypatch.setattr(quota, "_exchange", forestalled)
    with quota.reserved(caller, 1_000) as tell:
        tell(range(1_000))


def test_a_worker_that_was_killed_costs_at_most_its_block(store: Database) -> None:
    clock, caller = Clock(), consumer("killed", 160)
    killed = PeopleQuota(store, clock)
    assert told(killed, caller, 1)  # never tells the store
    quota = PeopleQuota(store, clock)
    people = sum(told(quota, caller, number) for number in range(10, 400))
    assert 160 - 160 // 16 <= people <= 160


def test_one_that_ends_gives_back_what_it_holds(store: Database) -> None:
    clock, caller = Clock(), consumer("ended", 160)
    first = PeopleQuota(store, clock)
    assert told(first, caller, 1)
    first.give_back()
    quota = PeopleQuota(store, clock)
    assert sum(told(quota, caller, number) for number in range(1, 400)) == 160


def test_a_reading_that_fails_gives_its_unit_back(store: Database) -> None:
    quota, caller = PeopleQuota(store, Clock()), consumer("failing", 1)
    for _ in range(5):
        with pytest.raises(OSError), quota.reserved(caller):
            raise OSError
    assert told(quota, caller, 1)


def test_successors_of_a_split_id_all_count(store: Database) -> None:
    quota, caller = PeopleQuota(store, Clock()), consumer("split", 20)
    assert told(quota, caller, 1, 2, 3)
    assert sum(told(quota, caller, number) for number in range(10, 99)) == 17


def test_a_quota_that_is_changed_holds_at_once(store: Database) -> None:
    quota = PeopleQuota(store, Clock())
    assert told(quota, consumer("changed", 1), 1)
    assert not told(quota, consumer("changed", 1), 2)
    assert told(quota, consumer("changed", 3), 2)


def test_over_http_a_429_says_nothing_of_whether_there_is_such_a_person(world: World) -> None:
    sent = world.send(*(record("crm", str(number), f"Person{number}") for number in range(4)))
    http = world.client("consumer", "personalization")
    world.answer("client", "limit", "consumer-2", "--people-per-day", "2")
    world.services.access._held.clear()  # else the change is seen two seconds later

    def read(golden_id: str) -> int:
        return http.get(f"/v1/profiles/{golden_id}?purpose=personalization").status_code

    assert [read("g_" + "a" * 26) for _ in range(5)] == [404] * 5
    assert [read(one["golden_id"]) for one in sent] == [200, 200, 429, 429]
    seek = {"purpose": "personalization", "identifiers": [{"type": "record", "value": "crm:0"}]}
    answers = [
        http.get(f"/v1/profiles/{name}?purpose=personalization")
        for name in (sent[0]["golden_id"], sent[3]["golden_id"], "g_" + "a" * 26)
    ]
    answers.append(http.post("/v1/profiles/lookup", json=seek))
    assert {answer.status_code for answer in answers} == {429}
    assert len({answer.content for answer in answers}) == 1
    hidden = {"date", "x-request-id"}
    assert len({str(sorted((k, v) for k, v in a.headers.items() if k not in hidden)) for a in answers}) == 1
    assert http.get("/v1/profiles/x?purpose=advertising").status_code == 403
    log = "".join(file.read_text() for file in world.settings.access_log_dir.rglob("*") if file.is_file())
    assert log.count('"decision"') == 7, "nobody was looked up"
