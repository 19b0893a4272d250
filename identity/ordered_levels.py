"""A level of closer agreement speaks at least as strongly for one person: m / u kept in order. Pure.

EM knows nothing of what levels mean. Where few pairs show a level, or where it takes one class for another,
it may make "typing error" worth more than "the same", or "different" evidence for one person. The most likely
m under the order is the isotonic regression of m / u, weighted by u, over the order of the levels (Dykstra,
Kochar and Robertson 1995, Inference for likelihood ratio ordering in the two-sample problem): levels out of
order are pooled, and the last level, never above the mean, never speaks for one person.
"""

from collections.abc import Sequence
from functools import lru_cache
from itertools import product
from typing import Final

import numpy as np
import numpy.typing as npt

from identity.comparison import Level

Floats = npt.NDArray[np.float64]

_SAME: Final = 1e-6
"""Relative difference up to which two ratios are one: parameters are kept to 9 digits."""


def ordered(m: Floats, u: Floats, levels: Sequence[Level]) -> Floats:
    """Return the m nearest to `m` whose ratio to `u` never rises from a level to one below it.

    Both are shares that sum to 1, as the answer does. Levels in order stay exactly as they are.
    """
    answer = m.copy()
    left = np.ones(len(m), dtype=np.bool_)
    sets = _lower_sets(tuple(level.aside for level in levels))
    while left.any():  # the minimum lower sets algorithm (Brunk 1955): the weakest set of levels first
        kept = sets & left
        kept = kept[kept.any(axis=1)]
        ratios = kept @ m / (kept @ u)
        weakest = ratios.min()
        pooled = kept[ratios <= weakest * (1 + 1e-12)].any(axis=0)
        if pooled.sum() > 1:
            answer[pooled] = u[pooled] * weakest
        left &= ~pooled
    return answer


def pooled(m: Sequence[float], u: Sequence[float]) -> list[tuple[int, ...]]:
    """Return the levels that fitted parameters do not tell apart, the strongest first: they were pooled."""
    ratios = np.asarray(m) / np.asarray(u)
    groups: list[list[int]] = []
    for level in np.argsort(-ratios, kind="stable").tolist():
        if groups and np.isclose(ratios[groups[-1][0]], ratios[level], rtol=_SAME, atol=0):
            groups[-1].append(level)
        else:
            groups.append([level])
    return [tuple(sorted(group)) for group in groups if len(group) > 1]


@lru_cache(maxsize=64)
def _lower_sets(aside: tuple[bool, ...]) -> npt.NDArray[np.bool_]:
    """Return every set of levels that holds, with each of its levels, all that are below it."""
    last = len(aside) - 1
    chain = [place for place in range(last + 1) if place in {0, last} or not aside[place]]
    free = [place for place in range(1, last) if aside[place]]
    found = []
    for start in range(len(chain)):
        base = np.zeros(last + 1, dtype=np.bool_)
        base[chain[start:]] = True
        if start == 0:
            found.append(np.ones(last + 1, dtype=np.bool_))
            continue
        for chosen in product((False, True), repeat=len(free)):
            with_free = base.copy()
            with_free[[place for place, taken in zip(free, chosen, strict=True) if taken]] = True
            found.append(with_free)
    return np.stack(found)
