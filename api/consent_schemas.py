"""What answers about consent look like over HTTP."""

from typing import Literal

from pydantic import BaseModel, Field


class ConsentReason(BaseModel):
    """Why: in words, and the ledger event it rests on, if one."""

    event: int | None
    text: str


class ConsentEventOut(BaseModel):
    """One recorded statement."""

    event: int
    purpose: str
    state: str
    method: str
    source: str
    notice: str | None
    event_time: str
    recorded_at: str
    expires_at: str | None


class RecordOutside(BaseModel):
    """A record of the golden ID that lies outside the purpose's view."""

    record: int
    confidence: float
    why: Literal["confidence", "channel", "entry"] = Field(description="What keeps it out")


class ProvenEvent(BaseModel):
    """An entry of the ledger and its audit path to the checkpoint's root."""

    index: int
    leaf: str = Field(description="Base64 of the leaf")
    hashes: list[str] = Field(description="Base64")


class ConsentProof(BaseModel):
    """That the events of an answer are in the ledger as now signed."""

    size: int
    checkpoint: str
    entries: list[ProvenEvent]


class ConsentAnswer(BaseModel):
    """The decision and everything it rests on."""

    state: str
    allowed: bool
    rule: str = Field(description="The rule of docs/purposes.md that decided")
    reasons: list[ConsentReason]
    events: list[ConsentEventOut]
    out_of_view: list[RecordOutside] | None = Field(default=None, description="Told to officers only")
    proof: ConsentProof | None = Field(default=None, description="Where it was asked for")


class RenewalOut(BaseModel):
    """A permission that ends soon: ask the person again."""

    golden_id: str
    purpose: str
    event: int = Field(description="The grant that ends: its place in the ledger")
    expires_at: str


class RenewalsOut(BaseModel):
    """What ends soon, in the order in which it was granted."""

    renewals: list[RenewalOut]
    next: int | None = Field(default=None, description="Ask with `after` for those that follow")
