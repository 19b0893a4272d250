"""A restore brings nobody back who was erased after the backup."""

import json
import shutil

import pytest

from api.restore import restore
from api.services import open_services
from api.settings import SettingsError
from consent.errors import BackupError
from consent.incoming import IncomingRecord
from consent.lookup import Identifier
from identity.records import RecordKey
from tests.api.test_backup import backed_up, emails, new_home, parts, restored
from tests.consent.erasing import erase, numbers
from tests.stores import only_on_sqlite
from tests.world import World, row

pytestmark = only_on_sqlite("backups of its files")


def test_who_was_erased_after_the_backup_is_erased_again_and_stays_refused(settled: World) -> None:
    settled.ingest(row("crm", "1", "Ana"), row("web", "1", "Ana"))
    folder = backed_up(settled)
    settled.clock.pass_(days=1)
    erase(settled, "1")
    log = shutil.copy(settled.settings.erasure_log, settled.folder / "kept.jsonl")
    with restored(settled, new_home(settled), parts(folder, erasures=log)) as (answer, services):
        assert answer["erasures_replayed"] == 1
        assert emails(services, "1") == []
        assert emails(services, "1", channel="web") == [["ana@example.com"]]  # was not erased
        again = IncomingRecord("crm", "1", attributes={"email": ["ana@example.com"]})
        assert services.writer.write([again], now=settled.clock())[0].status == "suppressed"
        assert services.lookup.find([Identifier("email", "delia@example.com")]).people == 1
        assert services.ledger.verify().ok
        assert len(services.settings.erasure_log.read_text().splitlines()) == 1  # the new receipt
        assert services.erasure.resume(settled.clock()) == 0


def test_erasures_of_two_lives_of_one_backup_are_all_repeated_though_their_numbers_are_the_same(
    world: World,
) -> None:
    world.ingest(row("crm", "1", "Ana"), row("crm", "2", "Berta"))
    folder = backed_up(world)
    world.clock.pass_(days=1)
    erase(world, "1", request="r_1")
    logs = world.settings.erasure_log.read_text()
    with restored(world, new_home(world), parts(folder)) as (_, services):  # the log was not at hand
        world.clock.pass_(days=1)
        (berta,) = numbers(services, "2")
        services.erasure.erase([berta], request_id="r_2", now=world.clock())
        logs += services.settings.erasure_log.read_text()
    both = world.folder / "both.jsonl"
    both.write_text(logs)
    with restored(world, new_home(world, "second"), parts(folder, erasures=both)) as (answer, services):
        assert answer["erasures_replayed"] == 2
        assert emails(services, "1", "2") == []


def test_of_who_came_after_the_backup_and_was_erased_the_answer_says_that_they_are_not_refused(
    world: World,
) -> None:
    world.ingest(row("crm", "1", "Ana"))
    folder = backed_up(world)
    world.clock.pass_(days=1)
    world.ingest(row("crm", "2", "Berta"))
    erase(world, "1", request="r_1")
    erase(world, "2", request="r_2")
    log = shutil.copy(world.settings.erasure_log, world.folder / "kept.jsonl")
    with restored(world, new_home(world), parts(folder, erasures=log)) as (answer, _):
        assert (answer["erasures_replayed"], answer["erasures_unrefused"]) == (1, 1)


def test_a_log_that_nobody_signed_erases_nobody(world: World) -> None:
    world.ingest(row("crm", "1", "Ana"), row("crm", "2", "Berta"))
    folder = backed_up(world)
    document = erase(world, "1")
    forged = world.folder / "forged.jsonl"
    document["statement"]["records"] = [1, 2]
    forged.write_text(json.dumps(document) + "\n")
    settings = new_home(world)
    with pytest.raises(BackupError, match="line 1"):
        restore(settings, parts(folder, erasures=forged), world.clock)
    with pytest.raises(SettingsError, match="interrupted"):  # nothing is served before the log is right
        open_services(settings)


def test_a_receipt_from_before_the_backup_erases_no_later_record(world: World) -> None:
    world.ingest(row("crm", "1", "Ana"))
    erase(world, "1")
    world.clock.pass_(days=1)
    world.ingest(row("crm", "2", "Berta"))
    folder = backed_up(world)
    with restored(world, new_home(world), parts(folder)) as (answer, services):
        assert answer["erasures_replayed"] == 0
        assert emails(services, "2") == [["berta@example.com"]]
        services.writer.write([IncomingRecord("crm", "3", attributes={"city": ["Vigo"]})], now=world.clock())
        assert (services.writer.find(RecordKey("crm", "3")) or 0) > 1_000_000  # no number is given out twice
