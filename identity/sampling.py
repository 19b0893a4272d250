"""Samples of pairs that are the same in every engine and on any number of threads. Pure.

An engine's own hash would pick other pairs on Spark than on DuckDB, and another model would be learnt. This
one is whole numbers: sums of products below 2 ** 63, modulo a prime, squared twice so that no order in the
record numbers shows.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

PRIME: Final = 1_073_741_789  # the largest below 2 ** 30
_ONE, _OTHER, _SEED = 1_000_003_769, 774_890_273, 536_870_909  # odd numbers below PRIME

Integers = npt.NDArray[np.int64]


def picked_sql(one: str, other: str, *, share: float, seed: int) -> str:
    """Return the condition that holds for `share` of the pairs of record numbers `one` and `other`."""
    start = seed * _SEED % PRIME
    mixed = f"((({one} % {PRIME}) * {_ONE} + ({other} % {PRIME}) * {_OTHER} + {start}) % {PRIME})"
    for _ in range(2):
        mixed = f"(({mixed} * ({mixed} + {_SEED})) % {PRIME})"
    return f"{mixed} < {round(share * PRIME)}"


def random_pairs(record_nos: Integers, most: int, seed: int) -> tuple[Integers, Integers]:
    """Return pairs (a < b) of `record_nos`, which ascend: all of them, or `most` drawn at random."""
    count = len(record_nos)
    if count * (count - 1) // 2 <= most:
        one, other = np.triu_indices(count, 1)
    else:
        drawn = np.random.default_rng(seed)
        first = drawn.integers(count, size=most)
        second = (first + drawn.integers(1, count, size=most)) % count
        one, other = np.minimum(first, second), np.maximum(first, second)
    return record_nos[one], record_nos[other]
