"""What an erasure must leave: fields that the law has kept for a time (GDPR 17(3)(b)), field by field.

A purpose with the legal basis `legal_obligation` holds its attributes for its retention. A record that has
such a field has one key for all its fields, so it is kept as a whole, restricted to mere storage, until the
last of those dates; the outcome says for each field what became of it and why. Only names are read here,
which stand in clear beside what is sealed.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from consent.purposes import IDENTITY_LINKING, Purpose, Purposes
from consent.vault import unpack_fields
from identity.attributes import is_standard
from identity.database import Database
from identity.statements import Statement, slices

_FIELDS: Final = Statement("SELECT record_no, channel, sealed FROM records WHERE record_no IN :record_nos")


@dataclass(frozen=True, slots=True)
class Kept:
    """Records that stay, and for every field of the request what becomes of it."""

    record_nos: frozenset[int]
    fields: dict[str, list[dict[str, Any]]]


class Exceptions:
    """Finds what the policy's legal obligations hold. `purpose`: under which a restriction is recorded."""

    purpose: Final = IDENTITY_LINKING

    def __init__(self, db: Database, policy: Purposes) -> None:
        self._db = db
        self._holding = [each for each in policy if each.legal_basis == "legal_obligation"]

    def of(self, record_nos: Sequence[int], now: int) -> Kept:
        """Return what stays of these records; `fields` names the fields that any of them has."""
        with self._db.read() as conn:
            rows = [row for part in slices(sorted(record_nos)) for row in _FIELDS.rows(conn, record_nos=part)]
        names = {number: [n for n in unpack_fields(sealed) if is_standard(n)] for number, _, sealed in rows}
        holds = {number: self._holds(channel, names[number]) for number, channel, _ in rows}
        fields: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for number in sorted(names):
            for name in names[number]:
                fields[name].append(_fate(number, name, holds[number], now))
        kept = frozenset(number for number, held in holds.items() if held)
        return Kept(kept, dict(sorted(fields.items())))

    def _holds(self, channel: str, names: Sequence[str]) -> list[Purpose]:
        return [
            purpose
            for purpose in self._holding
            if set(purpose.attributes) & set(names)
            and (purpose.channels is None or channel in purpose.channels)
        ]


def _fate(record_no: int, name: str, holds: Sequence[Purpose], now: int) -> dict[str, Any]:
    if not holds:
        return {"record": record_no, "outcome": "erased"}
    own = [purpose for purpose in holds if name in purpose.attributes]
    days = [purpose.retention_days for purpose in holds]
    until = None if None in days else max(day for day in days if day is not None)
    end = None if until is None else datetime.fromtimestamp(now / 1000, UTC).date() + timedelta(days=until)
    because = "legal obligation, GDPR 17(3)(b)" if own else "sealed with a field that the law keeps"
    return {
        "record": record_no,
        "outcome": "kept, restricted to storage",
        "because": because,
        "purposes": [purpose.name for purpose in (own or holds)],
        "until": None if end is None else end.isoformat(),
    }
