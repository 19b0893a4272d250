"""Minors and guardians: whose grant counts, until when, and where the birth date may be looked at."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from consent.answers import Profile
from consent.errors import RecordRejectedError
from consent.events import StatedEvidence
from consent.purposes import Purposes
from consent.vault import BORN, unpack_fields
from tests.consent.home import NOW, Home, a_home, record_ref

CHILD, TEENAGER, ADULT = "2015-03-04", "2011-03-04", "1980-01-23"
CONSENT_FORM = StatedEvidence("guardian", "forms/2026/0042")


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    with a_home(tmp_path) as one:
        yield one


def at(day: str) -> int:
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp() * 1000)


def with_policy(**changes: Any) -> Purposes:
    policy = Purposes.load()
    changed = {name: replace(policy[name], **settings) for name, settings in changes.items()}
    return replace(policy, by_name={**policy.by_name, **changed})


def person(home: Home, birth_date: str | None, source_id: str = "1", **more: Any) -> str:
    attributes = {"city": "Lugo"} | ({} if birth_date is None else {"birth_date": birth_date})
    return home.person(home.add(source_id, attributes=attributes, **more))


def by_guardian(
    home: Home, state: str = "granted", method: str = "guardian", purpose: str = "personalization"
) -> None:
    evidence = CONSENT_FORM if state == "granted" else None
    home.say(record_ref("1"), state, purpose, method, evidence=evidence)


def served(home: Home, golden_id: str, purpose: str = "personalization") -> bool:
    return isinstance(home.read(golden_id, purpose), Profile)


@pytest.mark.parametrize("method", ["import", "api", "direct", "verified"])
@pytest.mark.parametrize(("birth_date", "allowed"), [(CHILD, False), (ADULT, True), (None, True)])
def test_a_minors_own_grant_never_allows(
    home: Home, method: str, birth_date: str | None, *, allowed: bool
) -> None:
    golden_id = person(home, birth_date)
    home.say(record_ref("1"), "granted", "personalization", method)
    assert served(home, golden_id) is allowed


def test_a_guardians_grant_does_and_says_so_in_its_reasons(home: Home) -> None:
    golden_id = person(home, CHILD)
    home.say(record_ref("1"), "granted", "personalization")
    denied = home.recorder.query(record_ref("1"), "personalization", home.now)
    assert (denied.state, denied.rule[:2]) == ("unknown", "7:")
    assert "is not a guardian's" in denied.reasons[0].text

    by_guardian(home)
    assert served(home, golden_id)
    assert home.recorder.query(record_ref("1"), "personalization", home.now).rule[:2] == "4:"


def test_a_guardians_word_has_to_be_on_file(home: Home) -> None:
    person(home, CHILD)
    for evidence in (
        None,
        StatedEvidence("iab_tcf", "x"),
        StatedEvidence("guardian", "Eva Mum <eva@example.com>"),
    ):
        with pytest.raises(RecordRejectedError, match="evidence") as refused:
            home.say(record_ref("1"), "granted", "personalization", "guardian", evidence=evidence)
        assert "Eva" not in str(refused.value)
    with pytest.raises(RecordRejectedError, match="does not go with the method direct"):
        home.say(record_ref("1"), "granted", "personalization", evidence=CONSENT_FORM)
    home.say(record_ref("1"), "withdrawn", "personalization", "guardian")  # to deny needs nothing


def test_with_the_day_of_coming_of_age_a_guardians_grant_ends_and_the_person_grants(home: Home) -> None:
    golden_id = person(home, TEENAGER)
    by_guardian(home)
    home.say(record_ref("1"), "granted", "personalization")  # a minor's: worth nothing, then or later
    home.now = at("2027-03-04") - 1
    assert served(home, golden_id)
    home.now += 1
    assert not served(home, golden_id)
    answer = home.recorder.query(record_ref("1"), "personalization", home.now)
    assert (answer.state, answer.rule[:2]) == ("expired", "7:")

    home.say(record_ref("1"), "granted", "personalization")
    assert served(home, golden_id)


def test_a_clock_set_back_revives_no_guardians_grant(home: Home) -> None:
    golden_id = person(home, TEENAGER)
    by_guardian(home)
    home.now = at("2027-03-05")
    home.say(record_ref("1"), "objected", "analytics")
    home.now = NOW
    assert not served(home, golden_id)


def test_a_denial_stays_beyond_coming_of_age(home: Home) -> None:
    golden_id = person(home, TEENAGER)
    by_guardian(home)
    home.say(record_ref("1"), "withdrawn", "personalization", "direct")  # the minor's own no counts
    assert not served(home, golden_id)
    home.say(record_ref("1"), "granted", "personalization", "direct")
    assert not served(home, golden_id), "nor may a minor re-open what a guardian granted"
    by_guardian(home, "withdrawn")
    home.now = at("2027-03-05")
    assert not served(home, golden_id)
    assert home.recorder.query(record_ref("1"), "personalization", home.now).state == "withdrawn"


def test_a_guardian_re_opens_as_the_person_would(home: Home) -> None:
    golden_id = home.person(home.add("1", attributes={"birth_date": CHILD}), home.add("2", channel="crm"))
    by_guardian(home, "withdrawn")
    by_guardian(home)
    assert served(home, golden_id), "on the same record"
    home.say(record_ref("2", "crm"), "withdrawn", "personalization")
    by_guardian(home)
    assert not served(home, golden_id), "not on another"
    by_guardian(home, method="verified_guardian")
    assert served(home, golden_id), "unless an officer has checked whose guardian it is"
    home.say(record_ref("1"), "restricted", "personalization")
    by_guardian(home)
    assert not served(home, golden_id)
    by_guardian(home, method="verified_guardian")
    assert served(home, golden_id)


def test_one_record_that_says_minor_is_enough_however_doubtful(home: Home) -> None:
    sure = home.add("1", attributes={"birth_date": ADULT}, consents={"marketing_email": "granted"})
    doubtful = home.add("2", channel="crm", attributes={"birth_date": CHILD})
    home.say(record_ref("1"), "granted", "personalization")
    assert served(home, home.person(sure))
    together = home.person(sure, doubtful, confidences=[1.0, 0.7])
    assert not served(home, together)
    by_guardian(home)
    assert not served(home, together), "nor does a guardian speak for somebody whom a record calls an adult"
    assert served(home, home.person(sure)), "a split after a merge is the identity"


def test_a_birth_date_that_was_corrected_on_request_stands_alone(home: Home) -> None:
    wrong = home.add("1", attributes={"birth_date": CHILD})
    home.say(record_ref("1"), "granted", "personalization")
    assert not served(home, home.person(wrong))
    correct = home.correct("r_1", {"birth_date": ADULT})
    assert served(home, home.person(wrong, correct))


def test_an_update_renews_what_is_known_and_a_deletion_ends_it(home: Home) -> None:
    golden_id = person(home, CHILD)
    home.say(record_ref("1"), "granted", "personalization")
    assert not served(home, golden_id)
    home.add("1", attributes={"city": "Lugo", "birth_date": ADULT})
    assert served(home, golden_id)
    home.add("1", attributes={"city": "Lugo", "birth_date": CHILD})
    assert not served(home, golden_id)
    home.writer.delete([record_ref("1").key], home.now)
    assert home.why(golden_id) != "revealed"


def test_an_unknown_age_follows_the_policys_word(tmp_path: Path) -> None:
    with a_home(tmp_path, with_policy(personalization={"unknown_age": "minor"})) as home:
        golden_id = person(home, None)
        home.say(record_ref("1"), "granted", "personalization")
        assert not served(home, golden_id)
        by_guardian(home)
        assert served(home, golden_id)


def test_where_the_regime_is_opt_out_a_minor_has_to_opt_in(tmp_path: Path) -> None:
    """CCPA 1798.120(c): below 13 a guardian, from 13 to 15 the child, from 16 on whoever did not opt out."""
    with a_home(tmp_path, with_policy(analytics={"consent_age": 13, "opt_in_age": 16})) as home:
        golden_id = person(home, TEENAGER)
        assert home.now > at("2024-03-04"), "13 already"
        assert not served(home, golden_id, "analytics")
        home.say(record_ref("1"), "granted", "analytics")
        assert served(home, golden_id, "analytics")

        younger = home.person(home.add("2", attributes={"city": "Lugo", "birth_date": CHILD}))
        home.say(record_ref("2"), "granted", "analytics")
        assert not served(home, younger, "analytics")
        home.now = at("2031-03-04")
        assert served(home, younger, "analytics"), "of age: an opt-out purpose needs no grant"


def test_what_is_kept_of_birth_is_sealed_alike_for_everybody_and_opened_only_to_decide(home: Home) -> None:
    home.add("1", attributes={"birth_date": CHILD})
    home.add("2", attributes={"birth_date": ADULT})
    home.add("3", attributes={"birth_date": "not a date"})
    with home.db.read() as conn:
        sealed = [
            unpack_fields(blob)
            for (blob,) in conn.execute(text("SELECT sealed FROM records ORDER BY record_no"))
        ]
    child, adult, unknown = (fields.get(BORN) for fields in sealed)
    assert child is not None
    assert adult is not None
    assert (len(child), unknown) == (len(adult), None)


def test_a_policy_that_asks_for_nobodys_age_opens_nothing(tmp_path: Path) -> None:
    ageless = with_policy(
        **{name: {"consent_age": None} for name in ("personalization", "marketing_email", "advertising")}
    )
    with a_home(tmp_path, ageless) as home:
        no = home.add("1", attributes={"birth_date": CHILD})
        assert [member.born for member in home.people.of_records([no], home.now).members] == [None]
