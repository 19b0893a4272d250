"""What each of the seven channels writes down about a person, with the mistakes that channel makes.

Rows are tuples in the order of `COLUMNS`: the contract's attribute names, then one trait and the three
consents that the channel asked for ("Y", "N" or empty).
"""

import random
from collections.abc import Callable
from typing import Final

from api.demo import names
from api.demo.people import Home, Person, without_accents

Row = tuple[str, ...]

COLUMNS: Final = (
    "channel", "source_id", "observed_at", "full_name", "first_name", "middle_name", "last_name",
    "birth_date", "gender", "national_id", "email", "email_2", "phone", "full_address", "street",
    "house_number", "address_line2", "postcode", "city", "country", "user_id", "loyalty_id", "device_id",
    "cookie_id", "favourite_store", "identity_linking", "personalization", "marketing_email",
)  # fmt: skip

# Share of the customers that each channel knows, and of those the share that it knows twice.
CHANNELS: Final = {
    "web": (0.44, 0.08), "app": (0.28, 0.04), "pos": (0.40, 0.12), "email": (0.34, 0.02), "crm": (0.40, 0.05),
    "loyalty": (0.36, 0.03), "callcentre": (0.24, 0.10),
}  # fmt: skip

_STORES: Final = ("Centro", "Norte", "Sur", "Station", "Riverside", "High Street", "Airport")
_DNI_LETTERS: Final = "TRWAGMYFPDXBNJZSQVHLCKE"  # the control letter is number modulo 23


def _row(
    channel: str, source_id: str, observed_at: str, *, full_name: str = "", first: str = "", middle: str = "",
    last: str = "", birth: str = "", gender: str = "", national: str = "", email: str = "", email_2: str = "",
    phone: str = "", full_address: str = "", street: str = "", number: str = "", flat: str = "",
    postcode: str = "", city: str = "", country: str = "", user: str = "", loyalty: str = "",
    device: str = "", cookie: str = "", store: str = "", linking: str = "", personalization: str = "",
    marketing: str = "",
) -> Row:  # fmt: skip
    return (
        channel, source_id, observed_at, full_name, first, middle, last, birth, gender, national, email,
        email_2, phone, full_address, street, number, flat, postcode, city, country, user, loyalty, device,
        cookie, store, linking, personalization, marketing,
    )  # fmt: skip


