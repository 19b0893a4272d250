"""How two records are compared: one comparison for each independent kind of evidence. Pure.

A comparison is a list of levels from strongest to weakest; the first whose condition holds counts. The
conditions are SQL over the two records' columns (`_l` and `_r`), used alike in training, in the batch
and online. Correlated attributes are one comparison: street, postcode and city say one thing together.
"""

from dataclasses import dataclass
from typing import Final, Literal

from identity.profile import Profile

Kind = Literal["person", "household"]
"""Whether two members of one household agree on it about as often as one person does with themself."""


@dataclass(frozen=True, slots=True)
class Level:
    """One degree of agreement. `frequency` names the column whose common values count for less."""

    label: str
    condition: str
    frequency: str | None = None


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


_ELSE: Final = Level("different", "ELSE")


def _either_missing(column: str) -> str:
    return f"{column}_l IS NULL OR {column}_r IS NULL"


def _similar(column: str, at_least: float) -> str:
    return f"jaro_winkler_similarity({column}_l, {column}_r) >= {at_least}"


def _jaro(column: str) -> str:
    return f"jaro_similarity({column}_l, {column}_r)"


def _edits(column: str, at_most: int) -> str:
    """Return the condition, with a cheap one before it that holds for every such pair of 6 or more digits."""
    return f"{_jaro(column)} >= 0.77 AND damerau_levenshtein({column}_l, {column}_r) <= {at_most}"


# Similarities that one wrong character leaves, for values of that many characters: an edit distance
# costs 2 to 10 us a pair, these cost 0.2 us.
_ONE_EDIT_OF_5: Final = 0.86
_ONE_EDIT_OF_12: Final = 0.96
_ONE_EDIT_OF_20: Final = 0.96


FIRST_NAME: Final = Comparison(
    "first_name",
    "person",
    _either_missing("first_name"),
    (
        Level("same", "first_name_l = first_name_r", frequency="first_name"),
        Level("spelled alike", _similar("first_name", 0.92)),
        Level(
            "one an initial or short form",
            "starts_with(first_name_l, first_name_r) OR starts_with(first_name_r, first_name_l)",
        ),
        Level("first and last swapped", "first_name_l = last_name_r AND last_name_l = first_name_r"),
        Level("similar", _similar("first_name", 0.8)),
        _ELSE,
    ),
    ("first_name",),
)

LAST_NAME: Final = Comparison(
    "last_name",
    "household",
    _either_missing("last_name"),
    (
        Level("same", "last_name_l = last_name_r", frequency="last_name"),
        Level("spelled alike", _similar("last_name", 0.92)),
        Level(
            "one surname of two the same",
            "(contains(last_name_l, ' ') OR contains(last_name_r, ' '))"
            " AND list_has_any(string_split(last_name_l, ' '), string_split(last_name_r, ' '))",
        ),
        Level("similar", _similar("last_name", 0.8)),
        _ELSE,
    ),
    ("last_name",),
)

MIDDLE_NAME: Final = Comparison(
    "middle_name",
    "person",
    _either_missing("middle_name"),
    (
        Level("same", "middle_name_l = middle_name_r AND length(middle_name_l) > 1"),
        Level(
            "initials the same",
            "left(middle_name_l, 1) = left(middle_name_r, 1) AND least(length(middle_name_l),"
            " length(middle_name_r)) = 1",
        ),
        Level("similar", _similar("middle_name", 0.85)),
        _ELSE,
    ),
    ("middle_name",),
)

NAME_SUFFIX: Final = Comparison(
    "name_suffix",
    "person",
    _either_missing("name_suffix"),
    (Level("same", "name_suffix_l = name_suffix_r"), _ELSE),
    ("name_suffix",),
)

