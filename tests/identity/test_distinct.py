"""Distinct values: as NumPy finds them."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from identity.distinct import distinct


@given(st.lists(st.integers(-(2**62), 2**62)))
def test_the_distinct_values_ascend_and_none_is_lost(numbers):
    assert distinct(np.array(numbers, dtype=np.int64)).tolist() == sorted(set(numbers))
