"""Does a copy of the stores open to the same content? Some records are opened from either side and compared.

What is opened is compared here and goes nowhere; the answer is a number of records.
"""

from typing import Final

from sqlalchemy import Connection

from consent.errors import ConsentError
from consent.sealed_records import SealedRecords
from consent.vault import SOURCE_ID, TRAITS
from identity.attributes import STANDARD
from identity.statements import Statement

SAMPLE: Final = 1_000  # records, spread evenly

_NUMBERS: Final = Statement("SELECT record_no FROM records ORDER BY record_no")


class CopyError(ConsentError):
    """A record opened from the copy is not what it is in the source."""


def open_alike(source: SealedRecords, copy: SealedRecords, conn: Connection) -> int:
    """Open some of the records that `conn`, of the source, lists; return how many. Raises CopyError."""
    numbers = [number for (number,) in _NUMBERS.rows(conn)]
    some = numbers[:: max(1, len(numbers) // SAMPLE)]
    names = (*STANDARD, SOURCE_ID, TRAITS)
    here = source.open_fields(some, names)
    if copy.open_fields(some, names) != here:
        raise CopyError("a record opened from the copy differs from the one opened here")
    return len(here)
