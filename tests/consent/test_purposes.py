"""The policy file: what it must say, and how a mistake in it is reported."""

import csv
import re
from dataclasses import fields
from pathlib import Path

import pytest

from consent import dpv_terms
from consent.errors import PolicyError, UnknownPurposeError
from consent.events import METHODS
from consent.purposes import DEFAULT_POLICY, Purpose, Purposes
from identity.attributes import STANDARD
from identity.survivorship import RULES
from tests.shared import shared

POLICY = Purposes.load()
TEXT = DEFAULT_POLICY.read_text(encoding="utf-8")


def test_the_default_policy_has_the_purposes_of_the_contract() -> None:
    names = {purpose.name for purpose in POLICY}

    assert names >= {
        "identity_linking",
        "personalization",
        "marketing_email",
        "advertising",
        "analytics",
        "service",
    }


def test_linking_is_opt_in_decided_per_record_and_discloses_nothing() -> None:
    linking = POLICY["identity_linking"]

    assert (linking.regime, linking.binds) == ("opt_in", "record")
    assert not linking.attributes
    assert not linking.traits


def test_service_rests_on_the_contract_and_marketing_binds_to_the_address() -> None:
    assert (POLICY["service"].legal_basis, POLICY["service"].regime) == ("contract", "none")
    assert POLICY["marketing_email"].contact_attributes == ("email",)
    assert POLICY["personalization"].contact_attributes == ()


def test_every_purpose_names_a_term_of_the_data_privacy_vocabulary() -> None:
    with shared("vectors/dpv/dpv-2.3.csv").open(encoding="utf-8", newline="") as file:
        terms = {row["term"] for row in csv.DictReader(file) if row["dpvtype"].endswith("#Purpose")}

    assert {purpose.dpv for purpose in POLICY} <= terms


