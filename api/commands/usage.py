"""What is wrong with a command line, in one sentence without any value of it.

Typer's own messages quote what was typed. That may be part of a name whose quotes were forgotten, and what
commands say ends up in logs. So only what the program knows itself is said: command, option, rule.
"""

from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin


def wrong_usage(error: Exception) -> str | None:
    """Return the sentence for a mistake that Typer found, None for any other error."""
    if not hasattr(error, "format_message"):  # of every such error, whichever Click is behind Typer
        return None
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "aurea"
    return f"{_what(error, command)}: see `{command} --help`"


def _what(error: Any, command: str) -> str:
    if (parameter := getattr(error, "param", None)) is not None:
        return f"{_name(parameter)} {_broken_rule(error)}"
    if hasattr(error, "possibilities"):
        near = f" (near it: {', '.join(sorted(error.possibilities))})" if error.possibilities else ""
        return f"`{command}` has no such option{near}"
    if hasattr(error, "option_name"):
        return f"{error.option_name} came without its value, or with one that it does not take"
    if error.message.startswith("Got unexpected extra"):
        return f"`{command}` takes fewer arguments; a value with spaces stands in quotes"
    return f"`{command}` has no such command"


def _name(parameter: Any) -> str:
    if parameter.param_type_name == "option":
        return str(max(parameter.opts, key=len))
    return str(parameter.metavar or parameter.name.upper())


def _broken_rule(error: Any) -> str:
    if hasattr(error, "param_type"):
        return "is missing"
    kinds = list(_kinds(getattr(getattr(error.param, "type_descriptor", None), "annotation", None)))
    if choices := [str(choice) for kind in kinds if get_origin(kind) is Literal for choice in get_args(kind)]:
        return f"is one of {', '.join(choices)}"
    if int not in kinds:
        return "does not take that value"
    low, high = error.param.min, error.param.max
    least = f" of at least {low}" if low is not None else ""
    return f"is a whole number{least if high is None else f' from {low} to {high}'}"


def _kinds(annotation: Any) -> Iterator[Any]:
    """Yield a type and those it is made of, but for the values of a Literal."""
    yield annotation
    if get_origin(annotation) is not Literal:
        for inner in get_args(annotation):
            yield from _kinds(inner)


def shows_help(error: Exception) -> bool:
    """Whether a command that does nothing by itself was named alone: its help is the answer."""
    return type(error).__name__ == "NoArgsIsHelpError"
