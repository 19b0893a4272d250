"""Sealing and opening: all low-level encryption of personal data is in this file.

AES-256-GCM (NIST SP 800-38D) through `cryptography`. Every key is random, seals for one record or one
subject only, and is itself wrapped under the KEK of an epoch (`consent.key_providers`). Random 96-bit
nonces are safe because one key seals a few dozen messages in its life, far below the 2^32 of SP 800-38D 8.3.

Associated data ties every ciphertext to its place. Each part is preceded by its length, so no two contexts
share an encoding. A value moved to another record, field, key, version or epoch does not open.

GCM does not commit to its key: a ciphertext can be made that opens under two keys. A wrapped key therefore
carries a check value, a hash of the data key, compared before the key is used.
"""

import hmac
import os
import struct
from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache
from hashlib import sha256
from typing import Final, NoReturn

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from consent.errors import VaultError
from consent.key_providers import NONCE_BYTES, KeyProvider
from consent.keyring_file import KEY_BYTES

COMPARABLE: Final = "#comparable"
"""Reserved field: the comparable form that linkage reads. No attribute's name begins with `#`."""
SOURCE_ID: Final = "#source_id"
"""Reserved field: the channel's own identifier of the record."""
TRAITS: Final = "#traits"
"""Reserved field: all traits of the record, names and values; names in clear could be a sender's words."""
BORN: Final = "#born"
"""Reserved field: what is kept of a birth date to decide about consent (consent.birth_facts)."""

VERSION: Final = 1
_VERSION_BYTE: Final = bytes([VERSION])
_HEADER: Final = 1 + NONCE_BYTES
_UNKNOWN_VERSION: Final = "a sealed value has an unknown version"
_NOT_OPENED: Final = "a value does not open: wrong key, wrong place or altered bytes"
_CHECK_BYTES: Final = 16  # finding another key with the same check value takes 2^128 trials


class DataKey:
    """The opened data key of one record: seals and opens that record's fields. Never prints or pickles."""

    __slots__ = ("_cipher", "_context")

    def __init__(self, key: bytes, context: bytes) -> None:
        self._cipher = AESGCM(key)
        self._context = context

    def seal(self, field: str, plaintext: bytes) -> bytes:
        """Return version, nonce, ciphertext and tag of a field's value."""
        return _seal(self._cipher, self._context + _prefixed(field), plaintext)

    def open(self, field: str, sealed: bytes) -> bytes:
        """Return the value sealed for this record under `field`. Raises VaultError; never partial bytes."""
        return _open(self._cipher, self._context + _prefixed(field), sealed)

    def open_each(self, fields: Mapping[str, bytes], names: Iterable[str]) -> dict[str, bytes]:
        """Open those of `names` that are among sealed `fields`, each as `open` would."""
        decrypt, context, opened = self._cipher.decrypt, self._context, {}
        try:
            for name in names:
                sealed = fields.get(name)
                if sealed is None:
                    continue
                if sealed[:1] != _VERSION_BYTE:
                    raise VaultError(_UNKNOWN_VERSION)
                opened[name] = decrypt(sealed[1:_HEADER], sealed[_HEADER:], context + _prefixed(name))
        except (InvalidTag, ValueError):
            raise VaultError(_NOT_OPENED) from None
        return opened

    def seal_fields(self, fields: Mapping[str, bytes]) -> bytes:
        """Return `pack_fields` of every value sealed by itself. Drawing all nonces at once saves time."""
        nonces = os.urandom(NONCE_BYTES * len(fields))
        encrypt, parts, at = self._cipher.encrypt, [_COUNT.pack(VERSION, len(fields))], 0
        for name, value in fields.items():
            nonce = nonces[at : at + NONCE_BYTES]
            at += NONCE_BYTES
            prefixed = _prefixed(name)
            ciphertext = encrypt(nonce, value, self._context + prefixed)
            lengths = _LENGTHS.pack(len(prefixed) - 4, _HEADER + len(ciphertext))
            parts += (lengths, prefixed[4:], _VERSION_BYTE, nonce, ciphertext)
        return b"".join(parts)

    def open_fields(self, packed: bytes, names: Iterable[str] | None = None) -> dict[str, bytes]:
        """Open those of `names` that are present in a packed record; without `names`, all."""
        sealed = unpack_fields(packed, None if names is None else {name.encode() for name in names})
        return self.open_each(sealed, sealed)

    def __repr__(self) -> str:
        return "<data key>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a data key is never pickled; pass the wrapped key")


