"""The fixed list of blocking rules, from the most telling to the loosest. Pure.

Loose rules of one column matter for rare values: their large blocks are dropped. The blocks of a telling
rule may hold one person's many records: large ones are thinned (see `identity.blocking`).
"""

from dataclasses import dataclass
from typing import Final

from identity.comparable import COLUMNS
from identity.profile import Profile


@dataclass(frozen=True, slots=True)
class Rule:
    """`parts` are SQL expressions over one record; `unnest` says that the first part is a list."""

    name: str
    parts: tuple[str, ...]
    needs: tuple[str, ...]
    unnest: bool = False


def _value(column: str) -> Rule:
    return Rule(column, (column,), (column,))


_EMAIL_USER: Final = "string_split(email[1], '@')[1]"
_FIRST_SURNAME: Final = "string_split(last_name, ' ')[1]"

_IDENTIFIERS: Final = ("national_id", "user_id", "loyalty_id", "social_handle", "device_id", "cookie_id")

EQUAL: Final = Rule("equal records", (f"hash({', '.join(COLUMNS)})",), ())
"""Records that are equal in everything. No part of a model: it holds whatever the columns."""

CATALOGUE: Final[tuple[Rule, ...]] = (
    Rule("email", ("email",), ("email",), unnest=True),
    Rule("phone", ("phone",), ("phone",), unnest=True),
    Rule("end of phone", ("phone[1][-8:]",), ("phone",)),
    Rule("user of email", (_EMAIL_USER,), ("email",)),
    Rule("start and end of user of email", ("email[1][:4]", f"{_EMAIL_USER}[-3:]"), ("email",)),
    *map(_value, _IDENTIFIERS),
    Rule("last_name and birth_date", (_FIRST_SURNAME, "birth_date"), ("last_name", "birth_date")),
    Rule("first_name and birth_date", ("first_name", "birth_date"), ("first_name", "birth_date")),
    Rule("names", ("first_name", _FIRST_SURNAME), ("first_name", "last_name")),
    Rule("names swapped",
         ("least(first_name, last_name)", "greatest(first_name, last_name)", "birth_date[:4]"),
         ("first_name", "last_name", "birth_date")),
    Rule("last_name and postcode", (_FIRST_SURNAME, "postcode"), ("last_name", "postcode")),
    Rule("first_name and postcode", ("first_name", "postcode"), ("first_name", "postcode")),
    Rule("birth_date and postcode", ("birth_date", "postcode"), ("birth_date", "postcode")),
    Rule("street and house_number", ("street", "house_number"), ("street", "house_number")),
    Rule("birth_date and city", ("birth_date", "city"), ("birth_date", "city")),
    Rule("first_name and city", ("first_name", "city"), ("first_name", "city")),
    Rule("last_name and city", (_FIRST_SURNAME, "city"), ("last_name", "city")),
    Rule("starts of names and birth year", ("first_name[:3]", "last_name[:3]", "birth_date[:4]"),
         ("first_name", "last_name", "birth_date")),
    Rule("first_name and birth year", ("first_name", "birth_date[:4]"), ("first_name", "birth_date")),
    Rule("last_name and birth year", (_FIRST_SURNAME, "birth_date[:4]"), ("last_name", "birth_date")),
    Rule("first_name and start of last_name", ("first_name", "last_name[:3]"), ("first_name", "last_name")),
    Rule("last_name and start of first_name", (_FIRST_SURNAME, "first_name[:2]"),
         ("first_name", "last_name")),
    Rule("first_name and end of last_name", ("first_name", "last_name[-3:]"), ("first_name", "last_name")),
    Rule("birth_date", ("birth_date",), ("birth_date",)),
    Rule("postcode", ("postcode",), ("postcode",)),
    Rule("last_name", (_FIRST_SURNAME,), ("last_name",)),
    Rule("first_name", ("first_name",), ("first_name",)),
)  # fmt: skip


def choose(profile: Profile) -> tuple[Rule, ...]:
    """Return the rules whose columns hold values."""
    return tuple(rule for rule in CATALOGUE if profile.has(*rule.needs))


OWN_VALUES: Final = frozenset(("email", "phone", *_IDENTIFIERS))
"""The rules of one person's own values."""

_TELLING: Final = OWN_VALUES | frozenset(
    ("last_name and birth_date", "first_name and birth_date", EQUAL.name)
)


def is_telling(rule: Rule) -> bool:
    """Whether a large block of this rule may well be one person's records, and not just a common value."""
    return rule.name in _TELLING
