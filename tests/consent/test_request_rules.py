"""What may become of a data-subject request, over every sequence of steps."""

from collections.abc import Callable
from datetime import date, timedelta
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent import request_rules as rules
from consent.errors import RequestStateError
from consent.request_rules import Progress

DUE = date(2026, 9, 30)

Step = Callable[[Progress], Progress]

STEPS: dict[str, Step] = {
    "a verification passes": lambda p: rules.verification(p, passed=True),
    "a verification fails": lambda p: rules.verification(p, passed=False),
    "an officer approves": rules.approval,
    "an officer denies": lambda p: rules.denial(p, "claim_not_covered"),
    "the person takes it back": rules.cancellation,
    "the answer is put off": lambda p: rules.extension(p, "complexity", today=DUE, due=DUE),
    "it is fulfilled": rules.fulfilment,
}


def walk(names: list[str]) -> tuple[Progress, list[str]]:
    """Take every step that is allowed, skip the others; return where that leads and what was taken."""
    progress, taken = Progress(), []
    for name in names:
        try:
            progress = STEPS[name](progress)
        except RequestStateError:
            continue
        taken.append(name)
    return progress, taken


@given(st.lists(st.sampled_from(sorted(STEPS)), max_size=12))
def test_nothing_is_fulfilled_without_verification_and_approval(names: list[str]) -> None:
    progress, taken = walk(names)
    if progress.state == "fulfilled":
        verified, approved = taken.index("a verification passes"), taken.index("an officer approves")
        assert verified < approved < taken.index("it is fulfilled")
    assert progress.verified == ("a verification passes" in taken)


@given(st.lists(st.sampled_from(sorted(STEPS)), max_size=12))
def test_what_has_ended_stays_as_it_ended(names: list[str]) -> None:
    progress, _ = walk(names)
    if not progress.active:
        for step in STEPS.values():
            with pytest.raises(RequestStateError):
                step(progress)


@given(st.lists(st.sampled_from(sorted(STEPS)), max_size=12))
def test_three_failed_verifications_deny_and_no_more_than_three_are_ever_counted(names: list[str]) -> None:
    progress, taken = walk(names)
    failed = taken.count("a verification fails")
    assert progress.failures == failed <= rules.MOST_FAILURES
    assert (failed == 3) == (progress.denial == "insuf_verification")
    assert (progress.denial is not None) == (progress.state == "denied")


def test_every_state_can_be_reached() -> None:
    ways = {
        "received": [],
        "verifying": ["a verification fails"],
        "in_progress": ["a verification fails", "a verification passes"],
        "fulfilled": ["a verification passes", "an officer approves", "it is fulfilled"],
        "denied": ["an officer denies"],
        "cancelled": ["a verification passes", "the person takes it back"],
    }
    assert {state: walk(names)[0].state for state, names in ways.items()} == {s: s for s in rules.STATES}


def test_an_answer_is_put_off_once_and_only_while_the_first_deadline_has_not_passed() -> None:
    late = DUE + timedelta(days=1)
    with pytest.raises(RequestStateError, match="2026-09-30"):
        rules.extension(Progress(), "complexity", today=late, due=DUE)
    extended = rules.extension(Progress(), "number_of_requests", today=DUE, due=DUE)
    assert extended.extension == "number_of_requests"
    with pytest.raises(RequestStateError, match="once"):
        rules.extension(extended, "complexity", today=DUE, due=DUE)


def test_a_refused_step_says_which_states_allow_it() -> None:
    with pytest.raises(RequestStateError, match="the request is received; only one that is in_progress"):
        rules.approval(Progress())


def test_the_words_of_the_ccpa_name_the_same_rights() -> None:
    assert [rules.type_of(word) for word in ("know", "delete", "correct", "opt_out")] == [
        "access", "erasure", "rectification", "objection",
    ]  # fmt: skip
    assert [rules.type_of(word) for word in rules.TYPES] == list(rules.TYPES)
    assert rules.type_of("forget") is None
    assert set(rules.ARTICLES) == set(rules.TYPES)
    assert set(get_args(rules.AskedType)) == {*rules.TYPES, *rules.CCPA_TYPES}