class EvidenceKey:
    """The key of one subject's consent evidence: seals ledger payloads and names the subject in leaves."""

    __slots__ = ("_cipher", "_context", "subject_tag")

    def __init__(self, key: bytes, context: bytes) -> None:
        # Two derived keys, so that what the tag reveals says nothing about the sealing key.
        self._cipher = AESGCM(hmac.digest(key, b"aurea evidence seal 1", "sha256"))
        self._context = context
        self.subject_tag: bytes = hmac.digest(key, b"aurea subject tag 1" + context, "sha256")

    def seal(self, place: bytes, plaintext: bytes) -> bytes:
        """Seal evidence for `place` (for example, the leaf hash it belongs to)."""
        return _seal(self._cipher, self._context + _length_prefixed(place), plaintext)

    def open(self, place: bytes, sealed: bytes) -> bytes:
        """Open evidence sealed for `place`. Raises VaultError."""
        return _open(self._cipher, self._context + _length_prefixed(place), sealed)

    def __repr__(self) -> str:
        return "<evidence key>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("an evidence key is never pickled; pass the wrapped key")


class Vault:
    """Makes and opens data keys and evidence keys through a key provider."""

    __slots__ = ("_provider",)

    def __init__(self, provider: KeyProvider) -> None:
        self._provider = provider

    def epochs(self) -> list[int]:
        """Return every epoch whose KEK still exists."""
        return sorted(self._provider.epochs())

    def new_key(self, *, record_no: int, key_id: int) -> tuple[DataKey, int, bytes]:
        """Return a fresh data key for a record's content, its epoch, and its wrapped form."""
        key, epoch, wrapped = self._make(_DATA, record_no, key_id)
        return DataKey(key, _context(_FIELD, record_no, key_id)), epoch, wrapped

    def open_key(self, *, record_no: int, key_id: int, epoch: int, wrapped: bytes) -> DataKey:
        """Unwrap a record's data key. Raises VaultError, or KeyUnavailableError if its epoch is gone."""
        key = self._unwrap(_DATA, record_no, key_id, epoch, wrapped)
        return DataKey(key, _context(_FIELD, record_no, key_id))

    def new_evidence_key(self, kind: int, no: int) -> tuple[EvidenceKey, int, bytes]:
        """Return a fresh evidence key for a subject (kind 1 record, 2 contact), epoch and wrapped form."""
        key, epoch, wrapped = self._make(_EVIDENCE, kind, no)
        return EvidenceKey(key, _context(_PAYLOAD, kind, no)), epoch, wrapped

    def open_evidence_key(self, kind: int, no: int, epoch: int, wrapped: bytes) -> EvidenceKey:
        """Unwrap a subject's evidence key. Raises VaultError or KeyUnavailableError."""
        return EvidenceKey(self._unwrap(_EVIDENCE, kind, no, epoch, wrapped), _context(_PAYLOAD, kind, no))

    def rewrap_key(self, *, record_no: int, key_id: int, epoch: int, wrapped: bytes) -> tuple[int, bytes]:
        """Wrap a data key anew under the active epoch; no data is rewritten."""
        return self._rewrap(_DATA, record_no, key_id, epoch, wrapped)

    def rewrap_evidence_key(self, kind: int, no: int, epoch: int, wrapped: bytes) -> tuple[int, bytes]:
        """Wrap an evidence key anew under the active epoch."""
        return self._rewrap(_EVIDENCE, kind, no, epoch, wrapped)

    def _make(self, label: bytes, first: int, second: int) -> tuple[bytes, int, bytes]:
        key = os.urandom(KEY_BYTES)
        epoch = self._provider.active_epoch()
        return key, epoch, self._wrap(key, label, first, second, epoch)

    def _wrap(self, key: bytes, label: bytes, first: int, second: int, epoch: int) -> bytes:
        return _check_value(key) + self._provider.wrap(epoch, key, _wrap_context(label, first, second, epoch))

    def _unwrap(self, label: bytes, first: int, second: int, epoch: int, wrapped: bytes) -> bytes:
        aad = _wrap_context(label, first, second, epoch)
        key = self._provider.unwrap(epoch, wrapped[_CHECK_BYTES:], aad)
        if len(key) != KEY_BYTES or not hmac.compare_digest(_check_value(key), wrapped[:_CHECK_BYTES]):
            raise VaultError("a wrapped key does not match its check value")
        return key

    def _rewrap(self, label: bytes, first: int, second: int, epoch: int, wrapped: bytes) -> tuple[int, bytes]:
        key = self._unwrap(label, first, second, epoch, wrapped)
        active = self._provider.active_epoch()
        return active, self._wrap(key, label, first, second, active)


