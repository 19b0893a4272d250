"""The log of erasures: every receipt is in it before the erasure ends, and only receipts count."""

from pathlib import Path

import pytest

from consent.erasure import Erasure
from consent.erasure_log import ErasureLog, read_log
from consent.errors import BackupError, ErasureLogError
from tests.consent.erasing import erase, number
from tests.world import World, row


def test_every_erasure_is_logged_and_the_line_proves_itself(world: World) -> None:
    world.ingest(row("crm", "1", "Ana"), row("crm", "2", "Berta"))
    first = number(world.services, "1")
    erase(world, "1", request="r_1")
    erase(world, "2", request="r_2")
    path = world.settings.erasure_log
    logged = list(read_log(path, world.services.ledger.verifier_key()))
    assert [each.request_id for each in logged] == ["r_1", "r_2"]
    assert logged[0].record_nos == (first,)
    assert logged[0].finished_at == world.clock() // 1000 * 1000
    assert path.stat().st_mode & 0o777 == 0o600
    assert "ana@example.com" not in path.read_text()


def test_an_erasure_that_cannot_be_logged_is_not_finished_and_is_resumed(world: World) -> None:
    world.ingest(row("crm", "1", "Ana"))
    path = world.settings.erasure_log
    path.mkdir()
    with pytest.raises(ErasureLogError, match="AUREA_ERASURE_LOG"):
        erase(world, "1")
    assert number(world.services, "1") is None
    path.rmdir()
    assert world.services.erasure.resume(world.clock()) == 1
    assert len(path.read_text().splitlines()) == 1


def test_a_crash_between_logging_and_ending_logs_it_again_and_harms_nothing(world: World) -> None:
    world.ingest(row("crm", "1", "Ana"))
    path = world.settings.erasure_log

    def crash(receipt: object) -> None:
        ErasureLog(path).append(receipt)  # type: ignore[arg-type]  # a receipt it is
        raise KeyboardInterrupt

    services = world.services
    erasure = Erasure(services.writer, signing_key=services.keyring.signing_key(), log=crash)
    with pytest.raises(KeyboardInterrupt):
        erasure.erase([number(services, "1") or 0], request_id="r_1", now=world.clock())
    services.recover()
    first, second = path.read_text().splitlines()
    assert first == second


def test_a_torn_line_costs_no_other_line(world: World, tmp_path: Path) -> None:
    world.ingest(row("crm", "1", "Ana"), row("crm", "2", "Berta"))
    path = world.settings.erasure_log
    erase(world, "1", request="r_1")
    with path.open("ab") as file:
        file.write(path.read_bytes()[:200])  # as a crash leaves it
    erase(world, "2", request="r_2")
    key = world.services.ledger.verifier_key()
    assert [each.request_id for each in read_log(path, key)] == ["r_1", "r_2"]
    path.write_text(path.read_text().replace('"r_2"', '"r_3"'))
    with pytest.raises(BackupError, match="line 3"):
        list(read_log(path, key))
