"""Whose a contact is, judged from who shares it."""

import pytest

from identity.comparison import SEVERAL
from identity.contacts import several_values
from identity.engine import open_engine
from identity.normalise import normalise
from identity.profile import Profile
from identity.record_table import load
from identity.records import OpenedBatch

Row = dict[str, str]


def person(first: str, last: str, **more: str) -> Row:
    return {"first_name": first, "last_name": last, **more}


def judged(rows: list[Row]) -> tuple[Profile, dict[str, list[object]], list[tuple[str, str, float]]]:
    """The profile, the columns of several people's values by record, and what the online path is told."""
    comparables = [normalise({name: [value] for name, value in row.items()}).encode() for row in rows]
    batch = OpenedBatch(range(1, len(rows) + 1), ["web"] * len(rows), comparables)
    with open_engine() as engine:
        profile = load(engine, [batch])
        columns = ", ".join(SEVERAL.values())
        found = engine.execute(f"SELECT email, phone, {columns} FROM records ORDER BY unique_id").fetchall()  # noqa: S608 - our names
        names = ("email", "phone", *SEVERAL.values())
        return (
            profile,
            {name: list(column) for name, column in zip(names, zip(*found, strict=True), strict=True)},
            several_values(engine),
        )


FAMILY = [person(first, "Ruiz", email="casa@example.com") for first in ("Ana", "Luis", "Marta")]


def test_a_contact_of_one_name_is_personal() -> None:
    profile, columns, _ = judged([person("Ana", "Ruiz", email="ana@example.com")] * 3)
    assert profile.contact_classes == {"email": {"personal": 1}}
    assert columns["email_several"] == [None] * 3


def test_a_misspelt_name_makes_no_second_person() -> None:
    rows = [person("Ana", "Ruiz", email="a@example.com"), person("Anna", "Ruis", email="a@example.com")]
    assert judged(rows)[0].contact_classes == {"email": {"personal": 1}}


def test_a_contact_of_several_first_names_and_few_surnames_is_a_households() -> None:
    profile, columns, told = judged(FAMILY)
    assert profile.contact_classes == {"email": {"household": 1}}
    assert columns["email"] == [["casa@example.com"]] * 3, "it still counts as evidence of a household"
    assert columns["email_several"] == [["casa@example.com"]] * 3
    assert told == [("email_several", "casa@example.com", 1.0)]


def test_a_contact_of_many_surnames_is_an_organisations() -> None:
    people = [("Ana", "Ruiz"), ("Luis", "Gil"), ("Marta", "Sanz"), ("Berta", "Vidal")]
    rows = [person(*names, phone="+34612345680") for names in people]
    assert judged(rows)[0].contact_classes == {"phone": {"organisation": 1}}


def test_a_father_and_his_son_of_one_name_share_a_households_contact() -> None:
    births = ("1950-03-02", "1979-11-20")
    rows = [person("Ana", "Ruiz", email="casa@example.com", birth_date=birth) for birth in births]
    assert judged(rows)[0].contact_classes == {"email": {"household": 1}}


@pytest.mark.parametrize("mistyped", ["1950-03-12", "1951-03-02", "1950-02-03"])
def test_a_mistyped_birth_date_makes_no_second_person(mistyped: str) -> None:
    births = ("1950-03-02", mistyped)
    rows = [person("Ana", "Ruiz", email="ana@example.com", birth_date=birth) for birth in births]
    assert judged(rows)[0].contact_classes == {"email": {"personal": 1}}


def test_a_contact_of_few_surnames_at_many_addresses_is_an_organisations() -> None:
    firsts = ("Ana", "Luis", "Marta", "Berta", "Carlos", "Zoe")
    homes = [{"street": "Calle Mayor", "house_number": str(n), "postcode": f"2800{n}"} for n in range(1, 7)]
    rows = [
        person(first, "Ruiz", phone="+34612345680", **home) for first, home in zip(firsts, homes, strict=True)
    ]
    assert judged(rows)[0].contact_classes == {"phone": {"organisation": 1}}
    at_home = [{**row, **homes[0]} for row in rows]
    assert judged(at_home)[0].contact_classes == {"phone": {"household": 1}}


def test_a_contact_of_very_many_names_is_nobodys_and_no_evidence() -> None:
    rows = [person(f"{letter}na", f"{letter}uiz", email="info@example.com") for letter in "abcdefghijkl"]
    profile, columns, told = judged([*rows, person("Zoe", "Zapata", email="zoe@example.com")])
    assert profile.contact_classes == {"email": {"junk": 1, "personal": 1}}
    assert profile.shared_values == {"email": 1}
    assert columns["email"] == [None] * 12 + [["zoe@example.com"]]
    assert not told


@pytest.mark.parametrize(
    "placeholder", [{"email": "noemail@example.com"}, {"email": "test1@example.com"}, {"phone": "000000000"}]
)
def test_a_placeholder_is_nobodys_however_few_hold_it(placeholder: Row) -> None:
    rows = [person("Ana", "Ruiz", **placeholder), person("Luis", "Gil", **placeholder)]
    profile, columns, _ = judged(rows)
    (column,) = placeholder
    assert profile.contact_classes == {column: {"junk": 1}}
    assert columns[column] == [None, None]


def test_a_device_of_several_people_is_marked() -> None:
    rows = [person("Ana", "Ruiz", device_id="d1"), person("Luis", "Ruiz", device_id="d1")]
    assert judged([*rows, person("Eva", "Gil", device_id="d2")])[1]["device_id_several"] == ["d1", "d1", None]
