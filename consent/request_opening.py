"""What a person asks for, before it is stored: checked against the policy, and as it is sealed. No I/O."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from consent.errors import RecordRejectedError
from consent.incoming import MAX_VALUES, check_value
from consent.lookup import Identifier
from consent.purposes import Purposes
from consent.request_purposes import purposes_of
from consent.request_rules import RequestType, type_of
from identity.attributes import is_standard


@dataclass(frozen=True, slots=True)
class Opening:
    """What is asked, and by whose identifiers. `received_at`: ms since the epoch, UTC; None means now."""

    asked: str
    jurisdiction: str
    identifiers: tuple[Identifier, ...] = field(repr=False)
    client: str = ""
    received_at: int | None = None
    purposes: tuple[str, ...] = ()
    corrections: Mapping[str, Sequence[str]] = field(default_factory=dict, repr=False)

    def content(self) -> bytes:
        """Return what is sealed: what the person said of themselves."""
        said = {
            "corrections": {name: list(values) for name, values in self.corrections.items()},
            "identifiers": [[each.type, each.value, each.hashed] for each in self.identifiers],
        }
        return json.dumps(said).encode()

    @classmethod
    def of_content(cls, content: bytes, *, asked: str, jurisdiction: str) -> "Opening":
        """Undo `content`."""
        said: dict[str, Any] = json.loads(content)
        identifiers = tuple(Identifier(*each) for each in said["identifiers"])
        return cls(asked, jurisdiction, identifiers, corrections=said["corrections"])


def kind_of(opening: Opening, policy: Purposes) -> RequestType:
    """Return the right that is asked for. Raises RecordRejectedError where the request is not complete."""
    kind = type_of(opening.asked)
    if kind is None:
        raise RecordRejectedError("type", "is no right that can be asked for")
    if not opening.identifiers:
        raise RecordRejectedError("identifiers", "are missing: nobody can be found without one")
    for identifier in opening.identifiers:
        check_value("identifiers", identifier.value)
    purposes_of(kind, opening.asked, opening.purposes, policy)
    if (kind == "rectification") != bool(opening.corrections):
        raise RecordRejectedError(
            "corrections", "go with a rectification: the attributes that are wrong, with their right values"
        )
    for name, values in opening.corrections.items():
        if not is_standard(name):
            raise RecordRejectedError("corrections", "name something that is no standard attribute")
        if not values or not all(value.strip() for value in values):
            raise RecordRejectedError("corrections", "name an attribute without a value")
        if len(values) > MAX_VALUES:
            raise RecordRejectedError(name, f"has over {MAX_VALUES} values")
        for value in values:
            check_value(name, value)
    return kind
