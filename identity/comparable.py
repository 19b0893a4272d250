"""The comparable form of a record: what linkage sees, in one fixed and versioned order of columns.

It is computed once, at ingest, and sealed as one value with the record. Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from identity.attributes import LOOKUP_TYPES
from identity.comparison import SEVERAL

VERSION: Final = "2"

COLUMNS: Final[tuple[str, ...]] = (
    "full_name", "first_name", "middle_name", "last_name", "name_suffix",
    "birth_date", "gender", "national_id",
    "email", "phone", "social_handle",
    "street", "house_number", "address_line2", "postcode", "city", "region", "country", "full_address",
    "user_id", "loyalty_id", "device_id", "cookie_id",
    "given_names",
)  # fmt: skip
"""The order is the encoding: append, never reorder, and increment VERSION.

Version 2 appended `given_names`: the full names that the first name may stand for.
"""

_WIDTHS: Final = {
    "1": 23,
    VERSION: len(COLUMNS),
}  # columns of each version; an older form lacks the last ones

LIST_COLUMNS: Final[frozenset[str]] = frozenset({"email", "phone"})

VALUE_COLUMNS: Final = (*COLUMNS, *SEVERAL.values())
"""What two records are compared in: the columns, and the contacts that several people use."""

Values = tuple[Any, ...]
"""A record's values in the order of VALUE_COLUMNS: a text, a tuple of texts for a list column, or None."""

_FIELD = "\x1f"  # between columns; normalised values hold no control characters
_ITEM = "\x1e"  # between the values of a list column

Value = str | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Comparable:
    """Normalised values by column. A column without a value is absent, never an empty string or tuple.

    `unreadable` names the attributes that had a value which could not be read and so is not compared.
    """

    columns: Mapping[str, Value]
    unreadable: tuple[str, ...] = field(default=(), compare=False)

    def __repr__(self) -> str:  # values are personal data
        return f"Comparable({len(self.columns)} columns)"

    def encode(self) -> bytes:
        """Return the columns as one byte string: the version, then every column of COLUMNS in order."""
        get = self.columns.get
        parts = [VERSION]
        for name in COLUMNS:
            value = get(name, "")
            parts.append(value if isinstance(value, str) else _ITEM.join(value))
        return _FIELD.join(parts).encode()

    @classmethod
    def decode(cls, encoded: bytes) -> "Comparable":
        """Return what `encode` of this or an older version was given.

        Raises ValueError for an unknown version or a damaged encoding.
        """
        version, *parts = encoded.decode().split(_FIELD)
        if len(parts) != _WIDTHS.get(version):
            raise ValueError("not a comparable form of a known version")
        return cls(
            {
                name: tuple(part.split(_ITEM)) if name in LIST_COLUMNS else part
                for name, part in zip(COLUMNS, parts, strict=False)  # an older form is shorter
                if part
            }
        )

    def text(self, column: str) -> str:
        """Return the value of a single-valued column, or an empty string."""
        value = self.columns.get(column, "")
        return value if isinstance(value, str) else ""

    def values(self, column: str) -> tuple[str, ...]:
        """Return all values of a column, one or many."""
        value = self.columns.get(column, ())
        return (value,) if isinstance(value, str) else value

    def lookup_values(self) -> list[tuple[str, str]]:
        """Return every (type, normalised value) by which a lookup may find this record."""
        return [(kind, value) for kind in LOOKUP_TYPES for value in self.values(kind)]
