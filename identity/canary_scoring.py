"""Measure a run by its planted people: the run's model, an engine of their own, the run's clustering.

An engine of their own is what makes them harmless: the run's parameters, frequencies, blocks and pairs are
computed before they exist. What it costs: names are as rare among them as 200 records make them, and no
block is too large, so the figures tell one run from another rather than the truth about the file.
"""

from typing import Final

from identity.canaries import CanaryFigures, Shape, planted
from identity.clustering import cluster
from identity.comparable import COLUMNS
from identity.engine import Engine, open_engine
from identity.evaluation import evaluate
from identity.linking import score
from identity.model import Model
from identity.records import OpenedBatch

MOST_SHAPES: Final = 64  # of the commonest: the rest are records that a few share

_PATTERN: Final = " + ".join(
    f"(CASE WHEN {name} IS NULL THEN 0 ELSE {2**place} END)" for place, name in enumerate(COLUMNS)
)
_SHAPES: Final = f"""
SELECT pattern, count(*) FROM (SELECT ({_PATTERN})::BIGINT AS pattern FROM records)
GROUP BY pattern ORDER BY count(*) DESC, pattern LIMIT {MOST_SHAPES}
"""  # noqa: S608 - our columns


def shapes_of(engine: Engine) -> list[Shape]:
    """Return which columns the loaded records fill, the commonest first. Holds no values."""
    return [
        Shape(
            frozenset(name for place, name in enumerate(COLUMNS) if pattern >> place & 1),
            records,
        )
        for pattern, records in engine.execute(_SHAPES).fetchall()
    ]


def measure(model: Model, shapes: list[Shape]) -> CanaryFigures | None:
    """Score and cluster the planted people with `model`; None where no record is filled at all."""
    canaries = planted(shapes)
    if not canaries:
        return None
    numbers = [canary.record_no for canary in canaries]
    batch = OpenedBatch(
        numbers, ["canary"] * len(numbers), [canary.comparable.encode() for canary in canaries]
    )
    with open_engine(threads=1) as engine:
        scored = score([batch], engine=engine, model=model, seed=model.seed)
    clusters = cluster(numbers, scored.pairs, model.threshold)
    found = dict(zip(clusters.record_nos.tolist(), clusters.label.tolist(), strict=True))
    people = {canary.record_no: canary.person for canary in canaries}
    metrics = evaluate(found, people)
    pairwise = metrics.pairwise
    return CanaryFigures(
        len(canaries), metrics.true_entities,
        *(round(value, 4) for value in (pairwise.precision, pairwise.recall, pairwise.f1)),
    )  # fmt: skip
