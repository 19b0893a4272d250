"""The two ledger entries of an erasure: that it started, for which records, and how it ended.

A leaf has the same form as a consent event's (`consent.entries`): its subject tag is of the job's key, and
it commits to what was said by HMAC(salt, text). The text and the salt are sealed under the job's key and go
with it; the receipt carries both, so whoever has the receipt can show what the tree holds. No I/O, but the
salt and nonce are random.
"""

import hmac
import os
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from consent.entries import LEAF_VERSION, Leaf, canonical
from consent.erasure_receipt_verification import FINISHED, STARTED
from consent.errors import LedgerCorruptError
from consent.events import ERASURE
from consent.merkle import leaf_hash
from consent.vault import EvidenceKey

TYPES: Final = frozenset({STARTED, FINISHED})
_SALT_BYTES: Final = 32


class ErasureEntry(NamedTuple):
    """An entry ready to append, and the salt by which its leaf is shown to say what it says."""

    leaf: bytes
    salt: bytes
    row: tuple[Any, ...]  # as Ledger.append_rows takes it

    def __repr__(self) -> str:
        return "<entry of an erasure>"


def prepare(
    kind: str, erasure_no: int, said: Mapping[str, Any], key: EvidenceKey, *, now: int, policy: str | None
) -> ErasureEntry:
    """Seal what is said about an erasure under its job's key, and compute the leaf."""
    salt, body = os.urandom(_SALT_BYTES), canonical(said)
    leaf = canonical(
        {
            "commitment": hmac.digest(salt, body, "sha256").hex(),
            "notice": None,
            "policy": policy,
            "subject": key.subject_tag.hex(),
            "time": now,
            "type": kind,
            "version": LEAF_VERSION,
        }
    )
    hash_ = leaf_hash(leaf)
    sealed = key.seal(hash_, salt + body)
    nothing = (None,) * 4  # source, method, notice, event_time: of consent events
    return ErasureEntry(
        leaf, salt, (now, leaf, hash_, sealed, ERASURE, erasure_no, None, kind, *nothing, None)
    )


def check(fields: Leaf, state: object, hash_: bytes, sealed: bytes, key: EvidenceKey | None) -> bool:
    """Check an entry that is not shredded; whether its content could be compared with the leaf.

    Raises LedgerCorruptError, or VaultError if the payload does not open.
    """
    if state != fields.type:
        raise LedgerCorruptError("its columns are not what the leaf says")
    if key is None:
        return False
    opened = key.open(hash_, sealed)
    salt, body = opened[:_SALT_BYTES], opened[_SALT_BYTES:]
    same_subject = hmac.compare_digest(fields.subject_tag, key.subject_tag)
    if not same_subject or not hmac.compare_digest(hmac.digest(salt, body, "sha256"), fields.commitment):
        raise LedgerCorruptError("the payload is not what the leaf commits to")
    return True
