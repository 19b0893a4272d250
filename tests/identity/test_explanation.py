"""The waterfall of a pair adds up to the weight that the batch gave it, and its words name no value."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity import frequencies
from identity.comparable import Comparable
from identity.contradictions import Merging
from identity.engine import open_engine
from identity.evidence import explain_weights, meeting_rules, set_aside
from identity.explanation import (
    Facts,
    Step,
    decide,
    plain_link,
    probability,
    reasons,
    refusal,
    waterfall,
)
from identity.linking import score
from identity.matching import OnlineScorer
from tests.identity.labelled import labelled

SETS = ("splink_fake_1000", pytest.param("senzing_truthset", marks=pytest.mark.slow))


class Linked:
    """A labelled set that was scored, with the frequencies that the batch counted."""

    def __init__(self, name):
        batch, self.people = labelled(name)
        self.records = [Comparable.decode(encoded) for encoded in batch.comparables]
        known = {}
        with pytest.MonkeyPatch.context() as patch, open_engine(threads=2) as engine:
            patch.setattr(
                frequencies, "POOLED_FROM", 10**9
            )  # as in a small home: rare values count as they are
            self.scored = score(
                [batch], engine=engine, model=None, seed=1,
                on_frequency=lambda column, value, share: known.__setitem__((column, value), share),
            )  # fmt: skip
            self.kept = dict(known)
            for column in self.scored.model.frequency_columns():
                rows = engine.execute(
                    f"SELECT {column}, count(*) / (SELECT count({column}) FROM records) FROM records"  # noqa: S608 - our columns
                    f" WHERE {column} IS NOT NULL GROUP BY 1"
                ).fetchall()
                known |= {(column, value): share for value, share in rows}
            pairs = engine.execute(
                "SELECT join_key_l, join_key_r, match_key FROM pairs"
                " ORDER BY hash(join_key_l, join_key_r) LIMIT 40"
            ).fetchall()
        self.frequencies, self.blocked = known, pairs

    def scorer(self, frequencies, model=None):
        return OnlineScorer(
            model or self.scored.model, lambda column, value: frequencies.get((column, value))
        )

    def by_record(self, most):
        """Yield a record and, with their weights, the records that the batch scored it with."""
        pairs = self.scored.pairs
        for a in sorted(set(pairs.record_a.tolist()))[:most]:
            mine = pairs.record_a == a
            others = [self.records[b - 1] for b in pairs.record_b[mine].tolist()]
            yield self.records[a - 1], others, pairs.weight[mine].tolist()


@pytest.fixture(scope="module", params=SETS)
def linked(request):
    return Linked(request.param)


def explained_with(scorer, record, others):
    return explain_weights(scorer, [(record, other) for other in others])


def total(explained):
    return (
        explained.prior
        + sum(step.weight for step in explained.steps)
        + (explained.households or 0.0)
        + explained.rarity
    )


def test_the_steps_add_up_to_the_weight_of_the_batch(linked):
    scorer = linked.scorer(linked.frequencies)
    for record, others, weights in linked.by_record(25):
        for explained, weight in zip(explained_with(scorer, record, others), weights, strict=True):
            assert explained.match_weight == pytest.approx(weight, abs=1e-6)
            assert total(explained) == pytest.approx(weight, abs=1e-6)


def test_without_the_frequencies_of_rare_values_the_stored_weight_says_how_rare_they_were(linked):
    differed = 0
    scorer = linked.scorer(linked.kept)
    for record, others, weights in linked.by_record(25):
        for explained, weight in zip(explained_with(scorer, record, others), weights, strict=True):
            corrected = explained.stored_as(weight)
            assert corrected.match_weight == weight
            assert total(corrected) == pytest.approx(weight, abs=1e-6)
            by_frequency = any(step.term_frequency for step in explained.steps)
            assert by_frequency or abs(corrected.rarity) < 1e-5
            differed += abs(corrected.rarity) > 1e-3
    assert differed


@pytest.mark.parametrize("household_prior", [None, -1.5])
def test_each_step_is_what_the_model_says_of_its_level(linked, household_prior):
    model = replace(linked.scored.model, household_prior=household_prior)
    levels = {(item.name, level.label): level for item in model.comparisons for level in item.levels}
    scorer = linked.scorer(linked.frequencies, model)
    record, others, _ = next(linked.by_record(1))
    weights = scorer.score(record, others)
    for explained, weight in zip(explained_with(scorer, record, others), weights, strict=True):
        assert (explained.match_weight, total(explained)) == pytest.approx((weight, weight), abs=1e-6)
        assert [step.comparison for step in explained.steps] == [item.name for item in model.comparisons]
        for step in explained.steps:
            if step.level is None:
                assert (step.weight, step.term_frequency) == (0.0, 0.0)
                continue
            level = levels[step.comparison, step.level]
            alone = math.log2(level.m / level.u)
            assert step.weight - step.term_frequency == pytest.approx(alone, abs=1e-6)
            assert level.frequency or not step.term_frequency
        against = explained.prior + sum(step.weight for step in explained.steps)
        assert explained.against_strangers == pytest.approx(against, abs=1e-6)
        assert (explained.against_household is None) == (household_prior is None)
        if household_prior is not None:
            against = model.household_prior + sum(step.household for step in explained.steps)
            assert explained.against_household == pytest.approx(against, abs=1e-6)
            assert explained.households <= 1e-6


def test_the_rules_that_find_a_pair_are_those_under_which_the_batch_found_it(linked):
    rules = [rule.name for rule in linked.scored.model.rules]
    scorer = linked.scorer(linked.frequencies)
    for a, b, first in linked.blocked:
        meeting = meeting_rules(scorer, linked.records[a - 1], linked.records[b - 1])
        assert rules[int(first)] in meeting
        assert set(meeting) <= set(rules)


def test_two_records_that_share_nothing_meet_under_no_rule(linked):
    scorer = linked.scorer(linked.frequencies)
    assert meeting_rules(scorer, linked.records[0], Comparable({})) == ()


def test_a_value_that_is_nobodys_own_is_named_as_left_out(linked):
    known = {**linked.frequencies, ("email", "noemail@x.org"): 0.3, ("user_id", "0"): 0.2}
    one = Comparable({"email": ("noemail@x.org", "ann@x.org"), "user_id": "0", "loyalty_id": "7"})
    other = Comparable({"email": ("noemail@x.org",), "loyalty_id": "7"})
    scorer = linked.scorer(known)
    assert set_aside(scorer, one, other) == ("email",)
    assert set_aside(scorer, one, Comparable({})) == ()
    scorer = linked.scorer(linked.frequencies)
    assert set_aside(scorer, one, other) == ()


def test_an_empty_record_is_explained_by_the_prior_alone(linked):
    scorer = linked.scorer(linked.frequencies)
    (explained,) = explain_weights(scorer, [(linked.records[0], Comparable({}))])
    assert {step.level for step in explained.steps} == {None}
    assert explained.against_strangers == pytest.approx(explained.prior)


def test_no_value_is_told(linked):
    scorer = linked.scorer(linked.frequencies)
    for record, others, _ in linked.by_record(10):
        said = repr(explained_with(scorer, record, others)).lower()
        for one in (record, *others):
            values = [value for column in one.columns for value in one.values(column) if len(value) > 4]
            assert not [value for value in values if f"'{value}'" in said]


def test_a_pair_near_the_threshold_says_that_the_run_before_decided():
    near = "the run before it decided"
    together = Facts(True, (), (1.5,), None, False, ("email",), close=True)
    assert near in reasons(together, "review")[-1]
    assert near not in " ".join(reasons(together, "link"))
    apart = Facts(False, (), (), None, False, ("email",), close=True)
    assert near in reasons(apart, "link")[-1]
    assert near not in " ".join(reasons(apart, "review"))


def test_a_pair_that_only_a_household_explains_says_so():
    facts = Facts(False, (), (), None, False, ("phone",), household=True)
    assert reasons(facts, "no link") == [
        "The evidence is too weak.",
        "Strangers do not agree like this, but two people of one household do.",
    ]
    assert "household" not in " ".join(reasons(facts, "link"))


def between(*rows):
    """Return waterfalls of two comparisons, each with these bits; None: nothing to compare."""
    return [
        waterfall(
            (0.0, None),
            [
                Step(n, None if b is None else "x", b or 0.0, 0.0, None)
                for n, b in zip("ab", row, strict=True)
            ],
            (0.0, None),
            0.0,
        )
        for row in rows
    ]


def test_a_guard_weighs_what_the_records_say_against_each_other_against_the_link():
    rows = between((4.0, -6.0), (4.0, -6.0), (4.0, None), (4.0, -6.0))
    found = refusal(rows, (2, 2), 3.0)
    (contradiction,) = found.contradictions
    assert (contradiction.comparison, contradiction.mean, contradiction.pairs) == ("b", -6.0, 3)
    assert contradiction.cost == pytest.approx(0.5 * -6.0 * math.sqrt(2))
    assert refusal(rows, (2, 2), 5.0) is None
    assert refusal(between((4.0, -6.0)), (1, 1), 3.0) is None
    assert refusal([], (2, 2), 3.0) is None


cells = st.one_of(st.none(), st.floats(-12, 12).filter(lambda bits: abs(bits) > 1e-6))


@given(st.integers(1, 4), st.integers(1, 4), st.floats(0.01, 20), st.data())
def test_the_guards_sum_is_the_one_by_which_clusters_were_merged(one, other, link, data):
    rows = data.draw(st.lists(st.tuples(cells, cells), min_size=one * other, max_size=one * other))
    merging = Merging(2)
    merging._size = [one, other]
    bits = [
        sum((complex(row[place], 1) for row in rows if row[place] is not None), start=0j) for place in (0, 1)
    ]
    score = merging._score(0, 1, link, bits)
    found = refusal(between(*rows), (one, other), link)
    if one + other > 2 and abs(score) > 1e-6:
        assert (found is not None) == (score < 0)
    if found is not None:
        assert link + sum(each.cost for each in found.contradictions) == pytest.approx(score, abs=1e-6)


bits = st.floats(-30, 30)


@given(bits, st.floats(-10, 10), st.lists(st.tuples(bits, bits), max_size=20))
def test_any_sum_is_kept_to_the_digits_of_the_weight(prior, household_prior, terms):
    strangers = prior + sum(weight for weight, _ in terms)
    household = household_prior + sum(against for _, against in terms)
    weight = round(min(strangers, household), 6)
    steps = [Step("any", "same", *term[:1], 0.0, term[1]) for term in terms]
    found = waterfall((prior, household_prior), steps, (strangers, household), weight)
    assert total(found) == pytest.approx(weight, abs=1e-6)
    assert total(found.stored_as(weight + 2.5)) == pytest.approx(weight + 2.5, abs=1e-6)
    assert found.stored_as(1.0).stored_as(weight).rarity == pytest.approx(0.0, abs=1e-8)


def test_a_weight_is_a_probability_at_any_size():
    assert probability(0.0) == 0.5
    assert probability(2.0) == 0.8
    assert probability(-1e6) == 0.0
    assert probability(math.inf) == probability(1e6) == 1.0


TOGETHER = Facts(together=True, not_linkable=(), path=(8.0,), judged=None, guarded=False, rules=("email",))
APART = Facts(together=False, not_linkable=(), path=(), judged=None, guarded=False, rules=("email",))

# What is known, and a part of the first sentence.
WHY = {
    "linked directly": (TOGETHER, 8.0, "A link of their own"),
    "joined by others": (
        Facts(True, (), (8.0, 3.25), None, False, ()), -9.0,
        "1 other record(s) join the two; the weakest link between is 3.2 bits",
    ),
    "joined by a steward's word": (Facts(True, (), (math.inf,), "same", False, ()), -9.0, "to be one person"),
    "too weak": (APART, -7.0, "The evidence is too weak"),
    "doubtful": (APART, 0.0, "doubtful"),
    "strong enough but apart": (APART, 9.0, "no run has made it"),
    "refused by a guard": (Facts(False, (), (), None, True, ("email",)), 9.0, "A guard refused"),
    "judged different": (Facts(False, (), (), "different", False, ("email",)), 9.0, "no score overrides"),
    "judged apart by others": (Facts(False, (), (), "apart", False, ("email",)), 9.0, "their two golden IDs"),
    "never compared": (Facts(False, (), (), None, False, ()), -9.0, "No blocking rule"),
    "not permitted": (Facts(False, (4,), (), None, False, ()), None, "Record 4 may not be linked"),
    "a household": (Facts(False, (), (), None, False, ("email",), household=True), -1.0, "doubtful"),
    "before the first run": (APART, None, "No run has trained"),
}  # fmt: skip


@pytest.mark.parametrize("case", WHY)
def test_the_reason_is_told_in_a_sentence(case):
    facts, weight, expected = WHY[case]
    decision = None if weight is None else decide(weight, 2.0, -6.0)
    said = reasons(facts, decision)
    assert expected in said[0]
    assert all(sentence.endswith((".", "bits")) for sentence in said)


@pytest.mark.parametrize(
    ("weight", "decision"), [(2.0, "link"), (1.9, "review"), (-6.0, "review"), (-6.1, "no link")]
)
def test_three_ways_to_decide(weight, decision):
    assert decide(weight, 2.0, -6.0) == decision


def test_a_person_reads_what_speaks_for_and_against_and_no_figure():
    steps = [
        Step("email", "one the same", 18.25, 0.0, 3.0), Step("birth_date", "different", -4.5, 0.0, 0.0),
        Step("first_name", "same", 6.0, 0.5, 6.0), Step("phone", None, 0.0, 0.0, 0.0),
    ]  # fmt: skip
    explained = waterfall((-16.0, -1.0), steps, (3.75, 8.0), 3.6)
    said = plain_link(("crm", "web"), explained, 12.0)
    assert said.speaks_for == ("e-mail address: one the same", "first name: same")
    assert said.speaks_against == ("date of birth: different",)
    assert said.certainty == "very likely"
    assert not any(character.isdigit() for character in repr(said))
    assert plain_link(("crm", "web"), None, math.inf).certainty == "decided by a person"
