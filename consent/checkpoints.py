"""Signed checkpoints of the ledger: c2sp.org/tlog-checkpoint in a C2SP signed note, Ed25519 (pure).

A checkpoint that is kept where this service cannot reach it is what later catches a truncated, forked or
rolled-back ledger; the ledger by itself can only be checked against what it still holds.
"""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from consent.errors import CheckpointError
from consent.merkle import HASH_BYTES

_ED25519: Final = b"\x01"  # signature type of the signed-note format
_KEY_HASH_BYTES: Final = 4
_SIGNATURE: Final = "— "  # em dash, space
_MOST_DIGITS: Final = 20  # of a size, which has 64 bits


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The state of a ledger: its name, number of entries, and root."""

    origin: str
    size: int
    root: bytes

    def body(self) -> str:
        """Return the signed text."""
        return f"{self.origin}\n{self.size}\n{_b64(self.root)}\n"


def sign(checkpoint: Checkpoint, key: Ed25519PrivateKey) -> str:
    """Return the checkpoint as a signed note; the key's name is the origin."""
    body = checkpoint.body()
    signature = _key_hash(checkpoint.origin, key.public_key()) + key.sign(body.encode())
    return f"{body}\n{_SIGNATURE}{checkpoint.origin} {_b64(signature)}\n"


def verify(note: str, origin: str, key: Ed25519PublicKey) -> Checkpoint:
    """Return the checkpoint in a signed note, once the signature of `origin`'s key on it has been checked.

    Signatures by others (witnesses) are ignored. Raises CheckpointError.
    """
    body, blank, signatures = note.partition("\n\n")
    checkpoint = _parse(body) if blank else None
    if checkpoint is None:
        raise CheckpointError("the text is not a checkpoint")
    if checkpoint.origin != origin:
        raise CheckpointError("the checkpoint is of another ledger")
    wanted = _key_hash(origin, key)
    for line in signatures.splitlines():
        name, _, encoded = line.removeprefix(_SIGNATURE).partition(" ")
        signature = _unb64(encoded) or b""
        if line.startswith(_SIGNATURE) and name == origin and signature[:_KEY_HASH_BYTES] == wanted:
            try:
                key.verify(signature[_KEY_HASH_BYTES:], (body + "\n").encode())
            except InvalidSignature:
                break
            return checkpoint
    raise CheckpointError("the checkpoint is not signed by this ledger's key")


def verifier_key(origin: str, key: Ed25519PublicKey) -> str:
    """Return the public key in the form in which witnesses and verifiers configure it."""
    raw = _ED25519 + key.public_bytes_raw()
    return f"{origin}+{_key_hash(origin, key).hex()}+{_b64(raw)}"


def read_verifier_key(text: str) -> tuple[str, Ed25519PublicKey]:
    """Return origin and public key of what `verifier_key` gave. Raises CheckpointError."""
    origin, _, rest = text.strip().partition("+")
    hash_, _, encoded = rest.partition("+")
    raw = _unb64(encoded) or b""
    try:
        key = Ed25519PublicKey.from_public_bytes(raw[1:])
    except ValueError:
        raise CheckpointError("the text is no Ed25519 verifier key") from None
    if not origin or raw[:1] != _ED25519 or _key_hash(origin, key).hex() != hash_:
        raise CheckpointError("the text is no Ed25519 verifier key")
    return origin, key


def size_of(note: str) -> int:
    """Return the size that a checkpoint of this ledger states."""
    return int(note.split("\n", 2)[1])


def tlog_proof(index: int, proof: Sequence[bytes], note: str) -> str:
    """Return an inclusion proof with its checkpoint as one text: c2sp.org/tlog-proof."""
    lines = ["c2sp.org/tlog-proof@v1", f"index {index}", *(_b64(hash_) for hash_ in proof), ""]
    return "\n".join(lines) + "\n" + note


def _parse(body: str) -> Checkpoint | None:
    lines = body.split("\n")
    if len(lines) < 3 or not lines[0]:
        return None
    origin, size, root = lines[:3]  # further lines are extensions: signed, not understood
    hash_ = _unb64(root)
    digits = size.isascii() and size.isdigit() and len(size) <= _MOST_DIGITS
    canonical = digits and size == str(int(size))
    if not canonical or hash_ is None or len(hash_) != HASH_BYTES:
        return None
    return Checkpoint(origin, int(size), hash_)


def _key_hash(name: str, key: Ed25519PublicKey) -> bytes:
    return sha256(name.encode() + b"\n" + _ED25519 + key.public_bytes_raw()).digest()[:_KEY_HASH_BYTES]


def _b64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _unb64(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