class ChannelWriter:
    """Writes the rows of one person; numbers the rows of each channel in a random order of its own."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)  # noqa: S311 - repeatable fiction, nothing secret
        self._numbers = dict.fromkeys(CHANNELS, 0)
        self._write: dict[str, Callable[[Person, str, str], Row]] = {
            "web": self._web, "app": self._app, "pos": self._pos, "email": self._email, "crm": self._crm,
            "loyalty": self._loyalty, "callcentre": self._callcentre,
        }  # fmt: skip

    def rows(self, person: Person) -> list[Row]:
        """Return between one row and several of each channel that knows `person`."""
        r = self._rng.random
        known: list[str] = []
        for channel, (share, twice) in CHANNELS.items():
            if r() < share:
                known.append(channel)
                if r() < twice:
                    known.append(channel)
        if not known:
            known.append("crm")
        return [
            self._write[channel](person, self._source_id(channel), self._observed_at()) for channel in known
        ]

    def _source_id(self, channel: str) -> str:
        self._numbers[channel] += 1
        return f"{channel[0].upper()}{self._numbers[channel]:07d}"

    # -- channels ---------------------------------------------------------------------------------------

    def _web(self, p: Person, source_id: str, observed_at: str) -> Row:
        r = self._rng.random
        known = r() < 0.7  # the others only left an e-mail at the checkout
        return _row(
            "web", source_id, observed_at, first=self._given(p), last=self._family(p, both=0.5),
            birth=self._birth(p) if known and r() < 0.6 else "", email=self._mail(p),
            phone=self._phone(p) if known and r() < 0.6 else "", country=p.home.country,
            postcode=self._home(p).postcode if known else "", user=f"u{p.number:07d}" if known else "",
            cookie=f"{self._rng.getrandbits(64):016x}", linking=self._consent(p.linking),
            personalization=self._consent(p.personalization), marketing=self._consent(p.marketing),
        )  # fmt: skip

    def _app(self, p: Person, source_id: str, observed_at: str) -> Row:
        r = self._rng.random
        kind = r()  # a quarter knows the device alone
        signed_in = kind > 0.4
        return _row(
            "app", source_id, observed_at, first=self._given(p) if signed_in else "",
            email=self._mail(p) if kind > 0.25 else "", phone=self._phone(p) if kind > 0.75 else "",
            user=f"u{p.number:07d}" if signed_in else "", device=p.device, country=p.home.country,
            linking=self._consent(p.linking), personalization=self._consent(p.personalization),
        )  # fmt: skip

    def _pos(self, p: Person, source_id: str, observed_at: str) -> Row:
        r = self._rng.random
        anonymous = r() < 0.04
        first = "CLIENTE" if anonymous else without_accents(self._given(p)).upper()
        last = "VARIOS" if anonymous else without_accents(self._family(p, both=0.35)).upper()
        phone = self._phone(p) if r() < 0.7 else self._one_of(names.PLACEHOLDER_PHONES) if r() < 0.4 else ""
        email = self._mail(p).upper() if r() < 0.25 else ""
        if r() < 0.06:
            email = self._one_of(names.PLACEHOLDER_EMAILS)
        return _row(
            "pos", source_id, observed_at, first=first[:1] + "." if r() < 0.15 else first, last=last,
            phone=phone, email=email, postcode=self._home(p).postcode if r() < 0.6 else "",
            country=p.home.country, loyalty=_loyalty_id(p) if r() < 0.3 else "", store=self._one_of(_STORES),
            linking=self._consent(p.linking), personalization=self._consent(p.personalization),
        )  # fmt: skip

    def _email(self, p: Person, source_id: str, observed_at: str) -> Row:
        first = self._given(p) if self._rng.random() < 0.35 else ""
        return _row(
            "email", source_id, observed_at, first=first, email=self._mail(p),
            linking=self._consent(p.linking), marketing=self._consent(p.marketing),
        )  # fmt: skip

    def _crm(self, p: Person, source_id: str, observed_at: str) -> Row:
        r = self._rng.random
        home = self._home(p)
        return _row(
            "crm", source_id, observed_at, first=self._given(p), middle=p.middle if r() < 0.6 else "",
            last=self._family(p, both=0.85), birth=self._birth(p) if r() < 0.85 else "",
            gender=("M" if p.male else "F") if r() < 0.9 else "",
            national=_national_id(p) if r() < 0.25 else "", email=self._mail(p) if r() < 0.85 else "",
            email_2=p.email_2, phone=self._phone(p), street=home.street, number=home.number,
            flat=home.flat if r() < 0.7 else "", postcode=home.postcode, city=self._typo(home.city),
            country=home.country, user=f"u{p.number:07d}" if r() < 0.1 else "",
            linking=self._consent(p.linking), personalization=self._consent(p.personalization),
            marketing=self._consent(p.marketing),
        )  # fmt: skip

    def _loyalty(self, p: Person, source_id: str, observed_at: str) -> Row:
        r = self._rng.random
        home = self._home(p)
        return _row(
            "loyalty", source_id, observed_at, first=self._given(p), last=self._family(p, both=0.75),
            birth=names.PLACEHOLDER_BIRTH_DATE if r() < 0.03 else self._birth(p),
            gender="M" if p.male else "F", email=self._mail(p) if r() < 0.6 else "",
            phone=self._phone(p) if r() < 0.75 else "", city=home.city, postcode=home.postcode,
            country=home.country, loyalty=_loyalty_id(p), store=self._one_of(_STORES),
            linking=self._consent(p.linking), personalization=self._consent(p.personalization),
            marketing=self._consent(p.marketing),
        )  # fmt: skip

    def _callcentre(self, p: Person, source_id: str, observed_at: str) -> Row:
        r = self._rng.random
        first, last = self._given(p), self._family(p, both=0.6)
        home = self._home(p)
        phone = names.CALL_CENTRE_PHONE if r() < 0.08 else self._phone(p)
        if home.country == "ES":
            address = f"{home.street} {home.number}, {home.flat or 'bajo'}, {home.postcode} {home.city}"
        else:
            flat = f"{home.flat}, " if home.flat else ""
            address = f"{flat}{home.number} {home.street}, {home.city} {home.postcode}"
        return _row(
            "callcentre", source_id, observed_at,
            full_name=f"{last}, {first}" if r() < 0.4 else f"{first} {last}", phone=phone,
            email=self._mail(p) if r() < 0.3 else "", full_address=address if r() < 0.6 else "",
            birth=self._birth(p) if r() < 0.35 else "", country=home.country,
            linking=self._consent(p.linking), personalization=self._consent(p.personalization),
        )  # fmt: skip

    # -- how things are written -------------------------------------------------------------------------

    def _given(self, p: Person) -> str:
        r = self._rng.random
        first = p.first
        if r() < 0.12:
            forms = names.NICKNAMES.get(first)
            first = forms[int(r() * len(forms))] if forms else first
        elif p.middle and r() < 0.3:
            first = f"{first} {p.middle}"
        return self._typo(first)

    def _family(self, p: Person, *, both: float) -> str:
        """Return the surname; of two surnames both are written with the probability `both`."""
        last = p.last
        if p.spanish and self._rng.random() > both:
            last = last.partition(" ")[0]
        return self._typo(last)

    def _typo(self, text: str) -> str:
        r = self._rng.random
        share = r()
        if share > 0.17:
            return text
        if share > 0.05:
            return without_accents(text)
        at, kind = int(r() * len(text)), r()
        if kind < 0.4:  # another letter
            return f"{text[:at]}{'aeionrst'[int(r() * 8)]}{text[at + 1 :]}"
        if kind < 0.7:  # one letter missing
            return text[:at] + text[at + 1 :] if len(text) > 3 else text
        return text[:at] + text[at + 1 : at + 2] + text[at : at + 1] + text[at + 2 :]  # two letters swapped

    def _birth(self, p: Person) -> str:
        r = self._rng.random
        year, month, day = p.birth
        if r() < 0.03 and day <= 12:
            month, day = day, month
        elif r() < 0.02:
            day = 1 + int(r() * 28)
        return f"{year}-{month:02d}-{day:02d}"

    def _mail(self, p: Person) -> str:
        r = self._rng.random
        email = p.email_2 if p.email_2 and r() < 0.3 else p.email
        if r() < 0.015:
            return self._typo(email)
        return email.capitalize() if r() < 0.05 else email

    def _phone(self, p: Person) -> str:
        """Return the mobile or the landline, in one of the forms in which people write numbers."""
        r = self._rng.random
        number = p.home.landline if p.home.landline and r() < 0.18 else p.phone
        form = r()
        if form < 0.4:
            return number
        if number[1] == "1":
            area, rest = number[2:5], f"{number[5:8]}-{number[8:]}"
            return f"({area}) {rest}" if form < 0.7 else f"{area}-{rest}"
        if number.startswith("+44"):
            return f"0{number[3:7]} {number[7:]}" if form < 0.8 else f"0044{number[3:]}"
        digits = number[3:]
        return f"{digits[:3]} {digits[3:5]} {digits[5:7]} {digits[7:]}" if form < 0.7 else digits

    def _home(self, p: Person) -> Home:
        return p.former_home if p.former_home and self._rng.random() < 0.4 else p.home

    def _consent(self, said: str) -> str:
        """Return what this channel was told: mostly the same everywhere, sometimes not."""
        share = self._rng.random()
        if share > 0.06:
            return said
        return "N" if share < 0.02 else ""

    def _one_of(self, choices: tuple[str, ...]) -> str:
        return choices[int(self._rng.random() * len(choices))]

    def _observed_at(self) -> str:
        r = self._rng.random
        date = f"2025-{1 + int(r() * 10):02d}-{1 + int(r() * 28):02d}"
        return f"{date}T{int(r() * 24):02d}:{int(r() * 60):02d}:00Z"


def _loyalty_id(p: Person) -> str:
    return f"L{p.number * 7919 % 9_999_991:07d}"


def _national_id(p: Person) -> str:
    """Return a number no authority issues: a DNI from 99 million up, area 666, the NINO prefix QQ."""
    if p.home.country == "ES":
        number = 99_000_000 + p.number * 4567 % 999_983
        return f"{number}{_DNI_LETTERS[number % 23]}"
    if p.home.country == "US":
        serial = p.number * 7919 % 999_983
        return f"666-{serial // 10_000:02d}-{serial % 10_000:04d}"
    digits = f"{p.number * 7919 % 999_983:06d}"
    return f"QQ {digits[:2]} {digits[2:4]} {digits[4:]} C"
