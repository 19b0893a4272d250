"""What a backup says of itself, signed by the ledger's key, so that no part can be exchanged.

Both parts, data and keys, carry a copy: they are kept apart and may be of different moments when they are put
together again. The signing key is in the keyring, which is in neither.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from consent.errors import BackupError

MANIFEST: Final = "manifest.json"
_FORMAT: Final = "aurea-backup-1"
_DOMAIN: Final = b"aurea backup 1\n"


@dataclass(frozen=True, slots=True)
class Manifest:
    """One backup. `files` are SHA-256 by path inside the backup, `data/...` or `keys/...`."""

    backup: str  # a random name
    home: str  # whose keyring it is
    made_at: int  # ms since the epoch, UTC
    epoch: int  # the key epoch that seals the part `keys`
    schema: Mapping[str, str]
    ledger_size: int
    checkpoint: str  # of that size, signed
    program: str
    files: Mapping[str, str]

    def of_part(self, part: str) -> dict[str, str]:
        """Return the files of one part and their hashes, by the path inside it."""
        return {
            path.removeprefix(f"{part}/"): hash_
            for path, hash_ in self.files.items()
            if path.startswith(f"{part}/")
        }


def encode(manifest: Manifest, key: Ed25519PrivateKey) -> bytes:
    """Return the manifest as signed JSON."""
    said = asdict(manifest)
    signature = base64.b64encode(key.sign(_signed(said))).decode()
    return json.dumps({"format": _FORMAT, **said, "signature": signature}, indent=1).encode() + b"\n"


def read(folder: Path, key: Ed25519PublicKey) -> Manifest:
    """Return the manifest of one part. Raises BackupError if it is missing, altered or of another keyring."""
    try:
        document = json.loads((folder / MANIFEST).read_bytes())
        signature = base64.b64decode(document.pop("signature"))
        if document.pop("format") != _FORMAT:
            raise BackupError(f"{folder} is a backup of another format: use the release that made it")
        key.verify(signature, _signed(document))
        return Manifest(**document)
    except OSError:
        raise BackupError(f"there is no complete backup at {folder}: it has no {MANIFEST}") from None
    except InvalidSignature:
        raise BackupError(
            f"the manifest at {folder} is altered, or the keyring is not that of the home it was made of"
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise BackupError(f"the manifest at {folder} is damaged") from None


def hash_of(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_part(manifest: Manifest, folder: Path, part: str) -> None:
    """Compare a part with the manifest. Raises BackupError for a file that is missing or altered."""
    for path, wanted in manifest.of_part(part).items():
        try:
            found = hash_of(folder / path)
        except OSError:
            raise BackupError(f"{folder / path} is missing or cannot be read") from None
        if found != wanted:
            raise BackupError(f"{folder / path} is not the file that was backed up")


def _signed(document: Mapping[str, object]) -> bytes:
    return _DOMAIN + json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
