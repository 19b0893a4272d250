"""What one consent event becomes in the ledger: a leaf that commits to it, and a sealed payload.

The leaf is canonical JSON (RFC 8785). It names the subject only by a tag that dies with the subject's
evidence key, and the event only by a commitment, HMAC(random salt, payload): once key, payload and salt
are gone, nothing in it can be tested against a guess. Payload and salt are sealed under the evidence key,
bound to the leaf's hash. No I/O, but the salt and nonce are random.
"""

import hmac
import json
import os
from dataclasses import replace
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final, NamedTuple

import orjson

from consent.errors import LedgerCorruptError
from consent.events import STATES, ConsentEvent, StatedEvidence
from consent.merkle import leaf_hash
from consent.vault import EvidenceKey

LEAF_VERSION: Final = 1
_SALT_BYTES: Final = 32


class PreparedEntry(NamedTuple):
    """An event ready to append. Everything expensive is done; it may cross to the writer's process."""

    event: ConsentEvent
    leaf: bytes
    leaf_hash: bytes
    sealed: bytes

    def __repr__(self) -> str:
        return f"<prepared entry {self.leaf_hash.hex()[:8]}>"


class Leaf(NamedTuple):
    """The fields of a leaf."""

    time: int
    type: str
    subject_tag: bytes
    notice: str | None
    policy: str | None
    commitment: bytes


def prepare(event: ConsentEvent, key: EvidenceKey, policy: str | None = None) -> PreparedEntry:
    """Seal an event under its subject's evidence key and compute its leaf.

    `policy` is the SHA-256 (hex) of the policy file in force. Raises ValueError for an unknown state.
    """
    if event.state not in STATES:
        raise ValueError("an event has an unknown state")
    salt = os.urandom(_SALT_BYTES)
    body = payload(event)
    commitment = hmac.digest(salt, body, "sha256").hex()
    leaf = (
        f'{{"commitment":"{commitment}","notice":{_hash_of(event.notice)},"policy":{_quoted(policy)},'
        f'"subject":"{key.subject_tag.hex()}","time":{event.recorded_at},"type":"{event.state}",'
        f'"version":{LEAF_VERSION}}}'
    ).encode()
    hash_ = leaf_hash(leaf)
    return PreparedEntry(event, leaf, hash_, key.seal(hash_, salt + body))


def payload(event: ConsentEvent) -> bytes:
    """Return the canonical JSON of everything an event says, but its index."""
    evidence = event.evidence
    return canonical(
        ({} if evidence is None else {"evidence": {"type": evidence.type, "value": evidence.value}})
        | {
            "event_time": event.event_time,
            "expires_at": event.expires_at,
            "method": event.method,
            "notice": event.notice,
            "purpose": event.purpose,
            "recorded_at": event.recorded_at,
            "source": event.source,
            "state": event.state,
            "subject": [event.subject.kind, event.subject.no],
        }
    )


def stated_evidence(body: bytes) -> StatedEvidence | None:
    """Return the evidence in a payload."""
    stated = orjson.loads(body).get("evidence")
    return None if stated is None else StatedEvidence(stated["type"], stated["value"])


def canonical(value: Any) -> bytes:
    """Return the RFC 8785 form of a value made of strings, integers below 2^53, booleans, null and lists."""
    # For these values under ASCII names orjson's form is that of RFC 8785; a test compares it with the
    # `rfc8785` package, which is fifty times slower.
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def read_leaf(leaf: bytes) -> Leaf:
    """Return the fields of a leaf. Raises LedgerCorruptError if it is not one that `prepare` writes."""
    try:
        fields = json.loads(leaf)
        tag, commitment = bytes.fromhex(fields["subject"]), bytes.fromhex(fields["commitment"])
        found = Leaf(fields["time"], fields["type"], tag, fields["notice"], fields["policy"], commitment)
        version = fields["version"]
    except (ValueError, KeyError, TypeError):
        raise LedgerCorruptError("a leaf is unreadable") from None
    if version != LEAF_VERSION or canonical(fields) != leaf:
        raise LedgerCorruptError("a leaf is not in its canonical form")
    return found


def check_payload(event: ConsentEvent, fields: Leaf, hash_: bytes, sealed: bytes, key: EvidenceKey) -> None:
    """Check that `event` is what was sealed and what the leaf with this hash commits to.

    Raises LedgerCorruptError, or VaultError if the payload does not open.
    """
    if not hmac.compare_digest(fields.subject_tag, key.subject_tag):
        raise LedgerCorruptError("the leaf is about another subject")
    opened = key.open(hash_, sealed)
    salt, body = opened[:_SALT_BYTES], opened[_SALT_BYTES:]
    if not hmac.compare_digest(hmac.digest(salt, body, "sha256"), fields.commitment):
        raise LedgerCorruptError("the payload is not what the leaf commits to")
    if body != payload(event) and body != payload(replace(event, evidence=stated_evidence(body))):
        raise LedgerCorruptError("the event's columns are not what was sealed")


def opened(
    event: ConsentEvent, fields: Leaf, leaf: bytes, sealed: bytes, key: EvidenceKey
) -> tuple[bytes, bytes]:
    """Return salt and payload of an event, checked as `check_payload` does."""
    hash_ = leaf_hash(leaf)
    check_payload(event, fields, hash_, sealed, key)
    plain = key.open(hash_, sealed)
    return plain[:_SALT_BYTES], plain[_SALT_BYTES:]


def check_columns(event: ConsentEvent, fields: Leaf) -> None:
    """Check what can be checked of an event's columns without its key. Raises LedgerCorruptError."""
    notice = None if event.notice is None else _hash_of(event.notice).strip('"')
    if (fields.time, fields.type, fields.notice) != (event.recorded_at, event.state, notice):
        raise LedgerCorruptError("the event's columns are not what the leaf says")


@lru_cache(maxsize=1024)
def _hash_of(notice: str | None) -> str:
    return "null" if notice is None else f'"{sha256(notice.encode()).hexdigest()}"'


@lru_cache(maxsize=64)
def _quoted(value: str | None) -> str:
    return canonical(value).decode()
