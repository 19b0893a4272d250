"""Reasons that people give and that are kept as they are: one line, and nobody's data."""

import re
from typing import Final

MOST_LETTERS: Final = 500

_PERSONAL: Final = re.compile(r"@|\d(?:[\s./-]?\d){5}")  # an address, or six digits of a number


def impersonal(reason: str) -> str:
    """Return the reason. Raises ValueError where it holds an e-mail address, a number or a date."""
    if _PERSONAL.search(reason):
        raise ValueError("must say why without an e-mail address, a number or a date of a person")
    return reason
