"""The guard for one record that arrives."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from identity.admission import INSEPARABLE, admitted, guarded, heard, ordered, spread
from identity.contradictions import Evidence

NEWCOMER, FATHER, FATHERS_OTHER, SON = 9, 1, 2, 3
GOLDEN = {FATHER: 71, FATHERS_OTHER: 71, SON: 72}
CONTRADICTING, AGREEING, SILENT = (-8.0, 0.0), (6.0, 9.0), (0.0, 0.0)


def evidence(bits: dict[tuple[int, int], tuple[float, float]]) -> Evidence:
    ends = np.array(list(bits), dtype=np.int64).reshape(-1, 2)
    return Evidence(ends[:, 0], ends[:, 1], np.array(list(bits.values()), dtype=np.float32).reshape(-1, 2))


FAMILY = {
    (FATHER, FATHERS_OTHER): AGREEING, (FATHER, SON): CONTRADICTING, (FATHERS_OTHER, SON): CONTRADICTING,
    (FATHER, NEWCOMER): (0.0, 9.0), (SON, NEWCOMER): (0.0, 9.0),
}  # fmt: skip


def test_a_record_that_fits_two_people_who_contradict_each_other_joins_the_better_one_only() -> None:
    assert admitted(NEWCOMER, {FATHER: 3.0, SON: 2.0}, GOLDEN, evidence(FAMILY)) == {FATHER}
    assert admitted(NEWCOMER, {FATHER: 2.0, SON: 3.0}, GOLDEN, evidence(FAMILY)) == {SON}


def test_a_record_that_proves_two_golden_ids_one_person_joins_both() -> None:
    silent = FAMILY | {(FATHER, SON): SILENT, (FATHERS_OTHER, SON): SILENT}
    assert admitted(NEWCOMER, {FATHER: 3.0, SON: 2.0}, GOLDEN, evidence(silent)) == {FATHER, SON}


def test_a_record_that_contradicts_the_other_records_of_a_person_is_refused() -> None:
    against = {(FATHER, FATHERS_OTHER): AGREEING, (FATHERS_OTHER, NEWCOMER): (-30.0, 0.0)}
    assert admitted(NEWCOMER, {FATHER: 3.0}, GOLDEN, evidence(against)) == set()
    assert admitted(NEWCOMER, {FATHER: 30.0}, GOLDEN, evidence(against)) == {FATHER}


def test_without_evidence_the_links_decide() -> None:
    assert admitted(NEWCOMER, {FATHER: 0.0, SON: 1.0}, GOLDEN, evidence({})) == {FATHER, SON}


BITS = st.sampled_from([CONTRADICTING, AGREEING, SILENT])
EVERYTHING = st.fixed_dictionaries(dict.fromkeys(FAMILY, BITS) | {(FATHERS_OTHER, NEWCOMER): BITS})


@given(EVERYTHING, st.dictionaries(st.sampled_from([1, 2, 3]), st.floats(0, 12), min_size=1))
def test_whoever_is_admitted_was_linked_and_golden_ids_stay_whole(
    bits: dict[tuple[int, int], tuple[float, float]], above: dict[int, float]
) -> None:
    found = admitted(NEWCOMER, above, GOLDEN, evidence(bits))
    assert found <= set(above)
    if {FATHER, FATHERS_OTHER} <= set(above):
        assert (FATHER in found) == (FATHERS_OTHER in found)


FIVE = (1, 2, 3, 4, NEWCOMER)
PAIRS = [(one, other) for one in FIVE for other in FIVE if one < other]
SAID = st.sampled_from([(-8.0, 0.0), (-2.0, -1.0), (-0.5, 3.0), (6.0, 9.0), (0.0, 0.0)])


@given(
    st.fixed_dictionaries(dict.fromkeys(PAIRS, SAID)),
    st.dictionaries(st.sampled_from(FIVE[:4]), st.sampled_from([0.0, 0.2, 1.5, 4.0, 12.0]), min_size=1),
    st.dictionaries(st.sampled_from(FIVE[:4]), st.sampled_from([71, 72])),
)
def test_the_answer_is_the_guards_and_rests_on_nothing_said_inside_a_golden_id(
    bits: dict[tuple[int, int], tuple[float, float]], above: dict[int, float], golden_nos: dict[int, int]
) -> None:
    inside = {pair for pair in PAIRS if len({golden_nos.get(number, -number) for number in pair}) == 1}
    links = dict.fromkeys(inside, INSEPARABLE) | {(no, NEWCOMER): weight for no, weight in above.items()}
    label = guarded(links, evidence(bits))
    wanted = {number for number in above if label[number] == label[NEWCOMER]}
    assert admitted(NEWCOMER, above, golden_nos, evidence(bits)) == wanted
    between = {pair: said for pair, said in bits.items() if pair not in inside}
    assert admitted(NEWCOMER, above, golden_nos, evidence(between)) == wanted


def test_the_records_that_are_heard_come_from_each_person_in_turn() -> None:
    many, few = range(10, 60), [3, 2]
    assert spread([many, few], {10: 1.0, 12: 9.0, 3: 4.0}, 4) == [12, 3, 10, 2]
    assert set(spread([many, few], {}, 100)) == {*many, *few}


def test_of_a_whole_runs_evidence_a_few_records_hear_what_is_said_of_them_alone() -> None:
    shuffled = dict(sorted(FAMILY.items(), key=lambda item: item[0][1], reverse=True))
    for whole in (evidence(FAMILY), evidence(shuffled)):
        found = heard(ordered(whole), [NEWCOMER, FATHER, SON])
        said = dict(zip(zip(found.record_a, found.record_b, strict=True), found.bits.tolist(), strict=True))
        assert said == {
            (FATHER, SON): [-8.0, 0.0], (FATHER, NEWCOMER): [0.0, 9.0], (SON, NEWCOMER): [0.0, 9.0],
        }  # fmt: skip
    assert len(heard(evidence({}), [NEWCOMER]).record_a) == 0
