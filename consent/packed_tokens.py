"""How a key row lists the tokens it is found by (pure).

Layout: number of 32-byte tokens, number of 8-byte tokens, one kind code for each, the 32-byte tokens, the
8-byte tokens. With the tokens of one size together, the prefixes of all come out in one struct call.
"""

import struct
from collections.abc import Collection, Iterable
from functools import lru_cache
from typing import Final

from consent.blind_indexes import BLOCK, BLOCK_TOKEN_BYTES, RECORD, TOKEN_BYTES
from consent.errors import VaultError
from identity.attributes import LOOKUP_TYPES

_BLOCK_CODE: Final = 128
_CODES: Final = {kind: code for code, kind in enumerate((RECORD, *LOOKUP_TYPES), start=1)}
_KINDS: Final = {code: kind for kind, code in _CODES.items()}


def kind_code(kind: str) -> int:
    """Return the stored code of a token kind; all blocking kinds share one."""
    return _BLOCK_CODE if kind.startswith(BLOCK) else _CODES[kind]


def kind_of(code: int) -> str:
    """Undo `kind_code`, as far as it can be undone."""
    return BLOCK if code == _BLOCK_CODE else _KINDS[code]


def pack_tokens(tokens: Iterable[tuple[int, bytes]]) -> bytes:
    """Pack (kind code, token) pairs; at most 255 of each size."""
    pairs = list(tokens)
    long = [pair for pair in pairs if pair[0] != _BLOCK_CODE]
    short = [pair for pair in pairs if pair[0] == _BLOCK_CODE]
    packed = bytes([len(long), len(short), *(code for code, _ in long), *(code for code, _ in short)])
    packed += b"".join(token for _, token in long) + b"".join(token for _, token in short)
    if len(packed) != _size(len(long), len(short)):
        raise ValueError("a token has the wrong length for its kind")
    return packed


def unpack_tokens(packed: bytes) -> list[tuple[int, bytes]]:
    """Return the (kind code, token) pairs: first the 32-byte tokens, then the 8-byte ones."""
    long, short = _counts(packed)
    codes = packed[2 : 2 + long + short]
    at = 2 + long + short
    pairs = []
    for code in codes:
        length = BLOCK_TOKEN_BYTES if code == _BLOCK_CODE else TOKEN_BYTES
        pairs.append((code, packed[at : at + length]))
        at += length
    return pairs


def tokens_of_kinds(packed: bytes, codes: Collection[int]) -> list[tuple[int, bytes]]:
    """Return the (kind code, token) pairs of some kinds, none of them a blocking kind's."""
    long, short = _counts(packed)
    start = 2 + long + short
    return [
        (code, packed[start + TOKEN_BYTES * place : start + TOKEN_BYTES * (place + 1)])
        for place, code in enumerate(packed[2 : 2 + long])
        if code in codes
    ]


def prefixes(packed: bytes) -> tuple[int, ...]:
    """Return `BlindIndex.prefix` of every packed token."""
    return _prefix_format(*_counts(packed)).unpack(packed) if packed else ()


def _counts(packed: bytes) -> tuple[int, int]:
    if len(packed) < 2 or len(packed) != _size(packed[0], packed[1]):
        raise VaultError("packed tokens are damaged")
    return packed[0], packed[1]


def _size(long: int, short: int) -> int:
    return 2 + long * (1 + TOKEN_BYTES) + short * (1 + BLOCK_TOKEN_BYTES)


@lru_cache(maxsize=1024)
def _prefix_format(long: int, short: int) -> struct.Struct:
    return struct.Struct(f">{2 + long + short}x" + "q24x" * long + "q" * short)
