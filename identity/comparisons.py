"""How two records are compared: one comparison for each independent kind of evidence. Pure.

A comparison is a list of levels from strongest to weakest; the first whose condition holds counts. The
conditions are SQL over the two records' columns (`_l` and `_r`), used alike in training, in the batch
and online. Correlated attributes are one comparison: street, postcode and city say one thing together.
"""

from dataclasses import replace
from typing import Final

from identity.comparison import ELSE, SEVERAL, Comparison, Kind, Level, either_missing, similar
from identity.name_comparisons import FIRST_NAME, LAST_NAME, MIDDLE_NAME, NAME_SUFFIX
from identity.profile import Profile

__all__ = ["FIRST_NAME", "LAST_NAME", "MIDDLE_NAME", "NAME_SUFFIX", "Comparison", "Kind", "Level", "choose"]


def _jaro(column: str) -> str:
    return f"jaro_similarity({column}_l, {column}_r)"


def _edits(column: str, at_most: int) -> str:
    """Return the condition, with a cheap one before it that holds for every such pair of 6 or more digits.

    An edit distance costs the product of the lengths, and the engine may try it first: it is given nothing
    long.
    """
    short = f"length({column}_l) <= {_LONGEST_TYPED} AND length({column}_r) <= {_LONGEST_TYPED}"
    cut = f"{column}_l[:{_LONGEST_TYPED}], {column}_r[:{_LONGEST_TYPED}]"
    return f"{_jaro(column)} >= 0.77 AND {short} AND damerau_levenshtein({cut}) <= {at_most}"


_LONGEST_TYPED: Final = 40
"""Characters of a number in which typing errors are looked for: nobody types a longer one."""


# Similarities that one wrong character leaves, for values of that many characters: an edit distance
# costs 2 to 10 us a pair, these cost 0.2 us.
_ONE_EDIT_OF_5: Final = 0.86
_ONE_EDIT_OF_12: Final = 0.96
_ONE_EDIT_OF_20: Final = 0.96


BIRTH_DATE: Final = Comparison(
    "birth_date",
    "person",
    either_missing("birth_date"),
    (
        Level("same", "birth_date_l = birth_date_r", frequency="birth_date"),
        # all dates are ten characters: counting the places that differ costs a tenth of an edit distance
        Level("one digit different", "hamming(birth_date_l, birth_date_r) <= 1"),
        Level(
            "day and month swapped",
            "birth_date_l[:4] = birth_date_r[:4] AND birth_date_l[6:7] = birth_date_r[9:10]"
            " AND birth_date_l[9:10] = birth_date_r[6:7]",
            aside=True,
        ),
        Level("two digits different", "hamming(birth_date_l, birth_date_r) <= 2"),
        Level("same year", "birth_date_l[:4] = birth_date_r[:4]"),
        ELSE,
    ),
    ("birth_date",),
)

GENDER: Final = Comparison(
    "gender",
    "person",
    either_missing("gender"),
    (Level("same", "gender_l = gender_r"), ELSE),
    ("gender",),
)

NATIONAL_ID: Final = Comparison(
    "national_id",
    "person",
    either_missing("national_id"),
    (
        Level("same", "national_id_l = national_id_r"),
        Level("one typing error", _edits("national_id", 1)),
        Level("two typing errors", _edits("national_id", 2)),
        ELSE,
    ),
    ("national_id",),
    unique=True,
)


def _shared(column: str, agree: str) -> tuple[Level, Level]:
    """Return the levels of an equal contact: one person's own or vouched for by names, and several people's.

    Where both records name somebody the names decide; where one does not, it matters whose the contact is.
    """
    nameless = "(first_name_l IS NULL OR first_name_r IS NULL)"
    several = f"({SEVERAL[column]}_l IS NOT NULL AND {agree.replace(f'{column}_l', f'{SEVERAL[column]}_l')})"
    return (
        Level("the same", f"{agree} AND NOT ({nameless} AND {several})"),
        Level("the same, of several people", agree, lent=True),
    )


def _user(side: str) -> str:
    return f"string_split(email_{side}[1], '@')[1]"


def _digits(side: str) -> str:
    return f"regexp_replace(email_{side}[1], '[^0-9]', '', 'g')"


def _made_of_the_name(side: str) -> str:
    return (
        f"coalesce(contains(email_{side}[1], first_name_{side}), false)"
        f" OR coalesce(contains(email_{side}[1], string_split(last_name_{side}, ' ')[1]), false)"
    )


