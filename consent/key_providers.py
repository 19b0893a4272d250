"""Where the keys that open everything else come from.

A `KeyProvider` wraps data keys under the key-encryption key (KEK) of an epoch and hands out the few other
long-lived secrets. `FileKeyring` keeps them in one file (mode 0600) or in the text of an environment
variable. Whoever holds the keyring and the key store can open every record: back both up apart from the
data, and for a shorter time.
"""

import hmac
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, NoReturn, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from consent.errors import KeyringError, KeyUnavailableError, VaultError
from consent.keyring_file import (
    KEY_BYTES,
    Epoch,
    FormerTokenKey,
    KeyringCodec,
    KeyringContents,
    PlainCodec,
    locked,
    write_durably,
)

PLAIN: Final = PlainCodec()

RELOAD_SECONDS: Final = 1.0
"""How long a process may go on wrapping new keys under an epoch that another one has retired."""

NONCE_BYTES: Final = 12  # the one nonce size for which GCM needs no extra hashing (NIST SP 800-38D 8.2)


class SecretBytes:
    """Bytes that never print: not by repr, str or format, and never into a pickle."""

    __slots__ = ("_value",)

    def __init__(self, value: bytes) -> None:
        self._value = value

    def reveal(self) -> bytes:
        """Return the secret itself. Callers hand it to a primitive and keep no other copy."""
        return self._value

    def __repr__(self) -> str:
        return "<secret>"

    __str__ = __repr__

    def __format__(self, _spec: str) -> str:
        return "<secret>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is never pickled; hand a worker process FileKeyring.for_worker()")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SecretBytes) and hmac.compare_digest(self._value, other._value)

    __hash__ = None  # type: ignore[assignment]  # a secret is no dictionary key


@dataclass(frozen=True, slots=True)
class TokenKey:
    """A key of access tokens: the one that signs, or a former one that is taken `until` a time (ms)."""

    number: int
    secret: SecretBytes
    until: int | None = None


class KeyProvider(Protocol):
    """What the vault, the blind indexes, the ledger and the token issuer need from a keyring or KMS."""

    @property
    def home_id(self) -> int:
        """Which home these keys belong to: a random 63-bit number, not secret."""
        ...

    def active_epoch(self) -> int:
        """Return the epoch whose KEK wraps new data keys."""
        ...

    def epochs(self) -> dict[int, str]:
        """Return the state of every epoch that still has a KEK: `active` or `retiring`."""
        ...

    def wrap(self, epoch: int, key: bytes, aad: bytes) -> bytes:
        """Encrypt a data key under the epoch's KEK, bound to `aad`. Raises KeyUnavailableError."""
        ...

    def unwrap(self, epoch: int, wrapped: bytes, aad: bytes) -> bytes:
        """Undo `wrap`. Raises VaultError, KeyUnavailableError if the epoch's KEK is gone.

        KeyringError if the epoch is newer than the keyring, which then is not the one of today.
        """
        ...

    def index_root(self, version: int = 1) -> SecretBytes:
        """Return the root that blind indexes of this version derive their keys from."""
        ...

    def signing_key(self) -> Ed25519PrivateKey:
        """Return the key that signs ledger checkpoints and receipts."""
        ...

    def token_keys(self, *, now: bool = False) -> tuple[TokenKey, ...]:
        """Return the keys that authenticate access tokens: the one that signs, then the former ones.

        `now`: whether another process may have changed them this very moment.
        """
        ...


@dataclass(frozen=True, slots=True, repr=False)
class WorkerKeyring:
    """How a worker process gets the keyring: the file's path or, without a file, its text.

    It may be pickled into the pipe to a child process, and must go nowhere else.
    """

    path: Path | None
    text: str | None
    codec: KeyringCodec = PLAIN

    def open(self) -> "FileKeyring":
        """Return the keyring, in the process that calls this."""
        if self.path is not None:
            return FileKeyring.load(self.path, self.codec)
        return FileKeyring.from_text(self.text or "")

    def __repr__(self) -> str:
        return "<keyring for a worker>"