def pack_fields(sealed: Mapping[str, bytes]) -> bytes:
    """Pack sealed values with their names (names in clear): version, count, then each with its lengths."""
    parts = [_COUNT.pack(VERSION, len(sealed))]
    for name, value in sealed.items():
        encoded = name.encode()
        parts += (_LENGTHS.pack(len(encoded), len(value)), encoded, value)
    return b"".join(parts)


def unpack_fields(packed: bytes, names: Collection[bytes] | None = None) -> dict[str, bytes]:
    """Undo `pack_fields`; with `names`, return these fields only.

    Raises VaultError on anything that `pack_fields` does not write, but a field twice that was not asked for.
    """
    fields: dict[str, bytes] = {}
    seen, head, lengths = 0, _LENGTHS.size, _LENGTHS.unpack_from
    try:
        version, count = _COUNT.unpack_from(packed)
        at = _COUNT.size
        for _ in range(count):
            name_length, length = lengths(packed, at)
            start = at + head + name_length
            name = packed[at + head : start]
            at = start + length
            if names is None or name in names:
                fields[name.decode()] = packed[start:at]
                seen += 1
    except (struct.error, UnicodeDecodeError):
        raise VaultError("packed fields are damaged") from None
    if version != VERSION or at != len(packed) or len(fields) != seen:
        raise VaultError("packed fields are damaged")
    return fields


_COUNT: Final = struct.Struct(">BH")
_LENGTHS: Final = struct.Struct(">HI")

# What a ciphertext is, as the first part of its associated data.
_DATA: Final = b"aurea data key"
_EVIDENCE: Final = b"aurea evidence key"
_FIELD: Final = b"aurea field"
_PAYLOAD: Final = b"aurea evidence"

_TWO_NUMBERS: Final = struct.Struct(">IQIQ")
_THREE_NUMBERS: Final = struct.Struct(">IQIQIQ")


def _seal(cipher: AESGCM, context: bytes, plaintext: bytes) -> bytes:
    nonce = os.urandom(NONCE_BYTES)
    return _VERSION_BYTE + nonce + cipher.encrypt(nonce, plaintext, context)


def _open(cipher: AESGCM, context: bytes, sealed: bytes) -> bytes:
    if sealed[:1] != _VERSION_BYTE:
        raise VaultError(_UNKNOWN_VERSION)
    try:
        return cipher.decrypt(sealed[1:_HEADER], sealed[_HEADER:], context)
    except (InvalidTag, ValueError):
        raise VaultError(_NOT_OPENED) from None


def _length_prefixed(part: bytes) -> bytes:
    return len(part).to_bytes(4, "big") + part


@lru_cache(maxsize=4096)
def _prefixed(field: str) -> bytes:
    return _length_prefixed(field.encode())


@lru_cache(maxsize=16)
def _start(label: bytes) -> bytes:
    return _length_prefixed(label) + _length_prefixed(_VERSION_BYTE)


def _context(label: bytes, first: int, second: int) -> bytes:
    """Associated data up to the field: label, version, and the record and key (or the subject) numbers."""
    return _start(label) + _TWO_NUMBERS.pack(8, first, 8, second)


def _wrap_context(label: bytes, first: int, second: int, epoch: int) -> bytes:
    return _start(label) + _THREE_NUMBERS.pack(8, first, 8, second, 8, epoch)


def _check_value(key: bytes) -> bytes:
    # Safe to store: it is the hash of 256 random bits.
    return sha256(b"aurea key check 1" + key).digest()[:_CHECK_BYTES]
