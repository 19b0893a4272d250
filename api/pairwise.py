"""Golden IDs as each client sees them: as they are, or in a form that is the client's own.

Two clients with pairwise IDs cannot join their data by golden ID. The form is AES-SIV (RFC 5297) of the
ID under a key of that client, derived from the keyring, so it is stable and stored nowhere. SIV is
deterministic on purpose and authenticates: an ID that this client was not given does not decode.
"""

import base64
import binascii
from functools import lru_cache
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from api.auth import Caller
from consent.key_providers import SecretBytes

_PREFIX: Final = "p_"
_KEY_BYTES: Final = 64  # AES-256 for the MAC and AES-256 for the encryption
_CONTEXT: Final = [b"aurea pairwise golden id 1"]


class GoldenNames:
    """Translates golden IDs at the border: `shown` on the way out, `meant` on the way in."""

    def __init__(self, root: SecretBytes) -> None:
        self._cipher = lru_cache(maxsize=1024)(lambda client_id: _cipher(root, client_id))

    def shown(self, caller: Caller, golden_id: str) -> str:
        """Return `golden_id` in the form that `caller` knows it by."""
        if not caller.pairwise:
            return golden_id
        sealed = self._cipher(caller.client_id).encrypt(golden_id.encode(), _CONTEXT)
        return _PREFIX + base64.b32encode(sealed).decode().rstrip("=").lower()

    def meant(self, caller: Caller, name: str) -> str:
        """Return the golden ID that `caller` means by `name`; an empty one, which nobody has, if none."""
        if not caller.pairwise:
            return name
        if not name.startswith(_PREFIX) or not name.isascii():
            return ""
        text = name[len(_PREFIX) :].upper()
        try:
            sealed = base64.b32decode(text + "=" * (-len(text) % 8))
            return self._cipher(caller.client_id).decrypt(sealed, _CONTEXT).decode()
        except (binascii.Error, InvalidTag, ValueError):
            return ""


def _cipher(root: SecretBytes, client_id: str) -> AESSIV:
    info = b"aurea pairwise " + client_id.encode()
    return AESSIV(
        HKDF(algorithm=hashes.SHA256(), length=_KEY_BYTES, salt=None, info=info).derive(root.reveal())
    )
