"""Data-subject requests over HTTP and in `--json`: states, dates, numbers; values only on the way in."""

from typing import Annotated, Any, Final, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from api.profile_schemas import Identifier
from api.schemas import MAX_IDENTIFIERS, PurposeName, Text, Time
from consent.request_rules import (
    DENIALS,
    EXTENSIONS,
    AskedType,
    DenialReason,
    ExtensionReason,
    RequestType,
    State,
)

MAX_REQUESTS: Final = 200
MOST_EVIDENCE: Final = 16_384  # bytes

_METHOD: Final = r"^[A-Za-z][A-Za-z_ -]{0,63}$"  # no digits: a document's number is evidence, not a method


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class RequestIn(_Request):
    """What a person asks for."""

    type: AskedType = Field(description="A right of the GDPR, or of the CCPA by its own name")
    jurisdiction: str = Field(max_length=16, description="`EU`, a country (`DE`, `DE-BY`), or `US-CA`")
    received_at: Time | None = Field(default=None, description="When it was received; default now")
    identifiers: list[Identifier] = Field(min_length=1, max_length=MAX_IDENTIFIERS)
    purposes: list[PurposeName] = Field(
        default_factory=list, max_length=64, description="Of an objection, a withdrawal or a restriction"
    )
    corrections: dict[str, Text | list[Text]] = Field(
        default_factory=dict,
        max_length=64,
        description="Of a rectification: the right values by attribute",
    )


class VerifyIn(_Request):
    """An attempt to verify the requester. Three that fail end the request."""

    method: str = Field(pattern=_METHOD, description="How, in letters: `email link`, `id_document`")
    outcome: Literal["verified", "passed", "failed"] = Field(description="`passed` is `verified`")
    evidence: Text | dict[str, Any] | None = Field(default=None, description="Kept sealed, at most 16 KiB")

    @field_validator("evidence")
    @classmethod
    def _small(cls, evidence: Any) -> Any:
        try:
            size = len(orjson.dumps(evidence))
        except orjson.JSONEncodeError:  # which is no ValueError; its message may repeat what was sent
            raise ValueError("must be text, and whole numbers of at most 64 bits") from None
        if size > MOST_EVIDENCE:
            raise ValueError("must be at most 16 KiB")
        return evidence


class DecideIn(_Request):
    """An officer's decision."""

    decision: Literal["approve", "deny", "extend", "cancel"]
    reason: DenialReason | ExtensionReason | None = Field(
        default=None,
        description="To deny, one of the Data Rights Protocol; to extend, one of GDPR 12(3)",
    )
    members: list[Annotated[int, Field(ge=1, lt=2**62)]] | None = Field(
        default=None, max_length=10_000, description="To approve: the records; default those that are certain"
    )

    @model_validator(mode="after")
    def _goes_together(self) -> "DecideIn":
        reasons = {"deny": DENIALS, "extend": EXTENSIONS}.get(self.decision, (None,))
        if self.reason not in reasons:
            known = ", ".join(str(reason) for reason in reasons if reason) or "none"
            raise ValueError(f"the reasons to {self.decision} are: {known}")
        if self.members is not None and self.decision != "approve":
            raise ValueError("members go with approve")
        return self


class FulfilIn(_Request):
    """Nothing is needed: what is done was decided."""


class SettleIn(_Request):
    """Whose a record is that an erasure left out as doubtful."""

    record: int = Field(ge=1, lt=2**62)
    outcome: Literal["theirs", "not_theirs"] = Field(
        description="`theirs`: it is erased as well; `not_theirs`: it is served again"
    )


class CandidateOut(BaseModel):
    """A record that the identifiers lead to, with the evidence that it is the requester's."""

    record: int
    channel: str
    confidence: float = Field(description="That it is the same person's as the entry; 0: nothing joins them")
    carries: list[str] = Field(description="The identifier types given that it has with the same value")
    entry: bool = Field(description="The requester was recognised by this record")
    status: Literal["certain", "doubtful", "approved"] = Field(
        description="A doubtful record is left out unless an officer approves it"
    )


class StepOut(BaseModel):
    """What was done, by whom, when."""

    step: str
    client: str
    recorded_at: str
    detail: str | None = None


class RequestOut(BaseModel):
    """A request. Holds no value of the person."""

    id: str
    type: RequestType
    asked: str
    jurisdiction: str
    state: State
    purposes: list[str]
    golden_id: str | None = Field(default=None, description="Whom the identifiers fit; none: not one person")
    received_at: str
    confirm_by: str | None = Field(default=None, description="Last day to confirm the receipt")
    due: str = Field(description="Last day to answer, or to extend with a reason")
    extended_due: str | None = Field(default=None, description="Last day to answer once extended")
    answer_by: str = Field(description="The one of the two that is in force")
    overdue: bool
    failures: int = Field(description="Verifications that failed")
    verified: bool
    approved: bool
    denial: DenialReason | None = None
    extension: ExtensionReason | None = None
    closed_at: str | None = None
    outcome: dict[str, Any] | None = None
    bundle: str | None = Field(default=None, description="Where the bundle is fetched")
    members: list[CandidateOut] | None = None
    steps: list[StepOut] | None = None


class RequestsOut(BaseModel):
    """Requests in the order in which they were opened."""

    requests: list[RequestOut]
    next: int | None = Field(default=None, description="Ask with `after` for those that follow")
