"""The people of the access table, each with what was said of them, and the policy they are judged by."""

import tomllib
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx

from tests.api.access_oracle import DAY, STANDARD, Person, Said
from tests.api.requesting import fulfilled
from tests.world import World

POLICY_FILE = Path(__file__).resolve().parents[2] / "consent" / "purposes.toml"
MORE = """
[purposes.fraud]
title = "Keep fraud away"
dpv = "FraudPreventionAndDetection"
legal_basis = "legal_obligation"
regime = "none"
binds = "person"
attributes = ["full_name", "birth_date", "national_id", "social_handle", "device_id"]
traits = ["risk"]
channels = ["crm"]
minimum_confidence = 0.95
entry = "any"
retention_days = 2190
evidence_retention_days = 2190
notice = "default-2026-01"

[purposes.advice]
title = "Advise in the shop"
dpv = "ServicePersonalisation"
legal_basis = "consent"
regime = "opt_in"
binds = "person"
attributes = ["first_name", "birth_date", "cookie_id"]
traits = ["shoe_size"]
channels = ["crm"]
minimum_confidence = 0.0
entry = "any"
lasts_days = 500
retention_days = 1095
evidence_retention_days = 1825
notice = "default-2026-01"
"""
POLICY_TEXT = POLICY_FILE.read_text().replace("[survivorship]", MORE + "\n[survivorship]", 1)
POLICY = tomllib.loads(POLICY_TEXT)
PURPOSES = [name for name in POLICY["purposes"] if name != "identity_linking"]  # which serves no profile
NOW = 800  # days after the first record came
"""When the table is read. What was granted on day 0 has lapsed for some purposes and not for others."""


ONE, TWO = ("crm",), ("crm", "web")


def every(state: str, method: str = "api", *of: str, day: int = NOW) -> tuple[Said, ...]:
    """The same said of every purpose."""
    return tuple(Said(state, purpose, method, of or TWO, day * DAY) for purpose in PURPOSES)


def only(state: str, purpose: str, method: str = "api") -> tuple[Said, ...]:
    return (Said(state, purpose, method, TWO, NOW * DAY),)


GRANTED = every("granted")
# What was said about everybody, in order: of the record of a channel, or of the golden ID.
PEOPLE: dict[str, Person] = {
    "said nothing": Person(ONE),
    "granted everything": Person(ONE, GRANTED),
    "granted one purpose": Person(ONE, only("granted", "personalization")),
    "granted long ago": Person(ONE, every("granted", day=0)),
    "granted a year ago": Person(ONE, every("granted", day=370)),
    "granted long ago and again": Person(ONE, every("granted", day=0) + GRANTED),
    "refused": Person(ONE, every("refused")),
    "withdrew": Person(ONE, GRANTED + every("withdrawn")),
    "withdrew one purpose": Person(ONE, GRANTED + only("withdrawn", "advertising")),
    "objected": Person(ONE, GRANTED + every("objected")),
    "objected to one purpose": Person(ONE, GRANTED + only("objected", "analytics")),
    "restricted": Person(ONE, GRANTED + only("restricted", "analytics")),
    "restricted, then granted in person": Person(
        ONE, GRANTED + only("restricted", "analytics") + every("granted", "direct", "crm")
    ),
    "restricted, one purpose verified": Person(
        ONE, GRANTED + only("restricted", "analytics") + only("granted", "service", "verified")
    ),
    "withdrew, then an import granted": Person(
        ONE, GRANTED + every("withdrawn") + every("granted", "import")
    ),
    "withdrew, then the API granted": Person(ONE, GRANTED + every("withdrawn") + GRANTED),
    "withdrew, then granted in person": Person(
        ONE, GRANTED + every("withdrawn", "api", "crm") + every("granted", "direct", "crm")
    ),
    "withdrew, then verified": Person(ONE, GRANTED + every("withdrawn") + every("granted", "verified")),
    "verified, then withdrew": Person(ONE, every("granted", "verified") + every("withdrawn")),
    "a minor who granted": Person(ONE, GRANTED, age=12),
    "a minor whose guardian granted": Person(ONE, every("granted", "guardian", "crm"), age=12),
    "two records, granted on one": Person(TWO, every("granted", "api", "web")),
    "two records, denied on one": Person(
        TWO, every("granted", "api", "crm") + every("refused", "api", "web")
    ),
    "two records in conflict": Person(
        TWO, every("withdrawn", "api", "web") + every("granted", "direct", "crm")
    ),
    "two records, granted on both": Person(TWO, GRANTED),
    "only in another channel": Person(("web",), GRANTED),
    "erased": Person(("web",), GRANTED, gone=True),
    "erased, and the law keeps a record": Person(ONE, GRANTED + only("restricted", "fraud", "erasure")),
    "deleted": Person(ONE, GRANTED, gone=True),
    "unknown": Person((), gone=True),
}  # fmt: skip
NAMES = list(PEOPLE)


