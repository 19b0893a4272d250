"""What the match weights of a run look like, and what each threshold would cost by the model's word. Pure."""

import math
from typing import Any, Final

import numpy as np

from identity.clustering import Floats

WIDTH: Final = 1  # bits of a bin
HIGHEST: Final = 60.0  # bits: heavier pairs are counted in the last bin; they are all the same to a reader
HIGHEST_THRESHOLD: Final = 20.0  # bits: a million to one


def histogram(weights: Floats, lowest: float) -> dict[str, Any]:
    """Count the pairs from `lowest` on in bins of WIDTH, up to the heaviest; `from`: where the first begins.

    The first bin begins at a whole number of bits, so that thresholds in whole bits lie between bins.
    """
    start = math.floor(lowest)
    heaviest = min(float(weights.max()), HIGHEST - WIDTH) if len(weights) else start
    bins = math.floor(heaviest / WIDTH) - start + 1
    place = np.clip(np.floor(weights / WIDTH) - start, 0, bins - 1).astype(np.int64)
    return {"from": start, "width": WIDTH, "pairs": np.bincount(place, minlength=bins).tolist()}


def threshold_choice(weights: Floats, lowest: float) -> list[dict[str, float]]:
    """Return, for each threshold in whole bits, the links and how many of them the model expects to be wrong.

    `missed` are the matches expected among the pairs below the threshold. Both are sums of the pairs'
    probabilities 1 / (1 + 2 ** -weight), over the pairs from `lowest` on.
    """
    ordered = np.sort(weights)
    wrong = 1.0 / (1.0 + np.exp2(np.clip(ordered, -1000, 1000)))
    wrong_below = np.concatenate(([0.0], np.cumsum(wrong)))
    right_below = np.concatenate(([0.0], np.cumsum(1.0 - wrong)))
    found = []
    for threshold in np.arange(math.ceil(lowest), HIGHEST_THRESHOLD + 1):
        below = int(np.searchsorted(ordered, threshold, side="left"))
        found.append(
            {
                "threshold": float(threshold),
                "links": len(ordered) - below,
                "wrong": round(float(wrong_below[-1] - wrong_below[below]), 3),
                "missed": round(float(right_below[below]), 3),
            }
        )
    return found
