"""A page of a store that is not what was written: a clear error, nothing served, and doctor names it."""

import json
import shutil
import sqlite3
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from api.diagnosis_stores import pages
from api.problems import NOT_FOUND, ProblemError
from api.profiles import find_profile
from api.services import Services, open_services
from api.settings import Settings, SettingsError
from api.stores import create_home
from consent.lookup import Identifier
from identity.errors import StoreDamagedError
from tests.faults.checker import READER
from tests.world import ALL_PURPOSES, START, World, a_world, fetch_token, record

PAGE = 4096
PEOPLE = [f"Person{number}" for number in range(40)]


@pytest.fixture(scope="module")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home of forty people; the last one objects to what needs no consent, and to what needs it."""
    folder = tmp_path_factory.mktemp("made")
    refused = [{"purpose": purpose, "state": "objected"} for purpose in ("analytics", "personalization")]
    with a_world(folder) as world:
        world.send(*(record("crm", person, person) for person in PEOPLE[:-1]))
        world.send(record("crm", PEOPLE[-1], PEOPLE[-1]) | {"consents": refused})
        shop = world.services.clients.create("shop", "consumer", ALL_PURPOSES)
        sender = world.services.clients.create("sender", "ingest")
        (folder / "clients.json").write_text(
            json.dumps([(one.client_id, key) for one, key in (shop, sender)])
        )
    return folder


def copied(made: Path, folder: Path) -> Path:
    shutil.copytree(made / "home", folder / "home")
    return folder / "home"


TORN, LOST = "half of it", ("zeros", "ones")
DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "zeros": lambda page: bytes(len(page)),
    "ones": lambda page: b"\xff" * len(page),
    TORN: lambda page: page[: len(page) // 2] + bytes(len(page) - len(page) // 2),
}


def damage(store: Path, number: int, change: Callable[[bytes], bytes]) -> None:
    with store.open("r+b") as file:
        file.seek((number - 1) * PAGE)
        page = file.read(PAGE)
        file.seek((number - 1) * PAGE)
        file.write(change(page))


def root_page(store: Path, table: str) -> int:
    with closing(sqlite3.connect(store)) as conn:
        (number,) = conn.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()
    return int(number)


@pytest.mark.parametrize(("store", "table"), [("aurea.db", "records"), ("keys.db", "record_keys")])
@pytest.mark.parametrize("how", ["zeros", "ones"])
def test_a_running_service_says_so_with_503_and_is_no_longer_ready(
    made_once: Path, tmp_path: Path, store: str, table: str, how: str
) -> None:
    home = copied(made_once, tmp_path)
    damage(home / store, root_page(home / store, table), DAMAGES[how])
    (shop, shop_secret), (sender, sender_secret) = json.loads((made_once / "clients.json").read_text())
    with a_world(tmp_path) as world:
        reader, writer = world.anonymous(), world.anonymous()
        reader.headers["Authorization"] = f"Bearer {fetch_token(reader, shop, shop_secret)}"
        writer.headers["Authorization"] = f"Bearer {fetch_token(writer, sender, sender_secret)}"
        asked = {"purpose": "personalization", "identifiers": [{"type": "record", "value": "crm:Person0"}]}
        for answer in (
            reader.post("/v1/profiles/lookup", json=asked),
            writer.post("/v1/records", json={"records": [record("crm", "new", "Newcomer")]}),
        ):
            assert answer.status_code == 503
            assert answer.json()["type"] == "urn:aurea:problem:storage-damaged"
            assert int(answer.headers["Retry-After"]) >= 1
            assert "Person0" not in answer.text
        ready = world.anonymous().get("/readyz")
        assert ready.status_code == 503
        assert {"aurea.db": "operational store", "keys.db": "key store"}[store] in ready.json()["failing"]
        assert world.anonymous().get("/healthz").status_code == 200


NAMES = {"aurea.db": "operational", "keys.db": "key"}


@pytest.mark.parametrize("store", NAMES)
def test_a_command_ends_with_1_and_names_the_remedy_and_doctor_the_store(world: World, store: str) -> None:
    """Also where the first page is lost, so that not even the version can be read."""
    world.ingest({"channel": "crm", "source_id": "1", "first_name": "Ana"})
    world.services.db.truncate_log(10)
    world.services.keys.truncate_log(10)
    damage(world.home / store, 1, lambda page: page[:100] + bytes(PAGE - 100))
    said = world.command("lookup", "--type", "record", "--value", "crm:1", "--purpose", "service")
    assert said.returncode == 1
    assert "a store is damaged" in said.stderr
    assert "restore a backup" in said.stderr
    doctor = world.command("doctor")
    assert doctor.returncode == 1
    named = f"the {NAMES[store]} store is damaged: stop the service, keep its files, and restore a backup"
    assert [line for line in doctor.stdout.splitlines() if "damaged" in line] == [
        f"FAIL  pages: {named}", f"FAIL  stores: {named}",
    ]  # fmt: skip
    assert "aurea doctor" not in doctor.stdout


def test_doctor_names_both_stores_where_both_are_damaged(world: World) -> None:
    for store, table in (("aurea.db", "records"), ("keys.db", "record_keys")):
        number = root_page(world.home / store, table)
        world.services.db.truncate_log(10)
        world.services.keys.truncate_log(10)
        damage(world.home / store, number, DAMAGES["ones"])
    doctor = world.command("doctor").stdout
    assert "FAIL  pages: the operational store is damaged" in doctor
    assert "; the key store is damaged" in doctor
    assert "FAIL  sample of records: the operational store is damaged" in doctor


@pytest.mark.parametrize(
    ("store", "version"), [("aurea.db", "schema_version"), ("keys.db", "key_schema_version")]
)
def test_a_store_that_lost_its_version_is_not_taken_for_a_new_one(
    made_once: Path, tmp_path: Path, store: str, version: str
) -> None:
    """`aurea init` would begin its migrations anew over what is there."""
    home = copied(made_once, tmp_path)
    with closing(sqlite3.connect(home / store)) as conn, conn:
        conn.execute(f"DELETE FROM {version}")  # noqa: S608 - a name of this test
    settings = Settings.from_environment({"AUREA_HOME": str(home)})
    for use in (create_home, open_services):
        with pytest.raises(StoreDamagedError, match="restore a backup"):
            use(settings)


def outcome(services: Services, person: str, purpose: str) -> str:
    """What a consumer gets: `profile`, `nobody` or `damaged`; anything else fails the test."""
    try:
        find_profile(services, READER, [Identifier("record", f"crm:{person}")], purpose)
    except ProblemError as error:
        return "nobody" if error.problem is NOT_FOUND else error.problem.slug
    except StoreDamagedError:
        return "damaged"
    return "profile"


def pages_are_sound(home: Path) -> bool:
    """What `aurea doctor` says of the pages of both stores."""
    try:
        pages(Settings.from_environment({"AUREA_HOME": str(home)}))
    except SettingsError:
        return False
    return True


def served(home: Path) -> tuple[str, bool]:
    """What reading makes of a home: how a person is served, and whether another's denial was."""
    try:
        services = open_services(Settings.from_environment({"AUREA_HOME": str(home)}), lambda: START)
    except StoreDamagedError:
        return "closed", False
    with closing(services):
        denied = [outcome(services, PEOPLE[-1], purpose) for purpose in ("analytics", "personalization")]
        return outcome(services, PEOPLE[0], "personalization"), "profile" in denied


