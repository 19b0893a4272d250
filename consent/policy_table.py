"""Strict reading of one table of the policy file: each reader checks the type and says how to mend it."""

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from consent.errors import PolicyError

Choice = TypeVar("Choice", bound=str)

_MISSING = object()


class PolicyTable:
    """One table of the policy file `file`; `where` is how messages call it, "" for the file itself.

    Remembers what was read, so that the rest can be refused.
    """

    def __init__(self, file: str, where: str, content: Mapping[str, Any], name: str = "") -> None:
        self.name = name
        self.content = content
        self._file = file
        self._where = where
        self._read: set[str] = set()

    def require(self, condition: object, setting: str, remedy: str) -> None:
        """Raise PolicyError that names file, table, `setting` and `remedy` unless `condition` holds."""
        if not condition:
            place = f"{self._where}, {setting}" if self._where else setting
            raise PolicyError(f"{self._file}: {place}: {remedy}")

    def refuse_unknown(self) -> None:
        """Raise PolicyError for a setting that nothing has read: it would otherwise be silently ignored."""
        for name in self.content:
            known = ", ".join(sorted(self._read))
            self.require(name in self._read, name, f"there is no such setting; known are {known}")

    def text(self, setting: str) -> str:
        """Return a text that is not empty."""
        value = self._get(setting)
        self.require(isinstance(value, str) and value.strip(), setting, "give a text in quotes")
        return str(value)

    def choice(self, setting: str, choices: tuple[Choice, ...]) -> Choice:
        """Return one of `choices`."""
        value = self._get(setting)
        self.require(value in choices, setting, f"choose one of {', '.join(choices)}")
        return choices[choices.index(value)]

    def names(self, setting: str) -> tuple[str, ...]:
        """Return a list of distinct names."""
        value = self._get(setting)
        is_list = isinstance(value, list) and all(isinstance(name, str) and name for name in value)
        self.require(is_list, setting, 'give a list of names, as ["email", "city"]')
        self.require(len(set(value)) == len(value), setting, "name each only once")
        return tuple(value)

    def names_or_all(self, setting: str) -> tuple[str, ...] | None:
        """Return a list of names, or None for "all"."""
        if self._get(setting) == "all":
            return None
        names = self.names(setting)
        self.require(names, setting, 'name at least one, or write "all"')
        return names

    def fraction(self, setting: str) -> float:
        """Return a number from 0 to 1."""
        value = self._get(setting)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        self.require(is_number and 0 <= value <= 1, setting, "give a number from 0 to 1")
        return float(value)

    def years(self, setting: str, least: int, most: int) -> int | None:
        """Return an age in whole years, or None where the setting is absent."""
        self._read.add(setting)
        value = self.content.get(setting)
        is_age = isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
        self.require(
            value is None or is_age, setting, f"give whole years from {least} to {most}, or remove it"
        )
        return value

    def days(self, setting: str) -> int | None:
        """Return a whole number of days, or None where the setting is absent: without end."""
        self._read.add(setting)
        value = self.content.get(setting)
        is_days = isinstance(value, int) and not isinstance(value, bool) and 0 < value <= 36_500
        self.require(
            value is None or is_days, setting, "give whole days, 1 to 36500, or remove it for no end"
        )
        return value

    def numbers(self, setting: str, most: int) -> tuple[int, ...]:
        """Return a list of distinct whole numbers from 1 to `most`; empty where the setting is absent."""
        self._read.add(setting)
        value = self.content.get(setting, [])
        fits = isinstance(value, list) and all(
            isinstance(each, int) and not isinstance(each, bool) and 1 <= each <= most for each in value
        )
        self.require(
            fits and len(set(value)) == len(value), setting, f"list whole numbers from 1 to {most}, each once"
        )
        return tuple(value)

    def flag(self, setting: str) -> bool:
        """Return true or false; false where the setting is absent."""
        self._read.add(setting)
        value = self.content.get(setting, False)
        self.require(isinstance(value, bool), setting, "write true or false, without quotes")
        return bool(value)

    def table(self, setting: str) -> "PolicyTable | None":
        """Return the table `setting`, or None where it is absent."""
        self._read.add(setting)
        value = self.content.get(setting)
        self.require(value is None or isinstance(value, dict), setting, f"make it a table, [{setting}]")
        return None if value is None else PolicyTable(self._file, self._where or setting, value)

    def tables(self, setting: str) -> Iterator["PolicyTable"]:
        """Return the tables [setting.NAME], each under its own name."""
        parent = self.table(setting)
        for name, value in ({} if parent is None else parent.content).items():
            self.require(isinstance(value, dict), f"{setting}.{name}", f"make it a table, [{setting}.{name}]")
            yield PolicyTable(self._file, f"purpose {name}", value, name)

    def _get(self, setting: str) -> Any:
        self._read.add(setting)
        value = self.content.get(setting, _MISSING)
        self.require(value is not _MISSING, setting, "it is missing; the default policy shows an example")
        return value
