"""Golden IDs, household IDs and feed cursors as a client sees them: as they are, or in a form of its own.

Two clients with pairwise IDs cannot join their data by golden ID. The form is AES-SIV (RFC 5297) of the
ID under a key of that client, derived from the keyring, so it is stable and stored nowhere. SIV is
deterministic on purpose and authenticates: an ID that this client was not given does not decode. A household
ID or a cursor of the change feed would join them as well, so they have such a form too.
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
from identity.errors import CursorError

_PREFIX: Final = "p_"
_KEY_BYTES: Final = 64  # AES-256 for the MAC and AES-256 for the encryption
_CONTEXT: Final = [b"aurea pairwise golden id 1"]
_HOUSEHOLD_PREFIX: Final = "ph_"
_HOUSEHOLD_CONTEXT: Final = [b"aurea pairwise household id 1"]
_CURSOR_PREFIX: Final = "pc_"
_CURSOR_CONTEXT: Final = [b"aurea pairwise change cursor 1"]
_CURSOR_BYTES: Final = 40  # two numbers of 64 bits and a full stop; one length for all tells nothing


class GoldenNames:
    """Translates golden IDs at the border: `shown` on the way out, `meant` on the way in."""

    def __init__(self, root: SecretBytes) -> None:
        self._cipher = lru_cache(maxsize=1024)(lambda client_id: _cipher(root, client_id))

    def shown(self, caller: Caller, golden_id: str) -> str:
        """Return `golden_id` in the form that `caller` knows it by."""
        if not caller.pairwise:
            return golden_id
        return self._sealed(caller, _PREFIX, golden_id.encode(), _CONTEXT)

    def meant(self, caller: Caller, name: str) -> str:
        """Return the golden ID that `caller` means by `name`; an empty one, which nobody has, if none."""
        if not caller.pairwise:
            return name
        return self._opened(caller, _PREFIX, name, _CONTEXT)

    def shown_household(self, caller: Caller, household_id: str) -> str:
        """Return a household ID in the form that `caller` knows it by; nobody asks by it."""
        if not caller.pairwise:
            return household_id
        return self._sealed(caller, _HOUSEHOLD_PREFIX, household_id.encode(), _HOUSEHOLD_CONTEXT)

    def shown_cursor(self, caller: Caller, cursor: str) -> str:
        """Return a cursor of the change feed in the form that `caller` knows it by."""
        if not caller.pairwise:
            return cursor
        return self._sealed(caller, _CURSOR_PREFIX, cursor.encode().ljust(_CURSOR_BYTES), _CURSOR_CONTEXT)

    def meant_cursor(self, caller: Caller, shown: str) -> str:
        """Return the cursor that `caller` was shown so. Raises CursorError for one that it was not."""
        if not caller.pairwise:
            return shown
        cursor = self._opened(caller, _CURSOR_PREFIX, shown, _CURSOR_CONTEXT).rstrip()
        if not cursor:
            raise CursorError
        return cursor

    def _sealed(self, caller: Caller, prefix: str, plain: bytes, context: list[bytes]) -> str:
        sealed = self._cipher(caller.client_id).encrypt(plain, context)
        return prefix + base64.b32encode(sealed).decode().rstrip("=").lower()

    def _opened(self, caller: Caller, prefix: str, shown: str, context: list[bytes]) -> str:
        """Return what `_sealed` was given, or nothing."""
        if not shown.startswith(prefix) or not shown.isascii():
            return ""
        text = shown[len(prefix) :].upper()
        try:
            sealed = base64.b32decode(text + "=" * (-len(text) % 8))
            return self._cipher(caller.client_id).decrypt(sealed, context).decode()
        except (binascii.Error, InvalidTag, ValueError):
            return ""


def _cipher(root: SecretBytes, client_id: str) -> AESSIV:
    info = b"aurea pairwise " + client_id.encode()
    return AESSIV(
        HKDF(algorithm=hashes.SHA256(), length=_KEY_BYTES, salt=None, info=info).derive(root.reveal())
    )
