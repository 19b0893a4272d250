"""Times and dates as files write them (pure)."""

import re
from datetime import UTC, date, datetime, tzinfo
from functools import lru_cache

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST = datetime.min.replace(tzinfo=UTC) - EPOCH
_LAST = datetime.max.replace(tzinfo=UTC) - EPOCH


def epoch_ms(text: str, zone: tzinfo = UTC) -> int:
    """Milliseconds since the epoch of an RFC 3339 time; one without offset is in `zone`.

    A date alone is its midnight. Raises ValueError where the text is no time.
    """
    moment = datetime.fromisoformat(text.strip().upper())  # RFC 3339 5.6: `t` and `z` are as good
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone)
    try:
        elapsed = moment - EPOCH
    except OverflowError:
        raise ValueError("the time is out of range") from None
    if not _FIRST <= elapsed <= _LAST:  # an offset may lead out of the years that UTC can write
        raise ValueError("the time is out of range")
    # Integer arithmetic: float seconds would lose milliseconds far from the epoch.
    return elapsed.days * 86_400_000 + elapsed.seconds * 1000 + elapsed.microseconds // 1000


@lru_cache(maxsize=65_536)  # strptime takes about 8 us and dates repeat
def iso_date(text: str, pattern: str) -> str | None:
    """`text` as an ISO date: it reads by `pattern` (strptime), or is one already; None if neither."""
    text = text.strip()
    try:
        return datetime.strptime(text, pattern).date().isoformat()  # noqa: DTZ007 - a date has no zone
    except ValueError:
        pass
    try:
        return date.fromisoformat(text).isoformat() if _ISO_DATE.fullmatch(text) else None
    except ValueError:
        return None


_ISO_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def holds_a_date(pattern: str) -> bool:
    """Whether `pattern` writes day, month and year, so that a date survives the round trip."""
    sample = date(1990, 2, 21)
    try:
        return datetime.strptime(sample.strftime(pattern), pattern).date() == sample  # noqa: DTZ007 - a date has no zone
    except ValueError:
        return False