BIRTH_DATE: Final = Comparison(
    "birth_date",
    "person",
    _either_missing("birth_date"),
    (
        Level("same", "birth_date_l = birth_date_r", frequency="birth_date"),
        # all dates are ten characters: counting the places that differ costs a tenth of an edit distance
        Level("one digit different", "hamming(birth_date_l, birth_date_r) <= 1"),
        Level(
            "day and month swapped",
            "birth_date_l[:4] = birth_date_r[:4] AND birth_date_l[6:7] = birth_date_r[9:10]"
            " AND birth_date_l[9:10] = birth_date_r[6:7]",
        ),
        Level("two digits different", "hamming(birth_date_l, birth_date_r) <= 2"),
        Level("same year", "birth_date_l[:4] = birth_date_r[:4]"),
        _ELSE,
    ),
    ("birth_date",),
)

GENDER: Final = Comparison(
    "gender",
    "person",
    _either_missing("gender"),
    (Level("same", "gender_l = gender_r"), _ELSE),
    ("gender",),
)

NATIONAL_ID: Final = Comparison(
    "national_id",
    "person",
    _either_missing("national_id"),
    (
        Level("same", "national_id_l = national_id_r"),
        Level("one typing error", _edits("national_id", 1)),
        Level("two typing errors", _edits("national_id", 2)),
        _ELSE,
    ),
    ("national_id",),
    unique=True,
)

EMAIL: Final = Comparison(
    "email",
    "person",
    _either_missing("email"),
    (
        Level("one the same", "list_has_any(email_l, email_r)"),
        Level("typing error", f"jaro_winkler_similarity(email_l[1], email_r[1]) >= {_ONE_EDIT_OF_20}"),
        _ELSE,
    ),
    ("email",),
    unique=True,
    lent=0.3,
)

PHONE: Final = Comparison(
    "phone",
    "person",
    _either_missing("phone"),
    (
        Level("one the same", "list_has_any(phone_l, phone_r)"),
        Level("typing error", f"jaro_winkler_similarity(phone_l[1], phone_r[1]) >= {_ONE_EDIT_OF_12}"),
        _ELSE,
    ),
    ("phone",),
    unique=True,
    lent=0.3,
)

ADDRESS: Final = Comparison(
    "address",
    "household",
    f"({_either_missing('street')}) AND ({_either_missing('postcode')}) AND ({_either_missing('city')})",
    (
        Level("same street and number", "street_l = street_r AND house_number_l = house_number_r"),
        Level(
            "same number, street or postcode alike",
            f"house_number_l = house_number_r AND ({_similar('street', 0.9)} OR postcode_l = postcode_r)",
        ),
        Level("same street", "street_l = street_r"),
        Level("same postcode", "postcode_l = postcode_r", frequency="postcode"),
        Level("postcode with a typing error", f"{_jaro('postcode')} >= {_ONE_EDIT_OF_5}"),
        Level("same city", "city_l = city_r", frequency="city"),
        Level("city spelled alike", _similar("city", 0.9)),
        _ELSE,
    ),
    ("street", "postcode", "city"),
)


def _identifier(column: str) -> Comparison:
    return Comparison(
        column,
        "person",
        _either_missing(column),
        (Level("same", f"{column}_l = {column}_r"), _ELSE),
        (column,),
        unique=True,
    )


CATALOGUE: Final[tuple[Comparison, ...]] = (
    FIRST_NAME, LAST_NAME, MIDDLE_NAME, NAME_SUFFIX, BIRTH_DATE, GENDER, NATIONAL_ID, EMAIL, PHONE, ADDRESS,
    _identifier("social_handle"), _identifier("user_id"), _identifier("loyalty_id"),
    _identifier("device_id"), _identifier("cookie_id"),
)  # fmt: skip

LEAST_COVERAGE: Final = 0.005
"""A column filled less often than in 5 of 1,000 records can't be trained on, so it is not compared."""


def choose(profile: Profile) -> tuple[Comparison, ...]:
    """Return the comparisons for which the records hold enough values that also differ."""
    return tuple(comparison for comparison in CATALOGUE if _is_useful(comparison, profile))


def _is_useful(comparison: Comparison, profile: Profile) -> bool:
    return any(
        name in profile.columns
        and profile.columns[name].coverage >= LEAST_COVERAGE
        and profile.columns[name].distinct > 1
        for name in comparison.needs
    )
