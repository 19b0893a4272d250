"""The keyed hashes under which a run keeps what the online path has to know of values (pure).

Of names these are values that many records hold. Of contacts and identifiers they may be a few people's, so
such a hash is made of the value's lookup token: whoever destroys the last key that carries the token can tell
which hashes have to go with it, without opening anything.
"""

from collections.abc import Iterable
from hashlib import sha256

from consent.blind_indexes import BlindIndex
from identity.attributes import LOOKUP_TYPES
from identity.comparison import SEVERAL

_KINDS = {kind: kind for kind in LOOKUP_TYPES} | {several: kind for kind, several in SEVERAL.items()}


def frequency_token(index: BlindIndex, column: str, value: str) -> bytes:
    """Return the hash of a normalised value of `column`."""
    token = lookup_token(index, column, value)
    if token is None:
        return index.token(f"frequency:{column}", value)
    return _of_lookup(index, column, token)


def lookup_token(index: BlindIndex, column: str, value: str) -> bytes | None:
    """Return the lookup token that the hash of a value is made of; None where it is of the value itself."""
    kind = _KINDS.get(column)
    return None if kind is None else index.token(kind, value)


def frequency_tokens(index: BlindIndex, kind: str, token: bytes) -> Iterable[tuple[str, bytes]]:
    """Yield every column and hash under which the value with this lookup token may be kept."""
    for column in (kind, SEVERAL.get(kind)):
        if column in _KINDS:
            yield column, _of_lookup(index, column, token)


def _of_lookup(index: BlindIndex, column: str, token: bytes) -> bytes:
    return index.token_of_sha256(f"frequency:{column}", sha256(token).digest())
