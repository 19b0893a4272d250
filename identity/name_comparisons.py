"""How two names are compared: given names, surnames, middle names, generations. Pure."""

from typing import Final

from identity.comparison import ELSE, Comparison, Level, either_missing, similar

FIRST_NAME: Final = Comparison(
    "first_name",
    "person",
    either_missing("first_name"),
    (
        Level("same", "first_name_l = first_name_r", frequency="first_name"),
        Level("spelled alike", similar("first_name", 0.92)),
        Level(
            "one an initial or short form",
            "starts_with(first_name_l, first_name_r) OR starts_with(first_name_r, first_name_l)",
        ),
        Level("first and last swapped", "first_name_l = last_name_r AND last_name_l = first_name_r"),
        Level("similar", similar("first_name", 0.8)),
        ELSE,
    ),
    ("first_name",),
)

LAST_NAME: Final = Comparison(
    "last_name",
    "household",
    either_missing("last_name"),
    (
        Level("same", "last_name_l = last_name_r", frequency="last_name"),
        Level("spelled alike", similar("last_name", 0.92)),
        Level(
            "one surname of two the same",
            "(contains(last_name_l, ' ') OR contains(last_name_r, ' '))"
            " AND list_has_any(string_split(last_name_l, ' '), string_split(last_name_r, ' '))",
        ),
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
