"""What the memberships file opens: the channel's identifier of every live record, and nothing else."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from api.settings import Settings
from api.stores import load_keyring
from consent.incoming import IncomingRecord
from consent.source_keys import SourceKeys
from consent.worker_stores import StoreAccess
from tests.consent.home import NOW, Home
from tests.stores import environment


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    one = Home(tmp_path)
    yield one
    one.close()


def add(home: Home, source_id: str) -> int:
    (result,) = home.writer.write([IncomingRecord("web", source_id)], now=NOW)
    assert result.record_no is not None
    return result.record_no


def test_every_record_comes_out_in_order_whatever_the_batches(home: Home) -> None:
    expected = [(add(home, source_id), "web", source_id) for source_id in ("7", "ä b", "c:d", "0", "é")]
    for batch_size in (1, 2, 100):
        assert list(SourceKeys(home.writer.stores).every(batch_size=batch_size)) == expected


def test_a_record_whose_key_is_destroyed_stays_out(home: Home) -> None:
    add(home, "1")
    other = add(home, "2")
    with home.db.read() as conn:
        key_id = conn.execute(text("SELECT min(key_id) FROM records")).scalar_one()
    home.key_store.destroy([key_id])
    assert list(SourceKeys(home.writer.stores).every()) == [(other, "web", "2")]


def test_worker_processes_open_the_same(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(30):
        add(home, str(number))
    here = list(SourceKeys(home.writer.stores).every())
    monkeypatch.setattr("consent.source_keys._WORTH_WORKERS", 0)
    settings = Settings.from_environment(environment(tmp_path / "home"))
    access = StoreAccess.to(home.writer.stores, load_keyring(settings))
    assert list(SourceKeys(home.writer.stores, access=access).every(batch_size=7)) == here
