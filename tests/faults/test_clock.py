"""A clock that jumps, forward or back, makes nobody permitted who is not and no token live longer."""

import httpx
import pytest
from sqlalchemy import text

from api.diagnosis import diagnose
from identity.errors import RunLostError
from identity.leases import Lease
from tests.faults.checker import Expected, problems
from tests.world import World, record

DAY = 86_400


def read(http: httpx.Client, source_id: str, purpose: str = "personalization") -> int:
    asked = {"purpose": purpose, "identifiers": [{"type": "record", "value": f"crm:{source_id}"}]}
    return http.post("/v1/profiles/lookup", json=asked).status_code


@pytest.mark.parametrize("days", [-400, -1, -0.003, 0.01, 1, 400])
def test_a_token_ends_with_a_jump_and_another_is_to_be_had(world: World, days: float) -> None:
    """A token of a clock that was set back would live until that time comes again."""
    world.send(record("crm", "1", "Ana"))
    http = world.client("consumer", "personalization")
    world.clock.pass_(days=days)
    world.services.access._held.clear()  # what was verified in the last two seconds
    assert read(http, "1") == 401
    assert read(world.client("consumer", "personalization"), "1") in ({200} if days < 300 else {200, 404})


def test_a_clock_that_is_a_little_behind_that_of_another_host_costs_no_token(world: World) -> None:
    world.send(record("crm", "1", "Ana"))
    http = world.client("consumer", "personalization")
    world.clock.pass_(seconds=-30)
    world.services.access._held.clear()
    assert read(http, "1") == 200


def test_consent_that_lapsed_does_not_come_back_with_the_clock(world: World) -> None:
    world.send(record("crm", "1", "Ana", "marketing_email"))
    assert read(world.client("consumer"), "1", "marketing_email") == 200
    world.clock.pass_(days=4_000)  # beyond every validity of the default policy
    assert read(world.client("consumer"), "1", "marketing_email") == 404
    world.send(record("crm", "2", "Berta"))  # the ledger has seen that time
    world.clock.pass_(days=-4_000)
    assert read(world.client("consumer"), "1", "marketing_email") == 404
    assert read(world.client("consumer"), "2") == 200
    failed = {found.what for found in diagnose(world.settings, world.clock()) if not found.ok}
    assert failed == {"clock"}


@pytest.mark.parametrize("days", [-30, 30])
def test_a_withdrawal_after_a_jump_counts_and_the_ledger_still_verifies(world: World, days: int) -> None:
    """The ledger's order decides, not a time: a denial stated on a clock set back is still the last word."""
    world.send(record("crm", "1", "Ana"), record("crm", "2", "Berta"))
    world.clock.pass_(days=days)
    sender = world.client("ingest")
    subject = {"record": {"channel": "crm", "source_id": "1"}}
    said = {"subject": subject, "purpose": "personalization", "state": "withdrawn", "method": "direct"}
    assert sender.post("/v1/consents", json=said).status_code == 201
    expected = Expected(
        acknowledged={("crm", "1"): "ana@example.com", ("crm", "2"): "berta@example.com"},
        denied={(("crm", "1"), "personalization")},
        permitted={(("crm", "2"), "personalization")},
    )
    assert problems(world.services, expected) == []
    world.clock.pass_(days=-days)
    assert problems(world.services, expected) == []
    with world.services.db.read() as conn:
        noted = conn.execute(text("SELECT value FROM counters WHERE name = 'ledger_time'")).scalar_one()
        newest = conn.execute(text("SELECT MAX(recorded_at) FROM ledger")).scalar_one()
    assert noted >= newest, "the ledger's time never goes back"
    assert world.services.ledger.checkpoint(world.clock())
    assert world.services.ledger.verify().ok


def test_a_run_whose_lease_a_jump_ended_publishes_nothing(world: World) -> None:
    """Another one may have taken over: it is told, and stops."""
    world.ingest(record("crm", "1", "Ana")["attributes"] | {"channel": "crm", "source_id": "1"})
    lease = Lease.acquire(world.services.db, world.clock)
    world.clock.pass_(days=1)
    world.link()  # takes over
    with world.services.db.write() as conn, pytest.raises(RunLostError):
        lease.check(conn)
    world.clock.pass_(days=-2)
    assert world.link()["records"] == 1
