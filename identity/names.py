"""Personal names: parts, order, titles and suffixes. Pure."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from identity.cleaning import latin, words

# Said before or after a name, not part of it.
TITLES: Final = frozenset(
    {
        "mr", "mrs", "ms", "miss", "mx", "dr", "prof", "professor", "sir", "dame", "lord", "lady", "rev",
        "reverend", "hon", "capt", "captain", "col", "colonel", "lt", "maj", "major", "gen", "sgt",
        "herr", "frau", "mme", "mlle", "monsieur", "madame", "sr", "sra", "srta", "don", "dona", "senor",
        "senora", "senorita",
    }
)  # fmt: skip

# Tell a father from a son: kept apart from the surname, as one value.
GENERATIONS: Final = {
    "jr": "jr", "jnr": "jr", "junior": "jr", "sr": "sr", "snr": "sr", "senior": "sr",
    "ii": "ii", "iii": "iii", "iv": "iv", "2nd": "ii", "3rd": "iii", "4th": "iv",
}  # fmt: skip

# Honours and degrees after a name.
HONOURS: Final = frozenset(
    {
        "esq", "esquire", "phd", "md", "dds", "dvm", "cpa", "mba", "msc", "bsc", "obe", "mbe", "cbe", "kbe",
        "frs", "qc", "kc", "mp", "baronet", "bart", "bt", "1st", "5th", "6th", "7th", "8th", "9th", "10th",
    }
)  # fmt: skip

# Begin a surname of several words: "de la Cruz", "van der Berg".
PARTICLES: Final = frozenset(
    {
        "de", "del", "la", "las", "los", "da", "das", "do", "dos", "di", "du", "des", "le", "van", "von",
        "der", "den", "ten", "ter", "zu", "bin", "ibn", "al", "el", "st", "mac", "mc",
    }
)  # fmt: skip

_UNKNOWN: Final = frozenset({"", "na", "n a", "none", "null", "unknown", "nan", "no name", "not provided"})


@dataclass(frozen=True, slots=True)
class Name:
    """Parts of one name, normalised; an absent part is empty. `full` is given names, then surnames."""

    full: str = ""
    first: str = ""
    middle: str = ""
    last: str = ""
    suffix: str = ""

    def __repr__(self) -> str:
        return "Name(<parts>)"


def name_of(first: str, middle: str, last: str, full: str) -> Name:
    """Return the name made of what was given, each raw: a missing part is taken from the others."""
    first_words, suffix_1 = _bare(first, leading=True)
    middle_words, suffix_2 = _bare(middle, leading=False)
    last_words, suffix_3 = _bare(last, leading=False)
    suffix = suffix_3 or suffix_1 or suffix_2
    if not full:
        return Name(_joined(first_words, middle_words, last_words), first_words, middle_words, last_words,
                    suffix)  # fmt: skip
    whole = split_full_name(full)
    if not first_words and not last_words:
        return Name(whole.full, whole.first, middle_words or whole.middle, whole.last, suffix or whole.suffix)
    return Name(
        whole.full or _joined(first_words, middle_words, last_words),
        first_words or _complement(whole.first, last_words),
        middle_words,
        last_words or _complement(whole.last, first_words),
        suffix or whole.suffix,
    )


def split_full_name(raw: str) -> Name:
    """Return the parts of "First [Middle] Last [Last]", "Last, First" or a Han name (surname first)."""
    if _is_han(raw):
        family, *given = words(raw).split()
        return Name(f"{''.join(given)} {family}".strip(), "".join(given), "", family)
    head, *tails = latin(raw).split(",")
    suffix = ""
    given = []
    for tail in tails:
        tail_words, tail_suffix = _bare(tail, leading=True)
        suffix = suffix or tail_suffix
        given += tail_words.split()
    head_words, head_suffix = _bare(head, leading=True)
    suffix = suffix or head_suffix
    if given and head_words:  # "Last, First Middle"
        first, middle, last = given[0], " ".join(given[1:]), head_words
    else:
        first, middle, last = _in_order(head_words.split() or given)
    return Name(_joined(first, middle, last), first, middle, last, suffix)


def _in_order(parts: list[str]) -> tuple[str, str, str]:
    if len(parts) < 2:
        return (parts[0], "", "") if parts else ("", "", "")
    for position in range(1, len(parts) - 1):
        if parts[position] in PARTICLES:
            return parts[0], " ".join(parts[1:position]), " ".join(parts[position:])
    if len(parts) >= 4:  # two given names and two surnames
        return parts[0], " ".join(parts[1:-2]), " ".join(parts[-2:])
    return parts[0], " ".join(parts[1:-1]), parts[-1]


@lru_cache(maxsize=32768)
def _bare(raw: str, *, leading: bool) -> tuple[str, str]:
    """Return the words of `raw` without titles, honours and suffix; and the suffix.

    `leading` tells whether a title may stand first. A part that is nothing but a title is empty.
    """
    if not raw:
        return "", ""
    text = words(raw)
    if text in _UNKNOWN:
        return "", ""
    parts = text.split(" ")
    suffix = ""
    if leading:
        while parts and parts[0] in TITLES:
            parts.pop(0)
    while len(parts) > 1 and (parts[-1] in GENERATIONS or parts[-1] in HONOURS):
        suffix = GENERATIONS.get(parts.pop(), suffix)
    if len(parts) == 1 and (parts[0] in HONOURS or (leading and parts[0] in GENERATIONS)):
        suffix = GENERATIONS.get(parts.pop(), suffix)
    return " ".join(parts), suffix


def _complement(part: str, other: str) -> str:
    """Return `part` without the words that `other` already holds."""
    held = set(other.split())
    return " ".join(word for word in part.split() if word not in held)


def _joined(*parts: str) -> str:
    return " ".join(part for part in parts if part)


def _is_han(raw: str) -> bool:
    text = raw.strip()
    return bool(text) and not text.isascii() and all("\u3400" <= char <= "\u9fff" for char in text)
