"""What the guard of a run learnt counts for records that change while the run is at work."""

from dataclasses import replace

import numpy as np
import pytest

from identity import unresolved
from identity.arriving import Arrival, ScoredCandidate
from identity.contradictions import Evidence
from tests.identity.population import MODEL, Population, consistent, weight


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

    def change(self, record_no, words):
        """Store an update as POST /v1/records does: resolving it comes next, and may fail."""
        self.put(record_no, words)
        with self.db.write() as conn:
            unresolved.note(conn, [record_no])

    def resolve(self, record_no, words, other, others_words):
        """Resolve it then; `other` is all that it has to do with."""
        candidates = [ScoredCandidate(other, weight(words, others_words))]
        self.online.attach(Arrival(record_no, candidates, self.sequence(), MODEL.threshold), self.now)

    def waiting(self):
        with self.db.read() as conn:
            return unresolved.everybody(conn)

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


@pytest.mark.parametrize("step", ["reserve", "model", "stage", "reserve households", "switch"])
def test_who_changed_before_a_run_and_is_resolved_during_it_is_in_the_stores_once(people, step):
    people.put_all({1: "ann bo", 2: "ann bo", 3: "cy"})
    people.link()
    people.change(2, "ann dee")
    came = []

    def resolve_late(name):  # other links, and the golden ID is the same
        if name == step and not came:
            came.append(people.resolve(2, "ann dee", 1, "ann bo"))

    people.link(resolve_late)
    assert came
    assert people.groups() == {frozenset({1, 2}), frozenset({3})}
    consistent(people)


def test_a_run_resolves_who_changed_before_it_and_nobody_waits_for_that_any_more(people):
    people.put_all({1: "ann", 2: "ann", 3: "cy"})
    people.link()
    people.change(2, "cy")
    people.change(3, "cy dee")
    people.link(lambda name: name == "switch" and people.change(3, "eve"))
    assert frozenset({1}) in people.groups()
    assert people.waiting() == {3}  # this change is none of the run's
    people.link()
    assert people.waiting() == set()
    assert people.groups() == {frozenset({1}), frozenset({2}), frozenset({3})}
    consistent(people)
