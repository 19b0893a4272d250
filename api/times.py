"""Times at the border: RFC 3339 in and out, milliseconds since the epoch inside (pure)."""

from datetime import timedelta
from functools import lru_cache

from api.ingest.times import EPOCH, epoch_ms
from consent.errors import RecordRejectedError


@lru_cache(maxsize=64)  # the answers of a batch are all as of a few moments
def rfc3339(milliseconds: int) -> str:
    """Return a time as the contract answers it: UTC, with `Z`, to the millisecond."""
    moment = EPOCH + timedelta(milliseconds=milliseconds)
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def milliseconds(text: str, field: str) -> int:
    """Return a time of a request; without offset it is UTC. Raises RecordRejectedError naming `field`."""
    try:
        return epoch_ms(text)
    except ValueError:  # its message repeats the text
        raise RecordRejectedError(field, "is no RFC 3339 time") from None
