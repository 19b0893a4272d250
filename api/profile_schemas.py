"""Bodies of profile reads and lookups, of one person and of many."""

from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.config import JsonDict

from api.schemas import MAX_IDENTIFIERS, PurposeName, Text

MAX_LOOKUPS: Final = 1_000


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class Profile(BaseModel):
    """What one purpose may see of one person."""

    golden_id: str
    requested_id: str | None = Field(default=None, description="The ID asked for, where it was merged")
    purpose: str
    as_of: str
    confidence: float
    attributes: dict[str, Any]
    traits: dict[str, Any]
    withheld: dict[str, str] = Field(description="What the purpose does not include, from policy alone")
    channels: list[str]
    records: int
    household: str | None = Field(
        default=None, description="Equal for people who live together; only for purposes that are shown it"
    )


IdentifierType = Literal[
    "email",
    "phone",
    "national_id",
    "social_handle",
    "user_id",
    "loyalty_id",
    "device_id",
    "cookie_id",
    "record",
]


class Identifier(_Request):
    """One thing a person is known by; `record` takes `channel:source_id`."""

    type: IdentifierType
    value: Text = Field(min_length=1, max_length=4096)


class LookupIn(_Request):
    """Finds a person if exactly one fits all identifiers."""

    purpose: PurposeName
    identifiers: list[Identifier] = Field(min_length=1, max_length=MAX_IDENTIFIERS)


_BY_ID: Final[JsonDict] = {
    "required": ["golden_id"],
    "properties": {"golden_id": {"type": "string"}, "identifiers": {"maxItems": 0}},
}
_BY_IDENTIFIERS: Final[JsonDict] = {
    "required": ["identifiers"],
    "properties": {"golden_id": {"type": "null"}, "identifiers": {"minItems": 1}},
}


class OneLookup(_Request):
    """One person: by golden ID, or by identifiers that exactly one person fits."""

    model_config = ConfigDict(
        extra="forbid", hide_input_in_errors=True, json_schema_extra={"oneOf": [_BY_ID, _BY_IDENTIFIERS]}
    )

    golden_id: Text | None = Field(default=None, max_length=128)
    identifiers: list[Identifier] = Field(default_factory=list, max_length=MAX_IDENTIFIERS)

    @model_validator(mode="after")
    def _exactly_one(self) -> "OneLookup":
        if (self.golden_id is None) == (not self.identifiers):
            raise ValueError("name a golden_id or identifiers, and not both")
        return self


class BatchLookupIn(_Request):
    """Up to 1,000 people, for one purpose."""

    purpose: PurposeName
    lookups: list[OneLookup] = Field(min_length=1, max_length=MAX_LOOKUPS)


class LookupResult(BaseModel):
    """What the person's own request would have been answered with."""

    status: int = Field(description="200; 404: nobody to be shown; 409: split, see `successors`")
    profile: Profile | None = None
    successors: list[str] | None = Field(default=None, description="Where the records of a split ID went")


class BatchLookupOut(BaseModel):
    """A result for every lookup, in their order."""

    results: list[LookupResult]
