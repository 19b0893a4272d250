"""What every command shares: the services, the caller, output for people and machines, failures.

A failure is one sentence on standard error and exit status 1 (2: wrong usage, 3: done with rejected
rows). Nothing here prints a traceback: its last line could hold a value of a person.
"""

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import typer

from api.settings import Settings, SettingsError

if TYPE_CHECKING:
    from pydantic import BaseModel

    from api.auth import Caller
    from api.services import Services
    from identity.records import RecordKey

    Model = TypeVar("Model", bound=BaseModel)

INTERRUPTED: Final = 130
FAILED: Final = 1
WRONG_USAGE: Final = 2
WITH_REJECTED_ROWS: Final = 3

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object for machines.")]
AsClient = Annotated[
    str | None,
    typer.Option("--as", metavar="CLIENT", help="Act as this client; its secret in AUREA_CLIENT_SECRET."),
]


class CommandError(Exception):
    """A command cannot do what it was asked; the message is one sentence with the remedy."""


class WrongUsageError(CommandError):
    """Options or arguments that a command does not take; the message says which and the rule, no value."""


@contextmanager
def services() -> "Iterator[Services]":
    """Open the home of the environment for one command."""
    from api.services import open_services

    opened = open_services(Settings.from_environment())
    try:
        yield opened
    finally:
        opened.close()


def show(data: Mapping[str, Any], *, as_json: bool, text: str | None = None) -> None:
    """Print `data` as one line of JSON, or `text` (default: one `name: value` per line) for people."""
    if as_json:
        import orjson

        sys.stdout.write(orjson.dumps(data).decode() + "\n")
    elif text is not None:
        sys.stdout.write(text.rstrip("\n") + "\n")
    else:
        sys.stdout.write("".join(f"{name}: {_plain(value)}\n" for name, value in data.items()))


def _plain(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_plain(inner)}" for name, inner in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(_plain(inner) for inner in value) or "none"
    return "none" if value is None else str(value)


def note(message: str) -> None:
    """Tell people something on standard error, apart from the result."""
    sys.stderr.write(message + "\n")


def hint_before_first_link(opened: "Services") -> None:
    """Tell people that no run has linked this home yet, where that explains what they do not find."""
    from identity import model_store

    with opened.db.read() as conn:
        if model_store.current_version(conn) is None:
            note("aurea: there is no linkage model yet, so few records are linked: run `aurea link`")


@contextmanager
def steps(title: str) -> Iterator[Callable[[str], None]]:
    """Yield what to tell the steps of long work: a spinner on a terminal, a line each elsewhere."""
    if not sys.stderr.isatty():
        yield lambda step: note(f"{title}: {step}")
        return
    from rich.console import Console

    with Console(stderr=True).status(title) as status:
        yield lambda step: status.update(f"{title}: {step}")


def from_argument(value: str) -> str:
    """Return `value`, or for `-` the first line of standard input: arguments show in process lists."""
    if value != "-":
        return value
    read = sys.stdin.readline().rstrip("\r\n")
    if not read:
        raise WrongUsageError("`-` reads standard input, and nothing came")
    return read


def text_of(path: Path, what: str) -> str:
    """Return the text of a file. Raises CommandError, naming the file and `what` it was to be."""
    if not path.is_file():
        raise CommandError(f"there is no file {path}")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise CommandError(f"{path} is no text: name the {what} as it was kept") from None


def record_key(argument: str) -> "RecordKey":
    """Return the record key in `CHANNEL:SOURCE_ID` (or `-`: on standard input). Ends with 2 if it is none."""
    from identity.records import RecordKey

    channel, colon, source_id = from_argument(argument).partition(":")
    if not (channel and colon and source_id):
        raise WrongUsageError("a record is named CHANNEL:SOURCE_ID")
    return RecordKey(channel, source_id)


def caller(opened: "Services", as_client: str | None, operation: str, purpose: str | None = None) -> "Caller":
    """Return who acts: the client of `--as`, or the operator while no client exists.

    Raises CommandError where a client must be named, is not who it says, or may not do this.
    """
    from api.clients import InvalidClientError

    settings = opened.settings
    if as_client is None:
        if opened.clients.exist():
            raise CommandError(
                "clients exist, so name one: --as CLIENT_ID with its secret in AUREA_CLIENT_SECRET"
            )
        return opened.operator
    if settings.client_secret is None:
        raise CommandError("--as needs the client's secret in AUREA_CLIENT_SECRET")
    try:
        client = opened.clients.authenticate(as_client, settings.client_secret)
    except InvalidClientError:
        raise CommandError("--as names an unknown client, or AUREA_CLIENT_SECRET is not its secret") from None
    who = opened.access.caller(client, client.purposes, opened.clock())
    if not who.may(operation):
        raise CommandError(f"the role {who.role} may not {operation}")
    if purpose is not None and not who.may_name(purpose):
        raise CommandError("this client does not have that purpose")
    return who


def acting(opened: "Services", as_client: str | None, operation: str, purpose: str | None = None) -> "Caller":
    """Return who acts where naming a client is free: the operator unless `--as` names one."""
    return opened.operator if as_client is None else caller(opened, as_client, operation, purpose)


def checked(model: "type[Model]", data: Mapping[str, Any]) -> "Model":
    """Return `data` as the API would take it. Ends with 2, by option and rule, if it would not."""
    from pydantic import ValidationError

    from api.problems import rule

    try:
        return model.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        names = [str(part) for part in first["loc"]]
        if names[:1] == ["subject"]:
            names = names[1:2]
        option = "--" + names[0].replace("_", "-") if names else "the options"
        raise WrongUsageError(f"{option}: {rule(first)}") from None


@contextmanager
def interruptible(said: str) -> Iterator[None]:
    """End with 130 and the sentence `said` where the user interrupts, however a library reports it."""
    try:
        yield
    except (Exception, KeyboardInterrupt) as error:
        if not was_interrupted(error):
            raise
        note(f"aurea: {said}")
        raise typer.Exit(INTERRUPTED) from None


def was_interrupted(error: BaseException) -> bool:
    """Whether a KeyboardInterrupt is behind `error`: engines wrap it in errors of their own."""
    seen: list[BaseException] = []
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if isinstance(one, KeyboardInterrupt):
            return True
        if one is not None and one not in seen:
            seen.append(one)
            waiting += [one.__cause__, one.__context__]
    return False


def is_wrong_usage(error: Exception) -> bool:
    """Whether options, or a mapping, a file and `--channel`, do not go together; nothing was written."""
    from api.ingest.errors import MappingError

    return isinstance(error, MappingError | WrongUsageError)


def explain_failure(error: Exception) -> str | None:
    """Return the sentence for a failure that is expected, None for one that is ours."""
    from api.ingest.errors import IngestInputError
    from api.problems import ProblemError
    from consent.errors import ConsentError
    from identity.errors import IdentityError

    if isinstance(error, ProblemError):
        said = error.problem.detail or error.problem.title
        return said if not error.extra else f"{said} {json.dumps(error.extra)}"
    if isinstance(error, CommandError | SettingsError | IngestInputError | ConsentError | IdentityError):
        return str(error) or type(error).__doc__
    if isinstance(error, OSError):
        where = f" ({error.filename})" if error.filename else ""
        return f"{error.strerror or type(error).__name__}{where}"
    return None