def test_no_purpose_of_the_vocabulary_is_taken_for_a_misspelling_and_all_marketing_is_known() -> None:
    with shared("vectors/dpv/dpv-2.3.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["dpvtype"].endswith("#Purpose")]
    broader = {
        row["term"]: {each.rpartition("#")[2] for each in row["hasbroader"].split(";")} for row in rows
    }

    def under(top: str) -> set[str]:
        narrower = {term for term, above in broader.items() if top in above}
        return {top}.union(*(under(term) for term in narrower))

    assert not {term for term in broader if dpv_terms.meant(term)}
    assert under("Marketing") == dpv_terms.MARKETING
    assert under("PersonalisedAdvertising") <= dpv_terms.SELLING


def test_what_is_withheld_follows_from_policy_alone() -> None:
    personalization = POLICY["personalization"]
    withheld = POLICY.withheld(personalization)

    assert withheld["birth_date"] == "purpose personalization does not include birth_date"
    assert set(withheld) == set(STANDARD) - set(personalization.attributes)


def test_a_trait_is_served_only_by_the_purpose_that_names_it(tmp_path: Path) -> None:
    policy = load(tmp_path, with_traits("personalization", '["favourite_store"]'))

    assert policy["personalization"].traits == ("favourite_store",)
    assert policy.withheld(policy["service"])["favourite_store"] == (
        "purpose service does not include favourite_store"
    )


def test_consent_lasts_as_long_as_the_purpose_says() -> None:
    day = 86_400_000

    assert POLICY["personalization"].expires_at(0) == 730 * day
    assert POLICY["service"].expires_at(0) is None


def test_an_unknown_purpose_is_named_as_such() -> None:
    with pytest.raises(UnknownPurposeError, match="it has: advertising, analytics"):
        POLICY["world_domination"]

    assert "world_domination" not in POLICY


def test_the_hash_changes_with_the_meaning_and_not_with_comments(tmp_path: Path) -> None:
    commented = load(tmp_path, "# reviewed\n" + TEXT)
    changed = load(tmp_path, TEXT.replace("minimum_confidence = 0.9\n", "minimum_confidence = 0.8\n"))

    assert commented.policy_hash == POLICY.policy_hash
    assert changed.policy_hash != POLICY.policy_hash
    assert len(POLICY.policy_hash) == 32


def test_a_notice_is_stated_with_the_hash_of_its_text(tmp_path: Path) -> None:
    stated = f'\n[notices]\n"default-2026-01" = "{"ab" * 32}"\n'
    policy = load(tmp_path, TEXT + stated)

    assert policy.notices == {"default-2026-01": "ab" * 32}
    assert policy.policy_hash != POLICY.policy_hash, "another text under the same version is another policy"
    with pytest.raises(PolicyError, match="notices, default-2026-01: give the SHA-256 of its text"):
        load(tmp_path, TEXT + stated.replace("ab", "xy"))


MISTAKES = {
    "a misspelt setting": (
        "lasts_days = 730",
        "last_days = 730",
        "personalization, last_days: there is no such",
    ),
    "a missing setting": ('entry = "any"\n', "", "identity_linking, entry: it is missing"),
    "no attribute of that name": ('"gender", "email"', '"sex", "email"', '"sex" is no standard attribute'),
    "an attribute among the traits": ("traits = []", 'traits = ["email"]', "identity_linking, traits:"),
    "a consent that is presumed": (
        'regime = "opt_in"\nbinds = "person"',
        'regime = "opt_out"\nbinds = "person"',
        'personalization, regime: legal basis "consent" goes with "opt_in"',
    ),
    "a legal basis nobody knows": ('"contract"', '"hope"', "service, legal_basis: choose one of consent,"),
    "a confidence above one": (
        "minimum_confidence = 0.9\n",
        "minimum_confidence = 90\n",
        "number from 0 to 1",
    ),
    "a duration that is no number": (
        "lasts_days = 365",
        'lasts_days = "1y"',
        "advertising, lasts_days: give whole",
    ),
    "a contract that lapses": (
        "retention_days = 2190\n",
        "lasts_days = 3\n",
        "service, lasts_days: only a consent",
    ),
    "no channel at all": (
        'channels = "all"',
        "channels = []",
        "identity_linking, channels: name at least one",
    ),
    "an attribute named twice": ('"city",\n', '"city", "city",\n', "name each only once"),
    "linking that discloses": ("attributes = []", 'attributes = ["email"]', "linking discloses nothing"),
    "linking decided over a person": ('binds = "record"', 'binds = "person"', "identity_linking, binds:"),
    "no linking purpose": ("[purposes.identity_linking]", "[purposes.linking]", '"record" belongs to'),
    "an address purpose without an address": (
        '"last_name", "email"]',
        '"last_name"]',
        'marketing_email, binds: serve "email" or "phone"',
    ),
    "a rule that does not exist": (
        'default = "most_recent"',
        'default = "best"',
        "survivorship, default: choose",
    ),
    "a rule for an attribute that nobody is served": (
        'gender = "most_frequent"',
        'gendre = "most_frequent"',
        "survivorship, gendre: it is no standard attribute",
    ),
    "a rule of one attribute that does not exist": (
        'gender = "most_frequent"',
        'gender = "guess"',
        "survivorship, gender: choose",
    ),
    "a table of unknown purpose": (
        "[purposes.service]",
        "[purpose.service]",
        "purpose: there is no such setting; known are notices, purposes, requests, survivorship",
    ),
    "linking by age": (
        'binds = "record" ',
        'consent_age = 16\nbinds = "record" ',
        "identity_linking, consent_age: remove it: what is linked is kept as a date in clear",
    ),
    "an age of consent below every law's": (
        "consent_age = 16",
        "consent_age = 12",
        "personalization, consent_age: give whole years from 13 to 21",
    ),
    "an opt-in age where everybody has to opt in": (
        "consent_age = 16",
        "opt_in_age = 16",
        'personalization, opt_in_age: remove it: only where the regime is "opt_out"',
    ),
    "an opt-in age below the age of consent": (
        'legal_basis = "legitimate_interest"',
        'legal_basis = "legitimate_interest"\nconsent_age = 16\nopt_in_age = 13',
        "analytics, opt_in_age: give an age of at least consent_age",
    ),
    "a word for an unknown age where no age matters": (
        'legal_basis = "contract"',
        'legal_basis = "contract"\nunknown_age = "minor"',
        "service, unknown_age: remove it",
    ),
    "a purpose of the IAB that there cannot be": (
        "tcf_purposes = [1, 3, 4]",
        "tcf_purposes = [1, 25]",
        "advertising, tcf_purposes: list whole numbers from 1 to 24",
    ),
    "a contract in a TC string": (
        'legal_basis = "contract"',
        'legal_basis = "contract"\ntcf_purposes = [1]',
        "service, tcf_purposes: nothing that a contract",
    ),
    "a title that is no text": (
        'title = "Send offers by e-mail"',
        "title = 7",
        "marketing_email, title: give a text",
    ),
    "a purpose with capitals": ("[purposes.service]", "[purposes.Service]", "use lower-case letters"),
    "a term with its prefix": ('"DirectMarketing"', '"dpv:DirectMarketing"', "marketing_email, dpv:"),
    "a term in American spelling, which would leave the Global Privacy Control unheard": (
        '"PersonalisedAdvertising"',
        '"PersonalizedAdvertising"',
        "advertising, dpv: DPV has no such term; write PersonalisedAdvertising if that is meant",
    ),
    "a term in other capitals": ('"DirectMarketing"', '"Directmarketing"', "write DirectMarketing"),
    "no TOML": ("[purposes.service]", "[purposes.service", "cannot be read as TOML"),
}


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_reported_with_file_purpose_setting_and_remedy(
    mistake: tuple[str, str, str], tmp_path: Path
) -> None:
    right, wrong, message = mistake
    assert right in TEXT

    with pytest.raises(PolicyError, match=r"^mine\.toml: .*" + re.escape(message)):
        load(tmp_path, TEXT.replace(right, wrong, 1))


def test_a_policy_without_linking_says_where_to_copy_it_from(tmp_path: Path) -> None:
    table = TEXT[TEXT.index("[purposes.identity_linking]") : TEXT.index("[purposes.personalization]")]

    with pytest.raises(PolicyError, match="linking is itself a purpose; copy its table"):
        load(tmp_path, TEXT.replace(table, ""))


def test_a_policy_that_does_not_exist_is_an_error_and_not_the_default(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match=r"none\.toml"):
        Purposes.load(tmp_path / "none.toml")


def load(folder: Path, text: str) -> Purposes:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return Purposes.load(path)


def with_traits(purpose: str, traits: str) -> str:
    head, tail = TEXT.split(f"[purposes.{purpose}]", 1)
    return f"{head}[purposes.{purpose}]{tail.replace('traits = []', f'traits = {traits}', 1)}"


class TestDocumentation:
    TEXT = (Path(__file__).parents[2] / "docs" / "purposes.md").read_text(encoding="utf-8")

    def test_every_setting_is_explained(self) -> None:
        settings = {each.name for each in fields(Purpose)} - {"name"}

        assert not {setting for setting in settings if f"| `{setting}` |" not in self.TEXT}

    def test_the_table_of_the_default_policy_is_the_default_policy(self) -> None:
        for each in POLICY:
            lasts = each.lasts_days or "without end"
            cells = (each.legal_basis, each.regime, each.binds, lasts, each.minimum_confidence)
            assert f"| `{each.name}` | {' | '.join(map(str, cells))} |" in self.TEXT

    @pytest.mark.parametrize("names", [RULES, METHODS], ids=["survivorship rules", "methods"])
    def test_every_name_has_its_row(self, names: tuple[str, ...]) -> None:
        assert not {name for name in names if f"| `{name}` |" not in self.TEXT}
