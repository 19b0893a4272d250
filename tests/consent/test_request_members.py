"""How surely each record is the requester's own: links from the record that recognised them, nothing less."""

from consent.permission import Member
from consent.request_members import candidates, entry_of

SURE, UNSURE = 20.0, 5.0  # bits: a probability of 0.999999, and of 0.969697
MINIMUM = 0.99


def people(*numbers: int, **verified: frozenset[str]) -> list[Member]:
    return [Member(no, f"c{no}", 1.0, verified.get(f"r{no}", frozenset())) for no in numbers]


def certain(found: object) -> list[int]:
    return [each.record_no for each in found if each.certain]  # type: ignore[attr-defined] # a tuple of Candidate


def test_a_record_is_certain_over_links_that_are_each_sure_enough() -> None:
    links = [(1, 2, SURE), (2, 3, SURE), (3, 4, UNSURE)]
    found = candidates(people(1, 2, 3, 4), {1: {"email"}}, links, MINIMUM)
    assert certain(found) == [1, 2, 3]
    assert [round(each.confidence, 6) for each in found] == [1.0, 0.999999, 0.999999, 0.969697]


def test_what_counts_is_the_way_to_the_entry_and_not_to_the_golden_ids_own_anchor() -> None:
    links = [(1, 2, SURE), (2, 3, UNSURE), (3, 4, SURE)]
    assert certain(candidates(people(1, 2, 3, 4), {4: {"phone"}}, links, MINIMUM)) == [3, 4]


def test_a_record_is_not_certain_for_carrying_an_identifier_that_a_household_may_share() -> None:
    mother_and_daughter = {1: {"email", "phone"}, 2: {"phone"}}
    found = candidates(people(1, 2), mother_and_daughter, [(1, 2, UNSURE)], MINIMUM)
    assert certain(found) == [1]
    assert [each.carries for each in found] == [("email", "phone"), ("phone",)]


def test_what_nothing_joins_to_the_entry_is_below_every_minimum() -> None:
    found = candidates(people(1, 2), {1: {"email"}}, [], 0.0)
    assert certain(found) == [1]


def test_a_record_that_may_no_longer_be_linked_joins_nothing() -> None:
    links = [(1, 2, SURE), (2, 3, SURE)]
    assert certain(candidates(people(1, 2, 3), {1: {"email"}}, links, MINIMUM, lapsed={2})) == [1]


def test_the_entry_carries_most_identifiers_then_has_one_verified_then_the_smallest_number() -> None:
    assert entry_of(people(1, 2, 3), {1: {"email"}, 2: {"email", "phone"}}) == 2
    assert entry_of(people(1, 2, 3, r3=frozenset({"email"})), {1: {"email"}, 3: {"email"}}) == 3
    assert entry_of(people(2, 1), {1: {"email"}, 2: {"email"}}) == 1


def test_nobody_has_no_records() -> None:
    assert candidates([], {}, [], MINIMUM) == ()
