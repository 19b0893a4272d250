"""Consent as tested law: a state machine over everything that can happen to people and what they said.

Hypothesis merges, splits and regroups records, lets people grant, withdraw, object and be restricted, lets
consents expire, sets the clock back and replays stale imports, in any order it can think of. After every
step each purpose is judged for each person, by the real rules, and must keep what docs/purposes.md states.
`test_consent_machine_stores.py` does it to the real stores; `--hypothesis-show-statistics` prints what ran.
"""

from dataclasses import replace
from datetime import date
from typing import Final

from hypothesis import event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from consent.ages import of_age
from consent.events import (
    DENIALS,
    GUARDIAN_METHODS,
    METHODS,
    RECORD,
    VERIFIED_METHODS,
    ConsentEvent,
    Subject,
)
from consent.permission import Evidence, Member, Permission, permission
from consent.purposes import Purpose
from tests.consent.consent_events import DAY, NOW, contact, member, purpose, record
from tests.examples import examples

BORN_2011: Final = date(2011, 3, 4).toordinal()  # 15 at NOW, of age half a year later
BORN_1980: Final = date(1980, 1, 23).toordinal()
AGE: Final = 16
COMES_OF_AGE: Final = of_age(BORN_2011, AGE)
MEMBERS: Final = (
    member(1, channel="web", contacts=frozenset({1}), verified=frozenset({"email"}), born=BORN_2011),
    member(2, channel="crm", contacts=frozenset({1, 2}), born=BORN_1980),
    member(3, channel="pos", confidence=0.95, contacts=frozenset({3})),
    member(4, channel="web", confidence=0.8, born=BORN_2011),
    member(5, channel="app", contacts=frozenset({2}), verified=frozenset({"user_id"})),
)
PURPOSES: Final = {
    "opt-in": purpose("personalization", consent_age=None),
    "opt-in, with an age": purpose("personalization", consent_age=AGE),
    "opt-in, age unknown": purpose("personalization", consent_age=AGE, unknown_age="minor"),
    "opt-in, sure records only": purpose("advertising", consent_age=AGE, unknown_age="minor"),
    "opt-in, entry verified": purpose("personalization", consent_age=AGE, entry="verified"),
    "opt-in, by address": purpose("marketing_email", consent_age=AGE),
    "opt-in, by record": purpose("identity_linking"),
    "opt-out": purpose("analytics"),
    "opt-out, with an age": purpose("analytics", consent_age=AGE),
    "contract": purpose("service"),
}
NAMES: Final = sorted({each.name for each in PURPOSES.values()})
NOT_DENIED: Final = ("granted", "unknown", "expired")

Group = frozenset[int]
Answers = dict[tuple[Group, str], Permission]

subjects = st.sampled_from([record(each.record_no) for each in MEMBERS] + [contact(no) for no in (1, 2, 3)])
names = st.sampled_from(NAMES)
numbers = st.sampled_from([each.record_no for each in MEMBERS])


def seen(answer: Permission) -> tuple[bool, str, frozenset[int], frozenset[int] | None]:
    """What an answer permits, whatever its wording."""
    view = frozenset(each.record_no for each in answer.view)
    return answer.decision.allowed, answer.decision.state, view, answer.contacts


def no_wider(after: Permission, before: Permission) -> bool:
    """Whether `after` permits nothing that `before` did not."""
    if not after.decision.allowed:
        return True
    return (
        before.decision.allowed
        and set(after.view) <= set(before.view)
        and (after.contacts or frozenset()) <= (before.contacts or frozenset())
    )


def _came_back(grant: ConsentEvent, denial: ConsentEvent) -> bool:
    assert grant.index is not None
    assert denial.index is not None
    later = grant.state == "granted" and grant.index > denial.index
    itself = grant.method in ("direct", "guardian") and grant.subject == denial.subject
    return later and (grant.method in VERIFIED_METHODS or itself)