_ALIKE_EMAIL: Final = f"jaro_winkler_similarity(email_l[1], email_r[1]) >= {_ONE_EDIT_OF_20}"

EMAIL: Final = Comparison(
    "email",
    "person",
    either_missing("email"),
    (
        *_shared("email", "list_has_any(email_l, email_r)"),
        Level("typing error", f"{_ALIKE_EMAIL} AND {_digits('l')} = {_digits('r')}"),
        # ana.ruiz63@ is not ana.ruiz73@ mistyped: of an address made of a name the digits tell people apart
        Level(
            "typing error in a digit",
            f"{_ALIKE_EMAIL} AND NOT ({_made_of_the_name('l')} OR {_made_of_the_name('r')})",
            aside=True,
        ),
        Level(
            "the same user at another domain",
            f"{_user('l')} = {_user('r')} AND length({_user('l')}) >= 6",
            aside=True,
        ),
        ELSE,
    ),
    ("email",),
    unique=True,
    lent=0.3,
)

PHONE: Final = Comparison(
    "phone",
    "person",
    either_missing("phone"),
    (
        *_shared("phone", "list_has_any(phone_l, phone_r)"),
        Level("the same but for the country", "right(phone_l[1], 9) = right(phone_r[1], 9)", aside=True),
        Level("typing error", f"jaro_winkler_similarity(phone_l[1], phone_r[1]) >= {_ONE_EDIT_OF_12}"),
        ELSE,
    ),
    ("phone",),
    unique=True,
    lent=0.3,
)

DEVICE: Final = Comparison(
    "device_id",
    "person",
    either_missing("device_id"),
    (*_shared("device_id", "device_id_l = device_id_r"), ELSE),
    ("device_id",),
    unique=True,
    lent=0.1,
)

ADDRESS: Final = Comparison(
    "address",
    "household",
    f"({either_missing('street')}) AND ({either_missing('postcode')}) AND ({either_missing('city')})",
    (
        Level("same street and number", "street_l = street_r AND house_number_l = house_number_r"),
        Level(
            "same number, street or postcode alike",
            f"house_number_l = house_number_r AND ({similar('street', 0.9)} OR postcode_l = postcode_r)",
        ),
        Level("same street", "street_l = street_r", aside=True),
        Level("same postcode", "postcode_l = postcode_r", frequency="postcode"),
        Level("postcode with a typing error", f"{_jaro('postcode')} >= {_ONE_EDIT_OF_5}"),
        Level("same city", "city_l = city_r", frequency="city"),
        Level("city spelled alike", similar("city", 0.9)),
        ELSE,
    ),
    ("street", "postcode", "city"),
)


def _identifier(column: str) -> Comparison:
    return Comparison(
        column,
        "person",
        either_missing(column),
        (Level("same", f"{column}_l = {column}_r"), ELSE),
        (column,),
        unique=True,
    )


CATALOGUE: Final[tuple[Comparison, ...]] = (
    FIRST_NAME, LAST_NAME, MIDDLE_NAME, NAME_SUFFIX, BIRTH_DATE, GENDER, NATIONAL_ID, EMAIL, PHONE, ADDRESS,
    _identifier("social_handle"), _identifier("user_id"), _identifier("loyalty_id"),
    DEVICE, _identifier("cookie_id"),
)  # fmt: skip

LEAST_COVERAGE: Final = 0.005
"""A column filled less often than in 5 of 1,000 records can't be trained on, so it is not compared."""


def choose(profile: Profile) -> tuple[Comparison, ...]:
    """Return the comparisons for which the records hold enough values that also differ.

    Where none differ, as in a home of two records of one person, those of a person's own values: how rarely
    strangers share one need not be learnt. What another attribute tells is not counted twice: where that one
    is the same, it says nothing.
    """
    useful = [item for item in CATALOGUE if _is_useful(item, profile, distinct=2)]
    useful = useful or [item for item in CATALOGUE if item.unique and _is_useful(item, profile, distinct=1)]
    return tuple(_alone(item, profile) for item in useful)


def _alone(comparison: Comparison, profile: Profile) -> Comparison:
    by = profile.told.get(comparison.name)
    if by is None:
        return comparison
    return replace(comparison, missing=f"{comparison.missing} OR coalesce({by}_l = {by}_r, false)")


def _is_useful(comparison: Comparison, profile: Profile, *, distinct: int) -> bool:
    return any(
        name in profile.columns
        and profile.columns[name].coverage >= LEAST_COVERAGE
        and profile.columns[name].distinct >= distinct
        for name in comparison.needs
    )
