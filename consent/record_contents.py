"""A valid incoming record -> what is stored of it: tokens, comparable form, sealed fields (no I/O).

All the CPU work of storing a record is here, so that worker processes can do it for a bulk writer.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

import orjson

from consent.ages import birth_fact
from consent.birth_facts import encoded
from consent.blind_indexes import RECORD, BlindIndex
from consent.incoming import IncomingRecord
from consent.key_store import KeyRow
from consent.packed_tokens import kind_code, pack_tokens
from consent.vault import BORN, COMPARABLE, SOURCE_ID, TRAITS, Vault
from identity.blocking_keys import blocking_keys
from identity.normalise import normalise
from identity.records import RecordKey

TRAIT: Final = "trait:"
"""Prefix by which a trait is asked for: a trait and an attribute of one name never meet."""

CONTACT_KINDS: Final = ("email", "phone")


class Content(NamedTuple):
    """What a record says, ready to be compared with what is stored and to be sealed."""

    record: IncomingRecord
    token: bytes  # of the record key
    tokens: bytes  # every token the record is found by, packed
    contacts: tuple[tuple[str, bytes], ...]  # (email or phone, token) of its contact points
    comparable: bytes
    mac: bytes
    unreadable: tuple[str, ...]
    birth_date: str = ""  # as it is compared: ISO, or empty

    def __repr__(self) -> str:
        return f"<content of a record of {self.record.channel}>"


class SealedContent(NamedTuple):
    """The content under a fresh data key: the key store's row and the two sealed columns of `records`."""

    key_row: KeyRow
    sealed: bytes
    comparable: bytes


@dataclass(frozen=True, slots=True)
class OpenedRecord:
    """The opened fields of one record: only those that were asked for and that it has."""

    record_no: int
    channel: str
    observed_at: int  # ms since the epoch, UTC
    verified: tuple[str, ...]
    attributes: dict[str, list[str]]
    traits: dict[str, str]
    source_id: str | None  # only when SOURCE_ID was asked for

    def __repr__(self) -> str:
        return f"<opened record {self.record_no}>"


def record_token(index: BlindIndex, key: RecordKey) -> bytes:
    """Return the token by which the record key's current content is found."""
    return index.token(RECORD, f"{key.channel}:{key.source_id}")


def content_of(record: IncomingRecord, index: BlindIndex, *, default_region: str | None) -> Content:
    """Normalise a record and derive every token it is found by."""
    attributes = record.attributes
    if record.unread:
        attributes = {name: values for name, values in attributes.items() if name not in record.unread}
    comparable = normalise(attributes, default_region=default_region)
    token = record_token(index, record.key)
    found_by = [(kind, index.token(kind, value)) for kind, value in comparable.lookup_values()]
    blocks = ((kind, index.token(kind, value)) for kind, value in blocking_keys(comparable))
    every = dict.fromkeys((kind_code(kind), each) for kind, each in ((RECORD, token), *found_by, *blocks))
    return Content(
        record=record,
        token=token,
        tokens=pack_tokens(every),
        contacts=tuple(pair for pair in found_by if pair[0] in CONTACT_KINDS),
        comparable=comparable.encode(),
        mac=index.content_mac(record.content()),
        unreadable=(*comparable.unreadable, *record.unread),
        birth_date=comparable.text("birth_date"),
    )


def seal(content: Content, vault: Vault, *, record_no: int, key_id: int, now: int) -> SealedContent:
    """Seal every field by itself under a fresh data key that only this content of this record uses."""
    key, epoch, wrapped = vault.new_key(record_no=record_no, key_id=key_id)
    row = KeyRow(key_id, record_no, epoch, wrapped, content.tokens, content.mac, now)
    return SealedContent(
        row, key.seal_fields(_fields(content, now)), key.seal(COMPARABLE, content.comparable)
    )


def field_values(plaintext: bytes) -> list[str]:
    """Undo the encoding of one sealed field: its values, one or several."""
    value = orjson.loads(plaintext)
    return value if isinstance(value, list) else [value]


def field_names(attributes: Iterable[str], traits: Iterable[str]) -> tuple[str, ...]:
    """Return the names by which attributes and traits are asked for (`sealed_records`)."""
    return (*attributes, *(TRAIT + trait for trait in traits))


def _fields(content: Content, now: int) -> dict[str, bytes]:
    record = content.record
    fields = {SOURCE_ID: orjson.dumps(record.source_id)}
    for name, values in record.attributes.items():
        fields[name] = orjson.dumps(values[0] if len(values) == 1 else values)
    if record.traits:
        fields[TRAITS] = orjson.dumps(record.traits)
    born = birth_fact(content.birth_date, now)
    if born is not None:
        fields[BORN] = encoded(born)
    return fields
