"""Writes TC strings with chosen purposes, for tests of what reads them."""

import base64
from collections.abc import Iterable


def tc_string(
    consents: Iterable[int] = (),
    *,
    interests: Iterable[int] = (),
    created: int = 1_770_000_000_000,
    updated: int | None = None,
    purpose_one_treatment: bool = False,
    cmp_id: int = 27,
    version: int = 2,
) -> str:
    """A core segment; times in ms since the epoch."""
    fields = (
        (version, 6), (created // 100, 36), ((created if updated is None else updated) // 100, 36),
        (cmp_id, 12), (1, 12), (0, 6), (4 << 6 | 13, 12), (300, 12), (5, 6), (1, 1), (0, 1), (0, 12),
        (_bits(consents), 24), (_bits(interests), 24), (purpose_one_treatment, 1), (0, 12),
        (0, 16), (0, 1), (0, 16), (0, 1), (0, 12),  # no vendors, no restrictions
    )  # fmt: skip
    bits = "".join(f"{value:0{width}b}" for value, width in fields)
    bits += "0" * (-len(bits) % 8)
    return base64.urlsafe_b64encode(int(bits, 2).to_bytes(len(bits) // 8, "big")).decode().rstrip("=")


def _bits(purposes: Iterable[int]) -> int:
    return sum(1 << (24 - number) for number in purposes)
