"""Whole files sealed under a key of their own, which the epoch of the day wraps: parts of a backup.

The form is the STREAM construction (Hoang, Reyhanitabar, Rogaway and Vizar 2015) as age has it: pieces of
1 MiB, each sealed with AES-256-GCM under a nonce that counts them and marks the last. Counting is safe
because the key seals one file only. A piece that is altered, moved, left out or added does not open, and
neither does a file that was cut off. Associated data ties every piece to the header, and the wrap to the
home and the part.

Whoever destroys the epoch makes every file that it sealed unreadable for ever.
"""

import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from consent.errors import VaultError
from consent.key_providers import KeyProvider
from consent.keyring_file import KEY_BYTES

PIECE: Final = 1 << 20
_MAGIC: Final = b"aurea sealed file 1\n"
_TAG_BYTES: Final = 16
_HEADER_AT_MOST: Final = 4096


def seal_file(source: Path, target: Path, provider: KeyProvider, part: str) -> int:
    """Seal `source` into the new file `target` (0600) and return the epoch. Raises OSError."""
    key, epoch = secrets.token_bytes(KEY_BYTES), provider.active_epoch()
    wrapped = provider.wrap(epoch, key, _place(provider, part))
    header = _MAGIC + json.dumps({"epoch": epoch, "part": part, "wrapped": wrapped.hex()}).encode() + b"\n"
    cipher = AESGCM(key)
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as out, source.open("rb") as file:
        out.write(header)
        for number, piece, last in _pieces(file, PIECE):
            out.write(cipher.encrypt(_nonce(number, last=last), piece, header))
        out.flush()
        os.fsync(out.fileno())
    return epoch


def open_file(source: Path, target: Path, provider: KeyProvider, part: str) -> None:
    """Undo `seal_file`, into the new file `target` (0600).

    Raises KeyUnavailableError if the epoch is destroyed, VaultError for anything that is not what was sealed;
    what of the target was written is then no use.
    """
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as out, source.open("rb") as file:
        header, cipher = _header(file, provider, part)
        for number, piece, last in _pieces(file, PIECE + _TAG_BYTES):
            try:
                out.write(cipher.decrypt(_nonce(number, last=last), piece, header))
            except (InvalidTag, ValueError):
                raise VaultError(f"the sealed file of {part} is altered or cut off") from None
        out.flush()
        os.fsync(out.fileno())


def _header(file: IO[bytes], provider: KeyProvider, part: str) -> tuple[bytes, AESGCM]:
    header = file.readline(len(_MAGIC)) + file.readline(_HEADER_AT_MOST)
    try:
        said = json.loads(header.removeprefix(_MAGIC))
        epoch, wrapped = int(said["epoch"]), bytes.fromhex(said["wrapped"])
    except (ValueError, KeyError, TypeError):
        raise VaultError(f"this is no sealed file of {part}") from None
    return header, AESGCM(provider.unwrap(epoch, wrapped, _place(provider, part)))


def _pieces(file: IO[bytes], size: int) -> Iterator[tuple[int, bytes, bool]]:
    """Yield number, piece, and whether it is the last; an empty file has one piece."""
    number, piece = 0, file.read(size)
    while following := file.read(size):
        yield number, piece, False
        number, piece = number + 1, following
    yield number, piece, True


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([last])


def _place(provider: KeyProvider, part: str) -> bytes:
    return _MAGIC + provider.home_id.to_bytes(8, "big") + part.encode()
