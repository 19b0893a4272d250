"""kill -9 between every two durable steps of every operation; afterwards the service recovers and is checked.

Each operation is killed before its first step, its second, and so on until it is done before it is killed.
After every death the home is opened as the next start opens it, checked, the operation repeated, and checked
again: then everything must be there, once.
"""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from api.services import Services, open_services
from api.settings import Settings
from tests.faults.checker import Expected, Name, problems, stored_email, unused_keys
from tests.faults.victim import OPERATIONS, Victims, victims
from tests.world import START, a_world, record, row

NOW = START + 60_000
PEOPLE = ("Ana", "Berta", "Carla", "Dora")


@pytest.fixture(scope="module")
def killer() -> Iterator[Victims]:
    yield victims()
    victims().close()
    victims.cache_clear()


@pytest.fixture(scope="module")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home of four people, two records each, linked; one denies personalization."""
    folder = tmp_path_factory.mktemp("made")
    with a_world(folder) as world:
        world.ingest(*(row(channel, name, name) for name in PEOPLE for channel in ("crm", "web")))
        world.link()
        world.send(record("shop", "denies", "Edda") | {"consents": consents(personalization="refused")})
        world.ingest(row("shop", "Ana", "Ana"), row("shop", "Berta", "Berta"))  # for the run to publish
    return folder / "home"


def consents(**states: str) -> list[dict[str, str]]:
    return [{"purpose": purpose, "state": state} for purpose, state in states.items()]


def email(person: str) -> str:
    return f"{person.lower()}@example.com"


def before() -> Expected:
    """What the home holds before anything breaks."""
    names = {(channel, name): email(name) for name in PEOPLE for channel in ("crm", "web")}
    names |= {("shop", name): email(name) for name in ("Ana", "Berta")}
    names["shop", "denies"] = email("Edda")
    return Expected(
        acknowledged=dict(names),
        denied={(("shop", "denies"), "personalization")},
        permitted={(("crm", "Ana"), "personalization")},
    )


@dataclass
class Case:
    """An operation, what it means to change, and what each acknowledgement vouches for."""

    writes: Sequence[tuple[Name, str | None]] = ()  # in order; of one key the last counts
    denies: Sequence[tuple[Name, str, object]] = ()  # who, which purpose, by what it is acknowledged
    order: dict[str, Any] = field(default_factory=dict)
    vouched: Callable[[list[Any]], list[Name]] = lambda _: []

    def after(self, acknowledged: list[Any]) -> Expected:
        expected = before()
        for name, address in self.writes:
            expected.begin(name, address)
        for name in self.vouched(acknowledged):
            expected.acknowledge(name)
        expected.denied |= {(name, purpose) for name, purpose, by in self.denies if by in acknowledged}
        return expected

    def finished(self) -> Expected:
        expected = before()
        expected.acknowledged |= dict(self.writes)
        expected.denied |= {(name, purpose) for name, purpose, _ in self.denies}
        return expected


def _key(line: dict[str, Any]) -> Name:
    return line["channel"], line["source_id"]


FILE = [
    row("crm", "Ana", "Ana", email="ana@new.example"),  # an update
    *(row("file", str(number), f"Filed{number}") for number in range(5)),
    row("file", "0", "Filed0", email="filed0@new.example"),  # a record of this very file again
    row("web", "Berta", "Berta"),  # unchanged
]
FILED = list(dict.fromkeys(_key(each) for each in FILE))
SENT = [
    record("api", "1", "Frida"),
    record("crm", "Ana", "Ana") | {"attributes": {"first_name": "Ana", "email": "ana@new.example"}},
    record("api", "2", "Gerda")
    | {"consents": consents(identity_linking="granted", personalization="refused")},
]
CASES = {
    "ingest": Case(
        writes=[(_key(each), each["email"]) for each in FILE],
        vouched=lambda done: [
            name for name in FILED if done and all(_key(each) != name for each in FILE[done[-1] :])
        ],
    ),
    "send": Case(
        writes=[(_key(each), each["attributes"]["email"]) for each in SENT],
        denies=[(("api", "2"), "personalization", 2)],
        order={"records": SENT},
        vouched=lambda done: [_key(SENT[number]) for number in done],
    ),
    "withdraw": Case(
        denies=[(("crm", "Berta"), "personalization", "personalization")],
        order={"name": ["crm", "Berta"], "purposes": ["personalization", "identity_linking"]},
    ),
    "delete": Case(
        writes=[(("web", "Carla"), None)],
        order={"name": ["web", "Carla"]},
        vouched=lambda done: [("web", "Carla")] if done else [],
    ),
    "erase": Case(
        writes=[(("web", "Carla"), None)],
        order={"name": ["web", "Carla"]},
        vouched=lambda done: [("web", "Carla")] if done else [],
    ),
    "rotate": Case(),
    "publish": Case(),
}  # fmt: skip


LEAST_STEPS = {"ingest": 15, "send": 20, "withdraw": 6, "delete": 4, "erase": 10, "rotate": 5, "publish": 15}


Groups = frozenset[frozenset[int]]


def groups(services: Services) -> Groups:
    """The published partition."""
    found: dict[str, set[int]] = {}
    with services.db.read() as conn:
        for batch in services.memberships.export(conn):
            for number, golden_id, _ in batch:
                found.setdefault(golden_id, set()).add(number)
    return frozenset(frozenset(members) for members in found.values())


@dataclass
class Deaths:
    """One operation, killed before its steps, on homes that begin alike."""

    operation: str
    made: Path
    folder: Path
    killer: Victims

    def __post_init__(self) -> None:
        self.case = CASES[self.operation]
        path = self.folder / "rows.jsonl"
        path.write_text("".join(json.dumps(each) + "\n" for each in FILE))
        self.order = {"now": NOW, "file": str(path), **self.case.order}
        self.after_death: set[Groups] = set()
        self.at_the_end: set[Groups] = set()

    def die(self, step: int) -> bool:
        """Kill before `step`, check, repeat, check; False if the operation was done before that step."""
        home = self.folder / "killed" / "home"
        shutil.copytree(self.made, home)
        acknowledged = self.killer.killed(self.operation, home=home, step=step, **self.order)
        services = open_services(Settings.from_environment({"AUREA_HOME": str(home)}), lambda: NOW)
        try:
            where = f"{self.operation}, killed before step {step}"
            services.recover()
            if acknowledged is not None:
                assert problems(services, self.case.after(acknowledged)) == [], where
                self.after_death.add(groups(services))
                self._repeat(services)
            assert problems(services, self.case.finished()) == [], f"{where}, and repeated"
            assert unused_keys(services, NOW) == 0, where
            self.at_the_end.add(groups(services))
        finally:
            services.close()
            shutil.rmtree(home.parent)
        return acknowledged is not None

    def _repeat(self, services: Services) -> None:
        gone = [name for name, address in self.case.writes if address is None]
        if all(stored_email(services, name) is not None for name in gone):
            OPERATIONS[self.operation](services, self.order, lambda _: None)


@pytest.mark.slow
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_kill_9_before_every_durable_step(
    operation: str, made_once: Path, tmp_path: Path, killer: Victims
) -> None:
    deaths, step = Deaths(operation, made_once, tmp_path, killer), 0
    while deaths.die(step):
        step += 1
    assert step >= LEAST_STEPS[operation]
    if operation == "publish":  # the old state or the new one, and in the end the new one
        assert len(deaths.after_death) == 2
        assert len(deaths.at_the_end) == 1
    print(f"{operation}: killed before each of {step} steps")  # noqa: T201 - a figure of the report


@pytest.mark.timeout(600)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_kill_9_before_one_step(operation: str, made_once: Path, tmp_path: Path, killer: Victims) -> None:
    """The same in short, for every run of the tests."""
    deaths = Deaths(operation, made_once, tmp_path, killer)
    assert deaths.die(LEAST_STEPS[operation] * 2 // 3)
