"""Finding a person by identifiers: exactly one person must fit all of them.

An identifier that several people share finds nobody unless another one decides. Nothing is opened here:
values are compared as blind-index tokens, and a token counts only if it belongs to a record's present
content.
"""

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Final

from consent.blind_indexes import RECORD, BlindIndex
from consent.key_store import KeyRow, KeyStore
from consent.people import NOBODY
from consent.permission import Member
from consent.purposes import Purpose
from identity.attributes import LOOKUP_TYPES, MULTI_VALUED
from identity.database import Database
from identity.normalise import normalise_identifier
from identity.records import RecordKey
from identity.statements import Reading, Statement, slices
from identity.store import MembershipReader

IDENTIFIER_TYPES: Final = (*LOOKUP_TYPES, RECORD)
_ATTEMPTS: Final = 3

_CURRENT = Statement("SELECT record_no, key_id FROM records WHERE record_no IN :record_nos")


@dataclass(frozen=True, slots=True)
class Identifier:
    """One thing a person is known by; type `record` takes `channel:source_id`.

    `hashed`: the value is the SHA-256 of its normal form, in hexadecimal.
    """

    type: str  # one of IDENTIFIER_TYPES
    value: str = field(repr=False)
    hashed: bool = False


@dataclass(frozen=True, slots=True)
class Match:
    """The records that carry one of the identifiers asked for."""

    type: str
    record_nos: frozenset[int]


@dataclass(frozen=True, slots=True)
class Found:
    """What a lookup came to. `golden_no` is None where nobody or more than one person fits."""

    golden_no: int | None
    shared: bool  # several people fit: an identifier is shared and no other decides
    matches: tuple[Match, ...]
    people: int  # how many fit all identifiers


class Lookup:
    """Finds golden numbers by identifiers."""

    def __init__(
        self,
        *,
        db: Database,
        keys: Database,
        key_store: KeyStore,
        index: BlindIndex,
        memberships: MembershipReader,
        default_region: str | None = None,
    ) -> None:
        self._db, self._keys, self._key_store = db, keys, key_store
        self._index, self._memberships, self._region = index, memberships, default_region

    def find(self, identifiers: Sequence[Identifier]) -> Found:
        """Return the one person whom all `identifiers` fit. One that cannot be read fits nobody."""
        return self.find_each([identifiers])[0]

    def find_each(self, sought: Sequence[Sequence[Identifier]]) -> list[Found]:
        """Do the same for many at once."""
        tokens = [[self._token(identifier) for identifier in identifiers] for identifiers in sought]
        carriers, goldens = self._carriers({token for of_one in tokens for token in of_one})
        return [
            _found(
                [Match(each.type, carriers[token]) for each, token in zip(identifiers, of_one, strict=True)],
                goldens,
            )
            for identifiers, of_one in zip(sought, tokens, strict=True)
        ]

    def record(self, key: RecordKey) -> int | None:
        """Return the number of a live record by its key."""
        token = self._index.token(RECORD, f"{key.channel}:{key.source_id}")
        carriers, _ = self._carriers({token})
        return min(carriers[token], default=None)

    def token(self, identifier: Identifier) -> bytes | None:
        """Return the blind-index token of an identifier; None if it cannot be read as its type."""
        if identifier.hashed:
            return self._index.token_of_sha256(identifier.type, bytes.fromhex(identifier.value))
        if identifier.type == RECORD:
            return self._index.token(RECORD, identifier.value)
        normalised = normalise_identifier(identifier.type, identifier.value, default_region=self._region)
        return None if normalised is None else self._index.token(identifier.type, normalised)

    def form(self, name: str) -> Callable[[str], str]:
        """Return what makes two values of the attribute `name` one: of an address its normal form."""
        if name not in MULTI_VALUED:
            return str
        return lambda value: normalise_identifier(name, value, default_region=self._region) or value

    def _carriers(self, tokens: AbstractSet[bytes]) -> tuple[dict[bytes, frozenset[int]], dict[int, int]]:
        """Return the live records that carry each of `tokens`, and the golden numbers of these records.

        A record that was replaced between the two snapshots would be left out, and of two people who share
        an identifier the other one would be found alone. So then both stores are read again.
        """
        for _ in range(_ATTEMPTS):
            with self._keys.snapshot() as conn:
                rows = self._key_store.find_many(conn, tokens)
                if not any(rows.values()):
                    self._key_store.fetch(conn, [NOBODY])  # what nobody carries costs what somebody does
            with self._db.snapshot() as conn:
                live, replaced = _live(conn, [row for found in rows.values() for row in found])
                goldens = self._memberships.goldens_of(conn, sorted(live.values()) or [NOBODY])
            if not replaced:
                break  # else its key may just not be destroyed yet, and its content carries the token no more
        carriers = {
            token: frozenset(live[row.key_id] for row in found if row.key_id in live)
            for token, found in rows.items()
        }
        return carriers, goldens

    def _token(self, identifier: Identifier) -> bytes:
        # A value that cannot be read is looked up as one that nobody has: the same work as any other.
        return self.token(identifier) or self._index.token(identifier.type, "")


def _found(matches: Sequence[Match], goldens: Mapping[int, int]) -> Found:
    people = [{goldens[no] for no in match.record_nos if no in goldens} for match in matches]
    fitting = set.intersection(*people) if people else set()
    count = len(fitting)
    return Found(fitting.pop() if count == 1 else None, count > 1, tuple(matches), count)


def _live(conn: Reading, rows: Sequence[KeyRow]) -> tuple[dict[int, int], bool]:
    """Map key id -> record number for the `rows` under which a record's present content is sealed.

    And say whether the present content of a record among them is sealed under a key that is not.
    """
    current = {
        record_no: key_id
        for part in slices(sorted({row.record_no for row in rows}) or [NOBODY])
        for record_no, key_id in _CURRENT.rows(conn, record_nos=part)
    }
    live = {row.key_id: row.record_no for row in rows if current.get(row.record_no) == row.key_id}
    return live, len(live) < len(current)


def enters(matches: Sequence[Match], view: Sequence[Member], purpose: Purpose) -> bool:
    """Whether a lookup may enter the person through the records that it matched (pure).

    Every identifier must be carried by a record in the view: else a purpose could find people by what
    it may not see. Where the purpose says `entry = "verified"`, one of them must be an identifier that
    the record's channel has verified: else a stranger who signed up with a victim's e-mail could read
    the victim by it.
    """
    carriers = [[member for member in view if member.record_no in match.record_nos] for match in matches]
    if not all(carriers):
        return False
    return purpose.entry == "any" or any(
        match.type in member.verified or (match.type == RECORD and member.verified)
        for match, members in zip(matches, carriers, strict=True)
        for member in members
    )
