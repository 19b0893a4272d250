"""Any sequence of arrivals ends as a plain dictionary would: one by one, whatever the batches."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from consent.events import RECORD, Subject
from consent.incoming import IncomingConsent, IncomingRecord
from consent.linkable import LinkableRecords
from consent.record_keys import Keyed
from identity.records import RecordKey
from tests.consent.home import NOW, Home

STATES: Final = ("granted", "refused", "withdrawn")


@dataclass
class Model:
    """What storing one record after the other means, in a dozen lines."""

    content: dict[str, tuple[int, str]] = field(default_factory=dict)  # source_id -> (observed_at, name)
    said: dict[str, list[str]] = field(default_factory=dict)

    def arrive(self, record: IncomingRecord, now: int) -> str:
        stored = self.content.get(record.source_id)
        observed_at = now if record.observed_at is None else record.observed_at
        name = record.attributes["first_name"][0]
        if stored is not None and observed_at < stored[0]:
            return "unchanged"
        said = self.said.setdefault(record.source_id, [])
        said += [c.state for c in record.consents if not said or said[-1] != c.state]
        if stored is None:
            status = "created"
        elif stored[1] == name:
            status = "unchanged"
            observed_at = stored[0] if record.observed_at is None else observed_at
        else:
            status = "updated"
        self.content[record.source_id] = (observed_at, name)
        return status

    def may_link(self, source_id: str) -> bool:
        return "granted" in self.said[source_id] and set(self.said[source_id]) == {"granted"}


arrivals = st.builds(
    lambda source_id, age, name, state: IncomingRecord(
        "web",
        source_id,
        observed_at=None if age is None else NOW - age,
        attributes={"first_name": [name]},
        consents=() if state is None else (IncomingConsent("identity_linking", state),),
    ),
    st.sampled_from("abcd"),
    st.none() | st.integers(0, 3),
    st.sampled_from(["Ana", "Eva"]),
    st.none() | st.sampled_from(STATES),
)


CHANNELS: Final = itertools.count()  # every example has a channel of its own in one home


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    one = Home(tmp_path_factory.mktemp("model"))
    yield one
    one.close()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(arrivals, min_size=1, max_size=6), min_size=1, max_size=4))
def test_batches_are_as_good_as_one_by_one(home: Home, batches: list[list[IncomingRecord]]) -> None:
    model, channel = Model(), f"c{next(CHANNELS)}"
    for step, batch in enumerate(batches):
        now = NOW + step
        results = home.writer.write([replace(each, channel=channel) for each in batch], now=now)
        assert [result.status for result in results] == [model.arrive(each, now) for each in batch]
    _compare(home, model, channel)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(arrivals, min_size=1, max_size=4), min_size=2, max_size=4))
def test_preparing_ahead_changes_nothing(home: Home, batches: list[list[IncomingRecord]]) -> None:
    """As the pipeline does: batches are prepared, and the keys of the next written, while one is stored."""
    model, channel = Model(), f"c{next(CHANNELS)}"
    arriving = [[replace(each, channel=channel) for each in batch] for batch in batches]
    committer = home.writer.committer

    def keyed(batch: list[IncomingRecord]) -> Keyed:
        first = home.key_store.allocate(len(batch))
        return committer.keys.write(
            home.writer._preparer.prepare(batch, first_key_id=first, source=None, now=NOW)
        )

    waiting = [keyed(batch) for batch in arriving[:2]]
    for at, records in enumerate(arriving):
        written = committer.finish(waiting.pop(0))
        waiting += [keyed(batch) for batch in arriving[at + 2 : at + 3]]
        home.writer.write([r for r, w in zip(records, written, strict=True) if w is None], now=NOW)
        for record in records:
            model.arrive(record, NOW)
    _compare(home, model, channel)


def _compare(home: Home, model: Model, channel: str) -> None:
    live = dict(LinkableRecords(home.writer.stores, lambda: NOW + 10).live())
    for source_id, (observed_at, name) in model.content.items():
        record_no = home.writer.find(RecordKey(channel, source_id))
        assert record_no is not None
        opened = home.opener.open_fields([record_no], ["first_name"])[record_no]
        assert (opened.observed_at, opened.attributes["first_name"]) == (observed_at, [name])
        with home.db.read() as conn:
            events = home.ledger.events_for(conn, [Subject(RECORD, record_no)])
        assert [event.state for event in events] == model.said[source_id]
        assert live[record_no] == model.may_link(source_id)
    with home.db.read() as conn:
        stored = conn.execute(text("SELECT count(*) FROM records WHERE channel = :c"), {"c": channel})
        assert stored.scalar_one() == len(model.content)


def test_the_ledger_of_all_examples_verifies(home: Home) -> None:
    assert home.ledger.verify().ok
