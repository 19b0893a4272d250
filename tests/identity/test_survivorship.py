"""Which source value a profile shows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity.survivorship import RULES, Candidate, RuleName, Survivorship


def value(text: str, *, record: int = 1, channel: str = "web", at: int = 0) -> Candidate:
    return Candidate(text, record, channel, at)


CASES: dict[str, tuple[RuleName, list[Candidate], list[str]]] = {
    "a correction stands alone, however late and often others repeat what was wrong": (
        "most_frequent",
        [
            value("wrong", record=1, at=9),
            value("right", record=2, channel="rectification", at=1),
            value("wrong", record=3, at=8),
        ],
        ["right"],
    ),
    "of two corrections the newer counts, with all its values": (
        "most_recent",
        [
            value("b", record=3, channel="rectification", at=2),
            value("a", record=2, channel="rectification"),
            value("c", record=3, channel="rectification", at=2),
        ],
        ["b", "c"],
    ),
    "most recent: the later observation wins": (
        "most_recent",
        [value("old", at=1), value("new", at=2)],
        ["new", "old"],
    ),
    "most recent: seen again, a value is as recent as its last observation": (
        "most_recent",
        [value("a", record=1, at=1), value("b", record=2, at=2), value("a", record=3, at=3)],
        ["a", "b"],
    ),
    "most frequent: two records beat one": (
        "most_frequent",
        [value("a", record=1, at=1), value("b", record=2, at=9), value("a", record=3, at=2)],
        ["a", "b"],
    ),
    "most frequent: a record that repeats itself speaks once": (
        "most_frequent",
        [value("a", record=1, at=1), value("a", record=1, at=1), value("b", record=2, at=2)],
        ["b", "a"],
    ),
    "most complete: more words win, then more letters": (
        "most_complete",
        [value("Ana García", at=9), value("Anastasiaaaaaaa"), value("Ana García López")],
        ["Ana García López", "Ana García", "Anastasiaaaaaaa"],
    ),
    "source precedence: the first channel listed wins over a later observation": (
        "source_precedence",
        [value("shop", channel="pos", at=9), value("crm", channel="crm"), value("other", channel="x", at=99)],
        ["crm", "shop", "other"],
    ),
    "a tie falls to the later observation": (
        "most_frequent",
        [value("a", record=1, at=1), value("b", record=2, at=2)],
        ["b", "a"],
    ),
    "a tie in time falls to the smaller record number": (
        "most_recent",
        [value("b", record=1), value("a", record=2)],
        ["b", "a"],
    ),
    "a tie within one record falls to the value itself": (
        "most_recent",
        [value("b"), value("a")],
        ["a", "b"],
    ),
    "an empty value never survives": ("most_recent", [value("", at=9), value("a")], ["a"]),
    "nothing to choose from": ("most_complete", [], []),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_rules_in_cases(case: tuple[RuleName, list[Candidate], list[str]]) -> None:
    rule, candidates, ranked = case
    survivorship = Survivorship(rules={"city": rule}, precedence=("crm", "pos"))

    assert survivorship.ranked("city", candidates) == ranked


def test_an_attribute_without_a_rule_of_its_own_follows_the_default() -> None:
    survivorship = Survivorship(default="most_complete", rules={"city": "most_recent"})
    candidates = [value("San Sebastián", at=1), value("Donostia", at=2)]

    assert survivorship.ranked("city", candidates)[0] == "Donostia"
    assert survivorship.ranked("street", candidates)[0] == "San Sebastián"


def test_two_spellings_of_one_value_are_one_shown_as_the_better_candidate_has_it() -> None:
    candidates = [
        value("Ana@x.org", record=1, at=1),
        value("ana@x.org", record=2, at=2),
        value("b@x.org", at=9),
    ]

    assert Survivorship().ranked("email", candidates, form=str.lower) == ["b@x.org", "ana@x.org"]
    assert Survivorship("most_frequent").ranked("email", candidates, form=str.lower)[0] == "ana@x.org"


def test_a_candidate_does_not_print_its_value() -> None:
    assert "secret" not in repr(value("secret"))


candidates = st.lists(
    st.builds(
        Candidate,
        st.sampled_from(["", "a", "b", "b c", "longer", "ñ"]),
        st.integers(1, 4),
        st.sampled_from(["web", "pos", "crm"]),
        st.integers(0, 3),
    ),
    max_size=8,
)
survivorships = st.sampled_from([Survivorship(rule, precedence=("crm", "pos")) for rule in RULES])


@given(candidates, survivorships)
def test_what_survives_are_exactly_the_values_that_came_each_once(
    known: list[Candidate], survivorship: Survivorship
) -> None:
    ranked = survivorship.ranked("x", known)

    assert sorted(ranked) == sorted({each.value for each in known if each.value})


@given(candidates, survivorships, st.permutations(range(8)))
def test_the_order_of_the_sources_does_not_matter(
    known: list[Candidate], survivorship: Survivorship, order: list[int]
) -> None:
    shuffled = [known[place] for place in order if place < len(known)]

    assert survivorship.ranked("x", shuffled) == survivorship.ranked("x", known)


@given(candidates, survivorships)
def test_saying_it_again_changes_nothing(known: list[Candidate], survivorship: Survivorship) -> None:
    assert survivorship.ranked("x", known + known) == survivorship.ranked("x", known)
    winners = survivorship.ranked("x", known)[:1]
    kept = [each for each in known if each.value in winners]
    assert survivorship.ranked("x", kept) == winners
