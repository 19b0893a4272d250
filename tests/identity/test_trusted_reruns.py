"""Reruns people trust: gates, the margin, dry runs and comparisons, on a real store."""

import json
from dataclasses import replace

import numpy as np
import pytest
from sqlalchemy import text

from identity.clustering import Pairs
from identity.errors import RunInProgressError, RunStoppedError
from identity.hysteresis import MARGIN, Held
from tests.identity.population import MODEL, Population, consistent

COUPLES = 150  # of records 2n-1 and 2n, who share a word


@pytest.fixture
def people(tmp_path):
    population = Population(tmp_path)
    population.put_all({number: f"p{(number + 1) // 2}" for number in range(1, 2 * COUPLES + 1)})
    yield population
    population.db.close()


def with_links(people: Population, links: dict[tuple[int, int], float], *, drop=()):
    """A run whose scorer sees other weights: what another model, or a broken one, would do."""

    def score(batches, model):
        scores = people.score(batches, model)
        pairs = scores.scored.pairs
        kept = [
            (a, b, weight)
            for a, b, weight in zip(*map(np.ndarray.tolist, (pairs.record_a, pairs.record_b, pairs.weight)),
                                    strict=True)
            if (a, b) not in links and (a, b) not in drop
        ]  # fmt: skip
        rows = sorted([*kept, *((a, b, weight) for (a, b), weight in links.items())])
        left, right, weights = zip(*rows, strict=True)
        found = Pairs(np.array(left), np.array(right), np.array(weights, dtype=np.float64))
        return replace(scores, scored=replace(scores.scored, pairs=found))

    return replace(people.rerun(), scorer=score)


GLUE = {(2 * n, 2 * n + 1): 9.0 for n in range(1, COUPLES)}  # everybody with the next couple


def runs(people: Population) -> list[tuple]:
    with people.db.read() as conn:
        rows = conn.execute(text("SELECT run_id, status, summary FROM runs ORDER BY started_at")).all()
    return [(run_id, status, json.loads(summary or "null")) for run_id, status, summary in rows]


def test_a_run_that_joins_too_many_is_stopped_and_the_last_good_state_serves(people):
    people.link()
    before, feed = people.export(), people.feed()
    with pytest.raises(RunStoppedError, match=r"150 of 150 golden IDs would be joined, 57 may be.*--force"):
        with_links(people, GLUE).run()
    assert people.export() == before
    assert people.feed() == feed
    consistent(people)
    people.link()
    assert people.export() == before


def test_a_stopped_run_is_recorded_with_what_it_would_have_done(people):
    people.link()
    people.now += 1
    with pytest.raises(RunStoppedError):
        with_links(people, GLUE).run()
    (_, first, _), (_, status, summary) = runs(people)
    assert (first, status) == ("published", "failed")
    assert summary["merged"] == COUPLES - 1
    assert "would be joined" in summary["gates"][0]


def test_it_is_published_if_somebody_gives_a_reason_and_the_reason_is_kept(people):
    people.link()
    people.now += 1
    outcome = with_links(people, GLUE).run(force="one family after all")
    assert outcome.golden_ids == 1
    assert outcome.forced == runs(people)[-1][2]["forced"] == "one family after all"
    assert outcome.gates
    consistent(people)


def test_a_stopped_run_lets_go_of_the_lease(people):
    people.link()
    with pytest.raises(RunStoppedError):
        with_links(people, GLUE).run()
    try:
        people.link()
    except RunInProgressError:
        pytest.fail("the stopped run still holds the lease")


def test_a_run_that_parts_too_many_is_stopped(people):
    people.link()
    couples = [
        (2 * n - 1, 2 * n) for n in range(1, COUPLES)
    ]  # one is left, so that there is something to score
    with pytest.raises(RunStoppedError, match="would be parted"):
        with_links(people, {}, drop=couples).run()


def test_a_first_run_is_judged_by_nothing(people):
    assert with_links(people, GLUE).run().gates == ()


def test_new_records_may_join_people_who_have_not_changed(people):
    people.link()
    people.put_all({1_000 + n: f"p{2 * n} p{2 * n + 1}" for n in range(1, 21)})
    outcome = people.link()
    assert outcome.merged == 20
    assert outcome.gates == ()


def test_records_that_changed_are_not_the_models_doing(people):
    people.link()
    people.put_all(dict.fromkeys(range(1, 2 * COUPLES + 1), "all"))
    assert people.link().golden_ids == 1


def test_a_dry_run_says_which_gates_would_close_and_what_wrong_merges_would_open(people):
    people.link()
    asked = []
    rerun = replace(
        with_links(people, GLUE), risk=lambda merges: asked.append(merges) or {"merges": len(merges)}
    )
    outcome = rerun.run(dry_run=True)
    assert len(outcome.gates) == 2  # everybody is joined, and the one who is left has 300 records
    assert outcome.risk == {"merges": 1}
    ((merge,),) = asked
    assert len(merge) == COUPLES
    assert merge[0] == (1, 2)


def test_a_rerun_on_the_same_input_changes_nothing_and_drifts_nowhere(people):
    people.put_all(dict.fromkeys(range(1_001, 1_050), "crowd"))
    people.link()
    before = people.export()
    outcome = people.link()
    assert people.export() == before
    assert (outcome.kept, outcome.held, outcome.gates) == (COUPLES + 1, Held(), ())
    assert outcome.drift == 0.0  # of the 1,176 pairs of the crowd, and the couples


THRESHOLD = MODEL.threshold
WEAKER = {(1, 2): THRESHOLD - MARGIN / 2, (2, 3): THRESHOLD + MARGIN / 2}


def test_a_slightly_other_model_moves_nobody_and_goes_on_moving_nobody(people):
    people.link()
    owners = people.owners()
    outcome = with_links(people, WEAKER).run()
    assert people.owners() == owners
    assert (outcome.held, outcome.merged, outcome.split, outcome.created) == (Held(1, 1), 0, 0, 0)
    settled = people.export()
    with_links(people, WEAKER).run()
    assert people.export() == settled


def test_a_record_that_changed_has_no_earlier_decision(people):
    people.link()
    people.put(2, "p1")
    with_links(people, WEAKER).run()
    assert people.golden(1) != people.golden(2) == people.golden(3)


def test_another_model_is_compared_by_what_it_alone_would_do_and_nothing_is_written(people):
    people.link()
    people.put(1_001, "somebody new")
    before, known = people.export(), runs(people)
    found = with_links(people, WEAKER | {(5, 7): 9.0}).compare(MODEL)
    assert (people.export(), runs(people)) == (before, known)
    assert (found.golden_ids, found.kept, found.merged, found.split) == (COUPLES, COUPLES - 4, 4, 1)
    # {1} {2 3 4} instead of {1 2} {3 4}: three pairs; {5 6 7 8} instead of {5 6} {7 8}: four
    assert found.disagreeing_pairs == 7
    assert (found.records, found.created) == (2 * COUPLES + 1, 1)
    assert found.published_model == found.model_version
