"""The similarities of strings that our conditions ask for, on Spark's executors, with DuckDB's values.

Splink's library for Spark gives other values of Jaro's similarity for one mistyped pair in twelve, and counts
in UTF-16; DuckDB's functions are rapidfuzz's over bytes, and so are these. What they see stays in the memory
of the executor's Python.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from rapidfuzz import distance, process

Compared = Callable[[pa.Array, pa.Array], pa.Array]


def _compared(measure: str, of: str) -> Compared:
    """Return the function of two columns; missing where either is.

    It travels by value, as it is defined inside, and rapidfuzz's own functions cannot: they are named.
    """

    def compared(one: pa.Array, other: pa.Array) -> pa.Array:
        present = pc.and_(pc.is_valid(one), pc.is_valid(other))
        left, right = (side.filter(present).cast(pa.binary()).to_pylist() for side in (one, other))
        scorer = getattr(getattr(distance, measure), of)
        found = np.zeros(len(one))
        there = present.to_numpy(zero_copy_only=False)
        found[there] = process.cpdist(left, right, scorer=scorer, dtype=np.float64)
        return pa.array(found, mask=~there)

    return compared


SIMILARITIES: Final[dict[str, Compared]] = {
    "jarowinkler_similarity": _compared("JaroWinkler", "similarity"),  # as sqlglot spells it
    "jaro_similarity": _compared("Jaro", "similarity"),
    "damerau_levenshtein": _compared("DamerauLevenshtein", "distance"),
    "hamming": _compared("Hamming", "distance"),
}
