"""Whose a contact is: one person's, a household's, an organisation's or nobody's, judged from who shares it.

Nobody's values (placeholders, a call centre's own number) are no evidence and are taken away before anything
is compared. A value of several people says little about a record that names nobody: for such records the
comparisons have a level of its own, over the columns `<contact>_several`. Nothing here is a list of known
values, save the placeholders that everybody types.
"""

from dataclasses import dataclass
from typing import Final

from identity.comparison import SEVERAL
from identity.engine import Engine

PERSONAL: Final = "personal"
HOUSEHOLD: Final = "household"
ORGANISATION: Final = "organisation"
JUNK: Final = "junk"

MOST_NAMES: Final = 10
"""A contact or identifier held under more differently written names than this is nobody's own."""

FEW_SURNAMES: Final = 3
"""Surnames up to which the people who share a value may be one household."""

FEW_ADDRESSES: Final = 5
"""Addresses, old and new, up to which they may."""

LISTS: Final = ("email", "phone")
OWNED: Final = ("national_id", "social_handle", "user_id", "loyalty_id", "device_id", "cookie_id")

_PLACEHOLDERS: Final = {
    "phone": r"regexp_full_match(value, '.*(0000000|1111111|2222222|3333333|4444444|5555555|6666666|7777777"
    r"|8888888|9999999|1234567)(x.*)?')",
    "email": r"regexp_full_match(value, '(no-?e?mail|no-?reply|none|noone|nobody|na|n/a|test|unknown"
    r"|anonymous|sin-?(email|correo))[0-9]*@.*')",
}


@dataclass(frozen=True, slots=True)
class ContactClasses:
    """How many distinct values of a column are of each class."""

    column: str
    counts: dict[str, int]


def judge(engine: Engine) -> list[ContactClasses]:
    """Class every contact and identifier of the table `records`; return the counts.

    Fills `shared_values` (column_name, value, holders) with the values of nobody and `not_personal`
    (column_name, value, class) with all that are not one person's: `identity.record_table` takes the former
    out of the records and adds the columns of SEVERAL. A name counts by the initials of first and last name,
    so that most spellings of one name count once; a birth date counts as another's only where both year and
    day differ, as a father's and his son's do and a mistyped one does not.
    """
    engine.execute("CREATE TABLE shared_values (column_name VARCHAR, value VARCHAR, holders BIGINT)")
    engine.execute("CREATE TABLE not_personal (column_name VARCHAR, value VARCHAR, class VARCHAR)")
    found = []
    for column in (*LISTS, *OWNED):
        value = f"unnest({column})" if column in LISTS else column
        junk = _PLACEHOLDERS.get(column, "false")
        engine.execute(_CLASSES.format(value=value, column=column, placeholder=junk), _LIMITS)
        counts = dict(engine.execute(_COUNTS).fetchall())
        if counts:
            found.append(ContactClasses(column, {str(name): int(n) for name, n in counts.items()}))
        if counts.keys() - {PERSONAL}:
            engine.execute(_KEEP, [column])
        if JUNK in counts:
            engine.execute(_KEEP_JUNK, [column])
    engine.execute("DROP TABLE classes")
    return found


def several_values(engine: Engine) -> list[tuple[str, str, float]]:
    """Return (column of SEVERAL, value, 1.0) of every value that several people use."""
    found: list[tuple[str, str, float]] = []
    for column, several in SEVERAL.items():
        value = f"unnest({several})" if column in LISTS else several
        rows = engine.execute(
            f"SELECT DISTINCT {value} AS value FROM records WHERE {several} IS NOT NULL ORDER BY value"  # noqa: S608 - our names
        )
        found += [(several, value, 1.0) for (value,) in rows.fetchall()]
    return found


_LIMITS: Final = {"names": MOST_NAMES, "surnames": FEW_SURNAMES, "addresses": FEW_ADDRESSES}

_CLASSES = """
CREATE OR REPLACE TABLE classes AS
WITH held AS (
    SELECT {value} AS value, left(first_name, 1) AS first, left(last_name, 1) AS last,
        birth_date[:4] AS year, birth_date[6:] AS day,
        CASE WHEN house_number IS NOT NULL THEN hash(house_number, coalesce(postcode, city)) END AS address
    FROM records WHERE {column} IS NOT NULL
),
-- counting distinct things is dear; most values have one name and one birth date
one AS (
    SELECT value, count(*) AS holders,
        coalesce(min(first) = max(first), true) AND coalesce(min(last) = max(last), true)
            AND coalesce(min(year) = max(year) OR min(day) = max(day), true) AS alike
    FROM held GROUP BY value
),
several AS (
    SELECT value, count(DISTINCT first || ' ' || last) AS names,
        count(DISTINCT first) AS first_names, count(DISTINCT last) AS surnames,
        least(count(DISTINCT year), count(DISTINCT day)) AS births, count(DISTINCT address) AS addresses
    FROM held SEMI JOIN (SELECT value FROM one WHERE NOT alike) USING (value) GROUP BY value
)
SELECT value, holders, CASE
    WHEN names > $names OR {placeholder} THEN 'junk'
    WHEN greatest(first_names, births) <= 1 OR alike THEN 'personal'
    WHEN surnames > $surnames OR addresses > $addresses THEN 'organisation'
    ELSE 'household' END AS class
FROM one LEFT JOIN several USING (value)
"""

_COUNTS = "SELECT class, count(*) FROM classes GROUP BY class ORDER BY class"

_KEEP = "INSERT INTO not_personal SELECT ?, value, class FROM classes WHERE class <> 'personal'"

_KEEP_JUNK = "INSERT INTO shared_values SELECT ?, value, holders FROM classes WHERE class = 'junk'"
