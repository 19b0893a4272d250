"""What goes over HTTP: request and response models. `/openapi.json` is made from these.

Requests are checked for shape here and for meaning by the packages below, which name the column at
fault. Attribute values are plain JSON on purpose: a bad value rejects its own record, not the batch.
"""

import math
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic.config import JsonValue

from consent.events import NOTICE, EvidenceType, Method, State

REFERENCE: Final = "#/components/schemas/{model}"  # where a schema of `/openapi.json` stands
MAX_RECORDS: Final = 1_000  # records per request
MAX_IDENTIFIERS: Final = 16
MAX_CHANGES: Final = 1_000

Channel = Annotated[str, Field(description="Where the record comes from: `[A-Za-z0-9_.-]{1,64}`")]
SourceId = Annotated[str, Field(description="The channel's own identifier of the record")]
NOTICE_RULE: Final = f"Version of the notice that was shown: `{NOTICE.pattern}`"
PurposeName = Annotated[str, Field(max_length=64, description="A purpose of the policy")]
Time = Annotated[str, Field(max_length=40, description="RFC 3339; without offset it is UTC")]


def _text(value: str) -> str:
    # JSON can write half a surrogate pair (\\ud800), which no store and no hash takes.
    if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
        raise ValueError("must be text")
    return value


Text = Annotated[str, AfterValidator(_text)]


def exactly_one(**kinds: str) -> ConfigDict:
    """Return the configuration of a body that names exactly one of these properties, of these JSON types."""
    ways: list[JsonValue] = [
        {"required": [name], "properties": {name: {"type": kind}}} for name, kind in kinds.items()
    ]
    return ConfigDict(extra="forbid", hide_input_in_errors=True, json_schema_extra={"oneOf": ways})


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class ProblemBody(BaseModel):
    """RFC 9457 problem. Holds nothing that was sent."""

    type: str
    title: str
    status: int
    detail: str | None = None


def _described(text: str) -> dict[str, Any]:
    return {
        "description": text,
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemBody"}}},
    }


