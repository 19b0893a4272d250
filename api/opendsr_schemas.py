"""OpenDSR 2.0 on the wire (github.com/opengdpr/OpenDSR, specification.md)."""

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from api.schemas import MAX_IDENTIFIERS, Text, Time
from consent.opendsr import IDENTITIES, Format, RequestKind, Status

MOST_CALLBACKS: Final = 8
SubjectRequestId = Annotated[
    str,
    Field(
        pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$",
        description="A UUID v4 in lower case, made by the controller",
    ),
]


class IdentityIn(BaseModel):
    """An identity of the data subject."""

    model_config = ConfigDict(hide_input_in_errors=True)

    identity_type: str
    identity_value: Text
    identity_format: Format

    @field_validator("identity_type")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in IDENTITIES:
            raise ValueError("is not supported: see the discovery")
        return value


class OpenDsrIn(BaseModel):
    """A request. Fields that this processor does not know are ignored, as extensions are."""

    model_config = ConfigDict(hide_input_in_errors=True)

    regulation: Literal["gdpr", "ccpa"]
    subject_request_id: SubjectRequestId
    subject_request_type: RequestKind
    submitted_time: Time
    subject_identities: list[IdentityIn] = Field(min_length=1, max_length=MAX_IDENTIFIERS)
    api_version: str = Field(default="2.0", pattern=r"^2(\.[0-9]{1,3})?$")
    status_callback_urls: list[Annotated[str, Field(max_length=2048)]] = Field(
        default_factory=list, max_length=MOST_CALLBACKS
    )
    extensions: dict[str, Any] | None = None


class IdentityOut(BaseModel):
    """An identity type that is supported, in one format."""

    identity_type: str
    identity_format: Format


class DiscoveryOut(BaseModel):
    """What this processor can do."""

    api_version: str
    supported_identities: list[IdentityOut]
    supported_subject_request_types: list[RequestKind]
    processor_certificate: str
    self_signed: bool = Field(description="True: no controller should trust it, and none is set up")


class ReceivedOut(BaseModel):
    """That a request was received (7.3)."""

    controller_id: str
    expected_completion_time: str
    received_time: str
    encoded_request: str = Field(description="The body of the request in base64; not to be stored")
    subject_request_id: str


class StatusOut(BaseModel):
    """How far a request is (8.3)."""

    controller_id: str
    expected_completion_time: str
    subject_request_id: str
    request_status: Status
    api_version: str
    results_url: str | None


class CancelledOut(BaseModel):
    """That a request was cancelled (9.2)."""

    controller_id: str
    received_time: str
    subject_request_id: str
    api_version: str
