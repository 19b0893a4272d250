"""Planted people: made-up records, known households, to measure every run without labels. Pure.

The cases are those that files get wrong: spouses with one e-mail, a son with his father's name, twins,
flatmates, two surnames of which one is given, typing errors, a change of address. Their records are as
well filled as those of the run (`Shape`), so that the figures speak of this home's data and not of perfect
forms. They have negative numbers, are scored with the run's model in an engine of their own
(`identity.canary_scoring`), and are never stored: no record, parameter or frequency of the run can notice.

Names are common ones, e-mail domains those that RFC 2606 reserves, phone numbers from the range that the
North American plan keeps for fiction (555-01xx), postcodes of an area that does not exist. The same shapes
give the same records.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import count
from typing import Final, NamedTuple

from identity.comparable import Comparable
from identity.normalise import normalise

MOST_RECORDS: Final = 200
HOUSEHOLDS: Final = 30

_FIRST: Final = (
    "James", "Oliver", "Samuel", "Henry", "Martin", "Edward", "Frank", "Walter", "Peter", "Simon",
    "Mary", "Helen", "Rachel", "Emily", "Laura", "Susan", "Diane", "Ruth", "Julie", "Martha",
)  # fmt: skip
_LAST: Final = (
    "Harrison", "Whitfield", "Morgan", "Barlow", "Thornton", "Pemberton", "Hughes", "Fletcher", "Osborne",
    "Carver", "Lindqvist", "Holloway", "Bradshaw", "Winslow", "Garland", "Mercer", "Quinn", "Stratton",
)  # fmt: skip
_SPANISH: Final = (
    "Serrano", "Quintana", "Robledo", "Zamora", "Villalba", "Escudero", "Bermejo", "Arroyo", "Cuesta",
)  # fmt: skip
_STREETS: Final = (
    "Mill Lane", "Station Road", "Church Street", "Orchard Close", "Harbour View", "Park Avenue",
    "Castle Hill", "Victoria Terrace", "Elm Grove", "Bridge End", "Sycamore Drive", "North Parade",
)  # fmt: skip
_CITIES: Final = ("Ashford", "Kelso", "Whitby", "Ludlow", "Bodmin", "Oakham", "Thurso", "Frome", "Skipton")
_AREAS: Final = ("212", "305", "414", "503", "617", "702", "816", "919", "248", "360", "571", "682", "773")
_DOMAINS: Final = ("example.com", "example.net", "example.org")
_OPAQUE: Final = ("user_id", "loyalty_id", "device_id", "cookie_id")
_LETTERS: Final = "ABCDEFGHJKLMNPQRSTUVWXYZ"


class Shape(NamedTuple):
    """Which comparable columns a record of the run has filled, and how many records have just these."""

    columns: frozenset[str]
    records: int


@dataclass(frozen=True, slots=True)
class Canary:
    """A planted record. `record_no` is negative; `person` says who it is in truth."""

    record_no: int
    person: int
    comparable: Comparable


@dataclass(frozen=True, slots=True)
class CanaryFigures:
    """How well a run did on its planted people: of pairs, from 0 to 1 (see `identity.evaluation`)."""

    records: int
    people: int
    precision: float
    recall: float
    f1: float


class _Person(NamedTuple):
    number: int
    first: str
    last: str
    birth_date: str
    home: int
    email: str
    phone: str


def planted(shapes: Sequence[Shape]) -> list[Canary]:
    """Return at most MOST_RECORDS planted records, filled as `shapes` say; empty where those hold nothing."""
    usable = [shape for shape in shapes if shape.columns]
    if not usable:
        return []
    found: list[Canary] = []
    for person in _people():
        for copy in range(2 + _number(f"copies {person.number}", 3)):
            if len(found) == MOST_RECORDS:
                return found
            shape = _shape_of(usable, len(found))
            found.append(Canary(-1 - len(found), person.number, _record(person, copy, shape.columns)))
    return found


def _shape_of(shapes: Sequence[Shape], position: int) -> Shape:
    """Return the shape of the n-th record: golden-ratio steps spread them as the run's records are."""
    left = (position * 0.6180339887498949 % 1.0) * sum(shape.records for shape in shapes)
    for shape in shapes:
        left -= shape.records
        if left < 0:
            return shape
    return shapes[-1]


def _people() -> Iterator[_Person]:
    numbers = count(1)
    for home in range(HOUSEHOLDS):
        yield from _KINDS[home % len(_KINDS)](home, numbers)


def _adult(home: int, numbers: Iterator[int], **known: str) -> _Person:
    number = next(numbers)
    first = known.get("first") or _pick(_FIRST, f"first {number}")
    last = known.get("last") or _pick(_LAST, f"last {home}")
    born = known.get("birth_date") or _birth_date(f"born {number}", 1950 + _number(f"year {number}", 48))
    phone = f"+1{_AREAS[number % len(_AREAS)]}55501{number * 37 % 100:02d}"
    email = known.get("email") or _email(first.lower(), last.lower().split()[0], born, number)
    return _Person(number, first, last, born, home, email, phone)


