"""What is said about a run, and what of it is said aloud."""

import numpy as np
import pytest

from identity.blocking import Blocking
from identity.clustering import Clusters, Pairs
from identity.model import Model
from identity.notices import notices
from identity.profile import Profile

MODEL = Model((), (), 0.0, 1.0, threshold=0.5, review_threshold=-3.0, rare_frequencies={}, records=9, seed=1)
THINNED = "blocks too large to compare in full: each record was compared with a few others"
NOTHING = Profile(9, {}, {})


def clusters(*sizes: int) -> Clusters:
    label = np.repeat(np.cumsum([0, *sizes])[:-1], sizes).astype(np.int64)
    numbers = np.arange(len(label), dtype=np.int64)
    none = Pairs(numbers[:0], numbers[:0], np.zeros(0))
    return Clusters(numbers, label, label, np.ones(len(label)), none)


def aloud(*sizes: int, profile: Profile = NOTHING, blocking: tuple[Blocking, ...] = ()) -> list[str]:
    return [notice.text for notice in notices(profile, blocking, MODEL, clusters(*sizes)) if notice.costs]


def test_a_golden_id_out_of_all_proportion_is_named_by_one_of_its_records() -> None:
    (text,) = aloud(*[1] * 40, *[2] * 30, *[4] * 10, 401)
    assert text == (
        "the largest golden ID has 401 records, record 140 among them, and 95% of the others that have "
        "several have at most 4: look whether it is one person"
    )


@pytest.mark.parametrize(
    "sizes",
    [(), (1, 1, 1), (20, 1, 1), (4, 4, 4, 20), (60, *[40] * 10), (1000, 999, 998)],
    ids=["nobody", "singletons", "a small one", "within the usual", "all large", "several giants"],
)
def test_sizes_in_proportion_are_passed_over(sizes: tuple[int, ...]) -> None:
    assert aloud(*sizes) == []


def test_values_of_nobody_and_large_blocks_of_own_values_cost_something() -> None:
    profile = Profile(9, {}, {"phone": 2})
    blocking = (Blocking("email", 9, 500, 0, 0, 1), Blocking("first_name", 9, 500, 3, 99))
    assert aloud(1, profile=profile, blocking=blocking) == [
        "2 phone value(s) belong to nobody in particular and were not compared",
        f"rule 'email' thinned 1 {THINNED}",
    ]
    (quiet,) = [each for each in notices(profile, blocking, MODEL, clusters(1)) if not each.costs]
    assert quiet.text == "rule 'first_name' dropped 3 blocks too large to compare (99 pairs)"
