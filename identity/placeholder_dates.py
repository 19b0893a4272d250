"""Birth dates that say "not known": found by how often they come, and taken away before anything is counted.

A form that insists on a date gets 1900-01-01, 1970-01-01 or the day it was made. Such a date is held under
many names and far more often than its year and its day of the year would have it. Where many dates are known
by their year alone every first of January is frequent, and all of them stay: they still say the year.
"""

from typing import Final

from identity.engine import Engine

NOBODYS_DATE: Final = "birth_date_of_nobody"
"""The column name under which such dates are kept in `shared_values` and exported for the online path."""

LEAST_NAMES: Final = 20
"""Pairs of initials, as for contacts: one person's many records are no placeholder."""

LEAST_SHARE: Final = 0.001  # of the records that have a birth date
TIMES_EXPECTED: Final = 40
"""How many times as often as the other dates of its year and of its day make one expect."""


def find_placeholder_dates(engine: Engine) -> bool:
    """Put the placeholder birth dates of the table `records` into `shared_values`; return whether any are."""
    engine.execute(_FIND, [NOBODYS_DATE, LEAST_NAMES, LEAST_SHARE, TIMES_EXPECTED])
    (found,) = engine.execute(_COUNT, [NOBODYS_DATE]).fetchone() or (0,)
    return bool(found)


_FIND = """
INSERT INTO shared_values
SELECT ?, birth_date, holders
FROM (
    SELECT birth_date, holders, names, sum(holders) OVER () AS dated,
        sum(holders) OVER (PARTITION BY birth_date[:4]) - holders AS others_of_year,
        sum(holders) OVER (PARTITION BY birth_date[6:]) - holders AS others_of_day
    FROM (
        SELECT birth_date, count(*) AS holders,
            count(DISTINCT left(first_name, 1) || ' ' || left(last_name, 1)) AS names
        FROM records WHERE birth_date IS NOT NULL GROUP BY birth_date
    )
)
WHERE names >= ? AND holders >= ? * dated
    AND holders > ? * greatest(others_of_year * others_of_day / dated, 1)
"""

_COUNT = "SELECT count(*) FROM shared_values WHERE column_name = ?"