def _birth_date(key: str, year: int) -> str:
    return f"{year}-{1 + _number(f'month {key}', 12):02d}-{1 + _number(f'day {key}', 28):02d}"


def _email(first: str, last: str, born: str, number: int) -> str:
    forms = (
        f"{first}.{last}{number}",
        f"{first[0]}{last}{born[2:4]}",
        f"{last}_{first}",
        f"{first}{born[2:4]}x{number}",
    )
    return f"{_pick(forms, f'form {number}')}@{_pick(_DOMAINS, f'domain {number}')}"


def _alone(home: int, numbers: Iterator[int]) -> list[_Person]:
    return [_adult(home, numbers)]


def _spouses_with_one_email(home: int, numbers: Iterator[int]) -> list[_Person]:
    one = _adult(home, numbers, first=_pick(_FIRST[:10], f"he {home}"))
    return [one, _adult(home, numbers, first=_pick(_FIRST[10:], f"she {home}"), email=one.email)]


def _father_and_son(home: int, numbers: Iterator[int]) -> list[_Person]:
    father = _adult(home, numbers, birth_date=_birth_date(f"father {home}", 1950 + home % 10))
    son = _birth_date(f"son {home}", 1980 + home % 10)
    return [father, _adult(home, numbers, first=father.first, birth_date=son)]


def _twins(home: int, numbers: Iterator[int]) -> list[_Person]:
    one = _adult(home, numbers, first=_FIRST[home % 10])
    return [one, _adult(home, numbers, first=_FIRST[10 + home % 10], birth_date=one.birth_date)]


def _flatmates(home: int, numbers: Iterator[int]) -> list[_Person]:
    return [_adult(home, numbers, last=_pick(_LAST, f"flat {home} {n}"), first=_FIRST[(home + 7 * n) % 20])
            for n in range(2)]  # fmt: skip


def _spanish_family(home: int, numbers: Iterator[int]) -> list[_Person]:
    his, hers, third = (_SPANISH[(home + 2 * n) % len(_SPANISH)] for n in range(3))
    father = _adult(home, numbers, last=f"{his} {third}", first=_FIRST[home % 10])
    mother = _adult(home, numbers, last=f"{hers} {his}", first=_FIRST[10 + home % 10])
    child = _adult(
        home, numbers, last=f"{his} {hers}", first=_FIRST[(home + 5) % 10], birth_date="2001-09-23"
    )
    return [father, mother, child]


_KINDS: Final = (
    _alone, _spouses_with_one_email, _father_and_son, _twins, _flatmates, _spanish_family,
)  # fmt: skip


def _record(person: _Person, copy: int, columns: frozenset[str]) -> Comparable:
    """Return the n-th record of a person: the first is right, each other has a fault or a change."""
    last, birth_date, home = person.last, person.birth_date, person.home
    first, email = person.first, person.email
    if copy == 1:
        last = last.split()[0] if " " in last else last[:-2] + last[-1] + last[-2]
    if copy == 2:
        birth_date = birth_date[:-1] + str((int(birth_date[-1]) + 1) % 10)
        email = email[1:]
    if copy == 3:
        first, home = first[0], home + HOUSEHOLDS
    raw = _raw(first, last, home)
    raw |= {
        "birth_date": birth_date, "email": email, "phone": person.phone,
        "national_id": f"Q{_number(f'national {person.number}', 10**8):08d}",
        "social_handle": f"@{person.first[:2]}{_number(f'handle {person.number}', 10**6)}",
        **{name: f"{_number(f'{name} {person.number}', 2**60):015x}" for name in _OPAQUE},
        "gender": "m" if person.first in _FIRST[:10] else "f",
    }  # fmt: skip
    if "full_name" in columns and "first_name" not in columns:
        raw = {name: value for name, value in raw.items() if name not in {"first_name", "last_name"}}
        raw["full_name"] = f"{first} {last}"
    known = normalise({name: [value] for name, value in raw.items()}, default_region="GB").columns
    return Comparable({name: value for name, value in known.items() if name in columns})


def _raw(first: str, last: str, home: int) -> dict[str, str]:
    street, number = _pick(_STREETS, f"street {home}"), f"{1 + _number(f'number {home}', 90)}"
    city = _pick(_CITIES, f"city {home}")
    letters = (_pick(_LETTERS, f"{city} {home} {n}") for n in range(2))
    postcode = (
        f"Q{city[0]}{1 + _number(f'district {home}', 60)} {_number(f'sector {home}', 10)}{''.join(letters)}"
    )
    return {
        "first_name": first, "last_name": last, "street": street, "house_number": number,
        "postcode": postcode, "city": city, "region": "Fiction", "country": "GB",
        "full_address": f"{number} {street}, {city} {postcode}",
    }  # fmt: skip


def _pick(options: Sequence[str], key: str) -> str:
    return options[_number(key, len(options))]


def _number(key: str, below: int) -> int:
    """Return a number below `below`, always the same for one key."""
    return int.from_bytes(sha256(key.encode()).digest()[:8]) % below
