"""Whole turns of arriving records against the same records sent one by one and looked for afterwards."""

from pathlib import Path
from random import Random

import pytest

from api.incoming import incoming
from api.schemas import RecordIn
from consent.incoming import IncomingRecord
from identity.records import RecordKey
from tests.world import World, a_copied_world, record, row

TOWN = ("Ana", "Bea", "Carl", "Dora", "Emil", "Fritz")


def some_town(chance: Random) -> list[list[IncomingRecord]]:
    """Turns of records: known people and new ones, some twice, some that may not be linked."""
    names = [*TOWN, "Nora", "Olga", "Petra"]
    turns = []
    for turn in range(12):
        records = []
        for at in range(chance.randint(1, 8)):
            again = chance.random() < 0.15
            source = f"{turn - chance.randint(0, 1)}-0" if again else f"{turn}-{at}"
            sent = record("pos", source, chance.choice(names))
            if chance.random() < 0.15:
                sent["consents"] = sent["consents"][1:]
            elif chance.random() < 0.2:
                del sent["attributes"]["email"], sent["attributes"]["phone"]
            records.append(incoming(RecordIn.model_validate(sent)))
        turns.append(records)
    return turns


@pytest.mark.parametrize("seed", [0, *(pytest.param(each, marks=pytest.mark.slow) for each in (1, 2, 3))])
def test_records_of_one_turn_end_where_they_would_one_by_one_and_looked_for_afterwards(
    tmp_path: Path, seed: int
) -> None:
    turns = some_town(Random(seed))  # noqa: S311 - which records, the same in every run
    ended = []
    for name in ("together", "alone"):
        with a_copied_world(tmp_path / name, World.settle) as one:
            arrivals = one.services.arrivals
            for number, channel in enumerate(("crm", "web")):
                one.ingest(*(row(channel, f"town{number}", person) for person in TOWN[number::2]))
            one.services.resolver.resolve_all(range(1, 200), one.clock())
            numbers: dict[RecordKey, int] = {}
            said = []
            for records in turns:
                if name == "together":
                    found = arrivals.receive(records)
                else:
                    found = [each for one_ in records for each in arrivals._received([one_], ahead=False)]
                for sent, each in zip(records, found, strict=True):
                    numbers[sent.key] = each.written.record_no or 0
                    said.append((each.written.status, each.written.linking))
            with one.services.db.read() as conn:
                owner = one.services.memberships.goldens_of(conn, sorted(numbers.values()))
            people: dict[int, set[RecordKey]] = {}
            for key, number in numbers.items():
                people.setdefault(owner[number], set()).add(key)
            ended.append((said, sorted(map(sorted_keys, people.values()))))
    assert ended[0] == ended[1]


def sorted_keys(keys: set[RecordKey]) -> list[str]:
    return sorted(f"{key.channel}:{key.source_id}" for key in keys)
