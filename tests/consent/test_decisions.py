"""What the events of a person's records mean for a purpose."""

from dataclasses import dataclass, replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent.decisions import CLOCK_SKEW_MS, Decision, decide, may_link
from consent.events import DENIALS, METHODS, STATES, VERIFIED_METHODS, ConsentEvent, Subject
from consent.purposes import Purpose
from tests.consent.consent_events import DAY, NOW, POLICY, contact, purpose, record, said

OPT_IN = purpose("personalization")
OPT_OUT = purpose("analytics")
CONTRACT = purpose("service")
LINKING = purpose("identity_linking")

A, B, C = record(1), record(2), record(3)


def decided(
    *events: ConsentEvent,
    about: Purpose = OPT_IN,
    view: tuple[Subject, ...] = (A, B),
    everyone: tuple[Subject, ...] = (A, B, C),
    now: int = NOW,
    ledger_time: int = 0,
) -> Decision:
    return decide(
        events,
        in_view=frozenset(view),
        everyone=frozenset(everyone),
        purpose=about,
        now=now,
        ledger_time=ledger_time,
    )


@dataclass(frozen=True)
class Case:
    events: tuple[ConsentEvent, ...]
    state: str
    allowed: bool = False
    about: Purpose = OPT_IN


CASES = {
    "nobody has said anything: opt-in is not granted": Case((), "unknown"),
    "nobody has said anything: opt-out is allowed": Case((), "unknown", allowed=True, about=OPT_OUT),
    "nobody has said anything: a contract is its own permission": Case(
        (), "unknown", allowed=True, about=CONTRACT
    ),
    "one record in the view has granted": Case((said(0, "granted", by=B),), "granted", allowed=True),
    "an imported grant grants": Case((said(0, "granted", method="import"),), "granted", allowed=True),
    "a grant outside the view grants nothing": Case((said(0, "granted", by=C),), "unknown"),
    "a grant for another purpose grants nothing": Case((said(0, "granted", about="advertising"),), "unknown"),
    "a grant of somebody else's record grants nothing": Case((said(0, "granted", by=record(9)),), "unknown"),
    "a denial of another member beats a grant": Case(
        (said(0, "granted"), said(1, "withdrawn", by=B)), "withdrawn"
    ),
    "a denial outside the view denies too": Case((said(0, "granted"), said(1, "refused", by=C)), "refused"),
    "a denial older than the grant still beats it": Case(
        (said(0, "refused", by=C), said(1, "granted", method="api")), "refused"
    ),
    "an imported grant does not undo a withdrawal, even of the same record and source": Case(
        (said(0, "withdrawn", method="import"), said(1, "granted", method="import")), "withdrawn"
    ),
    "a grant through the API without a method does not undo a withdrawal": Case(
        (said(0, "withdrawn"), said(1, "granted", method="api")), "withdrawn"
    ),
    "the person's own session re-opens what the same record denied": Case(
        (said(0, "withdrawn"), said(1, "granted", method="direct")), "granted", allowed=True
    ),
    "a direct grant on another record leaves a conflict, which denies": Case(
        (said(0, "withdrawn", by=A), said(1, "granted", by=B, method="direct")), "conflict"
    ),
    "a verified requester re-opens what any member denied": Case(
        (said(0, "withdrawn", by=C), said(1, "granted", by=A, method="verified")), "granted", allowed=True
    ),
    "a verified grant outside the view re-opens nothing inside it": Case(
        (said(0, "withdrawn", by=A), said(1, "granted", by=C, method="verified")), "withdrawn"
    ),
    "a direct grant that was given before the withdrawal and arrives after it re-opens nothing": Case(
        (said(0, "withdrawn", at=NOW - DAY), said(1, "granted", at=NOW, begins=NOW - 2 * DAY)), "withdrawn"
    ),
    "nor does an officer's word of a time before it": Case(
        (said(0, "withdrawn"), said(1, "granted", at=NOW, begins=NOW - 2 * DAY, method="verified")),
        "withdrawn",
    ),
    "a denial dated ahead is re-opened by what is given after it was recorded": Case(
        (said(0, "withdrawn", begins=NOW + DAY), said(1, "granted", at=NOW)), "granted", allowed=True
    ),
    "a direct grant before the withdrawal re-opens nothing": Case(
        (said(0, "granted", method="direct"), said(1, "withdrawn")), "withdrawn"
    ),
    "the ledger's order counts, not the claimed time": Case(
        (said(0, "granted", begins=NOW - DAY), said(1, "withdrawn", begins=NOW - 9 * DAY)), "withdrawn"
    ),
    "withdrawn again after it was re-opened": Case(
        (said(0, "withdrawn"), said(1, "granted"), said(2, "withdrawn")), "withdrawn"
    ),
    "an expired grant is not a grant": Case((said(0, "granted", expires=NOW),), "expired"),
    "an expired grant re-opens nothing": Case(
        (said(0, "refused"), said(1, "granted", expires=NOW)), "refused"
    ),
    "a grant for later is not in force yet": Case((said(0, "granted", begins=NOW + 1),), "unknown"),
    "a denial for later is in force at once": Case(
        (said(0, "granted"), said(1, "withdrawn", begins=NOW + DAY)), "withdrawn"
    ),
    "opt-out: an objection anywhere denies": Case(
        (said(0, "objected", by=C, about="analytics"),), "objected", about=OPT_OUT
    ),
    "opt-out: a refusal is heard as an objection": Case(
        (said(0, "refused", by=C, about="analytics"),), "refused", about=OPT_OUT
    ),
    "opt-out: an import does not undo an objection": Case(
        (said(0, "objected", about="analytics"), said(1, "granted", about="analytics", method="import")),
        "objected",
        about=OPT_OUT,
    ),
    "a contract is not moved by an objection": Case(
        (said(0, "objected", about="service"),), "unknown", allowed=True, about=CONTRACT
    ),
    "a restriction denies a contract": Case(
        (said(0, "restricted", about="service"),), "restricted", about=CONTRACT
    ),
    "a restriction recorded for one purpose denies every other": Case(
        (said(0, "granted"), said(1, "restricted", about="service", by=C)), "restricted"
    ),
    "a restriction is told before a withdrawal that came later": Case(
        (said(0, "restricted"), said(1, "withdrawn")), "restricted"
    ),
    "a restriction does not end because the same record's own session granted": Case(
        (said(0, "restricted"), said(1, "granted", method="direct")), "restricted"
    ),
    "a restriction ends for a purpose when a verified requester grants that purpose": Case(
        (said(0, "restricted", about="service"), said(1, "granted", method="verified")),
        "granted",
        allowed=True,
    ),
    "a restriction of another member ends by a verified requester too": Case(
        (said(0, "restricted", by=C), said(1, "granted", by=A, method="verified")), "granted", allowed=True
    ),
    "a restriction does not end for a contract because something else was granted": Case(
        (said(0, "restricted", about="service"), said(1, "granted", method="verified")),
        "restricted",
        about=CONTRACT,
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_the_law_in_cases(case: Case) -> None:
    decision = decided(*case.events, about=case.about)

    assert (decision.allowed, decision.state) == (case.allowed, case.state)
    assert decision.reasons


def test_a_clock_set_back_revives_no_expired_grant() -> None:
    grant = said(0, "granted", expires=NOW)

    assert decided(grant, now=NOW - DAY, ledger_time=NOW).state == "expired"
    assert decided(grant, said(1, "granted", about="service", at=NOW + DAY), now=NOW - 1).allowed


def test_reasons_name_the_events_they_rest_on() -> None:
    decision = decided(said(4, "granted"), said(7, "withdrawn", by=C))

    assert [reason.event for reason in decision.reasons] == [7]
    assert decision.reasons[0].text == "personalization withdrawn on 2026-09-20, event 7"


class TestMayLink:
    def test_a_grant_permits_until_it_expires(self) -> None:
        grant = said(0, "granted", about="identity_linking", expires=NOW + DAY)

        assert may_link([grant], LINKING, NOW) == (True, NOW + DAY)
        assert may_link([grant], LINKING, NOW + DAY) == (False, None)

    def test_of_two_grants_the_longer_one_holds(self) -> None:
        short = said(0, "granted", about="identity_linking", expires=NOW + DAY)
        endless = said(1, "granted", about="identity_linking")

        assert may_link([short, endless], LINKING, NOW) == (True, None)

    def test_without_an_event_nothing_may_be_linked(self) -> None:
        assert may_link([], LINKING, NOW) == (False, None)

    def test_a_denial_on_its_contact_point_keeps_a_record_apart(self) -> None:
        grant = said(0, "granted", about="identity_linking")
        denial = said(1, "objected", about="identity_linking", by=contact(5))

        assert may_link([grant, denial], LINKING, NOW) == (False, None)

    def test_when_the_grant_that_re_opened_it_ends_the_denial_is_back(self) -> None:
        events = [
            said(0, "granted", about="identity_linking"),
            said(1, "withdrawn", about="identity_linking"),
            said(2, "granted", about="identity_linking", expires=NOW + DAY),
        ]

        assert may_link(events, LINKING, NOW) == (True, NOW + DAY)

    def test_a_clock_that_runs_ahead_within_the_contracts_tolerance_does_not_cost_the_permission(
        self,
    ) -> None:
        ahead = said(0, "granted", about="identity_linking", begins=NOW + CLOCK_SKEW_MS)
        further = said(0, "granted", about="identity_linking", begins=NOW + CLOCK_SKEW_MS + 1)

        assert may_link([ahead], LINKING, NOW) == (True, None)
        assert may_link([further], LINKING, NOW) == (False, None)


subjects = st.sampled_from([A, B, C, contact(1)])
EVERYONE = frozenset([A, B, C, contact(1)])

events = st.lists(
    st.builds(
        said,
        st.just(0),
        st.sampled_from(STATES),
        by=subjects,
        method=st.sampled_from(METHODS),
        about=st.sampled_from(["personalization", "service", "analytics"]),
        at=st.integers(NOW - 3 * DAY, NOW + DAY),
        begins=st.none() | st.integers(NOW - DAY, NOW + DAY),
        expires=st.none() | st.integers(NOW - 2 * DAY, NOW + 2 * DAY),
    ),
    max_size=8,
).map(lambda drawn: [replace(event, index=index) for index, event in enumerate(drawn)])
denials = st.builds(
    said,
    st.just(0),
    st.sampled_from(sorted(DENIALS)),
    by=subjects,
    method=st.sampled_from(METHODS),
    at=st.integers(NOW - 3 * DAY, NOW + 3 * DAY),
)
views = st.frozensets(subjects)
purposes = st.sampled_from([OPT_IN, OPT_OUT, CONTRACT])


def judged(known: list[ConsentEvent], view: frozenset[Subject], about: Purpose) -> Decision:
    return decide(known, in_view=view, everyone=EVERYONE, purpose=about, now=NOW)


@given(events, views, purposes, denials, st.integers(0, 8))
def test_adding_a_denial_anywhere_never_permits_what_was_denied(
    known: list[ConsentEvent], view: frozenset[Subject], about: Purpose, denial: ConsentEvent, place: int
) -> None:
    inserted = [*known[:place], replace(denial, purpose=about.name), *known[place:]]
    renumbered = [replace(event, index=index) for index, event in enumerate(inserted)]

    assert judged(known, view, about).allowed or not judged(renumbered, view, about).allowed


@given(events, views, purposes, subjects, st.sampled_from(["import", "api"]))
def test_a_later_grant_that_is_not_in_person_never_re_opens_a_denial(
    known: list[ConsentEvent], view: frozenset[Subject], about: Purpose, subject: Subject, method: str
) -> None:
    before = judged(known, view, about)
    later = replace(said(len(known), "granted", by=subject, method=method, at=NOW), purpose=about.name)

    if before.state not in ("unknown", "expired", "granted"):
        assert not judged([*known, later], view, about).allowed


@given(events, views, purposes, subjects, st.sampled_from(["import", "api", "direct", "guardian"]))
def test_nothing_but_a_verified_grant_ever_ends_a_restriction(
    known: list[ConsentEvent], view: frozenset[Subject], about: Purpose, subject: Subject, method: str
) -> None:
    later = replace(said(len(known), "granted", by=subject, method=method, at=NOW), purpose=about.name)

    if judged(known, view, about).state == "restricted":
        assert judged([*known, later], view, about).state == "restricted"


@given(events, views, purposes, st.randoms(use_true_random=False))
def test_neither_the_order_in_which_events_are_read_nor_repetition_matters(
    known: list[ConsentEvent], view: frozenset[Subject], about: Purpose, random: Random
) -> None:
    shuffled = known + known
    random.shuffle(shuffled)

    assert judged(shuffled, view, about) == judged(known, view, about)


@given(events, views, views, purposes)
def test_a_purpose_that_sees_less_is_never_permitted_more(
    known: list[ConsentEvent], view: frozenset[Subject], other: frozenset[Subject], about: Purpose
) -> None:
    assert judged(known, view, about).allowed or not judged(known, view & other, about).allowed


@given(events, views)
def test_without_a_grant_in_the_view_opt_in_is_never_allowed(
    known: list[ConsentEvent], view: frozenset[Subject]
) -> None:
    granted = any(
        event.state == "granted" and event.purpose == OPT_IN.name and event.subject in view for event in known
    )

    assert granted or not judged(known, view, OPT_IN).allowed


@given(events, views, purposes)
def test_time_alone_permits_nothing_but_what_was_granted_for_later(
    known: list[ConsentEvent], view: frozenset[Subject], about: Purpose
) -> None:
    begun = [replace(event, event_time=event.recorded_at) for event in known]
    now = judged(begun, view, about)
    later = decide(begun, in_view=view, everyone=EVERYONE, purpose=about, now=NOW + 9 * DAY)

    assert now.allowed or not later.allowed


@given(events, purposes)
def test_a_merge_resurrects_nothing_that_either_part_denied(
    known: list[ConsentEvent], about: Purpose
) -> None:
    unverified = [
        replace(event, method="direct") if event.method in VERIFIED_METHODS else event for event in known
    ]
    left, right = frozenset([A]), frozenset([B, C])

    def of(part: frozenset[Subject]) -> Decision:
        return decide(unverified, in_view=part, everyone=part, purpose=about, now=NOW)

    merged = of(left | right)
    for part in (of(left), of(right)):
        if part.state not in ("unknown", "expired", "granted"):
            assert not merged.allowed


@given(events)
def test_may_link_agrees_with_the_decision_at_every_moment_until_its_end(known: list[ConsentEvent]) -> None:
    linking = [replace(event, purpose="identity_linking", event_time=event.recorded_at) for event in known]
    past = [event for event in linking if event.recorded_at <= NOW]
    about = frozenset(event.subject for event in past)
    allowed, until = may_link(past, LINKING, NOW)

    def holds(at: int) -> bool:
        return decide(past, in_view=about, everyone=about, purpose=LINKING, now=at).allowed

    assert allowed == holds(NOW)
    if until is not None:
        assert holds(until - 1)
        assert not holds(until)


def test_every_default_purpose_is_covered_by_a_regime() -> None:
    assert {each.regime for each in POLICY} == {"opt_in", "opt_out", "none"}