class FileKeyring:
    """A keyring held in one JSON file or text.

    Rotation, in whatever process, replaces the file. The others see the new epoch within RELOAD_SECONDS.
    """

    __slots__ = ("_codec", "_contents", "_keks", "_look_at", "_path", "_stamp", "_token_keys")

    def __init__(self, contents: "KeyringContents", path: Path | None, codec: KeyringCodec = PLAIN) -> None:
        self._path, self._codec = path, codec
        self._stamp = _stamp(path)
        self._look_at = time.monotonic() + RELOAD_SECONDS
        self._hold(contents)

    def _hold(self, contents: "KeyringContents") -> None:
        self._contents = contents
        self._keks = {epoch.number: AESGCM(epoch.kek) for epoch in contents.epochs}
        former = (TokenKey(key.number, SecretBytes(key.secret), key.until) for key in contents.former_tokens)
        self._token_keys = (TokenKey(contents.token_number, SecretBytes(contents.token_secret)), *former)

    def _look(self, *, now: bool = False) -> None:
        """Read the file again if it was replaced, at most every RELOAD_SECONDS unless `now`."""
        if self._path is None or (not now and time.monotonic() < self._look_at):
            return
        self._look_at = time.monotonic() + RELOAD_SECONDS
        stamp = _stamp(self._path)
        if stamp != self._stamp and stamp is not None:
            try:
                contents = self._codec.decode(_read(self._path))
            except KeyringError:
                if now:
                    raise
                return  # what is in memory goes on; the next look tries again
            self._stamp = stamp
            self._hold(contents)

    @classmethod
    def create(cls, path: Path, codec: KeyringCodec = PLAIN) -> "FileKeyring":
        """Make a fresh keyring at `path`, durably. Raises KeyringError rather than overwrite one."""
        if path.exists():
            raise KeyringError(f"a keyring exists at {path}; overwriting it would lose every record")
        contents = KeyringContents.fresh()
        write_durably(path, codec.encode(contents), exclusive=True)
        return cls(contents, path, codec)

    @classmethod
    def load(cls, path: Path, codec: KeyringCodec = PLAIN) -> "FileKeyring":
        """Read the keyring at `path`. Raises KeyringError if it is missing, open to others or damaged."""
        return cls(codec.decode(_read(path)), path, codec)

    @classmethod
    def from_text(cls, text: str) -> "FileKeyring":
        """Read a keyring from the text of a keyring file (an environment variable). Raises KeyringError."""
        return cls(KeyringContents.decode(text.encode()), None)

    def for_worker(self) -> WorkerKeyring:
        """Return what a child process needs to open this keyring itself."""
        text = None if self._path else self._contents.encode().decode()
        return WorkerKeyring(self._path, text, self._codec)

    @property
    def home_id(self) -> int:
        """Which home these keys belong to."""
        return self._contents.home_id

    def active_epoch(self) -> int:
        """Return the newest epoch: the one that wraps new keys."""
        self._look()
        return max(self._keks)

    def epochs(self) -> dict[int, str]:
        """Return the state of every epoch that still has a KEK: `active` or `retiring`."""
        self._look()
        active = self.active_epoch()
        return {number: "active" if number == active else "retiring" for number in sorted(self._keks)}

    def wrap(self, epoch: int, key: bytes, aad: bytes) -> bytes:
        """Encrypt a data key under the epoch's KEK: nonce, ciphertext, tag."""
        # A random nonce is safe here while one KEK wraps far fewer than 2^32 keys (SP 800-38D 8.3);
        # rotation starts a fresh count.
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._kek(epoch).encrypt(nonce, key, aad)

    def unwrap(self, epoch: int, wrapped: bytes, aad: bytes) -> bytes:
        """Decrypt a wrapped data key."""
        try:
            return self._kek(epoch).decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], aad)
        except (InvalidTag, ValueError):
            raise VaultError("a wrapped key does not open: wrong context or altered bytes") from None

    def index_root(self, version: int = 1) -> SecretBytes:
        """Return the root of the blind indexes of `version`. Raises KeyUnavailableError."""
        try:
            return SecretBytes(self._contents.index_roots[version])
        except KeyError:
            raise KeyUnavailableError(f"the keyring has no index root of version {version}") from None

    def signing_key(self) -> Ed25519PrivateKey:
        """Return the ledger's signing key."""
        return Ed25519PrivateKey.from_private_bytes(self._contents.ledger_seed)

    def token_keys(self, *, now: bool = False) -> tuple[TokenKey, ...]:
        """Return the keys of access tokens, the one that signs first, as they are `now` or a second ago."""
        self._look(now=now)
        return self._token_keys

    def rotate_tokens(self, now: int, overlap: int) -> "FileKeyring":
        """Sign access tokens with a fresh key; the one before is taken for `overlap` ms more, 0 for no more.

        Other processes see it within RELOAD_SECONDS.
        """
        with self._changing():
            held = self._contents
            former = FormerTokenKey(held.token_number, held.token_secret, now + overlap)
            kept = (former, *held.former_tokens) if overlap else ()
            return self._write(
                replace(
                    held,
                    token_secret=os.urandom(KEY_BYTES),
                    token_number=held.token_number + 1,
                    former_tokens=tuple(key for key in kept if key.until > now),
                )
            )

    def rotate(self) -> "FileKeyring":
        """Add an epoch with a fresh KEK; the older ones are `retiring` until destroyed."""
        with self._changing():
            newest = max(self._keks)
            return self._replaced((*self._contents.epochs, Epoch.fresh(newest + 1)))

    def destroy_epoch(self, epoch: int) -> "FileKeyring":
        """Destroy an epoch's KEK for ever. Raises KeyringError for the active or an unknown epoch."""
        with self._changing():
            if epoch not in self._keks or epoch == max(self._keks):
                raise KeyringError(f"epoch {epoch} is not a retiring epoch of this keyring")
            self._codec.renew()
            return self._replaced(tuple(e for e in self._contents.epochs if e.number != epoch))

    def forget_old_copies(self) -> None:
        """Make older copies of the file unreadable, where what keeps it can do that (Vault)."""
        self._codec.forget()

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Be the only process that changes the file, and know what it holds."""
        if self._path is None:
            raise KeyringError("a keyring given as text cannot be changed here; use a keyring file")
        with locked(self._path):
            self._look(now=True)
            yield

    def _replaced(self, epochs: "tuple[Epoch, ...]") -> "FileKeyring":
        return self._write(replace(self._contents, epochs=epochs))

    def _write(self, contents: KeyringContents) -> "FileKeyring":
        if self._path is None:
            raise AssertionError  # `_changing` refused it
        write_durably(self._path, self._codec.encode(contents), exclusive=False)
        self._stamp = _stamp(self._path)
        self._hold(contents)
        return self

    def _kek(self, epoch: int) -> AESGCM:
        if epoch not in self._keks:
            self._look(now=True)  # another process may have rotated this very moment
        try:
            return self._keks[epoch]
        except KeyError:
            self.require_as_new_as(epoch)
            raise KeyUnavailableError(f"the keyring has no key of epoch {epoch}") from None

    def require_as_new_as(self, epoch: int) -> None:
        """Raise KeyringError if `epoch` came after this keyring: it is then missing and not destroyed."""
        if epoch > max(self._keks):
            self._look(now=True)
        if epoch > max(self._keks):
            raise KeyringError(
                f"the keyring is older than the key store, which is at epoch {epoch}: put the keyring of the "
                "machine that rotated the keys in its place"
            )

    def __repr__(self) -> str:
        return f"<keyring of home {self.home_id:016x}, epochs {sorted(self._keks)}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a keyring is never pickled; hand a worker process FileKeyring.for_worker()")


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_mode & 0o077:
                raise KeyringError(f"the keyring {path} can be read by others: run chmod 600 on it")
            return file.read()
    except OSError as error:
        raise KeyringError(f"the keyring {path} cannot be read: {error.strerror}") from error


def _stamp(path: Path | None) -> tuple[int, int] | None:
    """Return what tells one keyring file from the next; None where there is none."""
    try:
        found = path.stat() if path is not None else None
    except OSError:
        return None  # what is in memory goes on; `load` says what is wrong at the next start
    return None if found is None else (found.st_ino, found.st_mtime_ns)