def swept(made: Path, folder: Path, store: str, hows: Sequence[str], *, every: int = 1) -> Counter[str]:
    """Damage pages one at a time and count what comes of it; a denial may be served of none but a torn page.

    And then `aurea doctor` must know of it.
    """
    counts: Counter[str] = Counter()
    pages = (made / "home" / store).stat().st_size // PAGE
    for number in range(1, pages + 1, every):
        for how in hows:
            home = copied(made, folder)
            damage(home / store, number, DAMAGES[how])
            came, denial_served = served(home)
            counts[came] += 1
            if denial_served:
                assert how == TORN, f"page {number} of {store}: {how}: a denial is served"
                assert not pages_are_sound(home), f"page {number} of {store}: nobody would know"
                counts["a denial served"] += 1
            shutil.rmtree(home)
    return counts


@pytest.mark.parametrize("store", ["aurea.db", "keys.db"])
def test_no_lost_page_makes_a_denial_served_in_short(made_once: Path, tmp_path: Path, store: str) -> None:
    counts = swept(made_once, tmp_path, store, LOST, every=17)
    assert counts["damaged"] + counts["closed"] > 0


@pytest.mark.slow
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("store", ["aurea.db", "keys.db"])
def test_no_lost_page_makes_a_denial_served(made_once: Path, tmp_path: Path, store: str) -> None:
    """Every page of the store, lost as a whole; most pages hold nothing of the person who is read."""
    counts = swept(made_once, tmp_path, store, LOST)
    sys.stdout.write(f"{store}, pages lost: {dict(counts)}\n")
    assert counts["damaged"] > 3
    assert counts["closed"] > 0
    assert counts["profile"] > 0
    assert counts["a denial served"] == 0


@pytest.mark.slow
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("store", ["aurea.db", "keys.db"])
def test_doctor_knows_of_every_torn_page_that_makes_a_denial_served(
    made_once: Path, tmp_path: Path, store: str
) -> None:
    """Half a page of zeros is well-formed to SQLite: rows are missing, and an objection may be among them."""
    counts = swept(made_once, tmp_path, store, [TORN])
    sys.stdout.write(f"{store}, pages torn: {dict(counts)}\n")
    assert counts["profile"] > 0
