"""Who lives together: to whom a household ID is shown, and who can keep it from being shown."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import insert

from consent.access_log_reading import entries
from consent.errors import PolicyError
from consent.purposes import DEFAULT_POLICY, Purposes
from identity.tables import FOREVER, household_members, households
from tests.consent.home import Home, a_home

GRANTED = {"identity_linking": "granted", "personalization": "granted"}
NAME = "h_" + "a" * 26


def policy(**settings: object) -> Purposes:
    """The default policy, with households for personalization (consent) and service (contract)."""
    default = Purposes.load()
    told = {
        name: replace(default[name], household=True, **settings)  # type: ignore[arg-type]  # settings vary by test
        for name in ("personalization", "service")
    }
    return replace(default, by_name={**default.by_name, **told})


def share_a_home(home: Home, *record_nos: int, number: int = 1, name: str = NAME) -> None:
    """Publish a household of these records, as a linkage run would."""
    with home.db.write() as conn:
        conn.execute(insert(households).values(household_no=number, household_id=name, created_version=0))
        for record_no in record_nos:
            conn.execute(
                insert(household_members).values(
                    record_no=record_no, household_no=number, valid_from=0, valid_to=FOREVER
                )
            )


class Couple:
    """Ana and Benito, of two records each; the first of either gave their address."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.records = {
            (who, channel): home.add(f"{who}-{channel}", channel=channel, consents=GRANTED,
                                     attributes={"first_name": who})
            for who in ("Ana", "Benito")
            for channel in ("crm", "web")
        }  # fmt: skip
        self.ana = home.person(
            self.records["Ana", "crm"], self.records["Ana", "web"], confidences=[1.0, 0.95]
        )
        self.benito = home.person(
            self.records["Benito", "crm"], self.records["Benito", "web"], confidences=[1.0, 0.95]
        )
        share_a_home(home, self.records["Ana", "crm"], self.records["Benito", "crm"])

    def shown(self, purpose: str = "personalization") -> tuple[str | None, str | None]:
        """What is shown as the household of either."""
        ana, benito = (self.home.profile(each, purpose).household for each in (self.ana, self.benito))
        return ana, benito


@pytest.fixture
def couple(tmp_path: Path) -> Iterator[Couple]:
    with a_home(tmp_path, policy()) as home:
        yield Couple(home)


@pytest.mark.parametrize("purpose", ["personalization", "service"])
def test_both_of_a_couple_are_shown_with_one_household_id(couple: Couple, purpose: str) -> None:
    assert couple.shown(purpose) == (NAME, NAME)


def test_the_default_policy_shows_a_household_to_no_purpose(tmp_path: Path) -> None:
    assert not [purpose.name for purpose in Purposes.load() if purpose.household]
    with a_home(tmp_path) as home:
        assert Couple(home).shown("service") == (None, None)


REFUSING: dict[str, tuple[str, Callable[[Couple], object]]] = {
    "a withdrawn consent": (
        "personalization", lambda c: c.home.say(c.benito, "withdrawn", "personalization"),
    ),
    "an objection, though the purpose rests on a contract": (
        "service", lambda c: c.home.say(c.benito, "objected", "service"),
    ),
    "a restriction": ("service", lambda c: c.home.say(c.benito, "restricted", "analytics")),
}  # fmt: skip


@pytest.mark.parametrize(("purpose", "refuse"), REFUSING.values(), ids=REFUSING)
def test_nobody_is_shown_to_live_with_somebody_who_said_no_by(
    couple: Couple, purpose: str, refuse: Callable[[Couple], object]
) -> None:
    refuse(couple)
    assert couple.home.profile(couple.ana, purpose).household is None


def test_who_objects_keeps_a_profile_by_contract_and_is_shown_in_no_household(couple: Couple) -> None:
    couple.home.say(couple.ana, "objected", "service")
    assert couple.shown("service") == (None, None)
    assert couple.shown("personalization") == (NAME, NAME)


