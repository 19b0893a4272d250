"""Text -> its plain comparable letters: lower-case ASCII, one space between words. Pure.

Two spellings that a person would read as the same word come out the same: Unicode compatibility forms
(NFKC), case (casefold), accents and scripts (anyascii transliterates), invisible characters (dropped).
"""

import re
import unicodedata
from typing import Final

from anyascii import anyascii

# Invisible: format characters (zero-width, direction marks), private use, surrogates, combining grapheme
# joiner, variation selectors and the Hangul fillers. They change no word a reader sees.
_INVISIBLE_CATEGORIES = frozenset({"Cf", "Cs", "Co", "Cn"})
_INVISIBLE = frozenset("\u034f\u115f\u1160\u3164\uffa0" + "".join(map(chr, range(0xFE00, 0xFE10))))
_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff]")
# Where emoji and other pictures are, beside letters in squares and suchlike.
_MAYBE_PICTURES = re.compile("[\u2190-\u2bff\u3030\u303d\U0001f000-\U0001faff]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_NOT_WORD = re.compile(r"[^a-z0-9]+")
_NOT_ALNUM = re.compile(r"[^a-z0-9]+")
_APOSTROPHES = str.maketrans("", "", "'`")
_WORDS = re.compile(r"[a-z0-9]+(?: [a-z0-9]+)*")

# One character can unfold to eighteen: a value that does so all along says nothing, and would cost as much.
_MOST_UNFOLDED: Final = 8_192


def visible(raw: str) -> str:
    """Return `raw` in NFKC without invisible characters, control characters as spaces, ends trimmed.

    Nothing is left of a value whose NFKC is longer than _MOST_UNFOLDED.
    """
    if raw.isascii():
        return raw.strip() if raw.isprintable() else _CONTROL.sub(" ", raw).strip()
    text = unicodedata.normalize("NFKC", raw)
    if len(text) > _MOST_UNFOLDED:
        return ""
    text = "".join(
        char
        for char in text
        if char.isascii()
        or (char not in _INVISIBLE and unicodedata.category(char) not in _INVISIBLE_CATEGORIES)
    )
    return _CONTROL.sub(" ", text).strip()


def without_pictures(text: str) -> str:
    """Return `text` with a space for each emoji: anyascii would put its name, a word that nobody wrote."""
    return text if text.isascii() else _MAYBE_PICTURES.sub(_unless_pictured, text)


def _unless_pictured(match: re.Match[str]) -> str:
    return " " if anyascii(match[0]).startswith(":") else match[0]  # ❤ is :heart:, 🅰 is A


def latin(raw: str) -> str:
    """Return `raw` as visible lower-case ASCII without pictures; Han characters become one word each."""
    return _transliterated(without_pictures(visible(raw)))


def _transliterated(text: str) -> str:
    if not text.isascii():
        text = anyascii(_HAN.sub(lambda match: f" {match[0]} ", text))
    return text.lower()


def words(raw: str) -> str:
    """Return the words of `raw`: letters and digits, apostrophes closed up, one space between.

    >>> words("  O'Connor-Núñez ")
    'oconnor nunez'
    """
    text = latin(raw)
    if _WORDS.fullmatch(text):
        return text
    return _NOT_WORD.sub(" ", text.translate(_APOSTROPHES)).strip()


def letters_and_digits(raw: str) -> str:
    """Return `raw` without spaces and punctuation, for numbers that people group as they like."""
    return _NOT_ALNUM.sub("", _transliterated(visible(raw)))