def name_of(number: int) -> str:
    """A first name that no other person's is near to."""
    letters = sha256(str(number).encode()).digest()
    syllables = ("bcdfglmnprst"[letters[at] % 12] + "aeiou"[letters[at + 1] % 5] for at in range(0, 8, 2))
    return "".join(syllables).capitalize()


def values(number: int) -> dict[str, Any]:
    """A value of every standard attribute, and two traits, of the person of that number."""
    first = name_of(number)
    year = 1986 if PEOPLE[NAMES[number]].age == 40 else 2016
    said = {name: f"{name}-{number:03d}" for name in STANDARD}
    return said | {
        "first_name": first, "middle_name": f"M{first.lower()}", "last_name": f"{first}sson",
        "full_name": f"{first} M{first.lower()} {first}sson", "birth_date": f"{year}-03-{10 + number % 18}",
        "gender": "female", "country": "ES", "postcode": f"28{number:03d}", "house_number": str(number + 1),
        "email": [f"{first.lower()}@example.com"], "phone": [f"+3460010{number:04d}"],
        "risk": f"risk-{number:03d}", "shoe_size": str(200 + number),
    }  # fmt: skip


def settled(world: World) -> list[str]:
    """Bring everybody into `world`, let everything be said of them in its time; return their golden IDs."""
    ingest = world.client("ingest")
    for number, person in enumerate(PEOPLE.values()):
        for channel in person.channels:
            world.send(_record(number, channel), by=ingest)
    golden_ids = [_golden_id(world, number) for number in range(len(PEOPLE))]
    assert len(set(golden_ids)) == len(PEOPLE)  # nobody was taken for another
    today = 0
    for day in sorted({said.at // DAY for person in PEOPLE.values() for said in person.said}):
        world.clock.pass_(days=day - today)
        today = day
        _speak(world.client("officer"), golden_ids, day)
    _leave(world)
    return golden_ids


def lookup_value(number: int) -> dict[str, str]:
    """An identifier that this person alone carries."""
    return {"type": "email", "value": values(number)["email"][0]}


def record_key(number: int) -> tuple[str, str]:
    """The key of the person's first record, or what theirs would have been."""
    person = PEOPLE[NAMES[number]]
    return (person.channels[0] if person.channels else "crm"), f"n{number}"


def _record(number: int, channel: str) -> dict[str, Any]:
    known = values(number)
    traits = {name: known.pop(name) for name in ("risk", "shoe_size")}
    return {
        "channel": channel, "source_id": f"n{number}", "attributes": known, "traits": traits,
        "verified": ["user_id"],  # by which two records are one person's without any doubt
        "consents": [{"purpose": "identity_linking", "state": "granted"}],
    }  # fmt: skip


def _golden_id(world: World, number: int) -> str:
    channels = PEOPLE[NAMES[number]].channels
    found = {world.golden_id(channel, f"n{number}") for channel in channels} or {"g_" + "u" * 26}
    assert len(found) == 1, f"the records of whoever {NAMES[number]} were not linked"
    return found.pop()


def _speak(officer: httpx.Client, golden_ids: list[str], day: int) -> None:
    """Let everything be said that is said on that day: by several people at once, by each in order."""

    def speak(number: int) -> None:
        for said in PEOPLE[NAMES[number]].said:
            if said.at // DAY == day and said.method != "erasure":  # which restricts by itself what is kept
                _say(officer, golden_ids[number], number, said)

    with ThreadPoolExecutor(4) as several:
        list(several.map(speak, range(len(NAMES))))


def _say(officer: httpx.Client, golden_id: str, number: int, said: Said) -> None:
    of_record = {"record": {"channel": said.of[0], "source_id": f"n{number}"}}
    body = {
        "subject": {"golden_id": golden_id} if said.of == TWO else of_record,
        "purpose": said.purpose, "state": said.state, "method": said.method,
    }  # fmt: skip
    if said.method == "guardian":
        body["evidence"] = {"type": "guardian", "value": "file/7"}
    answer = officer.post("/v1/consents", json=body)
    assert answer.status_code == 201, f"{NAMES[number]}: {said}: {answer.text}"


def _leave(world: World) -> None:
    """Two of them ask to be erased, of another the channel deletes the record."""
    officer = world.client("officer")
    for name, kept in {"erased": 0, "erased, and the law keeps a record": 1}.items():
        done = fulfilled(officer, "erasure", identifiers=[lookup_value(NAMES.index(name))])
        fields = done["outcome"]["fields"].values()
        assert any(each["outcome"].startswith("kept") for field in fields for each in field) == bool(kept)
    channel, source_id = record_key(NAMES.index("deleted"))
    keys = {"records": [{"channel": channel, "source_id": source_id}]}
    assert world.client("ingest").post("/v1/records/delete", json=keys).status_code == 200
