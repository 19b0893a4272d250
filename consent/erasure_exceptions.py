"""What an erasure must leave: fields that the law has kept for a time (GDPR 17(3)(b), (e)), field by field.

A purpose with the legal basis `legal_obligation` holds its attributes for its retention; a hold that an
officer declared (`consent.holds`) holds the attributes that it names, or all. A record that has
such a field has one key for all its fields, so it is kept as a whole, restricted to mere storage, until the
last of those dates; the outcome says for each field what became of it and why. Only names are read here,
which stand in clear beside what is sealed.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from consent.holds import Hold, Holds
from consent.purposes import IDENTITY_LINKING, Purpose, Purposes
from consent.retention import DAY_MS
from consent.vault import TRAITS, unpack_fields
from identity.attributes import is_standard
from identity.database import Database
from identity.statements import Statement, slices

_FIELDS: Final = Statement(
    "SELECT record_no, channel, sealed, observed_at FROM records WHERE record_no IN :record_nos"
)


@dataclass(frozen=True, slots=True)
class Kept:
    """Records that stay, and for every field of the request what becomes of it."""

    record_nos: frozenset[int]
    fields: dict[str, list[dict[str, Any]]]
    met: tuple[Hold, ...]  # the holds that keep them
    ends: dict[int, int]  # record -> when the last obligation that keeps it ends (ms), where it does


class Exceptions:
    """Finds what legal obligations and officers hold. `purpose`: under which a restriction is recorded."""

    purpose: Final = IDENTITY_LINKING

    def __init__(self, db: Database, policy: Purposes, holds: Holds) -> None:
        self._db, self._declared = db, holds
        self._holding = [each for each in policy if each.legal_basis == "legal_obligation"]

    def of(self, record_nos: Sequence[int], now: int) -> Kept:
        """Return what stays of these records; `fields` names the fields that any of them has."""
        with self._db.read() as conn:
            rows = [row for part in slices(sorted(record_nos)) for row in _FIELDS.rows(conn, record_nos=part)]
        names = {number: _names(sealed) for number, _, sealed, _ in rows}
        seen = {number: observed_at for number, *_, observed_at in rows}
        obliged = {
            number: self._obliged(channel, names[number], observed_at, now)
            for number, channel, _, observed_at in rows
        }
        declared = self._declared.by_law(record_nos, now)
        met = {
            number: [each for each in declared.get(number, ()) if _meets(each, names[number])]
            for number in names
        }
        fields: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for number in sorted(names):
            for name in names[number]:
                fields[name].append(_fate(number, name, obliged[number], met[number], seen[number]))
        kept = frozenset(number for number in names if obliged[number] or met[number])
        holds = tuple(each for held in met.values() for each in held)
        ends = {number: _last([_end(each, seen[number]) for each in obliged[number]]) for number in names}
        finite = {number: end for number, end in ends.items() if obliged[number] and end is not None}
        return Kept(kept, dict(sorted(fields.items())), holds, finite)

    def _obliged(self, channel: str, names: Sequence[str], observed_at: int, now: int) -> list[Purpose]:
        return [
            purpose
            for purpose in self._holding
            if set(purpose.attributes) & set(names)
            and (purpose.channels is None or channel in purpose.channels)
            and _stands(purpose, observed_at, now)
        ]


def _names(sealed: bytes) -> list[str]:
    """Return the attributes that a record has, and "traits" where it has any: they are sealed as one."""
    found = unpack_fields(sealed)
    return [*(name for name in found if is_standard(name)), *(["traits"] if TRAITS in found else [])]


def _meets(hold: Hold, names: Sequence[str]) -> bool:
    named = hold.names()
    return named is None or bool(set(named) & set(names))


def _fate(
    record_no: int, name: str, obliged: Sequence[Purpose], holds: Sequence[Hold], observed_at: int
) -> dict[str, Any]:
    """Return what becomes of one field of a record that `obliged` and `holds` keep, if anything does."""
    if not obliged and not holds:
        return {"record": record_no, "outcome": "erased"}
    own = [purpose for purpose in obliged if name in purpose.attributes]
    meant = [hold for hold in holds if hold.names() is None or name in (hold.names() or ())]
    because = "sealed with a field that the law keeps"
    if own:
        because = "legal obligation, GDPR 17(3)(b)"
    elif meant:
        because = f"hold declared for {meant[0].reason}, GDPR 17(3)"
    said = {"record": record_no, "outcome": "kept, restricted to storage", "because": because}
    if obliged:
        said["purposes"] = [purpose.name for purpose in (own or obliged)]
    if holds:
        said["holds"] = [hold.hold_no for hold in (meant or holds)]
    end = _last([_end(purpose, observed_at) for purpose in obliged] + [hold.until for hold in holds])
    until = None if end is None else datetime.fromtimestamp(end / 1000, UTC).date().isoformat()
    return {**said, "until": until}


def _end(purpose: Purpose, observed_at: int) -> int | None:
    """Return when a purpose lets go of a record (ms), counted as retention is; None: never."""
    return None if purpose.retention_days is None else observed_at + purpose.retention_days * DAY_MS


def _stands(purpose: Purpose, observed_at: int, now: int) -> bool:
    end = _end(purpose, observed_at)
    return end is None or now < end


def _last(ends: Sequence[int | None]) -> int | None:
    """Return the latest of several ends, None if one has no end yet, or there is none."""
    known = [end for end in ends if end is not None]
    return max(known) if known and len(known) == len(ends) else None
