"""Who lives together: pairs of records -> households, with numbers that stay from run to run. Pure.

A household is a connected group of records of at least two people. Invariants, each a property test:

- Every record of a household has an end in a pair that gave the evidence; a person's other records, which
  say nothing of a home, are in none. Somebody who moved may have records in two households.
- A pair below THRESHOLD ties records of one person only, never those of two.
- A group of more than MOST_PEOPLE people is none: a hostel, an office or a shared letter box tells nothing.
- The same pairs in any order give the same households; unknown records are ignored.
- Numbers are those of the maximum-weight overlap with the previous run (`identity.assignment`), ties to the
  older household; the same households again change nothing.

Golden IDs are made before and know nothing of this: a household is never evidence for a person.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from identity.assignment import Ints, assign
from identity.clustering import Pairs
from identity.components import components
from identity.difference import Rows
from identity.distinct import distinct
from identity.golden_state import NONE, lookup, pair, places

THRESHOLD: Final = 2.0
"""Bits: odds of 4 to 1 that two people share a home. Measured by benchmarks/households.py."""

MOST_PEOPLE: Final = 12
"""Of one household. More people at one address are an institution, or a mistake."""


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """The records of every household, ascending; `label` is the smallest record number of its household."""

    record_nos: Ints
    label: Ints


@dataclass(frozen=True, slots=True, eq=False)
class Stored:
    """The published households: record -> household number, ascending by record."""

    record_nos: Ints
    household_nos: Ints
    next_household_no: int


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """The households of a run: who is where, which of them are new, and the rows that make it so."""

    record_nos: Ints
    household_nos: Ints
    created: Ints
    rows: Rows  # record_no | record_no, household_no

    @property
    def count(self) -> int:
        """How many households there are."""
        return len(distinct(self.household_nos))


def group(pairs: Pairs, record_nos: Ints, people: Ints) -> Group:
    """Group records into households.

    `people[i]` is the cluster of `record_nos[i]`, ascending. A pair of one person's records ties them
    whatever it weighs; a pair of two people's only at THRESHOLD bits or more.
    """
    left, right = places(record_nos, pairs.record_a), places(record_nos, pairs.record_b)
    known = (left != NONE) & (right != NONE)
    left, right, weight = left[known], right[known], pairs.weight[known]
    tied = (people[left] == people[right]) | (weight >= THRESHOLD)
    left, right = left[tied], right[tied]
    ends = distinct(np.concatenate([left, right]))
    component = components(len(ends), np.searchsorted(ends, left), np.searchsorted(ends, right))
    span = 1 + int(people.max(initial=0))
    dwellers = distinct(pair(component, people[ends], span)) // span
    size = np.bincount(dwellers, minlength=len(ends))
    kept = (size[component] >= 2) & (size[component] <= MOST_PEOPLE)
    members, component = record_nos[ends[kept]], component[kept]
    _, first, inverse = np.unique(component, return_index=True, return_inverse=True)
    return Group(members, members[first][inverse])


def plan(before: Stored, found: Group) -> Plan:
    """Give every household its number: the one it had, or a new one from `before.next_household_no`."""
    names, cluster = np.unique(found.label, return_inverse=True)
    old = lookup(found.record_nos, before.record_nos, before.household_nos)
    owner = np.full(len(names), NONE, dtype=np.int64)
    known = old != NONE
    if known.any():
        edge, overlap = np.unique(pair(old[known], cluster[known], len(names)), return_counts=True)
        rows, columns = assign(edge // len(names), edge % len(names), overlap)
        owner[columns] = rows
    fresh = np.flatnonzero(owner == NONE)
    owner[fresh] = before.next_household_no + np.arange(len(fresh), dtype=np.int64)
    numbers = owner[cluster]
    return Plan(found.record_nos, numbers, owner[fresh], _rows(before, found.record_nos, old, numbers))


def _rows(before: Stored, record_nos: Ints, old: Ints, new: Ints) -> Rows:
    moved = old != new
    left = before.record_nos[~np.isin(before.record_nos, record_nos)]
    closed = np.sort(np.concatenate([record_nos[moved & (old != NONE)], left]))
    return Rows((closed,), (record_nos[moved], new[moved]))
