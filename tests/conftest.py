"""Fixtures for every package's tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands import commands
from tests.world import World, a_settled_world, a_world


@pytest.fixture(autouse=True, scope="session")
def _no_process_is_left() -> Iterator[None]:
    yield
    commands().close()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with a_world(tmp_path) as one:
        yield one


@pytest.fixture
def settled(tmp_path: Path) -> Iterator[World]:
    """A world in which the town is linked and the model trained."""
    with a_settled_world(tmp_path) as one:
        yield one