class ConsentMachine(RuleBasedStateMachine):
    """People as groups of records, what was said as a growing ledger, and a clock that may be wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.groups: set[Group] = {frozenset({each.record_no}) for each in MEMBERS}
        self.ledger: list[ConsentEvent] = []
        self.now = NOW
        self.ledger_time = 0
        self.known: Answers = {}
        self.known_at: tuple[int, int, int] | None = None

    def members(self, group: Group) -> list[Member]:
        return [each for each in MEMBERS if each.record_no in group]

    def evidence(self, group: Group, now: int | None = None) -> Evidence:
        about = {subject for each in self.members(group) for subject in each.subjects}
        events = [each for each in self.ledger if each.subject in about]
        return Evidence(events, self.now if now is None else now, self.ledger_time)

    def judged(self, group: Group, about: Purpose, now: int | None = None) -> Permission:
        return permission(self.members(group), self.evidence(group, now), about)

    def answers(self, now: int | None = None) -> Answers:
        """Return every answer; those that nothing has touched since are not worked out again."""
        at = (self.now if now is None else now, len(self.ledger), self.ledger_time)
        if self.known_at != at:
            self.known_at, self.known = at, {}
        for group in self.groups:
            for name, about in PURPOSES.items():
                if (group, name) not in self.known:
                    self.known[group, name] = self.judged(group, about, now)
        return {(group, name): self.known[group, name] for group in self.groups for name in PURPOSES}

    def say(
        self, subject: Subject, about: str, state: str, method: str, *, begins: int | None = None
    ) -> None:
        lasts = PURPOSES_BY_NAME[about].expires_at(min(begins or self.now, self.now))
        self.ledger.append(
            ConsentEvent(
                index=len(self.ledger), subject=subject, purpose=about, state=state, method=method,
                source="client:c_1", notice=None, event_time=self.now if begins is None else begins,
                recorded_at=self.now, expires_at=lasts if state == "granted" else None,
            )
        )  # fmt: skip
        self.ledger_time = max(self.ledger_time, self.now)

    def holding(self, no: int) -> Group:
        return next(group for group in self.groups if no in group)

    # What people say

    @rule(subject=subjects, about=names, method=st.sampled_from(METHODS))
    def grant(self, subject: Subject, about: str, method: str) -> None:
        event(f"grant, {method}")
        before = self.answers()
        self.say(subject, about, "granted", method)
        if method in ("import", "api"):
            for key, answer in self.answers().items():
                if before[key].decision.state not in NOT_DENIED and PURPOSES[key[1]].binds == "person":
                    assert not answer.decision.allowed, "a stale import undid a denial"

    @rule(subject=subjects, about=names, ahead=st.integers(1, 3 * DAY))
    def grant_for_later(self, subject: Subject, about: str, ahead: int) -> None:
        event("grant for later")
        before = self.answers()
        self.say(subject, about, "granted", "direct", begins=self.now + ahead)
        for key, answer in self.answers().items():
            assert no_wider(answer, before[key]), "a grant for later was in force before its time"

    @rule(
        subject=subjects, about=names, method=st.sampled_from(METHODS),
        state=st.sampled_from(["withdrawn", "objected", "refused", "restricted"]),
    )  # fmt: skip
    def deny(self, subject: Subject, about: str, method: str, state: str) -> None:
        event(state)
        before = self.answers()
        self.say(subject, about, state, method)
        for key, answer in self.answers().items():
            assert no_wider(answer, before[key]), "a new denial widened something"

    # What a linkage does to people

    @rule(one=numbers, other=numbers)
    def merge(self, one: int, other: int) -> None:
        parts = {self.holding(one), self.holding(other)}
        event(f"merge of {len(parts)}")
        before = self.answers()
        merged = frozenset[int]().union(*parts)
        self.groups = self.groups - parts | {merged}
        vouched = any(each.method in VERIFIED_METHODS for each in self.evidence(merged).events)
        for name, about in PURPOSES.items():
            denied = any(before[part, name].decision.state not in NOT_DENIED for part in parts)
            minors = any(each.born == BORN_2011 for each in self.members(merged)) and self.now < COMES_OF_AGE
            if about.age_matters and minors:
                grown = any(each.born == BORN_1980 for each in self.members(merged))
                assert not (grown and self.judged(merged, about).decision.allowed), (
                    "an adult lent a minor an age"
                )
            if denied and not vouched and about.binds == "person":
                assert not self.judged(merged, about).decision.allowed, "a merge resurrected a consent"

    @rule(one=numbers, other=numbers)
    def merge_and_split(self, one: int, other: int) -> None:
        event("merge and split")
        before = {key: seen(answer) for key, answer in self.answers().items()}
        was = set(self.groups)
        parts = {self.holding(one), self.holding(other)}
        self.groups = self.groups - parts | {frozenset[int]().union(*parts)}
        self.answers()
        self.groups = self.groups - {frozenset[int]().union(*parts)} | parts
        assert self.groups == was
        assert {key: seen(answer) for key, answer in self.answers().items()} == before

    @rule(no=numbers)
    def split(self, no: int) -> None:
        event("split")
        group = self.holding(no)
        self.groups = self.groups - {group} | {part for part in (frozenset({no}), group - {no}) if part}

    @rule(labels=st.lists(st.integers(0, 2), min_size=len(MEMBERS), max_size=len(MEMBERS)))
    def rerun(self, labels: list[int]) -> None:
        event("rerun")
        regrouped: dict[int, set[int]] = {}
        for each, label in zip(MEMBERS, labels, strict=True):
            regrouped.setdefault(label, set()).add(each.record_no)
        before = {key: seen(answer) for key, answer in self.answers().items()}
        self.groups = {frozenset(group) for group in regrouped.values()}
        for key, answer in self.answers().items():
            assert key not in before or before[key] == seen(answer), "a rerun changed who was left alone"

    # What time does

    @rule(days=st.sampled_from([1, 400, 800, 1200]))
    def expire(self, days: int) -> None:
        event("time passes")
        before = self.answers()
        self.now += days * DAY
        waiting = any(each.event_time > each.recorded_at for each in self.ledger)
        for key, answer in self.answers().items():
            about = PURPOSES[key[1]]
            grown_up = about.age_matters and about.regime == "opt_out"  # from then on nobody needs to opt in
            assert waiting or grown_up or no_wider(answer, before[key]), "time alone permitted something"

    @rule(days=st.sampled_from([1, 800]))
    def clock_set_back(self, days: int) -> None:
        event("clock set back")
        self.now -= days * DAY
        told = self.answers(now=max(self.now, self.ledger_time))
        for key, answer in self.answers().items():
            assert no_wider(answer, told[key]), "a clock set back revived something"

    # What holds after every step

    @invariant()
    def answers_do_not_depend_on_order_or_repetition(self) -> None:
        for group in self.groups:
            evidence = self.evidence(group)
            twice = replace(evidence, events=[*reversed(list(evidence.events)), *evidence.events])
            for about in PURPOSES.values():
                one = permission(self.members(group), evidence, about)
                other = permission(self.members(group)[::-1], twice, about)
                assert seen(one) == seen(other)

    @invariant()
    def whoever_denied_and_never_came_back_is_denied(self) -> None:
        """Holds through merges, splits and reruns, since it is judged from the ledger and members alone."""
        for (group, name), answer in self.answers().items():
            about = PURPOSES[name]
            if about.regime == "none" or about.binds != "person" or not answer.decision.allowed:
                continue
            said = [each for each in self.evidence(group).events if each.purpose == about.name]
            for denial in said:
                if denial.state in DENIALS:
                    assert any(_came_back(each, denial) for each in said), "a denial was lost"

    @invariant()
    def opt_in_rests_on_a_grant_of_one_of_its_records(self) -> None:
        for (group, name), answer in self.answers().items():
            about = PURPOSES[name]
            if about.regime == "opt_in" and answer.decision.allowed:
                grants = [
                    each for each in self.evidence(group).events
                    if each.purpose == about.name and each.state == "granted"
                    and (each.expires_at is None or each.expires_at > max(self.now, self.ledger_time))
                ]  # fmt: skip
                assert grants

    @invariant()
    def below_the_age_of_consent_a_guardian_grants_and_nobody_else(self) -> None:
        """A minor's own grant never allows, a guardian's ends with coming of age, whatever else happens."""
        clock = max(self.now, self.ledger_time)
        for (group, name), answer in self.answers().items():
            about = PURPOSES[name]
            stated = {each.born for each in self.members(group)} - {None}
            if not about.age_matters or not answer.decision.allowed:
                continue
            grants = [
                each for each in self.evidence(group).events
                if each.purpose == about.name and each.state == "granted"
            ]  # fmt: skip
            own = [each for each in grants if each.method not in GUARDIAN_METHODS]
            if BORN_2011 in stated and self.now < COMES_OF_AGE:
                assert [each for each in grants if each not in own], "a minor's own grant allowed"
                assert clock < COMES_OF_AGE, "a guardian's grant outlived coming of age"
            elif BORN_2011 in stated and about.regime == "opt_in":
                of_age = [each for each in own if min(each.event_time, each.recorded_at) >= COMES_OF_AGE]
                assert of_age, "what a minor or their guardian granted outlived coming of age"
            elif about.unknown_age == "minor" and not stated:
                assert [each for each in grants if each not in own], "somebody of unknown age granted"

    @rule(subject=subjects, about=names)
    def come_of_age(self, subject: Subject, about: str) -> None:
        """A guardian grants as the last thing before the day; on the day nothing of it is left."""
        event("coming of age")
        self.say(subject, about, "granted", "verified_guardian")
        self.now = max(self.now, COMES_OF_AGE)
        for (group, name), answer in self.answers().items():
            judged = PURPOSES[name]
            minors = any(each.born == BORN_2011 for each in self.members(group))
            own = [
                each for each in self.evidence(group).events
                if each.method not in GUARDIAN_METHODS and each.state == "granted"
            ]  # fmt: skip
            if judged.age_matters and judged.regime == "opt_in" and minors and not own:
                assert not answer.decision.allowed

    @invariant()
    def a_restriction_stores_only(self) -> None:
        for (group, name), answer in self.answers().items():
            said = self.evidence(group).events
            restricted = any(each.state == "restricted" and each.subject.kind == RECORD for each in said)
            vouched = any(each.state == "granted" and each.method in VERIFIED_METHODS for each in said)
            assert not (answer.decision.allowed and restricted and not vouched), name


PURPOSES_BY_NAME: Final = {each.name: each for each in PURPOSES.values()}

TestTheRules = ConsentMachine.TestCase
TestTheRules.settings = settings(max_examples=examples(100), stateful_step_count=30, deadline=None)
