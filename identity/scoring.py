"""The engine behind a run's scores: opened locked down, used once, closed with everything it held."""

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Self

from identity.canaries import CanaryFigures
from identity.canary_scoring import measure, shapes_of
from identity.clustering import Pairs
from identity.engine import Engine, open_engine
from identity.household_pairs import household_pairs
from identity.linking import ScoredPairs, score
from identity.model import Model
from identity.model_store import Frequency
from identity.records import OpenedBatch

FrequencyToken = Callable[[str, str], bytes]
"""Keyed hash of a column's value: what may be kept of a frequent name outside the run."""


@dataclass(frozen=True, slots=True)
class Aside:
    """What a run needs to know only after it has clustered: who lives together, and how planted people fared.

    `households`: see `identity.household_pairs`; no evidence for a person. `canaries`: `identity.canaries`.
    """

    households: Pairs
    canaries: CanaryFigures | None


@dataclass(frozen=True, slots=True)
class Scores:
    """What a run needs: the pairs with their model, and the frequencies to keep for the online path."""

    scored: ScoredPairs
    frequencies: list[Frequency]
    aside: Future[Aside] | None = None

    @property
    def households(self) -> Pairs | None:
        """Pairs of one household, once they are found. Raises what went wrong when they were looked for."""
        return None if self.aside is None else self.aside.result().households

    @property
    def canaries(self) -> CanaryFigures | None:
        """How well planted people were told apart, once it is measured. Raises as `households` does."""
        return None if self.aside is None else self.aside.result().canaries


@dataclass(frozen=True, slots=True)
class EngineScorer:
    """Scores in an engine that `opened` opens: by default DuckDB's, on this machine.

    The engine goes on with what is needed later while its caller clusters. Used as a context: at its end the
    engine, and what it held, is gone, whatever happened.
    """

    seed: int
    token: FrequencyToken
    opened: Callable[[], Engine] = open_engine
    _aside: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1), init=False, repr=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._aside.shutdown(wait=True)

    def __call__(self, batches: Iterable[OpenedBatch], model: Model | None) -> Scores:
        """Score the opened records with `model`, or with one trained on them."""
        kept: list[Frequency] = []

        def keep(column: str, value: str, frequency: float) -> None:
            kept.append((column, self.token(column, value), frequency))

        engine = self.opened()
        try:
            scored = score(
                batches,
                engine=engine,
                model=model,
                seed=self.seed,
                on_frequency=keep,
            )
        except BaseException:
            engine.close()
            raise
        return Scores(scored, kept, self._aside.submit(_aside, engine, scored.model))


def _aside(engine: Engine, model: Model) -> Aside:
    """Look into the records once more, and close the engine."""
    try:
        shapes = shapes_of(engine)
        households = household_pairs(engine, model)
    finally:
        engine.close()
    return Aside(households, measure(model, shapes))
