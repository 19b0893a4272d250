"""Households in the store: published with golden IDs, kept from run to run, left at once.

A record's words say who it is about (`tests.identity.population`); "#3" says that it gives home 3.
"""

from collections import defaultdict
from concurrent.futures import Future
from contextlib import closing
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from sqlalchemy import text

from identity.household_store import HouseholdReader
from identity.households import THRESHOLD
from identity.resolution import pairs_of
from identity.scoring import Aside
from tests.identity.population import Population


class Town(Population):
    """People with homes."""

    def score(self, batches, model):
        batches = list(batches)
        scores = super().score(batches, model)
        at_home = defaultdict(list)
        for batch in batches:
            for record_no, words in zip(batch.record_nos, batch.comparables, strict=True):
                for word in words.decode().split():
                    if word.startswith("#"):
                        at_home[word].append(record_no)
        pairs = [(*pair, THRESHOLD) for numbers in at_home.values() for pair in combinations(numbers, 2)]
        aside = Future()
        aside.set_result(Aside(pairs_of(pairs), None))
        return replace(scores, aside=aside)

    def homes(self) -> dict[int, str]:
        """Record -> household ID, as published."""
        reader = HouseholdReader()
        with self.db.read() as conn:
            found = reader.of_records(conn, list(range(1, 40)))
            return {record_no: reader.name(conn, number) for record_no, number in found.items()}

    def together(self) -> set[frozenset[int]]:
        members = defaultdict(set)
        for record_no, name in self.homes().items():
            members[name].add(record_no)
        return {frozenset(records) for records in members.values()}

    def names(self) -> list[str]:
        with self.db.read() as conn:
            return [row[0] for row in conn.execute(text("SELECT household_id FROM households"))]


@pytest.fixture
def town(tmp_path):
    one = Town(tmp_path)
    one.put_all({1: "ana #1", 2: "benito #1", 3: "ana #1", 4: "carla #2", 5: "dora #2", 6: "emil #3"})
    one.link()
    yield one
    one.db.close()


def test_a_run_says_who_lives_together_and_how_many_households_there_are(town):
    assert town.together() == {frozenset({1, 2, 3}), frozenset({4, 5})}
    assert town.link().households == 2


def test_it_never_makes_two_people_one(town):
    assert town.groups() == {frozenset({1, 3}), *(frozenset({number}) for number in (2, 4, 5, 6))}


def test_household_ids_are_opaque_random_and_no_golden_ids(town):
    names = set(town.homes().values())
    assert all(name.startswith("h_") and len(name) == 28 for name in names)
    assert not {name[2:] for name in names} & {golden[2:] for golden in town.owners().values()}


def test_a_rerun_changes_nothing(town):
    before = town.homes()
    town.link()
    assert town.homes() == before


def test_a_dry_run_counts_households_and_publishes_none(tmp_path):
    town = Town(tmp_path)
    with closing(town.db):
        town.put_all({1: "ana #1", 2: "benito #1"})
        assert town.link(dry_run=True).households == 1
        assert town.homes() == {} == dict.fromkeys(town.names())


def test_a_household_keeps_its_id_when_people_come_and_go(town):
    before = town.homes()[1]
    town.put(6, "emil #1")
    town.put(2, "benito #7")
    town.link()
    assert town.together() == {frozenset({1, 3, 6}), frozenset({4, 5})}
    assert town.homes()[1] == before


def test_who_moves_out_with_another_gets_an_id_nobody_had(town):
    town.put_all({7: "filip #1", 8: "gema #1", 9: "hugo #1"})
    town.link()
    known = set(town.names())
    town.put_all({8: "gema #8", 9: "hugo #8"})
    town.link()
    assert town.homes()[8] == town.homes()[9] not in known
    assert town.homes()[7] in known


def test_two_people_found_to_be_one_are_a_household_no_more(town):
    town.put(5, "dora carla #2")
    town.link()
    assert town.together() == {frozenset({1, 2, 3})}


LEAVING = {
    "deleted": lambda town: town.delete(2),
    "no longer permitted to be linked": lambda town: town.forbid(2),
    "changed": lambda town: town.arrive(2, "benito #9"),
}


@pytest.mark.parametrize("leave", LEAVING.values(), ids=LEAVING)
def test_a_record_leaves_its_household_at_once_when_it_is(town, leave):
    leave(town)
    assert town.together() == {frozenset({1, 3}), frozenset({4, 5})}
    town.link()
    assert town.together() == {frozenset({4, 5})}


@pytest.mark.parametrize("leave", LEAVING.values(), ids=LEAVING)
@pytest.mark.parametrize("moment", ["stage", "stage households", "switch"])
def test_a_record_is_left_out_too_if_that_happens_during_a_run(town, leave, moment):
    town.put(7, "filip #1")
    done = []

    def meanwhile(step):
        if step == moment and not done:
            done.append(step)
            leave(town)

    town.link(meanwhile)
    assert done
    assert town.together() == {frozenset({1, 3, 7}), frozenset({4, 5})}


class CrashError(Exception):
    pass


@pytest.mark.parametrize("moment", ["reserve households", "stage households", "switch"])
def test_a_crash_leaves_the_old_households_and_the_next_run_clears_up(town, moment):
    before = town.homes()
    town.put_all({7: "filip #3", 8: "gema #1"})

    def crash(step):
        if step == moment:
            raise CrashError

    with pytest.raises(CrashError):
        town.link(crash)
    assert town.homes() == before
    town.now += 10_000_000  # the crashed run's lease is over
    town.link()
    assert town.together() == {frozenset({1, 2, 3, 8}), frozenset({4, 5}), frozenset({6, 7})}
    assert sorted(town.names()) == sorted(set(town.homes().values()))


def test_the_name_of_a_household_goes_with_its_last_record(town):
    town.delete(4, 5)
    town.link()
    assert set(town.names()) == set(town.homes().values())
    with town.db.read() as conn:
        rows = conn.execute(text("SELECT record_no FROM household_members ORDER BY record_no")).all()
    assert np.array(rows)[:, 0].tolist() == [1, 2, 3]


def test_a_record_that_may_not_be_linked_is_in_no_household(town):
    town.put(7, "filip #1", linkable=False)
    town.link()
    assert 7 not in town.homes()
