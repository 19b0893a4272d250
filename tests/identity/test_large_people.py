"""People of very many records, among a town: blocking loses none, and merges none."""

import pytest

from api.demo.channels import COLUMNS
from api.demo.generator import generate
from identity.attributes import is_standard
from identity.clustering import cluster
from identity.contradictions import MOST_COMPARED
from identity.engine import open_engine
from identity.linking import score
from identity.normalise import normalise
from identity.records import OpenedBatch

TOWN = 2_000  # records
MANY = 401  # one more than any block may have

FATHER = {"first_name": "Teodoro", "birth_date": "1951-04-05"}
SON = {"first_name": "Tomaso", "birth_date": "1981-09-17"}


def customers() -> list[dict[str, str]]:
    """The demo's customers, by standard attributes."""
    return [
        {name: value for name, value in zip(COLUMNS, values, strict=True) if value and is_standard(name)}
        for chunk in generate(records=TOWN, seed=1)
        for values, _ in chunk
    ]


def family(surname: str, records: int) -> list[dict[str, str]]:
    """So many records of a father, as many of his son, all with one e-mail, and four that tell neither."""
    shared = {"last_name": surname, "email": f"{surname.lower()}@example.org"}
    return [
        *[{**FATHER, **shared, "loyalty_id": f"{surname}-1"}] * records,
        *[{**SON, **shared, "loyalty_id": f"{surname}-2"}] * records,
        *[{"first_name": "T", **shared}] * 4,
    ]


def a_collector() -> list[dict[str, str]]:
    """One person who has never given the same device, and an e-mail address always."""
    person = {"first_name": "Wendeline", "last_name": "Quadflieg", "email": "wq@example.org"}
    return [{**person, "device_id": f"device-{number}"} for number in range(MANY)]


CROWDS: dict[str, list[dict[str, str]]] = {
    "one person's equal records": [
        {"first_name": "Ottokar", "last_name": "Zwirnmann", "birth_date": "1971-04-05",
         "email": "oz@example.org", "phone": "+34600123456"}
    ] * MANY,
    "one person's records that differ": a_collector(),
    "equal records of a common name": [{"first_name": "Antonio", "last_name": "Garcia"}] * MANY,
}  # fmt: skip


def linked(crowd: list[dict[str, str]]) -> list[int]:
    """The cluster of each of these records, linked among the town."""
    rows = [*customers(), *crowd]
    comparables = [normalise({name: [value] for name, value in row.items()}).encode() for row in rows]
    with open_engine(threads=2) as engine:
        batch = OpenedBatch(range(len(rows)), [""] * len(rows), comparables)
        scored = score([batch], engine=engine, model=None, seed=1)
    found = cluster(range(len(rows)), scored.pairs, scored.model.threshold)
    label: list[int] = found.label[-len(crowd) :].tolist()
    return label


@pytest.fixture(scope="module")
def crowds() -> dict[str, set[int]]:
    """The clusters of each crowd, all linked in one run."""
    label = linked([row for crowd in CROWDS.values() for row in crowd])
    return {name: set(label[place * MANY : (place + 1) * MANY]) for place, name in enumerate(CROWDS)}


@pytest.mark.parametrize("crowd", ["one person's equal records", "one person's records that differ"])
def test_a_person_is_one_however_many_records_there_are(crowds: dict[str, set[int]], crowd: str) -> None:
    assert len(crowds[crowd]) == 1


def test_records_are_not_merged_for_being_equal_when_they_hold_a_common_name_alone(
    crowds: dict[str, set[int]],
) -> None:
    assert len(crowds["equal records of a common name"]) == MANY


@pytest.mark.slow
@pytest.mark.parametrize("records", [60, 100])
def test_a_father_and_his_son_stay_two_however_many_records_each_has(records: int) -> None:
    assert 2 * records > MOST_COMPARED, "not every pair of them is compared"
    label = linked(family("Quistorp", records))
    fathers, sons = set(label[:records]), set(label[records : 2 * records])
    assert (len(fathers), len(sons)) == (1, 1)
    assert fathers != sons
