"""Schemathesis over the whole OpenAPI, each operation as a role that may do it, on the real server.

The phases: `coverage` (every constraint of every parameter, kept and broken), `fuzzing`, and `stateful`,
which follows the links of the description and those it infers. Every check of Schemathesis is on but one:
`positive_data_acceptance`, since whether a purpose, a time or a cursor is one takes the policy and the store.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest

from api.roles import Role
from tests.api.test_roles import TABLE, operation_of
from tests.world import TOWN, World, a_world, record

ST = Path(sys.executable).with_name("st")
HOOKS = "tests.api.schemathesis_hooks"
ROOT = Path(__file__).resolve().parents[2]
ROLES: tuple[Role, ...] = get_args(Role)  # of those that may, the first is taken


def configuration(world: World) -> str:
    """Whose token each operation is sent with, as Schemathesis reads it."""
    tokens = {role: world.client(role).headers["Authorization"] for role in ROLES}
    paths: dict[str, dict[str, Any]] = world.anonymous().get("/openapi.json").json()["paths"]
    may = {
        operation_of(paths, method, path): next(role for role in ROLES if role in permitted)
        for method, path, _, permitted in TABLE.values()
    }
    lines = []
    for path, methods in paths.items():
        for method, operation in methods.items():
            if "security" in operation:
                token = tokens[may[f"{method.upper()} {path}"]]
                lines += ["[[operations]]", f'include-name = "{method.upper()} {path}"']
                lines += [f'headers = {{ Authorization = "{token}" }}', ""]
    return "\n".join(lines)


def explored(folder: Path, *, seed: int, examples: int) -> subprocess.CompletedProcess[str]:
    """Run Schemathesis against a world in which there are people; return how it went."""
    with a_world(folder, environment={"AUREA_CLIENT_RATE": "0", "AUREA_PEOPLE_PER_DAY": "0"}) as world:
        world.send(*(record("web", str(number), name) for number, name in enumerate(TOWN)))
        (folder / "st.toml").write_text(configuration(world))
        options = ["--seed", str(seed), "--max-examples", str(examples), "--no-color", "--workers", "1"]
        done = subprocess.run(
            [str(ST), "--config-file", "st.toml", "run", f"{world.url}/openapi.json", *options,
             "--exclude-checks", "positive_data_acceptance"],
            cwd=folder, capture_output=True, text=True, check=False,
            env={**os.environ, "PYTHONPATH": str(ROOT), "SCHEMATHESIS_HOOKS": HOOKS, "COLUMNS": "110"},
        )  # fmt: skip
        assert '"status":500' not in world.logs.getvalue().replace(" ", "")
        return done


def summary(done: subprocess.CompletedProcess[str]) -> str:
    return done.stdout[done.stdout.find(" SUMMARY ") :]


def test_nothing_that_the_description_allows_or_forbids_is_answered_otherwise(tmp_path: Path) -> None:
    done = explored(tmp_path, seed=1, examples=3)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Tested: 46" in done.stdout
    print(summary(done))  # noqa: T201 - for whoever asks by -s


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", [2, 3])
def test_nor_in_a_longer_run(tmp_path: Path, seed: int) -> None:
    done = explored(tmp_path, seed=seed, examples=40)
    assert done.returncode == 0, done.stdout + done.stderr
    print(summary(done))  # noqa: T201 - for whoever asks by -s
