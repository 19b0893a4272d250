"""The keyring file: its contents, its JSON form, and how it is written so that a crash loses nothing."""

import base64
import fcntl
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from consent.errors import KeyringError

KEY_BYTES: Final = 32  # AES-256, HMAC-SHA256 roots, Ed25519 seeds
_FORMAT: Final = 1


@dataclass(frozen=True, slots=True, repr=False)
class Epoch:
    """A key-encryption key and its number; the newest number is the active one."""

    number: int
    kek: bytes

    @classmethod
    def fresh(cls, number: int) -> "Epoch":
        """Return an epoch with a random KEK."""
        return cls(number, secrets.token_bytes(KEY_BYTES))


@dataclass(frozen=True, slots=True, repr=False)
class FormerTokenKey:
    """A key of access tokens that signs no more and is taken until a time."""

    number: int
    secret: bytes
    until: int  # ms since the epoch


@dataclass(frozen=True, slots=True, repr=False)
class KeyringContents:
    """What a keyring holds. No generated repr: every field but `home_id` is a secret."""

    home_id: int
    epochs: tuple[Epoch, ...]
    index_roots: Mapping[int, bytes]
    token_secret: bytes
    ledger_seed: bytes
    token_number: int = 1
    former_tokens: tuple[FormerTokenKey, ...] = ()

    @classmethod
    def fresh(cls) -> "KeyringContents":
        """Return the keys of a new home."""
        root, token, seed = (secrets.token_bytes(KEY_BYTES) for _ in range(3))
        return cls(secrets.randbits(63), (Epoch.fresh(1),), {1: root}, token, seed)

    def encode(self) -> bytes:
        """Return the keyring file's bytes."""
        newest = max(epoch.number for epoch in self.epochs)
        states = {e.number: "active" if e.number == newest else "retiring" for e in self.epochs}
        document = {
            "format": _FORMAT,
            "home": f"{self.home_id:016x}",
            "epochs": [{"id": e.number, "state": states[e.number], "kek": _b64(e.kek)} for e in self.epochs],
            "index_roots": [{"version": v, "root": _b64(r)} for v, r in sorted(self.index_roots.items())],
            "token_secret": _b64(self.token_secret),
            "ledger_key": _b64(self.ledger_seed),
            "token_number": self.token_number,
            "former_tokens": [
                {"id": t.number, "secret": _b64(t.secret), "until": t.until} for t in self.former_tokens
            ],
        }
        return json.dumps(document, indent=1).encode() + b"\n"

    @classmethod
    def decode(cls, raw: bytes) -> "KeyringContents":
        """Read a keyring file's bytes. Raises KeyringError."""
        try:
            document = json.loads(raw)
            if document["format"] != _FORMAT:
                raise KeyringError(f"this version of Aurea reads keyrings of format {_FORMAT} only")
            return cls(
                int(document["home"], 16),
                tuple(Epoch(int(e["id"]), _unb64(e["kek"])) for e in document["epochs"]),
                {int(r["version"]): _unb64(r["root"]) for r in document["index_roots"]},
                _unb64(document["token_secret"]),
                _unb64(document["ledger_key"]),
                int(document.get("token_number", 1)),  # keyrings of the first release had one, unnumbered
                tuple(
                    FormerTokenKey(int(t["id"]), _unb64(t["secret"]), int(t["until"]))
                    for t in document.get("former_tokens", ())
                ),
            )
        except (ValueError, KeyError, TypeError):
            # `from None`: a JSON error quotes the text it could not read, and that text is secret.
            raise KeyringError("the keyring is damaged: restore it from where it is backed up") from None


class KeyringCodec(Protocol):
    """How a keyring becomes a file and back. Must pickle into the pipe to a worker process."""

    def encode(self, contents: KeyringContents) -> bytes:
        """Return the file's bytes. Raises KeyringError."""
        ...

    def decode(self, raw: bytes) -> KeyringContents:
        """Undo `encode`. Raises KeyringError."""
        ...

    def renew(self) -> None:
        """Prepare to encode under something newer than before."""
        ...

    def forget(self) -> None:
        """Make what was encoded before the last `renew` unreadable, where that is possible."""
        ...


class PlainCodec:
    """The keyring as it is: whoever has the file has the keys, and old copies of it stay readable."""

    def encode(self, contents: KeyringContents) -> bytes:
        """Return the file's bytes."""
        return contents.encode()

    def decode(self, raw: bytes) -> KeyringContents:
        """Undo `encode`. Raises KeyringError."""
        return KeyringContents.decode(raw)

    def renew(self) -> None:
        """Do nothing."""

    def forget(self) -> None:
        """Do nothing: only deleting them makes old copies unreadable."""


def _b64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _unb64(text: str) -> bytes:
    value = base64.b64decode(text, validate=True)
    if len(value) != KEY_BYTES:
        raise ValueError("a key has the wrong length")
    return value


def write_durably(path: Path, content: bytes, *, exclusive: bool) -> None:
    """Write a file that is either the old one or the new one after any crash, 0600 from its first byte."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if exclusive:
            os.link(temporary, path)  # unlike a rename, a link never replaces what is there
        else:
            _replace_and_wipe(temporary, path)
    except FileExistsError:
        raise KeyringError(f"a keyring exists at {path}; overwriting it would lose every record") from None
    finally:
        temporary.unlink(missing_ok=True)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock beside a keyring file: two changes at once would lose one."""
    descriptor = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _replace_and_wipe(new: Path, path: Path) -> None:
    """Put `new` in the place of `path`, then overwrite the old bytes: a destroyed KEK was in them.

    On a copy-on-write file system or an SSD the overwriting is no proof; a keyring that must be
    destroyed provably belongs on a KMS.
    """
    with path.open("r+b") as old:
        size = os.fstat(old.fileno()).st_size
        new.replace(path)
        old.write(bytes(size))
        old.flush()
        os.fsync(old.fileno())
