"""Blind indexes: keyed hashes by which a value can be found without being stored (pure).

`HMAC-SHA256(K_kind, SHA-256(value))` with one key per kind and version, derived from the index root by
HKDF (RFC 5869). The inner hash lets a privacy request that names a person only by a SHA-256 be answered.
What a token reveals: that two records hold an equal value, and how many do (docs/threat-model.md). Who
holds the index root can try values one by one, so tokens live in the key store and die with their record.
"""

from hashlib import sha256
from typing import Final, NoReturn

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from consent.key_providers import SecretBytes

TOKEN_BYTES: Final = 32
BLOCK: Final = "block:"
"""Kinds that begin so are blocking keys: a collision costs one more candidate, nothing else."""
BLOCK_TOKEN_BYTES: Final = 8
MAC_BYTES: Final = 16
RECORD: Final = "record"
"""Kind of a record key, value `channel:source_id`."""


class BlindIndex:
    """Tokens of one index version. Keys are derived once per kind and stay in this object."""

    __slots__ = ("_keyed", "_root", "version")

    def __init__(self, root: SecretBytes, version: int = 1) -> None:
        self._root = root
        self._keyed: dict[str, _Keyed] = {}
        self.version = version

    def token(self, kind: str, normalised: str) -> bytes:
        """Return the token of a normalised value: 32 bytes, or 8 for blocking kinds."""
        return self.token_of_sha256(kind, sha256(normalised.encode()).digest())

    def token_of_sha256(self, kind: str, digest: bytes) -> bytes:
        """Return the token of a value known only by the SHA-256 of its normalised form."""
        keyed = self._keyed.get(kind)
        if keyed is None:
            length = BLOCK_TOKEN_BYTES if kind.startswith(BLOCK) else TOKEN_BYTES
            keyed = self._keyed[kind] = self._derive(kind, length)
        return keyed.mac(digest)

    def content_mac(self, content: bytes) -> bytes:
        """Return the 16-byte MAC by which an arriving record is seen to hold what is stored already."""
        keyed = self._keyed.get("#content")
        if keyed is None:
            keyed = self._keyed["#content"] = self._derive("#content", MAC_BYTES)
        return keyed.mac(content)

    @staticmethod
    def prefix(token: bytes) -> int:
        """Return the first 8 bytes of a token as a signed integer: what the token tables are keyed by."""
        return int.from_bytes(token[:8], "big", signed=True)

    def _derive(self, kind: str, length: int) -> "_Keyed":
        info = b"aurea blind index %d " % self.version + kind.encode()
        key = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=info).derive(self._root.reveal())
        return _Keyed(key, length)

    def __repr__(self) -> str:
        return f"<blind index version {self.version}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a blind index holds keys and is never pickled")


class _Keyed:
    """HMAC-SHA256 (RFC 2104) with both padded key blocks hashed in advance: half the time of `hmac.digest`.

    A test compares it with the standard library's HMAC.
    """

    __slots__ = ("_inner", "_length", "_outer")

    def __init__(self, key: bytes, length: int) -> None:
        block = key.ljust(64, b"\0")
        self._inner = sha256(bytes(byte ^ 0x36 for byte in block))
        self._outer = sha256(bytes(byte ^ 0x5C for byte in block))
        self._length = length

    def mac(self, message: bytes) -> bytes:
        inner = self._inner.copy()
        inner.update(message)
        outer = self._outer.copy()
        outer.update(inner.digest())
        return outer.digest()[: self._length]
