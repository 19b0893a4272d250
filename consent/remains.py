"""Searching files for what is left of a value: the value itself, its blind indexes, the keyed hashes of runs.

What an erasure keeps on purpose, suppression entries, is told apart. A file is searched as it lies,
write-ahead logs and free pages included; what is compressed or encrypted in it is not seen. Tokens are
looked for by their first eight bytes in either order, for so the token index keeps them.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Final, Literal
from urllib.parse import quote

from consent.blind_indexes import RECORD, BlindIndex
from consent.errors import RecordRejectedError
from consent.frequency_tokens import frequency_tokens
from consent.suppression import entry_of
from identity.attributes import LOOKUP_TYPES
from identity.normalise import normalise_identifier

What = Literal["value", "token", "suppression"]

SHORTEST: Final = 4
"""Characters of a marker: a shorter one is found everywhere by chance."""
_CHUNK: Final = 16 * 1024 * 1024
_PREFIX: Final = 8


@dataclass(frozen=True, slots=True)
class Needle:
    """Bytes to search for. A value is compared without regard to the case of ASCII letters."""

    what: What
    content: bytes = field(repr=False)


@dataclass(slots=True)
class Remains:
    """What was found, by file and kind; `kept` holds the suppression entries."""

    found: dict[str, Counter[str]] = field(default_factory=dict)
    kept: dict[str, Counter[str]] = field(default_factory=dict)
    unreadable: list[str] = field(default_factory=list)
    files: int = 0
    bytes: int = 0

    @property
    def clean(self) -> bool:
        """Whether nothing is left but what is kept on purpose, and everything could be searched."""
        return not self.found and not self.unreadable


def needles(index: BlindIndex, marker: str, *, default_region: str | None = None) -> list[Needle]:
    """Return what a value may look like in a file. Raises RecordRejectedError for one that is too short."""
    marker = marker.strip()
    if len(marker) < SHORTEST:
        raise RecordRejectedError("marker", f"is shorter than {SHORTEST} characters")
    forms = {marker}
    tokens: dict[str, list[bytes]] = {}
    for kind in LOOKUP_TYPES:
        normalised = normalise_identifier(kind, marker, default_region=default_region)
        if normalised is not None:
            if len(normalised) >= SHORTEST:
                forms |= {normalised, normalised.removeprefix("+")}
            tokens.setdefault(kind, []).append(index.token(kind, normalised))
    if ":" in marker:
        tokens[RECORD] = [index.token(RECORD, marker)]
    written = {text for form in forms for text in _written(form)}
    found = [Needle("value", text) for text in sorted(written)]
    for kind, every in tokens.items():
        for token in every:
            hashes = [token, *(hashed for _, hashed in frequency_tokens(index, kind, token))]
            found += [Needle("token", each) for hashed in hashes for each in _prefixes(hashed)]
            found += [Needle("suppression", each) for each in _prefixes(entry_of(index, token))]
    found += [Needle("token", sha256(form.encode()).digest()) for form in sorted(forms)]
    return list(dict.fromkeys(found))


def scan(folder: Path, wanted: Iterable[Needle]) -> Remains:
    """Search every file under `folder`, links not followed."""
    remains, sought = Remains(), list(wanted)
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not path.is_file():
            continue
        name = path.relative_to(folder).as_posix()
        try:
            counts = _count(path, sought)
            remains.bytes += path.stat().st_size
        except FileNotFoundError:
            continue  # a log that was emptied meanwhile
        except OSError:
            remains.unreadable.append(name)
            continue
        remains.files += 1
        kept = Counter({"suppression": counts.pop("suppression")}) if counts["suppression"] else None
        left = Counter({what: count for what, count in counts.items() if count})
        if left:
            remains.found[name] = left
        if kept:
            remains.kept[name] = kept
    return remains


def _count(path: Path, sought: list[Needle]) -> Counter[str]:
    """Count the needles in a file, each place once."""
    overlap = max(len(needle.content) for needle in sought) - 1
    counts: Counter[str] = Counter({"suppression": 0})
    for chunk, new in _chunks(path, overlap):
        lowered = chunk.lower()
        places: set[tuple[str, int]] = set()
        for needle in sought:
            hay = lowered if needle.what == "value" else chunk
            at = hay.find(needle.content)
            while at >= 0:
                if at + len(needle.content) > len(chunk) - new:  # not counted with the chunk before
                    places.add((needle.what, at))
                at = hay.find(needle.content, at + 1)
        counts.update(what for what, _ in places)
    return counts


def _chunks(path: Path, overlap: int) -> Iterator[tuple[bytes, int]]:
    """Yield stretches of a file, each beginning with the end of the one before; how much of it is new."""
    tail = b""
    with path.open("rb") as file:
        while content := file.read(_CHUNK):
            yield tail + content, len(content)
            tail = (tail + content)[-overlap:] if overlap else b""


def _written(form: str) -> Iterator[bytes]:
    """Yield how a text may be written: as it is, escaped in JSON or in a URL; in lower case."""
    for text in (form, json.dumps(form)[1:-1], quote(form), quote(form, safe="")):
        yield text.encode().lower()
        yield text.lower().encode()


def _prefixes(token: bytes) -> tuple[bytes, bytes]:
    return token[:_PREFIX], token[:_PREFIX][::-1]
