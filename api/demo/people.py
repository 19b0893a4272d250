"""The fictional population: households of people who share names, addresses, telephones and e-mail.

What makes real customer files hard is who lives together: spouses with one e-mail, a son with his
father's name, twins, flatmates with nothing in common but the address. All of it is here, and known.
"""

import random
from collections.abc import Iterator
from typing import NamedTuple

from api.demo import names

Date = tuple[int, int, int]
"""Year, month, day."""


class Home(NamedTuple):
    """An address and what belongs to it."""

    country: str
    street: str
    number: str
    flat: str
    postcode: str
    city: str
    landline: str  # country code and digits, "+" first; may be empty


class Person(NamedTuple):
    """One customer as they are; the channels each know a part, with mistakes."""

    number: int
    spanish: bool
    male: bool
    first: str
    middle: str
    last: str  # Spanish: two surnames
    birth: Date
    email: str
    email_2: str
    phone: str
    home: Home
    former_home: Home | None
    device: str
    linking: str  # "Y" granted, "N" refused, "" not asked
    personalization: str
    marketing: str


class Population:
    """Draws households; the same seed draws the same people."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)  # noqa: S311 - repeatable fiction, nothing secret
        self._people = 0
        self._emails: set[str] = set()
        self._fiction = {"GB": self._gb_numbers(), "US": self._us_numbers()}
        self._first = {
            (True, True): names.zipf_table(names.ES_MEN),
            (True, False): names.zipf_table(names.ES_WOMEN),
            (False, True): names.zipf_table(names.EN_MEN),
            (False, False): names.zipf_table(names.EN_WOMEN),
        }
        self._last = {
            True: names.zipf_table(names.ES_COMMON_SURNAMES, names.ES_RARE_SURNAMES, rare_share=0.35),
            False: names.zipf_table(names.EN_COMMON_SURNAMES, names.EN_RARE_SURNAMES, rare_share=0.5),
        }

    def households(self) -> Iterator[list[Person]]:
        """Yield households without end; their members are customers, children included from 16 years."""
        while True:
            yield self._household()

    def _household(self) -> list[Person]:
        r = self._rng.random
        home = self._home()
        spanish = r() < {"ES": 0.9, "US": 0.25, "GB": 0.05}[home.country]
        kind = r()
        father = self._adult(home, spanish, male=True, year=1945 + int(r() * 45))
        if kind < 0.36:  # one person
            return [
                father if r() < 0.5 else self._adult(home, spanish, male=False, year=1945 + int(r() * 57))
            ]
        if kind < 0.43:  # flatmates: one address and landline, nothing else in common
            others = (
                self._adult(home, r() < 0.5, male=r() < 0.5, year=1985 + int(r() * 18)) for _ in range(2)
            )
            return [father._replace(birth=self._date(1985 + int(r() * 18))), *others]
        mother = self._adult(home, spanish, male=False, year=father.birth[0] + int(r() * 6) - 2)
        if not spanish and r() < 0.75:
            mother = mother._replace(last=father.last)
        if r() < 0.14:  # spouses with one e-mail
            mother = mother._replace(email=father.email)
        couple = [father, mother]
        return couple if kind < 0.68 else couple + self._children(father, mother)

    def _children(self, father: Person, mother: Person) -> list[Person]:
        r = self._rng.random
        year = father.birth[0] + 20 + int(r() * 15)
        children: list[Person] = []
        for _ in range(1 + int(r() * 2.4)):
            if year > 2008:
                break
            male = r() < 0.5
            child = self._adult(father.home, father.spanish, male=male, year=year)
            if children and r() < 0.07:  # twins
                child = child._replace(birth=children[-1].birth)
            if male and r() < 0.12:  # the son bears his father's name
                child = child._replace(first=father.first, middle=father.middle)
            if father.spanish:
                last = f"{father.last.partition(' ')[0]} {mother.last.partition(' ')[0]}"
            else:
                last = father.last
            if year > 2003 and r() < 0.3:  # still on a parent's telephone
                child = child._replace(phone=mother.phone)
            children.append(child._replace(last=last, device=father.device if r() < 0.3 else child.device))
            year += 1 + int(r() * 4)
        return children

    def _adult(self, home: Home, spanish: bool, *, male: bool, year: int) -> Person:
        r = self._rng.random
        self._people += 1
        firsts, lasts = self._first[spanish, male], self._last[spanish]
        first, last = firsts[int(r() * len(firsts))], lasts[int(r() * len(lasts))]
        if spanish:
            last = f"{last} {lasts[int(r() * len(lasts))]}"
        middle = firsts[int(r() * len(firsts))] if r() < (0.25 if spanish else 0.45) else ""
        if middle == first:
            middle = ""
        birth = self._date(year)
        personal = r()
        return Person(
            number=self._people,
            spanish=spanish,
            male=male,
            first=first,
            middle=middle,
            last=last,
            birth=birth,
            email=self._email(first, last, birth[0]),
            email_2=self._email(first, last, birth[0]) if r() < 0.15 else "",
            phone=self._phone(home.country),
            home=home,
            former_home=self._home(home.country) if r() < 0.1 else None,
            device=f"{self._rng.getrandbits(64):016x}",
            linking="Y" if personal < 0.93 else "N" if personal < 0.98 else "",
            personalization="Y" if r() < 0.66 else "N" if r() < 0.4 else "",
            marketing="Y" if r() < 0.45 else "N" if r() < 0.5 else "",
        )

    def _date(self, year: int) -> Date:
        r = self._rng.random
        return year, 1 + int(r() * 12), 1 + int(r() * 28)

    def _home(self, country: str | None = None) -> Home:
        r = self._rng.random
        if country is None:
            country = self._country()
        cities = names.CITIES[country]
        city, area = cities[int(r() * len(cities))]
        streets = names.ES_STREETS if country == "ES" else names.EN_STREETS
        if country == "ES":
            postcode = f"{area}{int(r() * 420):03d}"
            flat = f"{1 + int(r() * 8)}º {'ABCD'[int(r() * 4)]}" if r() < 0.7 else ""
        elif country == "US":
            postcode = f"{area}{int(r() * 60):02d}"
            flat = f"Apt {1 + int(r() * 40)}" if r() < 0.3 else ""
        else:
            letters = "ABDEFGHJLNPQRSTUWXYZ"
            postcode = (
                f"{area}{1 + int(r() * 19)} {int(r() * 10)}{letters[int(r() * 20)]}{letters[int(r() * 20)]}"
            )
            flat = f"Flat {1 + int(r() * 20)}" if r() < 0.25 else ""
        street = streets[int(r() * len(streets))]
        landline = self._phone(country, landline=True) if r() < 0.55 else ""
        return Home(country, street, str(1 + int(r() * r() * 180)), flat, postcode, city, landline)

    def _country(self) -> str:
        """Spain, the United States or the United Kingdom; Spain once fiction has run out of numbers there."""
        share = self._rng.random()
        if share < 0.5:
            return "ES"
        country = "US" if share < 0.8 else "GB"
        return country if len(self._fiction[country]) > 20 else "ES"

    def _phone(self, country: str, *, landline: bool = False) -> str:
        if country != "ES" and self._fiction[country]:
            return self._fiction[country].pop()
        digits = f"{int(self._rng.random() * 10_000_000):07d}"
        return (
            f"+349{1 + int(digits[0]) % 8}{digits}" if landline else f"+346{self._rng.randrange(10)}{digits}"
        )

    def _gb_numbers(self) -> list[str]:
        numbers = [f"+44{stem}{n:03d}" for stem in names.GB_FICTION_STEMS for n in range(990)]
        self._rng.shuffle(numbers)
        return numbers

    def _us_numbers(self) -> list[str]:
        numbers = [f"+1{area}555{n:04d}" for area in names.US_AREA_CODES for n in range(100, 200)]
        self._rng.shuffle(numbers)
        return numbers

    def _email(self, first: str, last: str, year: int) -> str:
        """Return an address that nobody else has."""
        r = self._rng.random
        given, family = _plain(first), _plain(last.partition(" ")[0])
        form = int(r() * 5)
        user = (
            f"{given}.{family}",
            f"{given[0]}{family}",
            f"{given}{family}",
            f"{family}.{given}",
            f"{given}_",
        )[form]
        domain = names.EMAIL_DOMAINS[int(r() * len(names.EMAIL_DOMAINS))]
        address = f"{user}{year % 100:02d}@{domain}"
        while address in self._emails:
            address = f"{user}{int(r() * 100_000)}@{domain}"
        self._emails.add(address)
        return address


_ACCENTS = str.maketrans("áéíóúüñÁÉÍÓÚÜÑ", "aeiouunAEIOUUN")


def without_accents(text: str) -> str:
    """Return `text` as a till or an English keyboard writes it."""
    return text.translate(_ACCENTS)


def _plain(name: str) -> str:
    return name.translate(_ACCENTS).lower()
