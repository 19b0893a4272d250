"""The container image and the compose file, checked where no container engine runs."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml
from packaging.requirements import Requirement

from api.cli import app
from api.settings import SECRETS, Settings, SettingsError
from tests.world import World

ROOT = Path(__file__).resolve().parents[1]
HADOLINT = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which("hadolint")
SECRET_NAME = re.compile(r"(?i)password|secret|token|keyring|credential|(?:database|keys)_url")


def instructions() -> list[tuple[str, str]]:
    """The instructions of the Dockerfile with their arguments, lines joined, comments left out."""
    text = (ROOT / "Dockerfile").read_text()
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ").splitlines()
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in joined if line)]


def last_stage() -> list[tuple[str, str]]:
    found = instructions()
    return found[max(place for place, (word, _) in enumerate(found) if word == "FROM") :]


def last(word: str) -> str:
    return [rest for each, rest in last_stage() if each == word][-1]


# The Dockerfile


def lint(path: Path) -> subprocess.CompletedProcess[str]:
    if HADOLINT is None:
        pytest.skip("hadolint is installed by the extra `test` on Linux, x86-64")
    return subprocess.run(
        [HADOLINT, "--no-color", str(path)], capture_output=True, text=True, check=False, timeout=60
    )


def test_the_linter_has_nothing_to_say_and_would_say_it(tmp_path: Path) -> None:
    found = lint(ROOT / "Dockerfile")
    assert (found.returncode, found.stdout) == (0, "")
    worse = tmp_path / "Dockerfile"
    worse.write_text("FROM python:latest\nRUN cd /opt && pip install aurea\n")
    assert lint(worse).returncode == 1


def test_the_service_is_nobody_and_owns_only_its_home() -> None:
    user, _, group = last("USER").partition(":")
    assert int(user) > 0
    assert int(group) > 0
    (made,) = [rest for word, rest in last_stage() if word == "RUN"]
    assert f"--uid {user}" in made
    assert f"--gid {group}" in made
    assert last("VOLUME") == last("WORKDIR") == "/var/lib/aurea"
    assert "--mode 0700 /var/lib/aurea" in made


def test_everything_is_installed_by_its_hash_and_the_last_stage_installs_nothing() -> None:
    installs = [rest for word, rest in instructions() if word == "RUN" and "pip install" in rest]
    ours, theirs = sorted(installs, key=lambda rest: "-r requirements" in rest)
    assert "--require-hashes" in theirs
    assert "--only-binary :all:" in theirs
    assert ours.endswith("--no-deps --no-build-isolation .")  # so that nothing is fetched for it
    assert not [rest for word, rest in last_stage() if word == "RUN" and re.search("pip|apt|curl|wget", rest)]


def test_the_lock_file_of_the_image_holds_what_its_extras_ask_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    locked = set(re.findall(r"(?m)^([a-z0-9_.-]+)==", (ROOT / "requirements-image.lock").read_text()))
    extras = project["optional-dependencies"]
    wanted = [
        *project["dependencies"],
        *(one for name in ("vault", "otel", "postgres") for one in extras[name]),
    ]
    names = {re.sub(r"[-_.]+", "-", Requirement(each).name).lower() for each in wanted}
    assert names <= locked
    tools = {re.sub(r"[-_.]+", "-", Requirement(each).name).lower() for each in extras["test"]}
    assert locked.isdisjoint(tools - names - {"pyyaml", "httpx"}), "tools of the tests have no place in it"


def test_no_secret_can_come_into_a_layer() -> None:
    for word, rest in instructions():
        if word in {"ENV", "ARG"}:
            assert not SECRET_NAME.search(rest)
        if word in {"COPY", "ADD"}:
            assert word == "COPY"
            *sources, _ = [part for part in rest.split() if not part.startswith("--")]
            assert not {".", "./", "*"} & set(sources), "only what is named"
    ignored = [
        line for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] not in {"#", ""}
    ]
    assert ignored[0] == "*", "all stays out but what is named"
    allowed = {line[1:].removesuffix("/**") for line in ignored if line.startswith("!")}
    copied = {
        source
        for word, rest in instructions()
        if word == "COPY" and "--from" not in rest
        for source in rest.split()[:-1]
    }
    assert allowed == copied
    assert all((ROOT / name).exists() for name in copied)


def test_what_the_image_runs_is_a_command_of_ours() -> None:
    command = json.loads(last("ENTRYPOINT")) + json.loads(last("CMD"))
    assert command[0] == "aurea"
    ours = typer.main.get_command(app)
    assert isinstance(ours, typer.core.TyperGroup)
    options = ours.commands[command[1]].make_context("serve", command[2:]).params
    assert (options["host"], options["port"]) == ("0.0.0.0", 8000)  # noqa: S104 - in its container
    assert last("EXPOSE") == "8000"
    assert last("STOPSIGNAL") == "SIGTERM"


def test_the_health_check_asks_readyz_and_believes_it(world: World) -> None:
    program = json.loads(last("HEALTHCHECK").partition("CMD ")[2])
    assert program[0] == "python"
    code = program[2].replace("http://127.0.0.1:8000/", f"{world.url}/")
    assert f"{world.url}/readyz" in code

    def asked() -> int:
        run = [sys.executable, "-c", code]
        return subprocess.run(run, capture_output=True, check=False, timeout=30).returncode

    assert asked() == 0
    world.services.readiness.leaving = True
    assert asked() == 1


# The compose file


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "ops/compose.yaml").read_text())
    return loaded


OURS = ("init", "api")


def test_no_secret_stands_in_it_and_each_is_a_file_that_git_ignores(compose: dict[str, Any]) -> None:
    declared = compose["secrets"]
    for service in compose["services"].values():
        assert set(service["secrets"]) <= set(declared)
        for name, value in service["environment"].items():
            if SECRET_NAME.search(name):
                assert name.endswith("_FILE")
                assert value.removeprefix("/run/secrets/") in service["secrets"]
    for secret in declared.values():
        path = str((ROOT / "ops" / secret["file"]).resolve().relative_to(ROOT))
        ignored = subprocess.run(["git", "check-ignore", "-q", path], cwd=ROOT, check=False)
        assert ignored.returncode == 0


def test_whose_the_files_of_the_secrets_must_be_is_said() -> None:
    """Compose binds a file as it is, so the image's user could not read one that is for its maker alone."""
    user = last("USER").partition(":")[0]
    assert f"`chown {user} secrets/*`" in (ROOT / "ops/compose.yaml").read_text()