_RETRY: Final = {
    "Retry-After": {"description": "Seconds", "schema": {"type": "integer", "minimum": 1}, "required": True}
}
_PROBLEMS: Final[dict[int, dict[str, Any]]] = {
    400: _described("The request cannot be read"),
    401: _described("No valid access token"),
    403: _described("The role or the token's purposes do not allow this; nobody was looked up"),
    404: _described("Nothing is available under that name"),
    409: _described("In conflict with the present state"),
    413: _described("The request body is too large"),
    422: _described("The request is not as documented"),
    429: _described("Too many requests, or people on one day; says nothing of anybody") | {"headers": _RETRY},
    503: _described("The service cannot answer now") | {"headers": _RETRY},
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI entries of these error answers.

    Whoever names itself may also be too fast (429), or meet a store that cannot be read (503).
    """
    of_all = {429, 503} if 401 in statuses else set()
    return {status: _PROBLEMS[status] for status in sorted({*statuses, *of_all})}


class GlobalPrivacyControl(BaseModel):
    """What browsers ask of a site: whether it honours the signal, and since when it says so."""

    gpc: bool
    lastUpdate: str  # noqa: N815 - the specification's name


class Health(BaseModel):
    """Liveness or readiness."""

    status: Literal["ok", "ready"]


class Token(BaseModel):
    """RFC 6749 access token response."""

    access_token: str
    token_type: Literal["Bearer"]
    expires_in: int = Field(description="Seconds")
    scope: str = Field(description="The purposes that the token carries, separated by spaces")


class RecordRef(_Request):
    """The key of a source record."""

    channel: Annotated[Channel, AfterValidator(_text)]
    source_id: Annotated[SourceId, AfterValidator(_text)]


class ContactRef(_Request):
    """An address to write to."""

    type: Literal["email", "phone"]
    value: Text = Field(max_length=4096)


class EvidenceIn(_Request):
    """What proves a statement. It is sealed with it and stated in its receipt; it permits nothing itself."""

    type: EvidenceType = Field(
        description="`iab_tcf`: a TC string of version 2; `guardian`: where a guardian's authority is on file"
    )
    value: Text = Field(min_length=1, max_length=4096)


class ConsentOfRecord(_Request):
    """A consent that arrives with a record, said by its channel."""

    purpose: PurposeName
    state: State
    notice: str | None = Field(default=None, description=NOTICE_RULE)
    method: Method | None = Field(default=None, description="How it was said; default `api`")
    evidence: EvidenceIn | None = None


class RecordIn(_Request):
    """A source record. The same channel and source_id again replace the whole record."""

    channel: Channel
    source_id: SourceId
    observed_at: Time | None = Field(default=None, description="When the channel last saw this; default now")
    attributes: dict[str, Any] = Field(description="Standard attributes; a value or a list of values each")
    traits: dict[str, Any] = Field(default_factory=dict, description="Anything else; never used for linking")
    verified: list[str] = Field(
        default_factory=list, description="Identifiers that this channel has verified"
    )
    consents: list[ConsentOfRecord] = Field(default_factory=list, max_length=64)

    @field_validator("attributes", "traits")
    @classmethod
    def _finite(cls, values: dict[str, Any]) -> dict[str, Any]:
        waiting: list[Any] = [values]
        while waiting:
            value = waiting.pop()
            if isinstance(value, dict):
                waiting.extend(value.values())
            elif isinstance(value, list):
                waiting.extend(value)
            elif isinstance(value, float) and not math.isfinite(value):
                raise ValueError("holds NaN or Infinity, which are no JSON")
        return values


class RecordsIn(_Request):
    """At most 1,000 records."""

    records: list[RecordIn] = Field(min_length=1, max_length=MAX_RECORDS)


class Rejection(BaseModel):
    """Where and why a record breaks the input contract; never the value."""

    column: str
    reason: str


class RecordResult(BaseModel):
    """What became of one record."""

    status: Literal["created", "updated", "unchanged", "rejected"]
    golden_id: str | None = None
    decision: Literal["new", "attached", "review"] | None = None
    linking: Literal["permitted", "not_permitted"] | None = None
    error: Rejection | None = None


class RecordsOut(BaseModel):
    """One result per record, in the order of the request."""

    results: list[RecordResult]


class DeleteIn(_Request):
    """Keys of the records to delete."""

    records: list[RecordRef] = Field(min_length=1, max_length=MAX_RECORDS)


class DeleteResult(BaseModel):
    """`deleted`: its keys are destroyed. `absent`: there was no such record."""

    status: Literal["deleted", "absent"]


class DeleteOut(BaseModel):
    """One result per record, in the order of the request."""

    results: list[DeleteResult]


class SubjectIn(_Request):
    """Whom a consent is about: exactly one of the three."""

    model_config = exactly_one(golden_id="string", record="object", contact="object")

    golden_id: Text | None = Field(default=None, max_length=128)
    record: RecordRef | None = None
    contact: ContactRef | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> "SubjectIn":
        if sum(part is not None for part in (self.golden_id, self.record, self.contact)) != 1:
            raise ValueError("name exactly one of golden_id, record, contact")
        return self


class ConsentIn(_Request):
    """A statement about one purpose."""

    subject: SubjectIn
    purpose: PurposeName
    state: State
    notice: str | None = Field(default=None, description=NOTICE_RULE)
    method: Method | None = Field(default=None, description="How it was said; default `api`")
    evidence: EvidenceIn | None = None
    event_time: Time | None = Field(default=None, description="When it was said; default now")


class ConsentOut(BaseModel):
    """The statement as recorded."""

    event: int = Field(description="Index in the consent ledger (of several: the last)")
    events: list[int] = Field(description="One for each record or contact point that it attaches to")
    recorded_at: str


class ConsentQuery(_Request):
    """What is permitted, or was by what had been recorded at `as_of`."""

    subject: SubjectIn
    purpose: PurposeName
    as_of: Time | None = None
    proof: bool = Field(default=False, description="Prove every event of the answer")


class Member(BaseModel):
    """A record of a golden ID, by its internal number."""

    record: int
    channel: str
    confidence: float
    household: str | None = Field(default=None, description="The household that this record says it is of")


class LineageStep(BaseModel):
    """How one golden ID became part of another or came out of one."""

    golden_id: str
    relation: str = Field(description="`merged_into` or `split_into`")
    other: str


class GoldenIdOut(BaseModel):
    """A golden ID as stewards and officers see it."""

    golden_id: str
    status: str = Field(description="`active`, `merged`, `split` or `erased`")
    redirect: str | None = Field(default=None, description="Merged: the survivor")
    successors: list[str] = Field(default_factory=list, description="Split: where its records went")
    lineage: list[LineageStep] = Field(default_factory=list)
    members: list[Member] | None = Field(default=None, description="Not shown to auditors")


class Change(BaseModel):
    """One change event."""

    model_config = ConfigDict(extra="allow")

    cursor: str
    type: str
    golden_id: str


class ChangesOut(BaseModel):
    """Changes in commit order; `next` is the cursor to go on with."""

    changes: list[Change]
    next: str


class CheckpointOut(BaseModel):
    """A c2sp.org/tlog-checkpoint signed note, and what it says."""

    origin: str
    size: int
    root: str = Field(description="Base64 of the RFC 6962 root")
    checkpoint: str
    verifier_key: str = Field(description="The public key in the form that witnesses configure")


class EntryProof(BaseModel):
    """That an entry is in the tree of that size (RFC 6962 2.1.1)."""

    index: int
    size: int
    leaf: str = Field(description="Base64 of the leaf: commitments only")
    hashes: list[str] = Field(description="Base64 each, leaf to root")
    checkpoint: str


class ConsistencyProof(BaseModel):
    """That the tree of size `second` extends that of size `first` (RFC 6962 2.1.2)."""

    first: int
    second: int
    hashes: list[str]


class Status(BaseModel):
    """What the console shows: counts and the last run, nothing of anyone."""

    records: int
    golden_ids: int
    ledger_size: int
    published_version: int
    last_run: dict[str, Any] | None
