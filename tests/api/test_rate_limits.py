"""How often clients may ask: one worker, several workers over one store, clocks, and what a 429 says."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text

from api.migrations import OPERATIONAL, upgrade
from api.rate_limits import BURST_SECONDS, Rate, RateLimits
from api.token_limits import ATTEMPTS, FAILURES
from identity.database import Database, open_database
from tests.world import Clock, World, record

RATE = Rate.of(100)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    database = open_database(f"sqlite:///{tmp_path_factory.mktemp('rates') / 'store.db'}")
    upgrade(database, OPERATIONAL)
    yield database
    database.close()


def let_through(limits: RateLimits, bucket: str, attempts: int, rate: Rate = RATE) -> int:
    return sum(limits.wait(bucket, rate) == 0 for _ in range(attempts))


def test_a_full_bucket_lets_a_burst_through_and_then_the_rate(store: Database) -> None:
    clock = Clock()
    limits = RateLimits(store, clock)
    assert let_through(limits, "one", 1_000) == 100 * BURST_SECONDS
    clock.pass_(seconds=0.5)
    assert let_through(limits, "one", 1_000) == 50
    wait = limits.wait("one", RATE)
    assert 0 < wait <= 1 / 100
    clock.pass_(seconds=wait + 0.001)
    assert limits.wait("one", RATE) == 0


def test_one_client_does_not_take_from_another(store: Database) -> None:
    limits = RateLimits(store, Clock())
    let_through(limits, "greedy", 1_000)
    assert limits.wait("greedy", RATE) > 0
    assert limits.wait("modest", RATE) == 0


def test_flooding_several_workers_gains_no_more_than_the_stated_bound(store: Database) -> None:
    workers, seconds, clock = 3, 20, Clock()
    limits = [RateLimits(store, clock) for _ in range(workers)]
    through = 0
    for _ in range(seconds * 10):
        through += sum(let_through(each, "flood", 60) for each in limits)
        clock.pass_(seconds=0.1)
        if clock.now % 1_000 < 100:  # each tells the store once a second
            for each in limits:
                each.tell()
    alone = RATE.burst + RATE.per_second * seconds
    assert alone * 0.9 < through <= alone + (workers - 1) * (RATE.burst + RATE.per_second)


def test_what_one_worker_let_through_the_other_knows(store: Database) -> None:
    clock = Clock()
    one, other = RateLimits(store, clock), RateLimits(store, clock)
    assert other.wait("shared", RATE) == 0
    let_through(one, "shared", 1_000)
    one.tell()
    other.tell()
    assert other.wait("shared", RATE) > 0


def test_asking_evenly_below_the_rate_is_never_refused(store: Database) -> None:
    clock = Clock()
    limits = [RateLimits(store, clock) for _ in range(2)]
    for turn in range(1_500):
        assert limits[turn % 2].wait("even", RATE) == 0
        clock.pass_(seconds=0.011)
        if turn % 90 == 0:
            for each in limits:
                each.tell()


@pytest.mark.parametrize("hours", [-3, 3])
def test_a_clock_that_jumps_shuts_nobody_out(store: Database, hours: int) -> None:
    clock = Clock()
    limits, bucket = RateLimits(store, clock), f"jump {hours}"
    let_through(limits, bucket, 1_000)
    limits.tell()
    clock.pass_(seconds=hours * 3_600)
    assert limits.wait(bucket, RATE) == 0
    assert let_through(RateLimits(store, clock), bucket, 1_000) == RATE.burst
    limits.tell()
    clock.pass_(seconds=0.1)
    assert limits.wait(bucket, RATE) == 0


def test_threads_let_through_no_more_than_there_is(store: Database) -> None:
    limits = RateLimits(store, Clock())
    with ThreadPoolExecutor(8) as pool:
        through = sum(pool.map(lambda _: let_through(limits, "threads", 200), range(8)))
    assert through == RATE.burst


def test_buckets_that_are_full_again_are_kept_nowhere(store: Database) -> None:
    clock = Clock()
    limits = RateLimits(store, clock)
    let_through(limits, "gone", 10)
    limits.tell()
    clock.pass_(seconds=120)
    limits.wait("another", RATE)
    limits.tell()
    assert set(limits._full_at) == {"another"}
    with store.read() as conn:
        kept = set(conn.execute(text("SELECT bucket FROM rate_buckets")).scalars())
    assert "another" in kept
    assert "gone" not in kept


def test_over_http_429_says_when_to_ask_again_and_nothing_of_anybody(world: World) -> None:
    (sent,) = world.send(record("crm", "1", "Ana"))
    http = world.client("consumer", "personalization")
    world.answer("client", "limit", "consumer-2", "--rate", "5")
    world.services.access._held.clear()  # else the change is seen two seconds later
    there, nobody = (
        f"/v1/profiles/{name}?purpose=personalization" for name in (sent["golden_id"], "g_" + "a" * 26)
    )
    assert [http.get(there).status_code for _ in range(10)] == [200] * 10
    refused = [http.get(there), http.get(nobody), http.get("/v1/golden-ids/x")]
    assert {answer.status_code for answer in refused} == {429}
    assert len({answer.content for answer in refused}) == 1
    assert refused[0].headers["content-type"] == "application/problem+json"
    assert int(refused[0].headers["retry-after"]) >= 1
    world.clock.pass_(seconds=1)
    assert http.get(there).status_code == 200
    assert world.client("auditor").get("/v1/changes").status_code == 200


def test_secrets_cannot_be_tried_without_end_whether_or_not_there_is_such_a_client(world: World) -> None:
    client, secret = world.services.clients.create("shop", "consumer", ["analytics"])
    limits, http = world.services.token_limits, world.anonymous()
    for name in (client.client_id, "c_nobody"):
        pair = limits._bucket("pair", f"{len(name)} {name} 127.0.0.1")
        let_through(world.services.rates, pair, int(ATTEMPTS.burst) - 2, ATTEMPTS)

    def attempt(name: str, given: str) -> int:
        form = {"grant_type": "client_credentials"}
        return http.post("/v1/token", data=form, auth=(name, given)).status_code

    assert [attempt("c_nobody", "s_wrong") for _ in range(4)] == [401, 401, 429, 429]
    assert [attempt(client.client_id, "s_wrong") for _ in range(4)] == [401, 401, 429, 429]
    assert attempt(client.client_id, secret) == 429
    world.clock.pass_(seconds=1)
    assert attempt(client.client_id, secret) == 200


def test_many_client_ids_cannot_be_tried_from_one_place_and_successes_cost_nothing(world: World) -> None:
    client, secret = world.services.clients.create("shop", "consumer", ["analytics"])
    address = world.services.token_limits._bucket("address", "127.0.0.1")
    let_through(world.services.rates, address, int(FAILURES.burst) - 2, FAILURES)
    http, form = world.anonymous(), {"grant_type": "client_credentials"}
    good = [http.post("/v1/token", data=form, auth=(client.client_id, secret)) for _ in range(4)]
    assert {answer.status_code for answer in good} == {200}
    bad = [http.post("/v1/token", data=form, auth=(f"c_{n}", "s_wrong")).status_code for n in range(4)]
    assert bad == [401, 401, 429, 429]
    stored = [*world.services.rates._full_at]
    assert not [bucket for bucket in stored if "127.0.0.1" in bucket]
