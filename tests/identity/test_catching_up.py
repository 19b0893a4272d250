"""What the guard of a run learnt counts for records that change while the run is at work."""

from dataclasses import replace

import numpy as np
import pytest

from identity.contradictions import Evidence
from tests.identity.population import Population, consistent


class Town(Population):
    """A population some of whose records contradict each other: two people, whatever links them."""

    apart: tuple[frozenset[int], frozenset[int]] = (frozenset(), frozenset())

    def score(self, batches, model):
        found = super().score(batches, model)
        numbers = sorted({number for number, _ in self.live()})
        ends = np.array([(a, b) for a in numbers for b in numbers if a < b], dtype=np.int64).reshape(-1, 2)
        bits = [[-80.0 if self._contradict(a, b) else 0.0] for a, b in ends.tolist()]
        evidence = Evidence(ends[:, 0], ends[:, 1], np.array(bits, dtype=np.float32).reshape(-1, 1))
        pairs = replace(found.scored.pairs, evidence=evidence)
        return replace(found, scored=replace(found.scored, pairs=pairs))

    def _contradict(self, one, other):
        return any({one} <= self.apart[k] and {other} <= self.apart[1 - k] for k in (0, 1))


@pytest.fixture
def people(tmp_path):
    town = Town(tmp_path)
    yield town
    town.db.close()


@pytest.mark.parametrize("step", ["stage", "switch"])
def test_a_record_that_changes_during_a_run_joins_no_two_clusters_that_the_guard_holds_apart(people, step):
    people.put_all({1: "ann", 2: "ann", 3: "ann", 4: "ann", 5: "bo"})
    people.link()
    assert people.groups() == {frozenset({1, 2, 3, 4}), frozenset({5})}
    people.apart = (frozenset({1, 2}), frozenset({3, 4}))  # the next run will see it
    came = []
    people.link(lambda name: name == step and not came and came.append(people.arrive(5, "ann dee")))
    assert came[0].decision == "attached"
    parts = {group - {5} for group in people.groups()}
    assert parts - {frozenset()} == {frozenset({1, 2}), frozenset({3, 4})}
    consistent(people)
    people.link()
    assert {group - {5} for group in people.groups()} == parts


def test_without_contradictions_it_joins_what_it_links(people):
    people.put_all({1: "ann", 2: "ann", 3: "cy", 4: "cy", 5: "bo"})
    people.link()
    came = []
    people.link(lambda name: name == "switch" and not came and came.append(people.arrive(5, "ann cy")))
    assert people.groups() == {frozenset({1, 2, 3, 4, 5})}
    consistent(people)
