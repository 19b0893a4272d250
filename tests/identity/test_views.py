"""Who belongs to a golden ID at which confidence, against a brute-force reading of the contract."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity.clustering import cluster
from identity.resolution import pairs_of
from identity.views import APART, after_a_loss, confidences

RECORDS = range(8)
THRESHOLD = 2.0

Links = list[tuple[int, int, float]]

links_drawn = st.lists(
    st.tuples(
        st.integers(0, 7), st.integers(0, 7), st.sampled_from([-6.0, -1.0, 2.0, 3.0, 5.0, 9.0, 60.0])
    ).filter(lambda link: link[0] < link[1]),
    max_size=20,
    unique_by=lambda link: link[:2],
)


def chance(bits: float) -> float:
    return round(1 / (1 + 2**-bits), 6)


def view(links: Links, minimum: float) -> set[int]:
    """The records that a purpose with this minimum sees of the person whose anchor is record 0."""
    return {no for no, sure in confidences(links, 0, THRESHOLD).items() if sure >= minimum}


def reached(links: Links, start: int) -> set[int]:
    """What `links`, whatever their weights, connect to `start`."""
    found = {start}
    for _ in RECORDS:
        found |= {end for link in links if found & {*link[:2]} for end in link[:2]}
    return found


@given(links_drawn)
def test_a_record_is_as_sure_as_the_weakest_link_of_its_surest_path(links: Links) -> None:
    found = confidences(links, 0, THRESHOLD)
    for bits in {weight for *_, weight in links if weight >= THRESHOLD}:
        connected = reached([link for link in links if link[2] >= bits], 0)
        assert connected == {no for no, sure in found.items() if sure >= chance(bits)}
    assert found[0] == 1.0
    assert set(found) == reached([link for link in links if link[2] >= THRESHOLD], 0)


@given(links_drawn, st.floats(0, 1), st.floats(0, 1))
def test_a_higher_minimum_sees_a_part_of_what_a_lower_one_sees(
    links: Links, one: float, other: float
) -> None:
    low, high = sorted((one, other))
    assert {0} <= view(links, high) <= view(links, low)


@given(links_drawn, st.data())
def test_a_link_taken_away_adds_nobody(links: Links, data: st.DataObject) -> None:
    fewer = [link for link in links if data.draw(st.booleans())]
    for minimum in (0.0, 0.8, 0.9, 0.99, 1.0):
        assert view(fewer, minimum) <= view(links, minimum)


def test_a_pair_that_is_too_doubtful_to_join_is_no_path_however_low_the_minimum() -> None:
    assert view([(0, 1, 5.0), (1, 2, 1.9)], 0.0) == {0, 1}


def test_a_decision_is_a_link_without_doubt() -> None:
    assert confidences([(0, 1, float("inf")), (1, 2, 3.0)], 0, THRESHOLD) == {0: 1.0, 1: 1.0, 2: chance(3)}


@given(links_drawn, st.sets(st.integers(0, 7)))
def test_published_confidences_are_those_of_the_links_that_are_kept(links: Links, verified: set[int]) -> None:
    found = cluster(RECORDS, pairs_of(links), THRESHOLD, sorted(verified))
    kept = kept_links(found.links)
    for place, record_no in enumerate(found.record_nos.tolist()):
        from_links = confidences(kept, int(found.anchor[place]), THRESHOLD)
        assert from_links[record_no] == found.confidence[place]


def kept_links(pairs) -> Links:
    return list(zip(pairs.record_a.tolist(), pairs.record_b.tolist(), pairs.weight.tolist(), strict=True))


class TestAfterALoss:
    PUBLISHED = dict.fromkeys(RECORDS, 1.0)

    def test_what_hung_on_the_lost_record_alone_is_apart(self) -> None:
        links = [(0, 1, 5.0), (1, 2, 5.0), (0, 3, 3.0)]
        left = {0: 1.0, 2: chance(5), 3: chance(3)}
        assert after_a_loss(left, links, 0, threshold=THRESHOLD) == {0: 1.0, 2: APART, 3: chance(3)}

    def test_what_has_another_path_is_as_sure_as_that_one(self) -> None:
        links = [(0, 1, 9.0), (1, 2, 9.0), (0, 2, 3.0)]
        assert after_a_loss({0: 1.0, 2: chance(9)}, links, 0, threshold=THRESHOLD) == {0: 1.0, 2: chance(3)}

    def test_a_doubtful_pair_is_no_other_path(self) -> None:
        links = [(0, 1, 9.0), (1, 2, 9.0), (0, 2, 1.0)]
        assert after_a_loss({0: 1.0, 2: chance(9)}, links, 0, threshold=THRESHOLD)[2] == APART

    @pytest.mark.parametrize(
        ("verified", "sees"),
        [((), {1: 1.0, 2: 1.0, 3: APART}), ((3,), {1: APART, 2: APART, 3: 1.0})],
        ids=["of most links", "with a verified identifier"],
    )
    def test_without_the_anchor_the_rest_choose_another(self, verified, sees) -> None:
        links = [(0, 1, 60.0), (0, 3, 60.0), (1, 2, 60.0)]
        assert after_a_loss({1: 1.0, 2: 1.0, 3: 1.0}, links, 0, verified, THRESHOLD) == sees

    def test_pairs_too_doubtful_to_join_do_not_choose_the_anchor(self) -> None:
        links = [(1, 2, 1.9), (1, 3, 1.9), (3, 4, 60.0)]
        left = dict.fromkeys((1, 2, 3, 4), 1.0)
        assert after_a_loss(left, links, 0, threshold=THRESHOLD) == {1: APART, 2: APART, 3: 1.0, 4: 1.0}

    def test_when_all_are_lost_nobody_is_left(self) -> None:
        assert after_a_loss({}, [(0, 1, 5.0)], 0, threshold=THRESHOLD) == {}

    @given(links_drawn, st.sets(st.integers(0, 7)), st.sets(st.integers(0, 7)))
    def test_nobody_is_seen_who_was_not_seen_before(
        self, links: Links, lost: set[int], verified: set[int]
    ) -> None:
        published = confidences(links, 0, THRESHOLD)
        left = {no: sure for no, sure in published.items() if no not in lost}
        after = after_a_loss(left, links, 0, verified, THRESHOLD)
        assert set(after) == set(left)
        assert all(sure <= published[no] for no, sure in after.items())

    @given(links_drawn, st.sets(st.integers(1, 7)))
    def test_while_the_anchor_is_left_it_is_as_if_the_lost_had_never_been(
        self, links: Links, lost: set[int]
    ) -> None:
        published = confidences(links, 0, THRESHOLD)
        left = {no: sure for no, sure in published.items() if no not in lost}
        without = confidences([link for link in links if not lost & {*link[:2]}], 0, THRESHOLD)
        assert after_a_loss(left, links, 0, threshold=THRESHOLD) == {
            no: without.get(no, APART) for no in left
        }

    @given(links_drawn, st.sets(st.integers(0, 7)), st.sets(st.integers(0, 7)))
    def test_the_kept_links_say_who_belongs_together_as_well_as_all_pairs_do(
        self, links: Links, lost: set[int], verified: set[int]
    ) -> None:
        """With at most the best links a record kept, what is left clusters as if scored afresh."""
        left = [no for no in RECORDS if no not in lost]
        whole = cluster(RECORDS, pairs_of(links), THRESHOLD, sorted(verified))
        kept = [link for link in kept_links(whole.links) if not lost & {*link[:2]}]
        among = [link for link in links if not lost & {*link[:2]}]
        again, afresh = (
            cluster(left, pairs_of(pairs), THRESHOLD, sorted(verified)) for pairs in (kept, among)
        )
        for column in ("label", "anchor", "confidence"):
            assert np.array_equal(getattr(again, column), getattr(afresh, column))
