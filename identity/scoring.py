"""The engine behind a run's scores: opened locked down, used once, closed with everything it held."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from identity.canaries import CanaryFigures
from identity.canary_scoring import measure, shapes_of
from identity.engine import open_engine
from identity.linking import ScoredPairs, score
from identity.model import Model
from identity.model_store import Frequency
from identity.records import OpenedBatch

FrequencyToken = Callable[[str, str], bytes]
"""Keyed hash of a column's value: what may be kept of a frequent name outside the run."""


@dataclass(frozen=True, slots=True)
class Scores:
    """What a run needs: the pairs with their model, and the frequencies to keep if it was trained now.

    `canaries`: how well planted people were told apart (`identity.canaries`).
    """

    scored: ScoredPairs
    frequencies: list[Frequency]
    canaries: CanaryFigures | None = None


@dataclass(frozen=True, slots=True)
class EngineScorer:
    """Scores with DuckDB and Splink on this machine."""

    seed: int
    token: FrequencyToken
    threads: int | None = None
    memory_limit: str | None = None
    spill_dir: Path | None = None

    def __call__(self, batches: Iterable[OpenedBatch], model: Model | None) -> Scores:
        """Score the opened records with `model`, or with one trained on them."""
        kept: list[Frequency] = []

        def keep(column: str, value: str, frequency: float) -> None:
            kept.append((column, self.token(column, value), frequency))

        engine = open_engine(threads=self.threads, memory_limit=self.memory_limit, spill_dir=self.spill_dir)
        try:
            scored = score(
                batches,
                engine=engine,
                model=model,
                seed=self.seed,
                on_frequency=keep if model is None else None,
            )
            shapes = shapes_of(engine)
        finally:
            engine.close()
        return Scores(scored, kept, measure(scored.model, shapes))
