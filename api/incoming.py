"""A record of a request -> the record as `consent` takes it (pure).

A value that is no text rejects its own record, by column and reason, never by value.
"""

from typing import Any

from api.ingest.values import texts_of, trait_text
from api.schemas import EvidenceIn, RecordIn
from api.times import milliseconds
from consent.events import StatedEvidence
from consent.incoming import IncomingConsent, IncomingRecord
from identity.attributes import is_standard


def incoming(record: RecordIn) -> IncomingRecord:
    """Return what `record` says; a name that is no standard attribute is a trait.

    Raises RecordRejectedError.
    """
    attributes: dict[str, list[str]] = {}
    traits: dict[str, str] = {}
    unknown: dict[str, Any] = {}
    for name, value in record.attributes.items():
        if not is_standard(name):
            unknown[name] = value
        elif values := texts_of(value, name):
            attributes[name] = values
    for name, value in (unknown | record.traits).items():
        if text := trait_text(value):
            traits[name] = text
    return IncomingRecord(
        channel=record.channel,
        source_id=record.source_id,
        observed_at=None if record.observed_at is None else milliseconds(record.observed_at, "observed_at"),
        attributes=attributes,
        traits=traits,
        verified=tuple(dict.fromkeys(record.verified)),
        consents=tuple(
            IncomingConsent(
                each.purpose,
                each.state,
                each.notice,
                each.method or "api",
                evidence=stated(each.evidence),
            )
            for each in record.consents
        ),
    )


def stated(evidence: EvidenceIn | None) -> StatedEvidence | None:
    """Return evidence as `consent` takes it."""
    return None if evidence is None else StatedEvidence(evidence.type, evidence.value)


def column_shown(name: str) -> str:
    """Return a column's name where it is one of ours; a trait's name was the caller's choice."""
    return name if is_standard(name) or name in _COLUMNS else "traits"


_COLUMNS = frozenset({"channel", "source_id", "observed_at", "verified", "consents", "traits"})
