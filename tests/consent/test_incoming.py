"""The input contract: what a record may hold, and that a breach is named by column and never by value."""

from dataclasses import replace
from typing import Any

import pytest

from consent.blind_indexes import BlindIndex
from consent.errors import RecordRejectedError
from consent.incoming import IncomingConsent, IncomingRecord, validate
from consent.key_providers import SecretBytes
from consent.record_contents import content_of
from identity.attributes import LOOKUP_TYPES, STANDARD

NOW = 1_790_000_000_000
RECORD = IncomingRecord("web", "1", attributes={"first_name": ["Ana"]})


def mails(number: int) -> list[str]:
    return [f"ana{each}@example.com" for each in range(number)]


BREACHES: dict[str, tuple[dict[str, Any], str]] = {
    "255 e-mails": ({"attributes": {"email": mails(255)}}, "email"),
    "51 e-mails": ({"attributes": {"email": mails(51)}}, "email"),
    "70,000 traits": ({"traits": {f"t{each}": "x" for each in range(70_000)}}, "traits"),
    "201 traits": ({"traits": {f"t{each}": "x" for each in range(201)}}, "traits"),
    "a trait without a name": ({"traits": {"": "x"}}, "traits"),
    "a trait with a name of 129 characters": ({"traits": {"n" * 129: "x"}}, "traits"),
    "a trait with a line break in its name": ({"traits": {"a\nb": "x"}}, "traits"),
    "a trait with a C1 control in its name": ({"traits": {"a\x9bb": "x"}}, "traits"),
    "a trait whose name is no text": ({"traits": {"a\ud800": "x"}}, "traits"),
    "21 verified identifiers": ({"verified": ("email",) * 21}, "verified"),
    "the officer's word": (
        {"consents": (IncomingConsent("personalization", "granted", method="verified"),)},
        "consents",
    ),
    "a notice that is a letter": (
        {"consents": (IncomingConsent("personalization", "granted", "Ana Gómez, ana@example.com"),)},
        "consents",
    ),
    "a notice with a line break": (
        {"consents": (IncomingConsent("personalization", "granted", "web-2026\n"),)},
        "consents",
    ),
    "a notice of 65 characters": (
        {"consents": (IncomingConsent("personalization", "granted", "n" * 65),)},
        "consents",
    ),
}


@pytest.mark.parametrize("breach", BREACHES)
def test_a_breach_rejects_the_record_by_column_and_reason(breach: str) -> None:
    change, column = BREACHES[breach]
    with pytest.raises(RecordRejectedError) as rejected:
        validate(replace(RECORD, **change), NOW)
    assert rejected.value.column == column
    assert "Gómez" not in rejected.value.reason


def test_a_record_at_every_limit_is_taken_and_can_be_indexed() -> None:
    full = replace(
        RECORD,
        attributes={name: [f"+346001{each:05d}" for each in range(50)] for name in STANDARD}
        | {"email": mails(50)},
        traits={f"{each:0128d}": "x" for each in range(200)},
        verified=LOOKUP_TYPES,
        consents=(IncomingConsent("personalization", "granted", "https://example.com/n 2026_1.0"),),
    )
    validate(full, NOW)
    content = content_of(full, BlindIndex(SecretBytes(b"x" * 32)), default_region=None)
    assert len(content.contacts) == 100
