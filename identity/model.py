"""The trained model: comparisons, their parameters, blocking rules and thresholds. Holds no values. Pure.

Every level has three probabilities: `m` among pairs of one person, `u` among unrelated pairs and `h`
among two people of one household. The match weight of a pair is, in bits (log2 of the odds),

    weight = -log2(2 ** -against_unrelated + 2 ** -against_household)

where `against_unrelated` = prior + sum log2(m / u), adjusted by term frequency, and
`against_household` likewise with h in place of u; a model trained where no households show has no
household part.
"""

import json
from dataclasses import asdict, dataclass
from typing import Any, Final

from identity.blocking_rules import Rule
from identity.comparable import VERSION as COMPARABLE_VERSION

FORMAT: Final = 1

MATCH_THRESHOLD: Final = 0.5
"""Bits: odds of 1.4 to 1. The weight is the model's own log odds, so even odds would be the natural place;
the half bit is for precision. docs/linkage.md has the figures on both sides of it."""

REVIEW_THRESHOLD: Final = -3.0
"""Bits: odds of 1 to 8. Pairs between this and MATCH_THRESHOLD are shown to a steward, never merged."""


@dataclass(frozen=True, slots=True)
class FittedLevel:
    """One level with its parameters; `frequency` as in `identity.comparisons.Level`."""

    label: str
    condition: str
    frequency: str | None
    m: float
    u: float
    h: float


@dataclass(frozen=True, slots=True)
class FittedComparison:
    """One comparison with its parameters."""

    name: str
    kind: str
    missing: str
    levels: tuple[FittedLevel, ...]

    def repeats(self, column: str) -> float:
        """Return how often another record of a person holds the same value of `column`, a frequency's."""
        upto = [level.frequency for level in self.levels].index(column)
        return sum(level.m for level in self.levels[: upto + 1])


@dataclass(frozen=True, slots=True)
class Model:
    """Everything that scores a pair. `prior` is the log2 odds that a random pair is one person.

    `rare_frequencies` stands in, by column, for the term frequency of values too rare to be kept.
    """

    comparisons: tuple[FittedComparison, ...]
    rules: tuple[Rule, ...]
    prior: float
    household_prior: float | None  # log2 odds of one person against one household
    threshold: float
    review_threshold: float
    rare_frequencies: dict[str, float]
    records: int  # how many it was trained on
    seed: int

    def frequency_columns(self) -> tuple[str, ...]:
        """Return the columns whose term frequencies the scores use."""
        found = {level.frequency for item in self.comparisons for level in item.levels if level.frequency}
        return tuple(sorted(found))

    def repeated(self) -> float:
        """Return how many other records of its person a record has, on the average."""
        return (self.records - 1) / (1 + 2**-self.prior)

    def to_json(self) -> str:
        """Return the model as JSON; equal models give equal text."""
        return json.dumps(
            {"format": FORMAT, "comparable": COMPARABLE_VERSION, **asdict(self)}, sort_keys=True, indent=1
        )

    @classmethod
    def from_json(cls, text: str) -> "Model":
        """Return the model that `to_json` wrote. Raises ValueError for another format."""
        found: dict[str, Any] = json.loads(text)
        if (found.pop("format", None), found.pop("comparable", None)) != (FORMAT, COMPARABLE_VERSION):
            raise ValueError("the model was made for another format or comparable form; train again")
        found["comparisons"] = tuple(
            FittedComparison(**{**item, "levels": tuple(FittedLevel(**level) for level in item["levels"])})
            for item in found["comparisons"]
        )
        found["rules"] = tuple(
            Rule(**{**rule, "parts": tuple(rule["parts"]), "needs": tuple(rule["needs"])})
            for rule in found["rules"]
        )
        return cls(**found)