def test_ours_can_write_nothing_but_their_home_and_gain_nothing(compose: dict[str, Any]) -> None:
    for name in OURS:
        service = compose["services"][name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert "no-new-privileges:true" in service["security_opt"]
        assert service["volumes"] == ["home:/var/lib/aurea"]
        assert "privileged" not in service
        assert "user" not in service, "the image's own, which is not root"


def test_only_the_service_is_reached_from_outside_and_only_from_this_machine(compose: dict[str, Any]) -> None:
    ports = {name: service["ports"] for name, service in compose["services"].items() if "ports" in service}
    assert ports == {"api": ["127.0.0.1:8000:8000"]}
    for name in ("database", "keys", "init"):
        assert compose["services"][name]["networks"] == ["inside"]
    assert compose["networks"]["inside"]["internal"] is True


def test_keys_live_apart_and_what_is_served_was_initialised(compose: dict[str, Any]) -> None:
    services = compose["services"]
    mounted = [services[name]["volumes"][0] for name in ("database", "keys")]
    assert mounted[0].partition(":")[0] != mounted[1].partition(":")[0]
    environment = services["api"]["environment"]
    assert environment["AUREA_DATABASE_URL_FILE"] != environment["AUREA_KEYS_URL_FILE"]
    assert services["api"]["depends_on"]["init"] == {"condition": "service_completed_successfully"}
    for name in ("database", "keys"):
        assert services["init"]["depends_on"][name] == {"condition": "service_healthy"}
        assert services[name]["healthcheck"]["test"]
    drain = int(environment["AUREA_DRAIN_SECONDS"])
    assert int(services["api"]["stop_grace_period"].removesuffix("s")) >= drain + 25


def test_every_variable_in_it_is_a_setting(compose: dict[str, Any]) -> None:
    documented = (ROOT / "docs/operations.md").read_text()
    for name in OURS:
        for variable in compose["services"][name]["environment"]:
            setting = variable.removesuffix("_FILE")
            assert f"`{setting}`" in documented
            assert variable == setting or setting in SECRETS


# Secrets in files


def test_a_secret_is_read_from_the_file_that_is_named(tmp_path: Path) -> None:
    secret = tmp_path / "database_url"
    secret.write_text("postgresql+psycopg://aurea:geheim@database/aurea\n")
    settings = Settings.from_environment({"AUREA_DATABASE_URL_FILE": str(secret)})
    assert settings.database_url == "postgresql+psycopg://aurea:geheim@database/aurea"
    assert "geheim" not in repr(settings)


@pytest.mark.parametrize("content", [None, b"\xff\xfe"], ids=["no such file", "no text"])
def test_a_file_that_cannot_be_read_is_named_and_not_quoted(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "keyring"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingsError, match="AUREA_KEYRING_FILE names no file"):
        Settings.from_environment({"AUREA_KEYRING_FILE": str(path)})


def test_a_secret_that_is_set_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("one")
    both = {"AUREA_VAULT_TOKEN": "two", "AUREA_VAULT_TOKEN_FILE": str(tmp_path / "token")}
    with pytest.raises(SettingsError, match="set one of them"):
        Settings.from_environment(both)
