"""Recording what people say, and answering what is permitted."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from consent.decisions import CLOCK_SKEW_MS
from consent.errors import RecordRejectedError, UnknownPurposeError, UnknownSubjectError
from consent.events import CONTACT, RECORD, StatedEvidence, Subject
from consent.recording import Saying
from consent.subjects import ContactRef, GoldenRef
from consent.tables import ledger, records
from identity.tables import counters
from tests.consent.home import Home, a_home, record_ref

DAY = 86_400_000
MAIL = {"email": "ana@example.com"}


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    with a_home(tmp_path) as one:
        yield one


def _mail(name: str) -> dict[str, list[str]]:
    return {"email": [f"{name}@example.com"]}


def events(home: Home) -> int:
    with home.db.read() as conn:
        return len(conn.execute(select(ledger.c.idx)).all())


def linking(home: Home, record_no: int) -> tuple[bool, int | None]:
    with home.db.read() as conn:
        row = conn.execute(
            select(records.c.linking, records.c.linking_until).where(records.c.record_no == record_no)
        ).one()
    return bool(row.linking), row.linking_until


def sequence(home: Home) -> int:
    with home.db.read() as conn:
        query = select(counters.c.value).where(counters.c.name == "change_sequence")
        return int(conn.execute(query).scalar_one())


class TestWhatAStatementAttachesTo:
    def test_one_about_a_record_attaches_to_the_record(self, home: Home) -> None:
        no = home.add("1")
        event = home.say(record_ref("1"), "granted", "personalization", notice="n-7")

        assert event.subject == Subject(RECORD, no)
        assert (event.state, event.method, event.source, event.notice) == (
            "granted",
            "direct",
            "client:c_1",
            "n-7",
        )
        assert (event.event_time, event.recorded_at, event.index) == (home.now, home.now, 0)

    def test_one_about_a_golden_id_attaches_to_each_of_its_records(self, home: Home) -> None:
        one, two = home.add("1"), home.add("2")
        golden_id = home.person(one, two)
        said = home.recorder.record(
            GoldenRef(golden_id), Saying("personalization", "withdrawn", "direct", "client:c_1"), home.now
        )

        assert [event.subject.no for event in said] == [one, two]
        assert [event.index for event in said] == [0, 1]
        assert home.why(home.person(two)) == "not_permitted"

    def test_a_grant_in_person_about_a_golden_id_reopens_what_is_surely_one_persons(self, home: Home) -> None:
        golden_id = home.person(home.add("1"), home.add("2"), confidences=(1.0, 0.99))
        home.say(golden_id, "withdrawn", "personalization")
        said = Saying("personalization", "granted", "direct", "client:c_1")
        assert len(home.recorder.record(GoldenRef(golden_id), said, home.now)) == 2
        assert home.recorder.query(GoldenRef(golden_id), "personalization", home.now).allowed

    def test_nor_does_a_guardians_where_they_may_be_two_peoples(self, home: Home) -> None:
        one, two = home.add("1"), home.add("2")
        golden_id = home.person(one, two, confidences=(1.0, 0.98))
        home.say(record_ref("1"), "withdrawn", "personalization")
        on_file = StatedEvidence("guardian", "forms/1")
        said = Saying("personalization", "granted", "guardian", "client:c_1", evidence=on_file)
        events = home.recorder.record(GoldenRef(golden_id), said, home.now)
        assert [event.subject.no for event in events] == [two]

    def test_it_reopens_no_record_that_denied_where_they_may_be_two_peoples(self, home: Home) -> None:
        one, two = home.add("1"), home.add("2")
        golden_id = home.person(one, two, confidences=(1.0, 0.98))
        home.say(record_ref("1"), "withdrawn", "personalization")
        said = Saying("personalization", "granted", "direct", "client:c_1")

        events = home.recorder.record(GoldenRef(golden_id), said, home.now)
        assert [event.subject.no for event in events] == [two], "whose session it was nobody knows"
        assert home.recorder.query(GoldenRef(golden_id), "personalization", home.now).state == "conflict"

        home.say(golden_id, "withdrawn", "personalization")
        with pytest.raises(RecordRejectedError, match="name the record"):
            home.recorder.record(GoldenRef(golden_id), said, home.now)
        for source_id in ("1", "2"):
            home.say(record_ref(source_id), "granted", "personalization")
        assert home.recorder.query(GoldenRef(golden_id), "personalization", home.now).allowed

    def test_nor_does_it_reopen_an_address_of_another_record(self, home: Home) -> None:
        records = home.add("1", attributes=_mail("a")), home.add("2", attributes=_mail("b"))
        golden_id = home.person(*records, confidences=(1.0, 0.98))
        home.say(ContactRef("email", "a@example.com"), "withdrawn", "marketing_email")
        said = Saying("marketing_email", "granted", "direct", "client:c_1")
        home.recorder.record(GoldenRef(golden_id), said, home.now)
        refused, granted = (ContactRef("email", f"{name}@example.com") for name in "ab")
        assert not home.recorder.query(refused, "marketing_email", home.now).allowed
        assert home.recorder.query(granted, "marketing_email", home.now).allowed

    def test_one_about_a_merged_id_attaches_to_the_records_of_its_survivor(self, home: Home) -> None:
        no = home.add("1")
        merged, survivor = home.person(), home.person(no)
        home.retire(merged, "merged", into=[survivor])

        assert home.say(merged, "withdrawn", "personalization").subject.no == no

    def test_one_about_an_address_attaches_to_it_whoever_carries_it(self, home: Home) -> None:
        home.person(home.add("1", attributes=MAIL, consents={"personalization": "granted"}))
        event = home.say(ContactRef("email", " ANA@Example.com"), "objected", "personalization")

        assert event.subject.kind == CONTACT
        assert home.look_up(("email", "ana@example.com")) == "not_permitted"

    def test_one_about_an_address_holds_for_records_that_come_later(self, home: Home) -> None:
        home.say(ContactRef("email", "ana@example.com"), "objected", "personalization")
        no = home.add("1", attributes=MAIL, consents={"personalization": "granted"})

        assert home.why(home.person(no)) == "not_permitted"

    def test_a_grant_of_mail_by_golden_id_goes_to_the_addresses_and_a_denial_to_the_records_too(
        self, home: Home
    ) -> None:
        golden_id = home.person(home.add("1", attributes={"email": ["a@example.com", "b@example.com"]}))

        def kinds(state: str) -> list[int]:
            saying = Saying("marketing_email", state, "direct", "client:c_1")
            return [
                event.subject.kind for event in home.recorder.record(GoldenRef(golden_id), saying, home.now)
            ]

        assert sorted(kinds("granted")) == [CONTACT, CONTACT]
        assert sorted(kinds("withdrawn")) == [RECORD, CONTACT, CONTACT]

    def test_a_grant_of_mail_for_somebody_without_an_address_is_refused(self, home: Home) -> None:
        golden_id = home.person(home.add("1"))

        with pytest.raises(RecordRejectedError, match="no address that marketing_email could use"):
            home.say(golden_id, "granted", "marketing_email")
        assert home.say(golden_id, "refused", "marketing_email").subject.kind == RECORD


class TestWhatIsRefused:
    def test_nobody_of_that_name(self, home: Home) -> None:
        golden_id = home.person(home.add("1"))
        home.writer.delete([record_ref("1").key], home.now)

        for subject in (GoldenRef("g_unknown"), GoldenRef(golden_id), record_ref("9"), record_ref("1")):
            with pytest.raises(UnknownSubjectError):
                home.say(subject, "granted", "personalization")
        assert events(home) == 0

    def test_a_purpose_nobody_declared(self, home: Home) -> None:
        home.add("1")

        with pytest.raises(UnknownPurposeError):
            home.say(record_ref("1"), "granted", "world_domination")

    @pytest.mark.parametrize(
        ("changes", "column"),
        [
            ({"state": "perhaps"}, "state"),
            ({"method": "telepathy"}, "method"),
            ({"event_time": CLOCK_SKEW_MS + 1}, "event_time"),
        ],
    )
    def test_a_statement_out_of_shape(self, changes: dict[str, Any], column: str, home: Home) -> None:
        home.add("1")
        if "event_time" in changes:
            changes = {"event_time": home.now + CLOCK_SKEW_MS + 1}
        said = {"purpose": "personalization", "state": "granted", "method": "direct", "source": "client:c_1"}

        with pytest.raises(RecordRejectedError) as caught:
            home.recorder.record(record_ref("1"), Saying(**{**said, **changes}), home.now)
        assert caught.value.column == column
        assert events(home) == 0

    def test_an_address_that_cannot_be_read(self, home: Home) -> None:
        with pytest.raises(RecordRejectedError, match="contact: is no readable email") as caught:
            home.say(ContactRef("email", "no-address"), "granted", "marketing_email")
        assert "no-address" not in str(caught.value)


class TestTime:
    def test_a_consent_lasts_from_when_it_was_said(self, home: Home) -> None:
        home.add("1")
        then = home.now - 30 * DAY
        event = home.say(record_ref("1"), "granted", "personalization", event_time=then)

        assert event.expires_at == then + 730 * DAY
        assert home.say(record_ref("1"), "withdrawn", "personalization").expires_at is None

    def test_a_consent_for_later_waits(self, home: Home) -> None:
        home.add("1")
        home.say(record_ref("1"), "granted", "personalization", event_time=home.now + CLOCK_SKEW_MS)

        def allowed(now: int) -> bool:
            return home.recorder.query(record_ref("1"), "personalization", now).allowed

        assert not allowed(home.now)
        assert allowed(home.now + CLOCK_SKEW_MS)


class TestImports:
    def test_one_that_repeats_what_its_source_last_said_makes_no_event(self, home: Home) -> None:
        home.add("1")
        first = home.say(record_ref("1"), "granted", "personalization", method="import")
        again = home.say(record_ref("1"), "granted", "personalization", method="import")

        assert again == first
        assert events(home) == 1

    def test_one_that_differs_makes_one(self, home: Home) -> None:
        home.add("1")
        for state in ("granted", "withdrawn", "granted"):
            home.say(record_ref("1"), state, "personalization", method="import")

        assert events(home) == 3
        assert home.recorder.query(record_ref("1"), "personalization", home.now).state == "withdrawn"

    def test_what_is_said_in_person_is_always_recorded(self, home: Home) -> None:
        home.add("1")
        for _ in range(2):
            home.say(record_ref("1"), "granted", "personalization", method="direct")

        assert events(home) == 2


class TestLinking:
    def test_a_grant_permits_it_until_it_expires_and_counts_as_a_change(self, home: Home) -> None:
        no = home.add("1")
        before = sequence(home)
        home.say(record_ref("1"), "granted", "identity_linking")

        assert linking(home, no) == (True, home.now + 1095 * DAY)
        assert sequence(home) == before + 1
        assert home.detached == []

    def test_losing_it_detaches_the_record_before_the_answer(self, home: Home) -> None:
        no = home.add("1", consents={"identity_linking": "granted"})
        home.say(record_ref("1"), "withdrawn", "identity_linking")

        assert linking(home, no) == (False, None)
        assert home.detached == [no]

    def test_said_again_it_changes_nothing(self, home: Home) -> None:
        home.add("1", consents={"identity_linking": "granted"})
        home.say(record_ref("1"), "withdrawn", "identity_linking")
        before = sequence(home)
        home.say(record_ref("1"), "withdrawn", "identity_linking")

        assert sequence(home) == before
        assert len(home.detached) == 1

    def test_an_import_does_not_bring_it_back(self, home: Home) -> None:
        no = home.add("1", consents={"identity_linking": "refused"})
        home.say(record_ref("1"), "granted", "identity_linking", method="import")

        assert linking(home, no) == (False, None)

    def test_an_objection_on_an_address_detaches_every_record_that_carries_it(self, home: Home) -> None:
        consents = {"identity_linking": "granted"}
        one = home.add("1", attributes=MAIL, consents=consents)
        two = home.add("2", channel="pos", attributes=MAIL, consents=consents)
        other = home.add("3", attributes={"email": "b@example.com"}, consents=consents)
        home.say(ContactRef("email", "ana@example.com"), "objected", "identity_linking")

        assert (linking(home, one)[0], linking(home, two)[0], linking(home, other)[0]) == (False, False, True)
        assert sorted(home.detached) == [one, two]

    def test_a_restriction_for_any_purpose_ends_it(self, home: Home) -> None:
        no = home.add("1", consents={"identity_linking": "granted"})
        home.say(record_ref("1"), "restricted", "service")

        assert linking(home, no) == (False, None)
        assert home.detached == [no]

    def test_another_purpose_does_not_touch_it(self, home: Home) -> None:
        no = home.add("1", consents={"identity_linking": "granted"})
        before = sequence(home)
        home.say(record_ref("1"), "withdrawn", "personalization")

        assert linking(home, no)[0]
        assert sequence(home) == before


class TestQuery:
    def test_tells_state_reasons_and_events(self, home: Home) -> None:
        golden_id = home.person(home.add("1"), home.add("2"))
        home.say(record_ref("1"), "granted", "personalization")
        home.say(record_ref("2"), "withdrawn", "personalization")
        answer = home.recorder.query(GoldenRef(golden_id), "personalization", home.now)

        assert (answer.allowed, answer.state) == (False, "withdrawn")
        assert [event.index for event in answer.events] == [0, 1]
        assert [reason.event for reason in answer.reasons] == [1]

    def test_a_grant_in_person_elsewhere_is_a_conflict(self, home: Home) -> None:
        golden_id = home.person(home.add("1"), home.add("2"))
        home.say(record_ref("1"), "withdrawn", "personalization")
        home.say(record_ref("2"), "granted", "personalization")

        assert home.recorder.query(GoldenRef(golden_id), "personalization", home.now).state == "conflict"
        home.say(record_ref("2"), "granted", "personalization", method="verified")
        assert home.recorder.query(GoldenRef(golden_id), "personalization", home.now).allowed

    def test_replays_what_was_recorded_by_then(self, home: Home) -> None:
        golden_id = home.person(home.add("1"))
        start = home.now
        home.say(golden_id, "granted", "personalization")
        home.now = start + DAY
        home.say(golden_id, "withdrawn", "personalization")

        def state(as_of: int) -> str:
            return home.recorder.query(GoldenRef(golden_id), "personalization", home.now, as_of=as_of).state

        assert [state(start - 1), state(start), state(start + DAY - 1), state(start + DAY)] == [
            "unknown", "granted", "granted", "withdrawn",
        ]  # fmt: skip

    def test_the_past_is_judged_by_its_own_clock(self, home: Home) -> None:
        golden_id = home.person(home.add("1"))
        start = home.now
        home.say(golden_id, "granted", "personalization")
        home.now = start + 731 * DAY
        home.say(golden_id, "granted", "analytics")

        query = home.recorder.query
        assert query(GoldenRef(golden_id), "personalization", home.now).state == "expired"
        assert query(GoldenRef(golden_id), "personalization", home.now, as_of=start + DAY).state == "granted"

    def test_of_an_address_knows_what_was_said_about_it(self, home: Home) -> None:
        address = ContactRef("email", "ana@example.com")
        query = home.recorder.query

        assert query(address, "marketing_email", home.now).state == "unknown"
        home.say(address, "granted", "marketing_email")
        assert query(ContactRef("email", "ANA@example.com"), "marketing_email", home.now).allowed
        home.say(address, "withdrawn", "marketing_email")
        assert query(address, "marketing_email", home.now).state == "withdrawn"

    def test_of_an_address_counts_what_the_person_denied_on_another_record(self, home: Home) -> None:
        home.person(home.add("1", attributes=MAIL), home.add("2", attributes={"email": "b@example.com"}))
        address = ContactRef("email", MAIL["email"])
        home.say(address, "granted", "marketing_email")
        home.say(ContactRef("email", "b@example.com"), "withdrawn", "marketing_email")
        answer = home.recorder.query(address, "marketing_email", home.now)
        assert (answer.allowed, len(answer.events)) == (True, 1), "another address is another matter"

        home.say(record_ref("2"), "withdrawn", "marketing_email", method="api")
        answer = home.recorder.query(address, "marketing_email", home.now)
        assert (answer.allowed, answer.state) == (False, "withdrawn")

    def test_agrees_with_what_a_read_does(self, home: Home) -> None:
        no = home.add(
            "1", attributes=MAIL, consents={"personalization": "granted", "marketing_email": "refused"}
        )
        golden_id = home.person(no)

        for purpose in home.purposes:
            if purpose.name != "identity_linking":
                answer = home.recorder.query(GoldenRef(golden_id), purpose.name, home.now)
                read = home.read(golden_id, purpose.name)
                assert answer.allowed == (type(read).__name__ == "Profile")


def test_what_was_recorded_verifies_in_the_ledger(home: Home) -> None:
    golden_id = home.person(home.add("1", attributes=MAIL))
    home.say(golden_id, "granted", "marketing_email")
    home.say(golden_id, "withdrawn", "marketing_email")

    report = home.ledger.verify(home.ledger.checkpoint(home.now))
    assert report.ok, report.reason
