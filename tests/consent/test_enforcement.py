"""The only door: what a purpose is shown of a person, and what happens before anything is opened."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread

import pytest

from consent.access_log import AccessEntry
from consent.access_log_reading import entries
from consent.answers import Profile, RevealRequest, Scattered, Withheld
from consent.errors import AccessLogError, UnknownPurposeError
from consent.purposes import Purposes
from consent.record_contents import OpenedRecord
from consent.stored_contents import StoredContent
from consent.subjects import ContactRef
from identity.survivorship import Survivorship
from tests.consent.home import NOW, Home, a_home, counted, record_ref

DAY = 86_400_000
CANARY = "quintanilla"
ANA = {
    "first_name": "Ana",
    "last_name": CANARY,
    "email": "ana@example.com",
    "birth_date": "1990-01-01",
    "city": "Bilbao",
}
GRANTED = {"identity_linking": "granted", "personalization": "granted"}


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    with a_home(tmp_path) as one:
        yield one


def ana(home: Home) -> str:
    """A person of two records, both of which permit personalization."""
    web = home.add("1", attributes=ANA, consents=GRANTED, observed_at=NOW - 2 * DAY)
    pos = home.add(
        "2",
        channel="pos",
        attributes={"first_name": "Anita", "email": ["ana@example.com", "ana@work.example"]},
        consents={"personalization": "granted"},
        observed_at=NOW - DAY,
    )
    return home.person(web, pos, confidences=[1.0, 0.998])


class TestAProfile:
    def test_holds_what_the_purpose_includes_and_the_person_permits(self, home: Home) -> None:
        golden_id = ana(home)
        profile = home.profile(golden_id)

        assert profile.attributes == {
            "first_name": "Anita",
            "last_name": CANARY,
            "email": ["ana@example.com", "ana@work.example"],
            "city": "Bilbao",
        }
        assert (profile.golden_id, profile.requested_id) == (golden_id, None)
        assert (profile.purpose, profile.as_of) == ("personalization", NOW)
        assert (profile.confidence, profile.channels, profile.records) == (0.998, ("pos", "web"), 2)

    def test_names_what_is_withheld_by_policy_alone(self, home: Home) -> None:
        profile = home.profile(ana(home))

        assert profile.withheld["birth_date"] == "purpose personalization does not include birth_date"
        assert profile.withheld["national_id"] == "purpose personalization does not include national_id"
        assert "birth_date" not in profile.attributes

    def test_shows_traits_that_the_purpose_names_and_no_others(self, tmp_path: Path) -> None:
        policy = Purposes.load()
        personal = replace(policy["personalization"], traits=("favourite_store",))
        changed = replace(policy, by_name={**policy.by_name, "personalization": personal})
        with a_home(tmp_path, changed) as home:
            no = home.add("1", traits={"favourite_store": "Gros", "shoe_size": "38"}, consents=GRANTED)
            profile = home.profile(home.person(no))

        assert profile.traits == {"favourite_store": "Gros"}

    def test_follows_the_survivorship_rules_of_the_policy(self, tmp_path: Path) -> None:
        policy = replace(Purposes.load(), survivorship=Survivorship("source_precedence", precedence=("web",)))
        with a_home(tmp_path, policy) as home:
            assert home.profile(ana(home)).attributes["first_name"] == "Ana"

    def test_shows_an_address_once_however_it_is_spelt(self, home: Home) -> None:
        one = home.add("1", attributes={"email": "ANA@example.com"}, consents=GRANTED, observed_at=NOW - DAY)
        two = home.add("2", attributes={"email": "ana@example.com"}, observed_at=NOW)

        assert home.profile(home.person(one, two)).attributes["email"] == ["ana@example.com"]

    def test_does_not_print_its_values(self, home: Home) -> None:
        assert CANARY not in repr(home.profile(ana(home)))

    def test_counts_only_the_records_that_the_purpose_may_see(self, tmp_path: Path) -> None:
        policy = Purposes.load()
        personal = replace(policy["personalization"], channels=("web",), minimum_confidence=0.9)
        changed = replace(policy, by_name={**policy.by_name, "personalization": personal})
        with a_home(tmp_path, changed) as home:
            sure = home.add("1", attributes={"first_name": "Ana"}, consents=GRANTED)
            unsure = home.add("2", attributes={"city": "Bilbao"}, consents=GRANTED)
            other = home.add("3", channel="pos", attributes={"gender": "f"}, consents=GRANTED)
            golden_id = home.person(sure, unsure, other, confidences=[1.0, 0.5, 1.0])
            profile = home.profile(golden_id)

        assert (profile.attributes, profile.records) == ({"first_name": "Ana"}, 1)
        assert (profile.channels, profile.confidence) == (("web",), 1.0)


class TestPermission:
    def test_is_asked_again_at_every_read(self, home: Home) -> None:
        golden_id = ana(home)
        assert isinstance(home.read(golden_id), Profile)

        home.say(golden_id, "withdrawn", "personalization")
        assert home.why(golden_id) == "not_permitted"

        home.say(golden_id, "granted", "personalization", method="api")
        assert home.why(golden_id) == "not_permitted"

        home.say(golden_id, "granted", "personalization", method="direct")
        assert isinstance(home.read(golden_id), Profile)

    def test_of_nobody_is_not_assumed(self, home: Home) -> None:
        golden_id = home.person(home.add("1", attributes=ANA))

        assert home.why(golden_id) == "not_permitted"
        assert home.profile(golden_id, "service").attributes["first_name"] == "Ana"
        assert home.profile(golden_id, "analytics").attributes == {"city": "Bilbao"}

    def test_expires(self, home: Home) -> None:
        golden_id = ana(home)
        home.now += 730 * DAY

        assert home.why(golden_id) == "not_permitted"

    def test_a_restriction_stops_every_purpose(self, home: Home) -> None:
        golden_id = ana(home)
        home.say(golden_id, "restricted", "analytics")

        for purpose in home.purposes:
            assert home.why(golden_id, purpose.name) == "not_permitted"

    def test_linking_serves_no_profile(self, home: Home) -> None:
        assert home.why(ana(home), "identity_linking") == "not_permitted"

    def test_a_record_that_joins_with_a_denial_closes_the_whole_person(self, home: Home) -> None:
        web = home.add("1", attributes=ANA, consents=GRANTED)
        crm = home.add("2", channel="crm", attributes=ANA, consents={"personalization": "refused"})

        assert isinstance(home.read(home.person(web)), Profile)
        assert home.why(home.person(web, crm)) == "not_permitted"

    def test_an_address_denied_by_itself_denies_the_person_who_carries_it(self, home: Home) -> None:
        golden_id = ana(home)
        home.say(ContactRef("email", "ANA@work.example"), "objected", "personalization")

        assert home.why(golden_id) == "not_permitted"


class TestAddresses:
    def test_only_addresses_that_may_be_written_to_are_shown(self, home: Home) -> None:
        golden_id = ana(home)
        home.say(ContactRef("email", "Ana@Work.example"), "granted", "marketing_email")

        profile = home.profile(golden_id, "marketing_email")
        assert profile.attributes["email"] == ["ana@work.example"]
        assert profile.attributes["first_name"] == "Anita"

    def test_consent_that_arrives_with_a_record_is_for_its_addresses(self, home: Home) -> None:
        one = home.add("1", attributes={"email": "a@example.com"}, consents={"marketing_email": "granted"})
        two = home.add("2", attributes={"email": "b@example.com"})

        profile = home.profile(home.person(one, two), "marketing_email")
        assert profile.attributes["email"] == ["a@example.com"]

    def test_the_permission_does_not_follow_the_record_to_its_next_address(self, home: Home) -> None:
        no = home.add("1", attributes={"email": "a@example.com"}, consents={"marketing_email": "granted"})
        golden_id = home.person(no)
        home.now += 1
        home.add("1", attributes={"email": "b@example.com"})

        assert home.why(golden_id, "marketing_email") == "not_permitted"

    def test_a_denial_by_golden_id_also_holds_for_the_next_address(self, home: Home) -> None:
        no = home.add("1", attributes={"email": "a@example.com"})
        golden_id = home.person(no)
        home.say(golden_id, "withdrawn", "marketing_email")
        home.now += 1
        home.add("1", attributes={"email": "b@example.com"}, consents={"marketing_email": "granted"})

        assert home.why(golden_id, "marketing_email") == "not_permitted"


def _records(home: Home, golden_id: str) -> list[int]:
    with home.db.read() as conn:
        view = home.memberships.resolve(conn, golden_id)
        assert view is not None
        return [member.record_no for member in home.memberships.members(conn, view.golden_no)]


class TestGoldenIdsThatChanged:
    def test_a_merged_id_answers_as_its_survivor(self, home: Home) -> None:
        survivor, merged = ana(home), home.person()
        home.retire(merged, "merged", into=[survivor], former=_records(home, survivor))

        profile = home.profile(merged)
        assert (profile.golden_id, profile.requested_id) == (survivor, merged)

    def test_a_merged_id_whose_survivor_may_not_be_read_is_withheld(self, home: Home) -> None:
        survivor, merged = home.person(home.add("1", attributes=ANA)), home.person()
        home.retire(merged, "merged", into=[survivor])

        assert home.why(merged) == "not_permitted"

    def test_a_split_id_names_its_successors_where_all_may_be_read(self, home: Home) -> None:
        parts = [home.person(home.add(str(no), attributes=ANA, consents=GRANTED)) for no in (1, 2)]
        split = home.person()
        home.retire(split, "split", into=parts)

        answer = home.read(split)
        assert isinstance(answer, Scattered)
        assert (answer.requested_id, answer.successors) == (split, tuple(parts))
        home.say(parts[1], "withdrawn", "personalization")
        assert home.why(split) == "not_permitted"

    def test_an_erased_id_is_withheld(self, home: Home) -> None:
        golden_id = ana(home)
        home.retire(golden_id, "erased")

        assert home.why(golden_id) == "erased"

    def test_when_every_record_is_deleted_nothing_is_left_to_read(self, home: Home) -> None:
        golden_id = ana(home)
        home.writer.delete([record_ref("1").key, record_ref("2", "pos").key], home.now)

        assert home.why(golden_id) == "not_permitted"


class Watched:
    """Hands on to the real opener, noting when it was asked."""

    def __init__(self, home: Home) -> None:
        self.calls: list[str] = []
        self._real, self._append = home.opener, home.access_log.append
        home.door._opener = self
        home.access_log.append = self._logged  # type: ignore[method-assign]  # listens in

    def open_fields(self, record_nos: Sequence[int], names: Sequence[str]) -> Mapping[int, OpenedRecord]:
        self.calls.append("open")
        return self._real.open_fields(record_nos, names)

    def open_contents(
        self, contents: Sequence[StoredContent], names: Sequence[str]
    ) -> Mapping[int, OpenedRecord]:
        self.calls.append("open")
        return self._real.open_contents(contents, names)

    def _logged(self, *entries: AccessEntry) -> None:
        self._append(*entries)
        self.calls.append("log")


class TestTheAccessLog:
    def test_is_written_before_anything_is_opened(self, home: Home) -> None:
        golden_id = ana(home)
        watched = Watched(home)
        home.profile(golden_id)

        assert watched.calls == ["log", "open"]

    def test_says_who_saw_which_fields_of_which_records_and_no_values(self, home: Home) -> None:
        golden_id = ana(home)
        home.profile(golden_id)

        (entry,) = entries(home.log_folder)
        assert (entry.time, entry.client, entry.purpose) == (NOW, "c_1", "personalization")
        assert (entry.decision, entry.golden_no) == ("revealed", 1)
        assert "email" in entry.attributes
        assert "birth_date" not in entry.attributes
        assert len(entry.record_nos) == 2
        written = b"".join(path.read_bytes() for path in home.log_folder.iterdir())
        assert CANARY.encode() not in written
        assert golden_id.encode() not in written

    def test_that_cannot_be_written_lets_nothing_out(
        self, home: Home, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        golden_id = ana(home)
        home.profile(golden_id)
        watched = Watched(home)

        def broken(*_: object) -> int:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("os.fdatasync", broken)
        for request in (
            RevealRequest("personalization", "c_1", golden_id=golden_id),
            RevealRequest("personalization", "c_1", golden_id="g_unknown"),
        ):
            with pytest.raises(AccessLogError):
                home.door.reveal(request, NOW)
        assert "open" not in watched.calls

    def test_records_what_was_asked_in_vain_too(self, home: Home) -> None:
        golden_id = ana(home)
        home.say(golden_id, "withdrawn", "personalization")
        home.read(golden_id)
        home.read("g_unknown")
        home.look_up(("email", "nobody@example.com"))

        logged = list(entries(home.log_folder))
        assert [entry.decision for entry in logged] == ["not_permitted", "unknown", "unknown"]
        assert {entry.attributes for entry in logged} == {()}
        assert {entry.record_nos for entry in logged} == {()}


def test_nothing_is_opened_for_whom_nothing_may_be_shown(home: Home) -> None:
    golden_id = ana(home)
    home.say(golden_id, "withdrawn", "personalization")
    watched = Watched(home)
    for identifier in (golden_id, "g_unknown"):
        assert isinstance(home.read(identifier), Withheld)

    assert watched.calls == ["log", "log"]


def test_unknown_erased_restricted_and_not_permitted_cost_the_same_work(home: Home) -> None:
    """Each asks the same statements of both stores and writes one log entry."""
    people = {
        "unknown": "g_unknown",
        "not permitted": home.person(home.add("1", attributes={"user_id": "u", "email": "u@example.com"})),
        "erased": home.person(home.add("2", attributes={"user_id": "v"})),
        "restricted": home.person(home.add("3", attributes={"user_id": "w"})),
    }
    home.retire(people["erased"], "erased")
    home.say(people["restricted"], "restricted", "service")
    work = {}
    for who, golden_id in people.items():
        watched = Watched(home)
        with counted(home) as statements:
            home.read(golden_id)
        work[who] = (tuple(statements), tuple(watched.calls))

    assert len(set(work.values())) == 1, {who: len(done[0]) for who, done in work.items()}


def test_after_a_withdrawal_is_acknowledged_no_worker_serves_the_purpose(home: Home, tmp_path: Path) -> None:
    golden_id = ana(home)
    acknowledged = Event()
    late: list[object] = []

    def work(worker: Home) -> None:
        while True:
            after = acknowledged.is_set()
            answer = worker.read(golden_id)
            if after:
                late.append(answer)
                return

    with ExitStack() as stack:  # objects of their own over the same stores, as worker processes have
        workers = [stack.enter_context(a_home(tmp_path)) for _ in range(3)]
        threads = [Thread(target=work, args=(worker,)) for worker in workers]
        for thread in threads:
            thread.start()
        home.say(golden_id, "withdrawn", "personalization")
        acknowledged.set()
        for thread in threads:
            thread.join()

    assert len(late) == 3
    assert all(isinstance(answer, Withheld) for answer in late)


def test_an_unknown_purpose_is_an_error(home: Home) -> None:
    with pytest.raises(UnknownPurposeError):
        home.read(ana(home), "world_domination")
