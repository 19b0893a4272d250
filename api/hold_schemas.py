"""Holds over HTTP and in `--json`: record numbers, reasons of a closed list, times."""

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from api.schemas import SubjectIn, Time
from consent.request_rules import HoldReason

MAX_HOLDS: Final = 200


class HoldIn(BaseModel):
    """What the law has kept: a record, or every record that a golden ID has now."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    subject: SubjectIn = Field(description="A record or a golden ID")
    reason: HoldReason = Field(
        description="GDPR 17(3): `obligation` (b); the others (e), or the law's own word"
    )
    until: Time | None = Field(default=None, description="When it ends by itself; default: when it is lifted")
    attributes: list[Annotated[str, Field(max_length=64)]] = Field(
        default_factory=list, max_length=64, description="Those that are meant; default all"
    )


class HoldOut(BaseModel):
    """A hold on one record."""

    hold: int
    record: int
    kind: Literal["law", "doubt"] = Field(
        description="law: must be kept; doubt: an erasure left it out, and nobody has settled whose it is"
    )
    reason: str
    attributes: list[str] | None = None
    request: str | None = Field(default=None, description="The erasure that met it")
    until: str | None = None
    declared_by: str
    declared_at: str
    lifted_by: str | None = None
    lifted_at: str | None = None


class HoldsOut(BaseModel):
    """Holds in the order in which they were declared."""

    holds: list[HoldOut]
    next: int | None = Field(default=None, description="Ask with `after` for those that follow")


class LiftedOut(BaseModel):
    """A hold that was lifted, and what erasures that had met one destroyed since."""

    hold: HoldOut
    erased: int = Field(description="Records")
