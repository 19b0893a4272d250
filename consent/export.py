"""The access and portability bundles: what is held about a person, prepared for that person (GDPR 15, 20).

Nothing of it is stored: it is opened through the door, whose entry in the access log comes first, and handed
to the officer. Only the records that the officer approved are in it, and of the access log only the looks
that opened one of them: what was seen of others, also of others once joined with them, is theirs.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Protocol

from consent import access_log_reading
from consent.access_log import AccessEntry
from consent.cases import REVEALED
from consent.enforcement import Door
from consent.errors import UnknownSubjectError
from consent.events import ConsentEvent
from consent.people import People
from consent.purposes import Purpose, Purposes
from consent.record_contents import OpenedRecord
from consent.requests import Approved
from identity.records import RECTIFICATION

RIGHTS: Final = (
    ("rectification", "GDPR 16", "have wrong data corrected and incomplete data completed"),
    ("erasure", "GDPR 17", "have your data erased where the law does not require that it is kept"),
    ("restriction", "GDPR 18", "have the use of your data restricted to its mere storage"),
    ("portability", "GDPR 20", "receive the data you provided in a form that machines read"),
    ("objection", "GDPR 21", "object to a use that rests on a legitimate interest, and to all marketing"),
    ("withdrawal", "GDPR 7(3)", "withdraw a consent at any time, with effect for the future"),
    ("complaint", "GDPR 77", "complain to a data protection authority"),
)


class Receipts(Protocol):
    """Signed receipts of consent events (`consent.receipt_issuing`)."""

    def consent_receipt(self, index: int, now: int) -> dict[str, Any]:
        """Return the receipt of the event at `index`. Raises UnknownSubjectError where it is no more."""
        ...


class Exporter:
    """Prepares bundles. `explain` tells in plain words why records were joined; `name_of` names a client."""

    def __init__(
        self,
        *,
        door: Door,
        people: People,
        purposes: Purposes,
        access_log: Path,
        explain: Callable[[Sequence[int]], Mapping[str, Any]],
        name_of: Callable[[str], str],
        receipts: Receipts,
    ) -> None:
        self._door, self._people, self._purposes = door, people, purposes
        self._access_log, self._explain, self._name_of = access_log, explain, name_of
        self._receipts = receipts

    def bundle(self, approved: Approved, client: str, now: int) -> dict[str, Any]:
        """Return everything about the approved records that the request is entitled to, as JSON.

        A portability bundle holds what channels provided and the consents, not what was derived from it.
        Raises AccessLogError: then nothing was opened.
        """
        opened = self._door.disclose(approved, client, now)
        person = self._people.of_records(sorted(opened), now)
        bundle: dict[str, Any] = {
            "bundle": approved.type,
            "request": approved.request_id,
            "prepared_at": _time(now),
            "records": [_record(opened[number]) for number in sorted(opened)],
            "consents": [self._consent(event, now) for event in person.evidence.events],
        }
        if approved.type == "portability":
            return bundle
        reads = self._reads(opened)
        return bundle | {
            "attributes": _by_attribute(opened),
            "purposes": [_purpose(each) for each in self._purposes],
            "reads": [self._read(entry) for entry in reads],
            "recipients": self._recipients(reads),
            "matching": self._explain(sorted(opened)),
            "rights": [{"right": right, "law": law, "means": means} for right, law, means in RIGHTS],
        }

    def _consent(self, event: ConsentEvent, now: int) -> dict[str, Any]:
        said: dict[str, Any] = {
            "event": event.index,
            "about": "a record" if event.subject.kind == 1 else "an address",
            "purpose": event.purpose,
            "state": event.state,
            "method": event.method,
            "source": self._source(event.source),
            "notice": event.notice,
            "event_time": _time(event.event_time),
            "recorded_at": _time(event.recorded_at),
            "expires_at": None if event.expires_at is None else _time(event.expires_at),
        }
        if event.index is not None:
            try:
                said["receipt"] = self._receipts.consent_receipt(event.index, now)
            except UnknownSubjectError:
                said["receipt"] = None
            said["evidence"] = _evidence(said["receipt"])
        return said

    def _source(self, source: str) -> str:
        kind, _, name = source.partition(":")
        return f"client {self._name_of(name)}" if kind == "client" else f"channel {name}"

    def _reads(self, opened: Mapping[int, OpenedRecord]) -> list[AccessEntry]:
        """Return the looks that opened one of these records, oldest first."""
        found = [
            entry
            for entry in access_log_reading.entries(self._access_log)
            if not opened.keys().isdisjoint(entry.record_nos)
        ]
        return sorted(found, key=lambda entry: entry.time)

    def _read(self, entry: AccessEntry) -> dict[str, Any]:
        return {
            "time": _time(entry.time),
            "by": self._name_of(entry.client),
            "purpose": entry.purpose,
            "decision": entry.decision,
            "attributes": list(entry.attributes),
        }

    def _recipients(self, reads: Iterable[AccessEntry]) -> list[dict[str, Any]]:
        """Return who was shown a profile, for which purposes, how often and when last."""
        by_client: dict[str, list[AccessEntry]] = {}
        for entry in reads:
            if entry.decision == REVEALED:
                by_client.setdefault(entry.client, []).append(entry)
        return [
            {
                "recipient": self._name_of(client),
                "purposes": sorted({entry.purpose for entry in entries}),
                "times": len(entries),
                "last": _time(max(entry.time for entry in entries)),
            }
            for client, entries in sorted(by_client.items())
        ]


def _record(record: OpenedRecord) -> dict[str, Any]:
    return {
        "channel": record.channel,
        "source_id": record.source_id,
        "observed_at": _time(record.observed_at),
        "verified": list(record.verified),
        "attributes": record.attributes,
        "traits": record.traits,
    }


def _by_attribute(opened: Mapping[int, OpenedRecord]) -> dict[str, list[dict[str, Any]]]:
    """Return every attribute's and trait's distinct values, each with the channels it came from."""
    values: dict[str, dict[str, list[OpenedRecord]]] = {}
    for number in sorted(opened):
        record = opened[number]
        said = [(name, value) for name, all_ in record.attributes.items() for value in all_]
        for name, value in [*said, *record.traits.items()]:
            values.setdefault(name, {}).setdefault(value, []).append(record)
    return {
        name: [
            {
                "value": value,
                "sources": [{"channel": r.channel, "observed_at": _time(r.observed_at)} for r in records],
                "corrected": any(r.channel == RECTIFICATION for r in records),
            }
            for value, records in by_value.items()
        ]
        for name, by_value in sorted(values.items())
    }


def _purpose(purpose: Purpose) -> dict[str, Any]:
    return {
        "purpose": purpose.name,
        "title": purpose.title,
        "legal_basis": purpose.legal_basis,
        "attributes": [*purpose.attributes, *purpose.traits],
        "retention_days": purpose.retention_days,
        "notice": purpose.notice,
    }


def _time(milliseconds: int) -> str:
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def _evidence(receipt: Mapping[str, Any] | None) -> dict[str, str] | None:
    """Return what came as proof of a statement, as its receipt states it."""
    stated = (receipt or {}).get("dpv:hasConsentStatus", {}).get("dct:source")
    return None if stated is None else {"type": stated["dct:type"], "value": stated["dct:identifier"]}
