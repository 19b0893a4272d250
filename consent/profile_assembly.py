"""Opened records -> the attributes and traits of a profile: what is permitted, then what survives."""

from collections.abc import Callable, Iterable, Sequence

from consent.record_contents import OpenedRecord
from identity.attributes import MULTI_VALUED
from identity.survivorship import Candidate, Survivorship

Permitted = Callable[[str, str], bool]
"""(attribute, value) -> whether it may be shown."""

Form = Callable[[str], Callable[[str], str]]
"""Attribute -> what makes two of its values one."""


def attributes_of(
    records: Sequence[OpenedRecord],
    names: Iterable[str],
    survivorship: Survivorship,
    *,
    form: Form,
    permitted: Permitted | None = None,
) -> dict[str, str | list[str]]:
    """Return what survives of each attribute that has a permitted value: one, or of a contact all."""
    shown: dict[str, str | list[str]] = {}
    for name in names:
        found = []
        for record in records:
            for value in record.attributes.get(name, ()):
                if value and (permitted is None or permitted(name, value)):
                    found.append((value, record))  # noqa: PERF401 - a third faster so, for every attribute read
        if found:
            best = _survivors(name, found, survivorship, form)
            shown[name] = best if name in MULTI_VALUED else best[0]
    return shown


def traits_of(
    records: Sequence[OpenedRecord], names: Iterable[str], survivorship: Survivorship
) -> dict[str, str]:
    """Return what survives of each trait that has a value."""
    shown = {}
    for name in names:
        found = [(record.traits[name], record) for record in records if record.traits.get(name)]
        if found:
            shown[name] = _survivors(name, found, survivorship, lambda _: str)[0]
    return shown


def _survivors(
    name: str, found: Sequence[tuple[str, OpenedRecord]], survivorship: Survivorship, form: Form
) -> list[str]:
    if len({value for value, _ in found}) == 1:  # what no rule could decide otherwise
        return [found[0][0]]
    candidates = [
        Candidate(value, record.record_no, record.channel, record.observed_at) for value, record in found
    ]
    return survivorship.ranked(name, candidates, form=form(name))
