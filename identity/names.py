"""Personal names: parts, order, titles, particles and suffixes. Pure.

What people write in several ways is brought into one: particles leave a surname ("de la Cruz" is cruz, "van
der Berg" berg), Mac and Saint join theirs, an initial after the first name is a middle name, "Mª" is María.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from identity.cleaning import latin, visible, without_pictures, words
from identity.name_words import (
    BORN,
    DEVOTIONS,
    GENERATIONS,
    HONOURS,
    IBERIAN_SURNAMES,
    JOINED,
    PARTICLES,
    ROLE_FILLERS,
    ROLES,
    TITLES,
    UNKNOWN,
)

_ASIDE: Final = re.compile(r"\([^()]*\)|\"[^\"]*\"|“[^”]*”")  # Robert (Bob) Smith, Robert "Bob" Smith
_HAN: Final = re.compile(r"[\u3400-\u9fff]+(?: +[\u3400-\u9fff]+|(?:·[\u3400-\u9fff]+)*)")
_HANGUL: Final = re.compile(r"[\uac00-\ud7a3]{2,4}|[\uac00-\ud7a3]{1,2} +[\uac00-\ud7a3]{1,3}")
_HAN_WORD: Final = re.compile(r"[\u3400-\u9fff]{2,}")


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
    first_words, suffix_1 = _bare(_one_word(first), leading=True)
    middle_words, suffix_2 = _bare(middle, leading=False)
    last_words, suffix_3 = _bare(_one_word(last), leading=False)
    suffix = suffix_3 or suffix_1 or suffix_2
    if " " in first_words:
        first_words, initials = _given(first_words)
        middle_words = middle_words or initials
    if " " in last_words:
        last_words = _surnames(last_words)
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
    """Return the parts of "First [Middle] Last [Last]", "Last, First", "LAST First", Han or Hangul names."""
    if not raw.isascii() and (found := _east_asian(without_pictures(visible(raw)).strip())):
        return found
    head, *tails = latin(_surname_last(raw)).split(",")
    suffix = ""
    given = []
    for tail in tails:
        tail_words, tail_suffix = _bare(tail, leading=True)
        suffix = suffix or tail_suffix
        given += tail_words.split()
    head_words, head_suffix = _bare(head, leading=True)
    suffix = suffix or head_suffix
    if given and head_words:  # "Last, First Middle"
        known = _length_of_first(given, len(given))
        first, middle, last = " ".join(given[:known]), " ".join(given[known:]), head_words
    else:
        first, middle, last = _in_order(head_words.split() or given)
    first, initials = _given(first)
    middle, last = middle or initials, _surnames(last)
    return Name(_joined(first, middle, last), first, middle, last, suffix)


def _in_order(parts: list[str]) -> tuple[str, str, str]:
    if len(parts) < 2:
        return (parts[0], "", "") if parts else ("", "", "")
    start = _length_of_first(parts, len(parts) - 1)
    first, rest = " ".join(parts[:start]), parts[start:]
    for position, word in enumerate(rest[:-1]):
        if word in PARTICLES:
            # García de la Cruz, Smith née Jones: the surnames begin one word before the particle
            two = position > 0 and (word in BORN or rest[position - 1] in IBERIAN_SURNAMES)
            return first, " ".join(rest[: position - two]), " ".join(rest[position - two :])
    surnames = 2 if len(rest) >= 3 or (len(rest) == 2 and rest[0] in IBERIAN_SURNAMES) else 1
    return first, " ".join(rest[:-surnames]), " ".join(rest[-surnames:])


def _length_of_first(parts: list[str], most: int) -> int:
    """Return how many words the first name has: María del Carmen and María de los Ángeles are one name."""
    if parts[0] in {"maria", "ma"}:
        for position in range(1, most):
            if parts[position] in DEVOTIONS:
                return position + 1
            if parts[position] not in PARTICLES:
                break
    return 1


@lru_cache(maxsize=32768)
def _bare(raw: str, *, leading: bool) -> tuple[str, str]:
    """Return the words of `raw` without titles, honours, asides and suffix; and the suffix.

    `leading` tells whether a title may stand first. A part that is nothing but a title is empty.
    """
    if not raw:
        return "", ""
    if '"' in raw or "(" in raw or "“" in raw:
        raw = _ASIDE.sub(" ", raw).strip() or raw
    text = words(raw)
    if text in UNKNOWN:
        return "", ""
    parts = text.split(" ")
    suffix = ""
    if leading:
        while parts and parts[0] in TITLES:
            parts.pop(0)
    while len(parts) > 1 and (parts[-1] in GENERATIONS or parts[-1] in HONOURS):
        suffix = GENERATIONS.get(parts.pop(), suffix)
    if leading and _is_role(parts):
        return "", ""
    if len(parts) == 1 and (parts[0] in HONOURS or (leading and parts[0] in GENERATIONS)):
        suffix = GENERATIONS.get(parts.pop(), suffix)
    return " ".join(parts), suffix


def _is_role(parts: list[str]) -> bool:
    """Whether the words say who somebody is to a household or a form: "daughter", "lady of the house"."""
    fillers = [word for word in parts if word in ROLE_FILLERS]
    roles = [word for word in parts if word in ROLES]
    return len(fillers) + len(roles) == len(parts) and (bool(roles) or (len(fillers) > 1 and "of" in fillers))


@lru_cache(maxsize=8192)
def _given(first: str) -> tuple[str, str]:
    """Return a first name of several words in one spelling, and the initials that followed it.

    María del Carmen, Mª Carmen and María Carmen are one; Rosemary A is Rosemary with a middle initial.
    """
    parts = first.split()
    if len(parts) > 1 and parts[0] == "ma":
        parts[0] = "maria"
    kept = [parts[0], *(word for word in parts[1:] if word not in PARTICLES)] if parts else []
    size = len(kept)
    while size > 1 and len(kept[size - 1]) == 1:
        size -= 1
    return " ".join(kept[:size]), " ".join(kept[size:])


@lru_cache(maxsize=32768)
def _surnames(last: str) -> str:
    """Return surnames without particles, those that are written together joined."""
    parts = last.split()
    kept: list[str] = []
    for position, word in enumerate(parts):
        if position and parts[position - 1] in JOINED:
            kept.append(parts[position - 1] + word)
        elif word not in PARTICLES and (word not in JOINED or position == len(parts) - 1):
            kept.append(word)
    return " ".join(kept) or last


def _one_word(raw: str) -> str:
    """Return a first name or surname in Han as the one word that it is, of however many characters."""
    if not raw or max(raw) < "\u3400":  # nearly everybody, and soon told
        return raw
    if not _HAN_WORD.fullmatch(text := without_pictures(visible(raw)).strip()):
        return raw
    return words(text).replace(" ", "")


def _complement(part: str, other: str) -> str:
    """Return `part` without the words that `other` already holds."""
    held = set(other.split())
    return " ".join(word for word in part.split() if word not in held)


def _joined(*parts: str) -> str:
    return " ".join(part for part in parts if part)


def _surname_last(raw: str) -> str:
    """Return `raw` with a surname in capitals behind the given names: MACRON Emmanuel, as in France."""
    if raw.isupper() or raw.islower() or "," in raw:
        return raw
    parts = raw.split()
    capitals = 0
    while capitals < len(parts) and _in_capitals(parts[capitals]):
        capitals += 1
    if not 0 < capitals < len(parts) or any(map(_in_capitals, parts[capitals:])):
        return raw
    return " ".join(parts[capitals:] + parts[:capitals])


def _in_capitals(word: str) -> bool:
    return len(word) > 2 and word.isalpha() and word.isupper()


def _east_asian(text: str) -> Name | None:
    """Return the parts of a name in Han or Hangul, family first, given names as one word; None for others.

    A space parts family and given names; a dot parts the words of a foreign name in Han, given name first.
    """
    if not (_HAN.fullmatch(text) or _HANGUL.fullmatch(text)):
        return None
    if " " in text:
        family, *given = (words(part).replace(" ", "") for part in text.split())
    elif _HAN.fullmatch(text):
        family, *given = words(text).split()
        if "·" in text:
            first, _, last = (words(part).replace(" ", "") for part in text.rpartition("·"))
            family, given = last, [first]
    else:
        family, given = words(text[0]), [words(text[1:])]
    return Name(f"{''.join(given)} {family}".strip(), "".join(given), "", family)
