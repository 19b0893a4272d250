"""Fixtures for every package's tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from hypothesis import settings

from api import clients
from tests import postgres
from tests.commands import commands
from tests.examples import examples
from tests.remembered import remember
from tests.world import World, a_copied_world, a_world

# What a property claims is never a time; on a loaded machine a time alone would fail it.
settings.register_profile("aurea", deadline=None, max_examples=examples(100))
settings.load_profile("aurea")


@pytest.fixture(autouse=True, scope="session")
def _no_process_is_left() -> Iterator[None]:
    yield
    commands().close()
    postgres.close()


@pytest.fixture(autouse=True, scope="session")
def _hashes_are_cheap() -> None:
    """Let a secret's hash take next to no time; tests/api/test_tokens.py has the hash as it is shipped."""
    clients._HASHER = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)  # type: ignore[misc]  # a test may


@pytest.fixture(autouse=True, scope="session")
def _runs_repeat_little() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        remember(patch)
        yield


@pytest.fixture(autouse=True)
def _no_database_is_left() -> Iterator[None]:
    """Remove what the test made on PostgreSQL; what a wider fixture made stays."""
    before = postgres.databases().names() if postgres.runs() else set()
    yield
    if postgres.runs():
        for name in postgres.databases().names() - before - postgres.databases().kept:
            postgres.databases().drop(name)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with a_world(tmp_path) as one:
        yield one


@pytest.fixture
def settled(tmp_path: Path) -> Iterator[World]:
    """A world in which the town is linked and the model trained."""
    with a_copied_world(tmp_path, World.settle) as one:
        yield one
