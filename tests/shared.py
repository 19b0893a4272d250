"""Data and vectors made by others, beside the checkout. Absent on a user's machine: those tests skip."""

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


def shared(relative: str) -> Path:
    """Return the file or folder `relative` under ../shared; skip without it, fail where it is broken."""
    if not SHARED.is_dir():
        pytest.skip("../shared (labelled data and published vectors) is not on this machine")
    path = SHARED / relative
    assert path.exists(), f"../shared is present but {relative} is missing"
    return path
