"""What a comparison of two records is made of: levels of agreement on one kind of evidence. Pure.

A comparison is a list of levels from strongest to weakest; the first whose condition holds counts. The
conditions are SQL over the two records' columns (`_l` and `_r`), used alike in training, in the batch
and online.
"""

from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["person", "household"]
"""Whether two members of one household agree on it about as often as one person does with themself."""

SEVERAL: Final = {"email": "email_several", "phone": "phone_several", "device_id": "device_id_several"}
"""Contact -> the column of those of its values that several people use (`identity.contacts`)."""


@dataclass(frozen=True, slots=True)
class Level:
    """One degree of agreement. `frequency` names the column whose common values count for less.

    `lent` levels are those at which two of a household agree who give the same contact. What an `aside` level
    is worth beside those between is not known beforehand: no more than the first, no less than the last.
    """

    label: str
    condition: str
    frequency: str | None = None
    lent: bool = False
    aside: bool = False


@dataclass(frozen=True, slots=True)
class Comparison:
    """Levels from strongest to weakest, the last always true. Where `missing` holds nothing is compared."""

    name: str
    kind: Kind
    missing: str
    levels: tuple[Level, ...]
    needs: tuple[str, ...]  # present if any of these columns holds values
    unique: bool = False  # one person's own value: strangers share it by error only
    lent: float = 0.01  # a first guess of how often two of a household give the same one


ELSE: Final = Level("different", "ELSE")


def either_missing(column: str) -> str:
    """Return the condition that one record holds nothing in `column`."""
    return f"{column}_l IS NULL OR {column}_r IS NULL"


def similar(column: str, at_least: float) -> str:
    """Return the condition that the values are spelled alike: Jaro-Winkler, from 0 to 1."""
    return f"jaro_winkler_similarity({column}_l, {column}_r) >= {at_least}"
