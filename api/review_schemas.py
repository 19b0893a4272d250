"""The review queue and judgements over HTTP and in `--json`: record numbers and weights, no values."""

from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from api.explanation_schemas import RecordRefIn
from api.reasons import MOST_LETTERS, impersonal
from api.schemas import Text

MAX_REVIEWS: Final = 200
MAX_JUDGEMENTS: Final = 1_000

Reason = Annotated[
    Text,
    Field(min_length=1, max_length=MOST_LETTERS, description="Why; kept as it is, so no personal data"),
    AfterValidator(impersonal),
]
Verdict = Literal["same", "different", "unsure"]
ReviewState = Literal["open", "same", "different", "unsure"]


class JudgementIn(BaseModel):
    """A decision about two records."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    first: RecordRefIn
    second: RecordRefIn
    verdict: Verdict
    reason: Reason


class UndoIn(BaseModel):
    """Why a judgement is taken back."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    reason: Reason


class ReviewOut(BaseModel):
    """Two records whose score does not decide."""

    records: list[int]
    channels: list[str | None] = Field(description="None: the record was deleted a moment ago")
    golden_ids: list[str | None]
    match_weight: float = Field(description="Bits (log2 of the odds)")
    cause: Literal["uncertain", "guarded", "request"] = Field(
        description="uncertain: below the threshold; guarded: above it, but a guard refused to join them;"
        " request: of one golden ID, and a data-subject request needs to know whether they are one person"
    )
    state: ReviewState
    model_version: str | None
    found_at: str
    seen_at: str = Field(description="When a run or an arriving record last found the pair doubtful")


class ReviewsOut(BaseModel):
    """A page of the queue, the most likely matches first."""

    reviews: list[ReviewOut]
    next: str | None = Field(
        description="Ask with `after` for the rows that follow; null: these are the last"
    )
    count: int = Field(description="How many rows are in this state")


class ConflictReason(BaseModel):
    """One event that takes part."""

    event: int | None
    text: str


class ConflictOut(BaseModel):
    """A purpose that stays denied because a person's records contradict each other about it."""

    golden_id: str
    purpose: str
    reasons: list[ConflictReason]


class ConflictsOut(BaseModel):
    """A page of open conflicts. An officer settles one by recording the person's answer as `verified`."""

    conflicts: list[ConflictOut]
    next: int | None = Field(description="Ask with `after` for those that follow; null: these are the last")


class JudgementOut(BaseModel):
    """One decision. `standing`: it is the newest about its records, and not undone."""

    judgement: int
    records: list[int]
    verdict: Literal["same", "different", "unsure", "undone"]
    author: str
    reason: str
    recorded_at: str
    standing: bool


class JudgementsOut(BaseModel):
    """Decisions in the order in which they were made."""

    judgements: list[JudgementOut]
    next: int | None = Field(description="Ask with `after` for those that follow; null: these are the last")


class PairOut(BaseModel):
    """What is known of two records: the question, if there is one, and every decision, oldest first."""

    records: list[int]
    golden_ids: list[str | None]
    review: ReviewOut | None
    judgements: list[JudgementOut]


class DecidedOut(BaseModel):
    """What a decision led to, at once."""

    judgement: JudgementOut
    golden_ids: list[str | None] = Field(description="Of the two records now")
    same_person: bool
    in_effect: bool = Field(description="False: one of them may not be linked, or waits for its first run")
    overrides_source: str | None = Field(
        description="The channel of the two, declared to hold no duplicates, that `same` overrides"
    )
