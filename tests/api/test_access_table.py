"""Role x endpoint x purpose x state of consent x field: every cell, against an oracle of its own.

The oracle (access_oracle.py) is written from the contract and reads the policy, none of the program's code.
One world for the whole table; `pytest -s` prints its size.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import Any

import httpx
import pytest

from tests.api.access_oracle import DAY, ROLES, STANDARD, allowed, alone, served, visible, withheld
from tests.api.access_people import (
    NAMES,
    NOW,
    PEOPLE,
    POLICY,
    POLICY_TEXT,
    PURPOSES,
    lookup_value,
    record_key,
    settled,
    values,
)
from tests.world import World, a_world

FIELDS = (*STANDARD, "risk", "shoe_size")
TELLING = [
    name for name in FIELDS if name not in ("country", "house_number", "gender", "postcode", "shoe_size")
]
"""Fields whose values are long enough to be nothing else by chance."""
ASKED = (*PURPOSES, "identity_linking", "made_up")
EVERYBODY = range(len(NAMES))
NARROW = "personalization"  # all that the narrow consumer's token carries
Outcome = tuple[int, Any]  # status and body


class Table:
    """A world in which everybody said what PEOPLE says, those who ask, and a count of what was compared."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.golden_ids = settled(world)
        self.askers: dict[str, httpx.Client] = {
            role: world.client(role) for role in ROLES if role != "consumer"
        }
        self.askers["consumer"] = world.client("consumer", *PURPOSES, "identity_linking")
        self.askers["narrow consumer"] = world.client("consumer", NARROW)
        self.askers["pairwise consumer"] = world.client("consumer", *PURPOSES, pairwise=True)
        self.cells: Counter[str] = Counter()
        self._own: list[str] = []

    def known_as(self, asker: str, number: int) -> str:
        """The golden ID in the asker's own form, as far as it was ever told it."""
        if asker != "pairwise consumer":
            return self.golden_ids[number]
        if not self._own:
            self._own = [self._told(other) for other in EVERYBODY]
        return self._own[number]

    def _told(self, number: int) -> str:
        for purpose in PURPOSES:
            body = {"purpose": purpose, "identifiers": [lookup_value(number)]}
            answer = self.askers["pairwise consumer"].post("/v1/profiles/lookup", json=body)
            if answer.status_code == 200:
                assert answer.json()["golden_id"] != self.golden_ids[number]
                return str(answer.json()["golden_id"])
        return self.golden_ids[number]  # the form of others, which finds it nobody

    def count(self, endpoint: str, fields: Sequence[str]) -> None:
        self.cells[endpoint.replace("_", " ")] += len(fields)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Table]:
    unlimited = {"AUREA_CLIENT_RATE": "0", "AUREA_PEOPLE_PER_DAY": "0"}
    folder = tmp_path_factory.mktemp("table")
    with a_world(folder, policy=POLICY_TEXT, environment=unlimited) as world:
        yield Table(world)


def carried(asker: str) -> tuple[str, ...]:
    """The purposes that the asker's token carries. Only a consumer must name them one by one."""
    return {
        "consumer": (*PURPOSES, "identity_linking"), "narrow consumer": (NARROW,),
        "pairwise consumer": tuple(PURPOSES),
    }.get(asker, ASKED)  # fmt: skip


def may_read(purpose: str, number: int) -> bool:
    """What the oracle says of the person of that number. Linking serves no profile."""
    if purpose == "identity_linking":
        return False
    return allowed(POLICY, purpose, PEOPLE[NAMES[number]], NOW * DAY)


def may_use(subject: str, purpose: str, number: int) -> bool:
    """What the oracle says of a golden ID, or of a record by itself: no channel looks into another's."""
    person = PEOPLE[NAMES[number]]
    return allowed(POLICY, purpose, alone(person) if subject == "record" else person, NOW * DAY)


def status_of_read(asker: str, purpose: str, number: int, *, lookup: bool = False) -> int:
    """The status a profile is answered with: role, then purpose, and only then the person.

    A steward's lookup of one person (`lookup`) is let in, to hear of shared identifiers, and reads nobody.
    """
    if asker == "steward" and purpose == "made_up" and lookup:
        return 422
    if "consumer" not in asker or purpose not in carried(asker):
        return 403
    return 200 if may_read(purpose, number) else 404


def check_profile(profile: dict[str, Any], purpose: str, number: int) -> None:
    """Compare an answer with the oracle field by field."""
    person, rule = PEOPLE[NAMES[number]], POLICY["purposes"][purpose]
    shown = {**profile["attributes"], **profile["traits"]}
    due = served(POLICY, purpose, values(number))
    for field in FIELDS:
        assert shown.get(field) == due.get(field), f"{purpose}, {NAMES[number]}: {field}"
    assert set(shown) == set(due)
    assert set(profile["traits"]) == set(rule["traits"])
    assert profile["withheld"] == withheld(POLICY, purpose)
    seen = visible(rule, person)
    assert (sorted(profile["channels"]), profile["records"]) == (sorted(seen), len(seen))
    assert profile["purpose"] == purpose
    assert "household" not in profile


def each_cell(table: Table, ask: Callable[[str, str, int], httpx.Response], *, askers: Sequence[str]) -> Any:
    """Yield what every asker is answered for every purpose about everybody."""
    cells = list(product(askers, ASKED, EVERYBODY))
    with ThreadPoolExecutor(4) as several:
        yield from zip(cells, several.map(lambda cell: ask(*cell), cells), strict=True)


def by_id(table: Table) -> Callable[[str, str, int], httpx.Response]:
    return lambda asker, purpose, number: table.askers[asker].get(
        f"/v1/profiles/{table.known_as(asker, number)}", params={"purpose": purpose}
    )


