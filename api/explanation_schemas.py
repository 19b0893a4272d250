"""What explanations look like over HTTP and in `--json`: record numbers, levels and bits, never a value."""

import math
from collections.abc import Iterable
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from api.schemas import RecordRef, exactly_one
from identity.explanation import Decision, Refusal, Waterfall
from identity.link_graph import Cohesion, Edge, Joint


class RecordRefIn(BaseModel):
    """A record, by its key or by the number that reports and the review queue use."""

    model_config = exactly_one(record="object", number="integer")

    record: RecordRef | None = None
    number: int | None = Field(default=None, ge=1, lt=2**63)

    @model_validator(mode="after")
    def _one_name(self) -> Self:
        if (self.record is None) == (self.number is None):
            raise ValueError("name exactly one of record, number")
        return self


class ExplanationIn(BaseModel):
    """Two records of which to explain why they are, or are not, one person."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    first: RecordRefIn
    second: RecordRefIn


class StepOut(BaseModel):
    """What one comparison adds, in bits."""

    comparison: str
    level: str | None = Field(description="None: one of the two has no value")
    weight: float = Field(description="Against strangers, term frequency included")
    term_frequency: float = Field(description="The part of it that comes from how common the value is")
    household: float | None = Field(description="Against a household; None under a model without them")


class WaterfallOut(BaseModel):
    """prior + the steps' weights + households + rarity = match_weight, in bits (log2 of the odds)."""

    prior: float = Field(description="Before anything is compared")
    steps: list[StepOut]
    against_strangers: float = Field(description="prior + the steps' weights")
    household_prior: float | None
    against_household: float | None = Field(description="household_prior + the steps' household bits")
    households: float | None = Field(description="What it costs that a household may agree as much")
    rarity: float = Field(description="Correction to the stored weight: how rare the values were in the run")
    match_weight: float
    probability: float

    @classmethod
    def of(cls, found: Waterfall) -> Self:
        """Return the waterfall in this form."""
        return cls(
            prior=found.prior,
            steps=[
                StepOut(
                    comparison=step.comparison,
                    level=step.level,
                    weight=step.weight,
                    term_frequency=step.term_frequency,
                    household=step.household,
                )
                for step in found.steps
            ],
            against_strangers=found.against_strangers,
            household_prior=found.household_prior,
            against_household=found.against_household,
            households=found.households,
            rarity=found.rarity,
            match_weight=found.match_weight,
            probability=found.probability,
        )


class LinkOut(BaseModel):
    """A link between two records. `match_weight` is None where a steward's word makes it."""

    records: list[int]
    match_weight: float | None
    judged: bool = Field(description="A steward's word makes this link")

    @classmethod
    def of(cls, edges: Iterable[Edge]) -> list[Self]:
        """Return links in this form."""
        return [
            cls(records=[a, b], match_weight=_bits(weight), judged=math.isinf(weight))
            for a, b, weight in edges
        ]


class JointOut(BaseModel):
    """A link without which the records fall into two parts, with the number of records in each."""

    records: list[int]
    match_weight: float | None = Field(description="None: a steward's word")
    parts: list[int]

    @classmethod
    def of(cls, found: Joint) -> Self:
        """Return the joint in this form."""
        return cls(records=list(found.records), match_weight=_bits(found.weight), parts=list(found.parts))


class GoldenExplanation(BaseModel):
    """What holds a golden ID together."""

    golden_id: str
    records: int
    links: int = Field(description="Scored pairs that are stored: the best 20 a record")
    tree: list[LinkOut] = Field(description="The links of the best paths, the strongest first")
    weakest: JointOut | None = Field(description="At a threshold above it the golden ID falls apart")
    bridges: list[JointOut] = Field(description="Links that no other stands in for, the weakest first")

    @classmethod
    def of(cls, golden_id: str, records: int, tree: Iterable[Edge], found: Cohesion) -> Self:
        """Return what holds a golden ID of so many records together."""
        return cls(
            golden_id=golden_id,
            records=records,
            links=found.links,
            tree=LinkOut.of(tree),
            weakest=None if found.weakest is None else JointOut.of(found.weakest),
            bridges=[JointOut.of(joint) for joint in found.bridges],
        )


class ContradictionOut(BaseModel):
    """What one comparison, on the whole, says against two golden IDs being one person."""

    comparison: str
    mean: float = Field(description="Bits of a pair of records, one from each golden ID")
    pairs: int = Field(description="That could be compared")
    cost: float = Field(description="Bits: half the mean, more the more records say so")


class GuardOut(BaseModel):
    """Why a guard holds two golden IDs apart: link + the costs come to 0 or less."""

    link: float = Field(description="Bits above the threshold")
    contradictions: list[ContradictionOut]

    @classmethod
    def of(cls, found: Refusal) -> Self:
        """Return the guard's sum in this form."""
        return cls(
            link=found.link,
            contradictions=[
                ContradictionOut(comparison=each.comparison, mean=each.mean, pairs=each.pairs, cost=each.cost)
                for each in found.contradictions
            ],
        )


class PairExplanation(BaseModel):
    """Why two records are, or are not, one person."""

    same_person: bool
    golden_ids: list[str | None] = Field(description="Of the first and of the second record")
    records: list[int]
    channels: list[str]
    decision: Decision | None = Field(description="What the match weight alone comes to")
    reasons: list[str]
    threshold: float | None = Field(description="Bits from which a pair is linked")
    review_threshold: float | None = Field(description="Bits from which a steward is asked")
    waterfall: WaterfallOut | None = Field(description="None: one may not be linked, or there is no model")
    rules: list[str] = Field(description="Blocking rules that bring the two together")
    set_aside: list[str] = Field(description="Given on both sides, once with a value that is nobody's own")
    guard: GuardOut | None = Field(description="Set where a guard holds their golden IDs apart")
    source: str | None = Field(description="A channel declared to hold no duplicates that keeps them apart")
    path: list[LinkOut] = Field(description="The best path of links that joins the two")
    golden: GoldenExplanation | None = Field(description="What holds their common golden ID together")


class PlainLinkOut(BaseModel):
    """Why two of a person's own records were joined."""

    channels: list[str]
    certainty: str
    speaks_for: list[str]
    speaks_against: list[str]


class PlainExplanation(BaseModel):
    """The logic by which a person's records were joined, for that person: no figures, no third parties."""

    golden_id: str
    records: int
    logic: str
    links: list[PlainLinkOut]


def _bits(weight: float) -> float | None:
    return None if math.isinf(weight) else weight