def test_an_objection_taken_back_before_an_officer_shows_the_household_again(couple: Couple) -> None:
    couple.home.say(couple.benito, "withdrawn", "personalization")
    couple.home.say(couple.benito, "granted", "personalization", method="verified")
    assert couple.shown() == (NAME, NAME)


def test_a_permission_to_link_that_ran_out_ends_the_household_before_the_next_run(couple: Couple) -> None:
    lasts = couple.home.purposes["identity_linking"].lasts_days
    assert lasts is not None
    couple.home.now += lasts * 86_400_000
    assert couple.shown("service") == (None, None)


def test_of_three_the_two_who_permit_are_still_shown(tmp_path: Path) -> None:
    with a_home(tmp_path, policy()) as home:
        records = [home.add(str(number), consents=GRANTED) for number in range(3)]
        people = [home.person(record_no) for record_no in records]
        share_a_home(home, *records)
        home.say(people[2], "withdrawn", "personalization")
        assert [home.profile(each).household for each in people[:2]] == [NAME, NAME]


SEEING_LESS = {
    "its channels leave out the record that gave the address": {"channels": ("web",)},
    "its minimum confidence leaves it out for one of them": {"minimum_confidence": 0.97},
}


@pytest.mark.parametrize("settings", SEEING_LESS.values(), ids=SEEING_LESS)
def test_a_purpose_is_shown_no_household_if(tmp_path: Path, settings: dict[str, object]) -> None:
    with a_home(tmp_path, policy(**settings)) as home:
        one, other = (home.add(who, channel="crm", consents=GRANTED) for who in ("ana", "benito"))
        web = home.add("benito-web", channel="web", consents=GRANTED)
        alone = home.add("ana-web", channel="web", consents=GRANTED)
        ana = home.person(alone, one, confidences=[1.0, 1.0])
        home.person(web, other, confidences=[1.0, 0.95])
        share_a_home(home, one, other)
        assert home.profile(ana).household is None


def test_a_household_of_one_person_is_none(tmp_path: Path) -> None:
    with a_home(tmp_path, policy()) as home:
        one, other = (home.add(str(number), consents=GRANTED) for number in range(2))
        share_a_home(home, one, other)
        assert home.profile(home.person(one, other)).household is None


def test_of_two_households_the_one_of_most_records_is_shown(couple: Couple) -> None:
    """Ana moved: one record gives her former home, two the present one."""
    home = couple.home
    new = home.add("new", consents=GRANTED)
    third = home.add("third", channel="pos", consents=GRANTED)
    ana = home.person(couple.records["Ana", "crm"], couple.records["Ana", "web"], new)
    home.person(third)
    share_a_home(home, couple.records["Ana", "web"], new, third, number=2, name="h_second")
    assert home.profile(ana).household == "h_second"


def test_the_access_log_names_the_household_where_a_profile_may_show_one(couple: Couple) -> None:
    couple.home.profile(couple.ana)
    couple.home.profile(couple.ana, "analytics")
    logged = [entry.attributes for entry in entries(couple.home.log_folder)]
    assert ["household" in attributes for attributes in logged] == [True, False]


WRONG = {
    "household = 1": "true or false",
    'household = "yes"': "true or false",
}


@pytest.mark.parametrize(("line", "remedy"), WRONG.items())
def test_a_policy_with_a_flag_that_is_none_is_refused(tmp_path: Path, line: str, remedy: str) -> None:
    path = tmp_path / "purposes.toml"
    path.write_text(DEFAULT_POLICY.read_text().replace("[purposes.service]", f"[purposes.service]\n{line}"))
    with pytest.raises(PolicyError, match=remedy):
        Purposes.load(path)


@pytest.mark.parametrize("name", ["identity_linking", "marketing_email"])
def test_only_what_is_decided_for_a_person_can_be_shown_a_household(tmp_path: Path, name: str) -> None:
    path = tmp_path / "purposes.toml"
    table = f"[purposes.{name}]"
    path.write_text(DEFAULT_POLICY.read_text().replace(table, f"{table}\nhousehold = true"))
    with pytest.raises(PolicyError, match="household"):
        Purposes.load(path)
