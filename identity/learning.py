"""No model yet: the blocked pairs are compared, and a model is learnt from how they compare."""

import math
from dataclasses import dataclass, replace
from typing import Final

from identity import training
from identity.blocking_rules import Rule
from identity.comparison import Comparison
from identity.engine import Engine
from identity.errors import NoModelError
from identity.frequencies import COMMON
from identity.model import MATCH_THRESHOLD, REVIEW_THRESHOLD, Model
from identity.profile import Profile
from identity.sampling import picked_sql
from identity.splink_bridge import compare

COMPARED_AT_ONCE: Final = 20_000_000
"""Pairs whose levels are kept while a model is trained on them, about 60 bytes each. Of more a sample by hash
trains; then all are compared, and those near the threshold are kept."""


@dataclass(frozen=True, slots=True)
class Compared:
    """A table of compared pairs (`splink_bridge.compare`), and which share of the blocked pairs it holds."""

    table: str
    share: float

    @property
    def is_all(self) -> bool:
        """Whether every blocked pair was compared."""
        return self.share == 1


def compared(engine: Engine, chosen: tuple[Comparison, ...], pairs: int, seed: int) -> Compared:
    """Compare the table `pairs`, which holds as many rows, or a sample of it. Raises NoModelError."""
    if not chosen:
        raise NoModelError(_NOTHING)
    share = min(1.0, COMPARED_AT_ONCE / max(pairs, 1))
    if share == 1:
        return Compared(compare(engine, chosen, "pairs"), share)
    engine.execute(_SAMPLE.format(picked_sql("join_key_l", "join_key_r", share=share, seed=seed)))
    table = compare(engine, chosen, "sampled_pairs")
    engine.execute("DROP TABLE sampled_pairs")
    return Compared(table, share)


_NOTHING: Final = "nothing to train on: the records hold no two values that could be compared"

_SAMPLE: Final = """
CREATE OR REPLACE TABLE sampled_pairs AS
SELECT match_key, join_key_l, join_key_r FROM pairs
WHERE {0}
"""


def learn(
    engine: Engine,
    chosen: tuple[Comparison, ...],
    rules: tuple[Rule, ...],
    profile: Profile,
    sample: Compared,
    *,
    seed: int,
) -> Model:
    """Return the model of these records. Drops the sample if it is not all. Raises NoModelError."""
    if profile.records < 2:
        raise NoModelError(_NOTHING)
    vectors = training.count_vectors(
        engine, chosen, sample.table, share=sample.share, records=profile.records
    )
    if not sample.is_all:
        engine.execute(f"DROP TABLE {sample.table}")
    classes = training.train(engine, chosen, profile, vectors, seed=seed)
    has_households = classes.household_rate > 0
    model = Model(
        comparisons=training.fitted(chosen, classes),
        rules=rules,
        prior=_bits(classes.person_rate, 1 - classes.person_rate),
        household_prior=_bits(classes.person_rate, classes.household_rate) if has_households else None,
        threshold=MATCH_THRESHOLD,
        review_threshold=REVIEW_THRESHOLD,
        rare_frequencies={},
        records=profile.records,
        seed=seed,
    )
    rare = {column: _rare_frequency(engine, column) for column in model.frequency_columns()}
    return replace(model, rare_frequencies=rare)


def _bits(numerator: float, denominator: float) -> float:
    return round(math.log2(numerator / denominator), 9)


_RARE: Final = """
SELECT sum(share * share) / sum(share) FROM (
    SELECT count(*) / (SELECT count({0}) FROM records) AS share, count(*) AS holders
    FROM records WHERE {0} IS NOT NULL GROUP BY {0}
) WHERE holders < ?
"""


def _rare_frequency(engine: Engine, column: str) -> float:
    """Return the term frequency that an average record with a rare value has."""
    (share,) = engine.execute(_RARE.format(column), [COMMON]).fetchone() or (None,)
    return round(float(share), 12) if share else COMMON / 2
