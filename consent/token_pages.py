"""The pages of the token index: sorted (prefix, number) pairs as arrays and as bytes (pure).

A page is padding, then all prefixes, then all numbers, int64 little endian, ascending by prefix. A run of
2^bits pages holds in page b the entries whose prefix, read as unsigned, begins with the bits of b.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

Int64s = NDArray[np.int64]
Entries = tuple[Int64s, Int64s]

PADDING: Final = bytes(4096)
"""At least what SQLite keeps of a row in a 4 KiB page (4061 bytes); see consent/key_tables.py."""

MAX_BITS: Final = 20
PAGE_ENTRIES = 512  # aimed at; 8 KiB read a look-up


def bits_for(entries: int) -> int:
    """Return how many leading bits cut this many entries into pages of about PAGE_ENTRIES."""
    return min(max((max(entries, 1) - 1).bit_length() - PAGE_ENTRIES.bit_length() + 1, 0), MAX_BITS)


def buckets(prefixes: Int64s, bits: int) -> Int64s:
    """Return the page of every prefix: its leading bits."""
    if bits == 0:
        return np.zeros(len(prefixes), np.int64)
    unsigned = prefixes.view(np.uint64) ^ np.uint64(1 << 63)  # signed order becomes unsigned order
    return (unsigned >> np.uint64(64 - bits)).astype(np.int64)


def first_prefix(bucket: int, bits: int) -> np.int64:
    """Return the smallest prefix of a page."""
    return np.int64((bucket << (64 - bits)) - (1 << 63))


def encode(prefixes: Int64s, numbers: Int64s) -> bytes:
    """Return a page: padding, prefixes, numbers."""
    return PADDING + prefixes.astype("<i8").tobytes() + numbers.astype("<i8").tobytes()


def decode(page: bytes) -> Entries:
    """Undo `encode`."""
    count = (len(page) - len(PADDING)) // 16
    prefixes = np.frombuffer(page, "<i8", count, len(PADDING))
    return prefixes, np.frombuffer(page, "<i8", count, len(PADDING) + 8 * count)


def ordered(prefixes: Int64s, numbers: Int64s) -> Entries:
    """Return the entries ascending by prefix."""
    order = np.argsort(prefixes, kind="stable")  # merges ascending stretches, which is what comes in
    return prefixes[order], numbers[order]


def joined(parts: Sequence[Entries]) -> Entries:
    """Return several stretches as one, in their order."""
    if not parts:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])


def merged(parts: Sequence[Entries]) -> Entries:
    """Return several stretches as one, ascending by prefix."""
    return ordered(*joined(parts))


def collect(found: dict[int, list[int]], wanted: Int64s, keys: Int64s, numbers: Int64s) -> None:
    """Add to `found` the numbers that an ascending stretch holds for each wanted prefix."""
    first, end = np.searchsorted(keys, wanted, "left"), np.searchsorted(keys, wanted, "right")
    for at in np.nonzero(end > first)[0]:
        found.setdefault(int(wanted[at]), []).extend(numbers[first[at] : end[at]].tolist())
