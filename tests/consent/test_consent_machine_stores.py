"""The same law on the real stores: published golden IDs, the ledger, the door. And its named cases.

What a golden ID may be read for must follow from its records alone, under whatever ID a linkage run
publishes them, in whatever order things happened.
"""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pytest
from hypothesis import HealthCheck, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from consent.answers import Answer, Profile, RevealRequest
from consent.errors import RecordRejectedError
from consent.purposes import Purposes
from tests.consent.home import NOW, Home, a_home, record_ref
from tests.examples import examples

DAY: Final = 86_400_000
SOURCES: Final = ("0", "1", "2")
PURPOSES: Final = ("personalization", "analytics", "service")
BOUND: Final = {"personalization": "opt_in", "analytics": "opt_out"}

sources = st.sampled_from(SOURCES)
purposes = st.sampled_from(PURPOSES)


class StoresMachine(RuleBasedStateMachine):
    """Three records of three channels, regrouped under ever new golden IDs."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        folder = Path(self.stack.enter_context(TemporaryDirectory()))
        self.home = self.stack.enter_context(a_home(folder, keeps=100))
        self.numbers = {
            source: self.home.add(source, channel=f"c{source}", attributes={"user_id": f"u{source}"})
            for source in SOURCES
        }
        self.golden = {frozenset({source}): self.home.person(no) for source, no in self.numbers.items()}
        self.denied: dict[tuple[str, str], bool] = {}  # record and purpose -> by restriction

    def teardown(self) -> None:
        self.stack.close()

    def permitted(self) -> dict[tuple[frozenset[str], str], bool]:
        return {
            (group, about): isinstance(self.home.read(golden_id, about), Profile)
            for group, golden_id in self.golden.items()
            for about in PURPOSES
        }

    @invariant()
    def what_is_kept_is_what_reading_anew_gives(self) -> None:
        for about in PURPOSES:
            requests = [RevealRequest(about, "c_1", golden_id=each) for each in self.golden.values()]
            for _ in range(2):  # the second time it may be kept
                kept = asyncio.run(self.revealed(requests))
                assert kept == self.home.door.reveal_each(requests, self.home.now)

    async def revealed(self, requests: list[RevealRequest]) -> list[Answer]:
        return await self.home.door.revealed(requests, self.home.now)

    def regroup(self, groups: list[frozenset[str]]) -> None:
        self.golden = {
            group: self.home.person(*(self.numbers[source] for source in sorted(group))) for group in groups
        }

    @rule(source=sources, about=purposes, method=st.sampled_from(["import", "api", "direct"]))
    def grant(self, source: str, about: str, method: str) -> None:
        event(f"grant, {method}")
        before = self.permitted()
        self.home.say(record_ref(source, f"c{source}"), "granted", about, method)
        if method == "direct" and self.denied.get((source, about)) is False:
            del self.denied[source, about]
        if method != "direct":
            for (group, name), allowed in self.permitted().items():
                if any((each, name) in self.denied for each in group):
                    assert not allowed or before[group, name]

    @rule(source=sources, about=purposes, state=st.sampled_from(["withdrawn", "objected", "restricted"]))
    def deny(self, source: str, about: str, state: str) -> None:
        event(state)
        before = self.permitted()
        self.home.say(record_ref(source, f"c{source}"), state, about)
        if state == "restricted":
            self.denied |= dict.fromkeys(((source, name) for name in PURPOSES), True)
        elif about in BOUND:
            self.denied.setdefault((source, about), False)
        for key, allowed in self.permitted().items():
            assert before[key] or not allowed

    @rule(labels=st.lists(st.integers(0, 2), min_size=3, max_size=3))
    def rerun_that_changes_golden_ids(self, labels: list[int]) -> None:
        event("rerun")
        before = self.permitted()
        groups = {
            frozenset(s for s, no in zip(SOURCES, labels, strict=True) if no == label) for label in labels
        }
        for _ in range(2):  # a run repeated changes nothing
            self.regroup(sorted(groups, key=sorted))
            after = self.permitted()
            assert all(after[key] == allowed for key, allowed in before.items() if key in after)

    @rule()
    def merge_and_split(self) -> None:
        event("merge and split")
        before, groups = self.permitted(), list(self.golden)
        self.regroup([frozenset(SOURCES)])
        self.permitted()
        self.regroup(groups)
        assert self.permitted() == before

    @rule(days=st.sampled_from([1, 731]))
    def expire(self, days: int) -> None:
        event("time passes")
        before = self.permitted()
        self.home.now += days * DAY
        assert all(before[key] or not allowed for key, allowed in self.permitted().items())

    @rule(days=st.sampled_from([1, 731]))
    def clock_set_back(self, days: int) -> None:
        event("clock set back")
        with self.home.db.read() as conn:
            latest = self.home.ledger.time(conn)
        self.home.now, wrong = max(self.home.now, latest), self.home.now - days * DAY
        right = self.permitted()
        self.home.now = wrong
        assert all(right[key] or not allowed for key, allowed in self.permitted().items())

    @invariant()
    def whoever_denied_is_denied_under_every_golden_id(self) -> None:
        for (group, about), allowed in self.permitted().items():
            if any((source, about) in self.denied for source in group):
                assert not allowed


TestTheStores = StoresMachine.TestCase
TestTheStores.settings = settings(
    max_examples=examples(8),
    stateful_step_count=12,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    with a_home(tmp_path) as one:
        yield one


def test_unomis_merge_a_grant_of_the_other_profile_does_not_bring_a_withdrawn_consent_back(
    home: Home,
) -> None:
    first = home.add("1", consents={"personalization": "granted"})
    second = home.add("2", channel="crm", consents={"personalization": "granted"})
    home.person(first)
    home.say(record_ref("1"), "withdrawn", "personalization")
    home.say(record_ref("2", "crm"), "granted", "personalization")  # later, and in person

    merged = home.person(first, second)
    assert home.why(merged) == "not_permitted"
    assert isinstance(home.read(home.person(second)), Profile)
    assert home.why(home.person(first)) == "not_permitted"


def test_a_stale_import_after_a_withdrawal_changes_nothing_however_often_it_is_repeated(home: Home) -> None:
    golden_id = home.person(home.add("1", consents={"personalization": "granted"}))
    home.say(record_ref("1"), "withdrawn", "personalization")
    for days in (0, 1, 400):
        home.now = NOW + days * DAY
        home.add("1", attributes={"city": f"City {days}"}, consents={"personalization": "granted"})
        assert home.why(golden_id) == "not_permitted"


def test_a_future_dated_grant_is_refused_or_waits_for_its_time(home: Home) -> None:
    golden_id = home.person(home.add("1"))
    with pytest.raises(RecordRejectedError, match="future"):
        home.say(record_ref("1"), "granted", "personalization", event_time=NOW + 301_000)
    home.say(record_ref("1"), "granted", "personalization", event_time=NOW + 60_000)
    assert home.why(golden_id) == "not_permitted"

    home.say(record_ref("1"), "objected", "analytics")  # the ledger going on does not start it
    assert home.why(golden_id) == "not_permitted"
    home.now += 60_000
    assert isinstance(home.read(golden_id), Profile)


def test_a_clock_set_back_revives_nothing_even_when_it_has_written_since(home: Home) -> None:
    golden_id = home.person(home.add("1", consents={"personalization": "granted"}))
    home.now = NOW + 731 * DAY
    home.say(record_ref("1"), "granted", "analytics")
    assert home.why(golden_id) == "not_permitted"

    home.now = NOW + DAY
    home.say(record_ref("1"), "granted", "service")  # the last entry's time is an earlier one
    assert home.why(golden_id) == "not_permitted"


def test_a_takeover_by_somebody_elses_address_reads_and_grants_nothing(tmp_path: Path) -> None:
    policy = Purposes.load()
    cautious = replace(policy["personalization"], entry="verified")
    with a_home(tmp_path, replace(policy, by_name={**policy.by_name, "personalization": cautious})) as home:
        address = {"email": "victim@example.com"}
        victim = home.add("v", channel="crm", attributes=address | {"user_id": "victim", "city": "Lugo"})
        stranger = home.add(
            "s", channel="app", attributes=address | {"user_id": "stranger"},
            consents={"personalization": "granted"},
        )  # fmt: skip
        golden_id = home.person(victim, stranger)

        assert home.look_up(("user_id", "stranger")) == "entry"
        profile = home.profile(golden_id)  # by an ID already held, the stranger's own channel alone
        assert profile.channels == ("app",)
        assert "city" not in profile.attributes
