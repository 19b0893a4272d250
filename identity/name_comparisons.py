"""How two names are compared: given names, surnames, middle names, generations. Pure.

Given names tell people apart, surnames families: two surnames of which one is the same say "one person"
where the other was left out, and "one family" where the other differs (a Spanish father and his son).
Exact conditions come first: a similarity costs 0.2 us, a list of words 1 us a pair.
"""

from typing import Final

from identity.comparison import ELSE, Comparison, Level, either_missing, similar

_SHORTEST_FIRST: Final = "least(length(first_name_l), length(first_name_r))"

# Antonio and Antonia, Luis and Luisa: one letter apart, and hardly ever one person.
_OTHER_SEX: Final = (
    "(first_name_l = first_name_r || 'a' OR first_name_r = first_name_l || 'a'"
    " OR (first_name_l[:-2] = first_name_r[:-2] AND length(first_name_l) = length(first_name_r)"
    " AND first_name_l[-1:] IN ('a', 'o') AND first_name_r[-1:] IN ('a', 'o')))"
)

_SWAPPED: Final = "(first_name_l = last_name_r AND last_name_l = first_name_r)"


def _words_overlap(column: str, separator: str) -> str:
    return f"list_has_any(string_split({column}_l, '{separator}'), string_split({column}_r, '{separator}'))"


def _one_holds_the_words_of_the_other(column: str) -> str:
    return (
        f"(contains({column}_l, ' ') AND contains(' ' || {column}_l || ' ', ' ' || {column}_r || ' ')"
        f" OR contains({column}_r, ' ') AND contains(' ' || {column}_r || ' ', ' ' || {column}_l || ' '))"
    )


FIRST_NAME: Final = Comparison(
    "first_name",
    "person",
    either_missing("first_name"),
    (
        Level("same", "first_name_l = first_name_r", frequency="first_name"),
        Level("the other sex's form", _OTHER_SEX, aside=True),
        Level("spelled alike", similar("first_name", 0.92)),
        Level(
            "short form, nickname or another of the names",
            f"({_SHORTEST_FIRST} > 1 AND (starts_with(first_name_l, first_name_r)"
            " OR starts_with(first_name_r, first_name_l)"
            " OR first_name_l = middle_name_r OR middle_name_l = first_name_r))"
            f" OR {_words_overlap('given_names', ',')} OR {_one_holds_the_words_of_the_other('first_name')}",
            frequency="first_name",
            aside=True,
        ),
        Level("initial", f"{_SHORTEST_FIRST} = 1 AND first_name_l[:1] = first_name_r[:1]", aside=True),
        Level("first and last swapped", _SWAPPED, aside=True),
        # a slip of the pen, hardly a person's name
        Level("an initial of another", f"{_SHORTEST_FIRST} = 1", aside=True),
        Level("similar", similar("first_name", 0.8)),
        ELSE,
    ),
    ("first_name",),
)

_TWO_L: Final = "contains(last_name_l, ' ')"
_TWO_R: Final = "contains(last_name_r, ' ')"
_BOTH_BUT_TURNED: Final = (
    "(last_name_l = split_part(last_name_r, ' ', 2) || ' ' || split_part(last_name_r, ' ', 1))"
)

LAST_NAME: Final = Comparison(
    "last_name",
    "household",
    f"{either_missing('last_name')} OR {_SWAPPED}",  # the first names say it already
    (
        Level("same", "last_name_l = last_name_r", frequency="last_name"),
        Level(
            "one of two surnames left out, or turned",
            f"{_one_holds_the_words_of_the_other('last_name')}"
            f" OR ({_TWO_L} AND {_TWO_R} AND {_BOTH_BUT_TURNED})",
            aside=True,
        ),
        Level(
            "one of two surnames shared",
            f"{_TWO_L} AND {_TWO_R} AND {_words_overlap('last_name', ' ')}"
            f" AND NOT {similar('last_name', 0.95)}",
            aside=True,
        ),
        Level("spelled alike", similar("last_name", 0.92)),
        Level("similar", similar("last_name", 0.8)),
        ELSE,
    ),
    ("last_name",),
)

MIDDLE_NAME: Final = Comparison(
    "middle_name",
    "person",
    either_missing("middle_name"),
    (
        Level("same", "middle_name_l = middle_name_r AND length(middle_name_l) > 1"),
        Level(
            "initials the same",
            "left(middle_name_l, 1) = left(middle_name_r, 1) AND least(length(middle_name_l),"
            " length(middle_name_r)) = 1",
            aside=True,
        ),
        Level("similar", similar("middle_name", 0.85)),
        ELSE,
    ),
    ("middle_name",),
)

NAME_SUFFIX: Final = Comparison(
    "name_suffix",
    "person",
    either_missing("name_suffix"),
    (Level("same", "name_suffix_l = name_suffix_r"), ELSE),
    ("name_suffix",),
)
