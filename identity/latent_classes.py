"""Fit three latent classes to counts of comparison vectors: one person, one household, unrelated. Pure.

A two-class model takes a household for a person, because address, surname, landline and family e-mail
agree together. The third class explains that agreement: its members agree on what households share and
differ on the rest like strangers. No level of less agreement comes to speak more strongly than one above it
(`identity.ordered_levels`). Thousands of distinct vectors stand for millions of pairs, so EM
(expectation maximisation) takes milliseconds; Splink computes the vectors.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from identity.comparisons import Comparison
from identity.ordered_levels import ordered

Floats = npt.NDArray[np.float64]

FLOOR: Final = 1e-3
"""Of every m: EM may set a level it hardly saw to zero, and one such level would forbid every match."""

U_FLOOR: Final = 1e-6  # of a level that no random pair showed

PSEUDO_PAIRS: Final = 10.0
"""Weight of the prior that keeps m sensible where few pairs are seen."""

ACCIDENTS: Final = 0.004
"""How many of its own records share a value that should be one person's own with somebody else's by error."""

LEAST_PAIRS: Final = 0.1
"""Of one person, assumed where none show, and not of one where none show: no rate is zero or one."""

LEAST_HOUSEHOLDS: Final = 0.05
"""Household pairs per pair of one person, below which the data show no households and two classes fit."""

LEAST_SHARED: Final = 0.5
"""A household shares at least one thing at least half as often as one person agrees with themself on it."""

_ROUNDS: Final = 300
_LEAST_ROUNDS: Final = 20
_TOLERANCE: Final = 1e-6  # relative change of the number of matches


@dataclass(frozen=True, slots=True)
class Vectors:
    """Distinct comparison vectors: `levels[i, j]` is vector i's level in comparison j.

    0 is the strongest level, -1 a missing value. `counts` are pairs; a sample is scaled up to all pairs.
    """

    levels: npt.NDArray[np.int64]
    counts: Floats
    records: int  # among which the pairs were found

    def seen(self, j: int, levels: int, pairs: Floats | None = None) -> Floats:
        """Return how many pairs are at each level of comparison j, or how many of `pairs`."""
        level = self.levels[:, j]
        present = level >= 0
        weights = (self.counts if pairs is None else pairs)[present]
        return np.bincount(level[present], weights=weights, minlength=levels).astype(np.float64)

    @property
    def all_pairs(self) -> float:
        """The number of pairs of records, blocked or not."""
        return self.records * (self.records - 1) / 2


@dataclass(frozen=True, slots=True)
class Classes:
    """The fitted model: for each comparison one probability a level; rates among all pairs of records."""

    m: tuple[Floats, ...]
    u: tuple[Floats, ...]
    h: tuple[Floats, ...]
    person_rate: float
    household_rate: float  # 0.0: two classes fit


def fit(
    vectors: Vectors,
    comparisons: Sequence[Comparison],
    random_u: Sequence[Floats],
) -> Classes:
    """Return the classes that explain the vectors of the blocked pairs best.

    `random_u` are level shares among random pairs of records (some of them matches, which is put right
    here). Deterministic.
    """
    if not _checked(vectors):
        return _fit(vectors, comparisons, random_u, households=False)
    three = _fit(vectors, comparisons, random_u, households=True)
    if not _shows_households(three, comparisons):
        return _fit(vectors, comparisons, random_u, households=False)
    return three


def _checked(vectors: Vectors) -> bool:
    """Whether the data can tell which agreement is one person's: comparisons that vary and that others check.

    Of a single one, or of some that never disagree, any division among the classes explains the pairs equally
    well, and the assumptions alone would drive the fit, round after round.
    """
    return vectors.levels.shape[1] > 1 and len(vectors.counts) > 1


def _shows_households(classes: Classes, comparisons: Sequence[Comparison]) -> bool:
    """Whether the third class is one of households: large enough, and its members share something.

    Where there are none it settles on chance agreements: spread over all levels, most of them weak.
    """
    if classes.household_rate < LEAST_HOUSEHOLDS * classes.person_rate:
        return False
    return any(
        h[0] >= LEAST_SHARED * m[0]
        for item, m, h in zip(comparisons, classes.m, classes.h, strict=True)
        if item.kind == "household" or item.unique
    )


def prior_m(levels: int) -> Floats:
    """Return what is assumed of m before any pair is seen: mostly the same, sometimes altered."""
    if levels == 2:
        return np.array([0.9, 0.1])
    return np.array([0.6, *[0.3 / (levels - 2)] * (levels - 2), 0.1])


def _fit(
    vectors: Vectors,
    comparisons: Sequence[Comparison],
    random_u: Sequence[Floats],
    *,
    households: bool,
) -> Classes:
    m = tuple(prior_m(len(item.levels)) for item in comparisons)
    u = tuple(
        _starting_u(item, share, vectors.records) for item, share in zip(comparisons, random_u, strict=True)
    )
    h = tuple(_starting_h(item, *parameters) for item, *parameters in zip(comparisons, m, u, strict=True))
    start_h = h
    rate = max(0.5 / vectors.records, 1 / vectors.all_pairs)
    classes = Classes(m, u, h, rate, rate if households else 0.0)
    for round_ in range(_ROUNDS):
        person, household, unrelated = _posteriors(vectors, classes)
        u = tuple(
            _updated_u(vectors, (j, item), random_u[j], unrelated, classes)
            for j, item in enumerate(comparisons)
        )
        updated = Classes(
            tuple(
                ordered(_updated(vectors, j, person, prior_m(len(item.levels)), FLOOR), u[j], item.levels)
                for j, item in enumerate(comparisons)
            ),
            u,
            classes.h,
            min(max(float(person.sum()), LEAST_PAIRS), vectors.all_pairs - LEAST_PAIRS) / vectors.all_pairs,
            float(household.sum()) / vectors.all_pairs if households else 0.0,
        )
        updated = replace(
            updated,
            h=tuple(
                _updated_h(vectors, (j, item), household, start_h[j], updated.u[j])
                for j, item in enumerate(comparisons)
            ),
        )
        change = abs(updated.person_rate - classes.person_rate)
        classes = updated
        if round_ >= _LEAST_ROUNDS and change < _TOLERANCE * classes.person_rate:
            break
    return classes


def _posteriors(vectors: Vectors, classes: Classes) -> tuple[Floats, Floats, Floats]:
    """Return the expected pairs of each vector in the three classes: person, household, unrelated."""
    unrelated_rate = max(1 - classes.person_rate - classes.household_rate, 0.5)
    logs = np.stack(
        [
            _log_likelihood(vectors, classes.m) + np.log(classes.person_rate),
            _log_likelihood(vectors, classes.h) + np.log(max(classes.household_rate, 1e-300)),
            _log_likelihood(vectors, classes.u) + np.log(unrelated_rate),
        ]
    )
    shares = np.exp(logs - logs.max(axis=0))
    person, household, unrelated = shares / shares.sum(axis=0) * vectors.counts
    return person, household, unrelated


def _log_likelihood(vectors: Vectors, parameters: tuple[Floats, ...]) -> Floats:
    total = np.zeros(len(vectors.counts))
    for j, share in enumerate(parameters):
        total += np.append(np.log(share), 0.0)[vectors.levels[:, j]]  # level -1, missing, adds nothing
    return total


def _updated(vectors: Vectors, j: int, pairs: Floats, prior: Floats, floor: float) -> Floats:
    seen = vectors.seen(j, len(prior), pairs)
    return _floored((seen + PSEUDO_PAIRS * prior) / (seen.sum() + PSEUDO_PAIRS), floor)


def _updated_u(
    vectors: Vectors, which: tuple[int, Comparison], share: Floats, unrelated: Floats, classes: Classes
) -> Floats:
    """Return u: the share among random pairs less the matches and households among them.

    A person's own value is so rare between strangers that random pairs show matches only. All pairs
    that share one are blocked, so it is counted there; where nothing checks it, it is shared by error alone.
    """
    j, comparison = which
    related = classes.person_rate * classes.m[j] + classes.household_rate * classes.h[j]
    u = np.maximum(share - related, 0.1 * share)
    if comparison.unique:
        accidents = ACCIDENTS * vectors.records / 2
        if not _checked(vectors):
            u[0] = accidents / vectors.all_pairs
            return np.append(u[0], (1 - u[0]) * _floored(u[1:], U_FLOOR))
        u[0] = (vectors.seen(j, len(share), unrelated)[0] + accidents) / vectors.all_pairs
        return _floored(u, 0.0)
    return _floored(u, U_FLOOR)


def _updated_h(
    vectors: Vectors, which: tuple[int, Comparison], household: Floats, start: Floats, u: Floats
) -> Floats:
    """Return h: fitted for what households share and for borrowed values, else that of strangers."""
    j, comparison = which
    if comparison.kind == "household":
        return ordered(_updated(vectors, j, household, start, FLOOR), u, comparison.levels)
    if comparison.unique:
        return ordered(_updated(vectors, j, household, start, U_FLOOR), u, comparison.levels)
    return u


def _starting_u(comparison: Comparison, share: Floats, records: int) -> Floats:
    u = share.copy()
    if comparison.unique:
        u[0] = ACCIDENTS / records
    return _floored(u, min(U_FLOOR, u[0]))


def _starting_h(comparison: Comparison, m: Floats, u: Floats) -> Floats:
    if comparison.kind == "household":
        return m
    if comparison.unique:
        h = u.copy()
        h[0] = comparison.lent
        h[[place for place, level in enumerate(comparison.levels) if level.lent]] = comparison.lent
        return _floored(h, 0.0)
    return u


def _floored(share: Floats, floor: float) -> Floats:
    kept: Floats = np.maximum(share, floor)
    return np.asarray(kept / kept.sum())
