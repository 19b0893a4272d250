"""How often a property is tried: with all its examples in `make test-slow`, with a third in `make test`.

Each example has stores or an engine of its own; what a third finds more seldom, the next runs look for again.
"""

import os
from typing import Final

ALL: Final = os.environ.get("AUREA_TEST_EXAMPLES") == "all"
FEWEST: Final = 5


def examples(most: int) -> int:
    """Return how many of `most` examples are tried."""
    return most if ALL else max(FEWEST, most // 3)