def by_email(table: Table) -> Callable[[str, str, int], httpx.Response]:
    def ask(asker: str, purpose: str, number: int) -> httpx.Response:
        body = {"purpose": purpose, "identifiers": [lookup_value(number)]}
        return table.askers[asker].post("/v1/profiles/lookup", json=body)

    return ask


@pytest.mark.parametrize("endpoint", [by_id, by_email], ids=["by id", "by e-mail"])
def test_a_profile_is_shown_to_whom_the_oracle_says_and_in_the_fields_it_says(
    table: Table, endpoint: Callable[[Table], Callable[[str, str, int], httpx.Response]]
) -> None:
    table.known_as("pairwise consumer", 0)
    refused: defaultdict[int, set[bytes]] = defaultdict(set)
    for (asker, purpose, number), answer in each_cell(table, endpoint(table), askers=list(table.askers)):
        where = f"{asker}, {purpose}, {NAMES[number]}"
        lookup = endpoint is not by_id
        assert answer.status_code == status_of_read(asker, purpose, number, lookup=lookup), where
        if answer.status_code == 200:
            check_profile(answer.json(), purpose, number)
            assert answer.json()["golden_id"] == table.known_as(asker, number), where
        else:
            refused[answer.status_code].add(answer.content)
        table.count(endpoint.__name__, FIELDS)
    # So no field of anybody makes a difference. A 403 says whether it is the role or the purpose.
    assert {status: len(bodies) for status, bodies in refused.items() if status != 422} == {403: 2, 404: 1}


@pytest.mark.parametrize("way", ["golden_id", "identifiers"])
def test_a_batch_tells_each_asker_what_one_request_for_each_person_would(table: Table, way: str) -> None:
    for asker, purpose in product(table.askers, ASKED):
        named = [
            {"golden_id": table.known_as(asker, number)} if way == "golden_id"
            else {"identifiers": [{"type": "record", "value": ":".join(record_key(number))}]}
            for number in EVERYBODY
        ]  # fmt: skip
        body = {"purpose": purpose, "lookups": named}
        answer = table.askers[asker].post("/v1/profiles/lookup/batch", json=body)
        due = [status_of_read(asker, purpose, number) for number in EVERYBODY]
        if 403 in due:
            assert answer.status_code == 403
            results = [{"status": 403}] * len(due)
        else:
            results = answer.json()["results"]
        assert [each["status"] for each in results] == due, f"{asker}, {purpose}"
        for number, each in zip(EVERYBODY, results, strict=True):
            if each["status"] == 200:
                check_profile(each["profile"], purpose, number)
            else:
                assert set(each) == {"status"}
            table.count(f"batch by {way}", FIELDS)


@pytest.mark.parametrize("subject", ["golden_id", "record"])
def test_a_question_about_consent_is_answered_to_whom_and_as_the_oracle_says(
    table: Table, subject: str
) -> None:
    def ask(asker: str, purpose: str, number: int) -> httpx.Response:
        channel, source_id = record_key(number)
        record = {"record": {"channel": channel, "source_id": source_id}}
        about = record if subject == "record" else {"golden_id": table.known_as(asker, number)}
        return table.askers[asker].post("/v1/consents/query", json={"subject": about, "purpose": purpose})

    may_ask = {"steward", "officer", "auditor"} | ({"ingest"} if subject == "record" else set())
    for (asker, purpose, number), answer in each_cell(table, ask, askers=ROLES):
        where = f"{asker}, {purpose}, {NAMES[number]}: {answer.text}"
        assert not leaked(answer.text, number), where
        table.count(f"query by {subject}", TELLING)
        if asker not in may_ask:
            assert answer.status_code == 403, where
        elif purpose == "made_up":
            assert answer.status_code == 422, where
        elif PEOPLE[NAMES[number]].gone:
            assert answer.status_code == 404, where
        else:
            assert answer.status_code == 200, where
            if purpose != "identity_linking":
                assert answer.json()["allowed"] == may_use(subject, purpose, number), where
            assert ("out_of_view" in answer.json()) == (asker == "officer"), where


def test_a_golden_id_is_inspected_by_whom_the_oracle_says_and_without_a_value(table: Table) -> None:
    for asker, number in product(ROLES, EVERYBODY):
        answer = table.askers[asker].get(f"/v1/golden-ids/{table.golden_ids[number]}")
        where = f"{asker}, {NAMES[number]}: {answer.text}"
        assert not leaked(answer.text, number), where
        table.count("golden ID", TELLING)
        if asker not in ("steward", "officer", "auditor"):
            assert answer.status_code == 403, where
        elif NAMES[number] == "unknown" or (PEOPLE[NAMES[number]].gone and asker == "steward"):
            assert answer.status_code == 404, where
        else:
            assert answer.status_code == 200, where
            said = answer.json()
            assert (said["status"] == "erased") == PEOPLE[NAMES[number]].gone, where
            assert (said["members"] is not None) == (asker != "auditor"), where


def leaked(text: str, number: int) -> list[str]:
    """The fields of the person whose value stands in the text."""
    known = values(number)
    return [name for name in TELLING if "".join(known[name]) in text]


def test_the_size_of_the_table(table: Table) -> None:
    """Runs last: what was compared, printed."""
    size = sum(table.cells.values())
    print(f"\n{size:,} cells: {dict(table.cells)}")  # noqa: T201 - the figure is for whoever asks by -s
    reads = len(table.askers) * len(ASKED) * len(NAMES) * len(FIELDS)
    questions = len(ROLES) * len(ASKED) * len(NAMES) * len(TELLING)
    inspections = len(ROLES) * len(NAMES) * len(TELLING)
    assert size == 4 * reads + 2 * questions + inspections
