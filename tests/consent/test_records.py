"""Storing, replacing and deleting records, as if one by one, over real stores."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import func, select, table, text

from consent.errors import DestructionIncompleteError, UnknownPurposeError
from consent.events import RECORD, StatedEvidence, Subject
from consent.incoming import IncomingConsent, IncomingRecord
from consent.prepared_wire import from_bytes, to_bytes
from consent.recording import Saying
from consent.records import WriteResult
from consent.subjects import ContactRef, RecordRef
from consent.vault import SOURCE_ID
from identity.records import RecordKey
from tests.consent.home import NOW, Home
from tests.stores import only_on_sqlite

MINUTE = 60_000
ANA = IncomingRecord(
    "web",
    "ana-1",
    observed_at=NOW - MINUTE,
    attributes={"first_name": ["Ana"], "email": ["ana@example.com", "ana@example.org"]},
    traits={"shoe_size": "38"},
    verified=("email",),
    consents=(IncomingConsent("identity_linking", "granted", "web-2026-01"),),
)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    one = Home(tmp_path)
    yield one
    one.close()


def write(home: Home, *records: IncomingRecord, now: int = NOW) -> list[WriteResult]:
    return home.writer.write(records, now=now)


def statuses(results: list[WriteResult]) -> list[str]:
    return [result.status for result in results]


def count(home: Home, name: str) -> int:
    with home.db.read() as conn:
        return int(conn.execute(select(func.count()).select_from(table(name))).scalar_one())


def events(home: Home, record_no: int | None) -> list[tuple[str, str]]:
    assert record_no is not None
    with home.db.read() as conn:
        said = home.ledger.events_for(conn, [Subject(RECORD, record_no)])
    return [(event.purpose, event.state) for event in said]


class TestWhatIsStored:
    def test_a_record_can_be_opened_field_by_field(self, home: Home) -> None:
        (result,) = write(home, ANA)
        assert result.record_no is not None
        names = ["email", "trait:shoe_size", SOURCE_ID]
        opened = home.opener.open_fields([result.record_no], names)[result.record_no]
        assert opened.attributes == {"email": ["ana@example.com", "ana@example.org"]}
        assert opened.traits == {"shoe_size": "38"}
        assert (opened.source_id, opened.channel, opened.observed_at) == ("ana-1", "web", NOW - MINUTE)
        assert opened.verified == ("email",)

    def test_of_the_traits_only_those_asked_for_come_out(self, home: Home) -> None:
        (result,) = write(home, replace(ANA, traits={"shoe_size": "38", "email": "a trait", "pet": "dog"}))
        assert result.record_no is not None
        opened = home.opener.open_fields([result.record_no], ["trait:email", "trait:none"])[result.record_no]
        assert (opened.traits, opened.attributes) == ({"email": "a trait"}, {})
        assert home.opener.open_fields([result.record_no], ["email"])[result.record_no].traits == {}

    @only_on_sqlite("the bytes of its files")
    def test_the_names_of_traits_do_not_lie_in_the_clear_either(self, home: Home, tmp_path: Path) -> None:
        write(home, replace(ANA, traits={"canary of ana's words": "x"}))
        home.close()
        stored = b"".join(path.read_bytes() for path in tmp_path.rglob("*.db*"))
        assert b"first_name" in stored or b"email" in stored
        assert b"canary" not in stored

    @only_on_sqlite("the bytes of its files")
    def test_no_value_lies_in_the_clear(self, home: Home, tmp_path: Path) -> None:
        write(home, ANA)
        home.close()
        stored = b"".join(path.read_bytes() for path in tmp_path.rglob("*.db*"))
        assert b"example.com" not in stored
        assert b"ana-1" not in stored

    def test_what_cannot_be_read_is_kept_and_named(self, home: Home) -> None:
        (result,) = write(home, replace(ANA, attributes={"birth_date": ["unknown"], "phone": ["none"]}))
        assert result.unreadable == ("birth_date", "phone")
        assert result.record_no is not None
        opened = home.opener.open_fields([result.record_no], ["birth_date"])[result.record_no]
        assert opened.attributes == {"birth_date": ["unknown"]}

    def test_a_record_without_a_time_was_observed_on_arrival(self, home: Home) -> None:
        (result,) = write(home, replace(ANA, observed_at=None))
        assert result.record_no is not None
        assert home.opener.open_fields([result.record_no], [])[result.record_no].observed_at == NOW


class TestTheSameKeyAgain:
    def test_replaces_the_whole_record_and_keeps_its_number(self, home: Home) -> None:
        (first,) = write(home, ANA)
        (second,) = write(home, replace(ANA, observed_at=NOW, attributes={"phone": ["600100200"]}))
        assert (second.status, second.record_no) == ("updated", first.record_no)
        assert first.record_no is not None
        opened = home.opener.open_fields([first.record_no], ["email", "phone"])[first.record_no]
        assert opened.attributes == {"phone": ["600100200"]}

    def test_destroys_the_old_key_and_its_tokens(self, home: Home) -> None:
        write(home, ANA)
        with home.db.read() as conn:
            (old,) = conn.execute(text("SELECT key_id FROM records")).scalars()
        write(home, replace(ANA, traits={}))
        with home.keys.read() as conn:
            assert home.key_store.fetch(conn, [old]) == {}
            token = home.index.token("email", "ana@example.com")
            assert [row.key_id for row in home.key_store.find(conn, token)] != [old]
        assert count(home, "pending_destructions") == 0

    @pytest.mark.parametrize(
        ("change", "status"),
        [
            ({"observed_at": NOW - 2 * MINUTE, "traits": {}}, "unchanged"),
            ({"traits": {}}, "updated"),
            ({}, "unchanged"),
            ({"observed_at": None}, "unchanged"),
            ({"attributes": {"first_name": ["Ana María"]}}, "updated"),
            ({"verified": ()}, "updated"),
        ],
        ids=[
            "older: stale",
            "equal time: the later arrival wins",
            "the same content: nothing to do",
            "the same content without a time: nothing to do",
            "another attribute is another content",
            "another verification is another content",
        ],
    )
    def test_is_decided_by_time_and_content(self, home: Home, change: dict[str, object], status: str) -> None:
        write(home, ANA)
        assert statuses(write(home, replace(ANA, **change), now=NOW + 1)) == [status]  # type: ignore[arg-type]  # each case is of another type

    def test_a_stale_record_says_nothing_about_consent_either(self, home: Home) -> None:
        (first,) = write(home, ANA)
        refusal = (IncomingConsent("identity_linking", "refused"),)
        write(home, replace(ANA, observed_at=NOW - 2 * MINUTE, consents=refusal))
        assert events(home, first.record_no) == [("identity_linking", "granted")]

    def test_seen_again_later_makes_what_came_in_between_stale(self, home: Home) -> None:
        write(home, ANA)
        write(home, replace(ANA, observed_at=NOW))
        between = replace(ANA, observed_at=NOW - 1, traits={"shoe_size": "39"})
        assert statuses(write(home, between)) == ["unchanged"]

    def test_twice_in_one_call_is_one_after_the_other(self, home: Home) -> None:
        newer = replace(ANA, observed_at=NOW, traits={"shoe_size": "39"})
        results = write(home, ANA, newer, ANA, replace(newer, traits={}))
        assert statuses(results) == ["created", "updated", "unchanged", "updated"]
        assert len({result.record_no for result in results}) == 1

    def test_the_channel_is_part_of_the_key(self, home: Home) -> None:
        assert statuses(write(home, ANA, replace(ANA, channel="app"))) == ["created", "created"]


class TestConsent:
    def test_repeating_itself_makes_no_event(self, home: Home) -> None:
        (first,) = write(home, ANA)
        write(home, replace(ANA, traits={}))
        write(home, replace(ANA, traits={}))
        assert events(home, first.record_no) == [("identity_linking", "granted")]

    def test_a_change_of_mind_makes_one_and_ends_linking(self, home: Home) -> None:
        (first,) = write(home, ANA)
        assert first.linking
        withdrawn = replace(ANA, consents=(IncomingConsent("identity_linking", "withdrawn"),))
        (second,) = write(home, withdrawn)
        assert (second.status, second.linking) == ("unchanged", False)
        assert events(home, first.record_no)[-1] == ("identity_linking", "withdrawn")

    def test_an_imported_grant_undoes_no_denial(self, home: Home) -> None:
        write(home, replace(ANA, consents=(IncomingConsent("identity_linking", "refused"),)))
        assert [result.linking for result in write(home, ANA)] == [False]

    @pytest.mark.parametrize(
        ("method", "evidence"), [("direct", None), ("guardian", StatedEvidence("guardian", "forms/1"))]
    )
    def test_a_grant_in_person_given_since_does(
        self, home: Home, method: str, evidence: StatedEvidence | None
    ) -> None:
        write(home, replace(ANA, consents=(IncomingConsent("identity_linking", "refused"),)))
        direct = IncomingConsent("identity_linking", "granted", method=method, evidence=evidence)
        assert [r.linking for r in write(home, replace(ANA, consents=(direct,)))] == [False], "given before"
        again = replace(ANA, consents=(direct,), observed_at=NOW)
        assert [result.linking for result in write(home, again)] == [True]

    def test_taking_back_a_grant_counts_only_after_one(self, home: Home) -> None:
        taken_back = IncomingConsent("personalization", "withdrawn", only_after_grant=True)
        granted = IncomingConsent("personalization", "granted")
        (first,) = write(home, replace(ANA, consents=(taken_back,)))
        assert events(home, first.record_no) == []
        write(home, replace(ANA, consents=(granted,)))
        write(home, replace(ANA, consents=(taken_back,)))
        assert events(home, first.record_no) == [
            ("personalization", "granted"),
            ("personalization", "withdrawn"),
        ]

    def test_a_grant_for_all_reaches_records_that_say_nothing(self, home: Home) -> None:
        silent = replace(ANA, consents=())
        refusing = replace(ANA, source_id="2", consents=(IncomingConsent("identity_linking", "refused"),))
        results = home.writer.write([silent, refusing], now=NOW, grants=["identity_linking"])
        assert [result.linking for result in results] == [True, False]

    def test_a_purpose_that_binds_to_addresses_is_granted_for_each_address(self, home: Home) -> None:
        granted = (IncomingConsent("marketing_email", "granted"),)
        write(home, replace(ANA, consents=granted))
        with home.db.read() as conn:
            rows = conn.execute(text("SELECT subject_kind, state FROM ledger")).all()
        assert [tuple(row) for row in rows] == [(2, "granted"), (2, "granted")]

    def test_a_record_that_arrives_with_a_restricted_address_is_not_linked(self, home: Home) -> None:
        saying = Saying("marketing_email", "restricted", "api", "client:shop")
        home.recorder.record(ContactRef("email", "ana@example.com"), saying, NOW)
        assert [result.linking for result in write(home, ANA)] == [False]

    def test_an_unknown_purpose_rejects_the_record_and_a_grant_for_all_raises(self, home: Home) -> None:
        (result,) = write(home, replace(ANA, consents=(IncomingConsent("profiling", "granted"),)))
        assert (result.status, result.column) == ("rejected", "consents")
        with pytest.raises(UnknownPurposeError):
            home.writer.write([ANA], now=NOW, grants=["profiling"])
        assert count(home, "records") == 0

    def test_the_ledger_of_all_this_verifies(self, home: Home) -> None:
        write(home, ANA, replace(ANA, consents=(IncomingConsent("identity_linking", "withdrawn"),)))
        assert home.ledger.verify().ok


class TestRejection:
    def test_a_bad_record_leaves_the_good_ones(self, home: Home) -> None:
        bad = replace(ANA, source_id="  ")
        ahead = replace(ANA, observed_at=NOW + 6 * MINUTE)
        unknown = replace(ANA, attributes={"surname": ["Gil"]})
        results = write(home, bad, ahead, unknown, ANA)
        assert statuses(results) == ["rejected", "rejected", "rejected", "created"]
        assert [result.column for result in results] == ["source_id", "observed_at", "surname", None]


class TestDeletion:
    def test_destroys_keys_and_leaves_only_a_departure(self, home: Home) -> None:
        (result,) = write(home, ANA)
        assert home.writer.delete([ANA.key, RecordKey("web", "nobody")], NOW) == [result.record_no, None]
        assert home.writer.find(ANA.key) is None
        assert result.record_no is not None
        assert home.opener.open_fields([result.record_no], ["email"]) == {}
        assert (count(home, "records"), count(home, "departures")) == (0, 1)
        with home.keys.read() as conn:
            assert home.key_store.find(conn, home.index.token("email", "ana@example.com")) == []

    def test_nobody_waits_to_be_resolved_who_is_gone(self, home: Home) -> None:
        write(home, ANA)
        home.writer.write([replace(ANA, traits={})], now=NOW, resolving=True)
        assert count(home, "unresolved") == 1
        home.writer.delete([ANA.key], NOW)
        assert count(home, "unresolved") == 0

    def test_the_same_key_afterwards_is_a_new_record(self, home: Home) -> None:
        (first,) = write(home, ANA)
        home.writer.delete([ANA.key], NOW)
        (second,) = write(home, ANA)
        assert second.status == "created"
        assert second.record_no != first.record_no

    def test_one_interrupted_after_the_keys_is_finished_later(self, home: Home) -> None:
        (result,) = write(home, ANA)
        leave_half_deleted(home)
        assert home.writer.finish_destructions(NOW) == 1
        assert home.writer.find(ANA.key) is None
        assert result.record_no is not None
        assert (count(home, "records"), count(home, "pending_destructions")) == (0, 0)

    @pytest.mark.parametrize("traits", [{}, ANA.traits], ids=["with other content", "with the same"])
    def test_who_comes_again_while_it_is_under_way_is_a_new_record(
        self, home: Home, traits: dict[str, str]
    ) -> None:
        (first,) = write(home, ANA)
        leave_half_deleted(home)
        again, other = write(home, replace(ANA, traits=traits), replace(ANA, source_id="ana-2"))
        assert statuses([again, other]) == ["created", "created"]
        assert home.writer.find(ANA.key) == again.record_no != first.record_no
        assert (count(home, "records"), count(home, "pending_destructions")) == (2, 0)

    def test_where_it_cannot_be_finished_who_comes_again_is_told_so_and_the_others_land(
        self, home: Home, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write(home, ANA)
        leave_half_deleted(home)
        both = [replace(ANA, traits={}), replace(ANA, source_id="ana-2")]

        def held_up(*_: object, **__: object) -> None:
            raise DestructionIncompleteError("a reader stays")

        with monkeypatch.context() as patched:
            patched.setattr(home.key_store, "destroy", held_up)
            with pytest.raises(DestructionIncompleteError):
                write(home, *both)
        assert statuses(write(home, *both)) == ["created", "unchanged"]


def leave_half_deleted(home: Home) -> None:
    """As a deletion does that has noted the keys and has not destroyed them yet, or is killed there."""
    with home.db.write() as conn:
        conn.execute(text("INSERT INTO pending_destructions SELECT key_id, 0 FROM records"))


def test_a_prepared_batch_crosses_to_another_process_whole(home: Home) -> None:
    write(home, ANA)
    consents = (*ANA.consents, IncomingConsent("marketing_email", "granted"))
    arriving = [
        replace(ANA, traits={}, consents=consents),
        ANA,
        replace(ANA, source_id="2", consents=consents),
    ]
    batch = home.writer._preparer.prepare(arriving, first_key_id=900, source=None, now=NOW)
    assert from_bytes(to_bytes(batch)) == batch


class TestCrashes:
    def test_keys_without_a_record_count_for_nothing_and_are_swept(self, home: Home) -> None:
        """As left by a crash between the two stores: key rows, tokens, no record."""
        batch = home.writer._preparer.prepare([ANA], first_key_id=900, source=None, now=NOW)
        home.writer.committer.keys.write(batch)
        assert home.writer.find(ANA.key) is None
        (result,) = write(home, ANA)
        assert result.status == "created"
        assert home.key_store.sweep_orphans(home.db, NOW + 2 * 3_600_000) == 1
        assert home.writer.find(ANA.key) == result.record_no

    def test_a_batch_prepared_before_another_writer_is_prepared_again(self, home: Home) -> None:
        batch = home.writer._preparer.prepare([ANA], first_key_id=900, source=None, now=NOW)
        write(home, ANA)
        assert home.writer.committer.commit(batch) == [None]
        assert count(home, "records") == 1

    def test_a_batch_prepared_between_the_keys_and_the_records_of_another_is_prepared_again(
        self, home: Home
    ) -> None:
        prepare, committer = home.writer._preparer.prepare, home.writer.committer
        first = committer.keys.write(prepare([ANA], first_key_id=900, source=None, now=NOW))
        second = prepare([ANA], first_key_id=901, source=None, now=NOW)
        assert committer.finish(first) != [None]
        assert committer.commit(second) == [None]

    def test_an_update_prepared_before_a_deletion_resurrects_nothing(self, home: Home) -> None:
        write(home, ANA)
        change = replace(ANA, observed_at=NOW)
        batch = home.writer._preparer.prepare(
            [replace(change, traits={})], first_key_id=900, source=None, now=NOW
        )
        home.writer.delete([ANA.key], NOW)
        assert home.writer.committer.commit(batch) == [None]
        assert count(home, "records") == 0

    def test_an_update_prepared_before_a_withdrawal_does_not_restore_linking(self, home: Home) -> None:
        write(home, ANA)
        batch = home.writer._preparer.prepare(
            [replace(ANA, traits={})], first_key_id=900, source=None, now=NOW
        )
        home.recorder.record(
            RecordRef(ANA.key), Saying("identity_linking", "withdrawn", "api", "client:x"), NOW
        )
        assert home.writer.committer.commit(batch) == [None]
        assert [result.linking for result in write(home, replace(ANA, traits={}))] == [False]
