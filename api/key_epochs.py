"""Key epochs in the border's form: times as RFC 3339, and what old copies of the stores still reveal."""

from typing import TYPE_CHECKING, Any

from api.times import rfc3339

if TYPE_CHECKING:
    from api.services import Services


def shown(services: "Services") -> dict[str, Any]:
    """Return every epoch with how many keys it wraps, and both erasure horizons."""
    horizons = services.rotation.horizons()
    return {
        "epochs": [
            {
                "epoch": each.epoch,
                "status": each.status,
                "keys": each.keys,
                "created_at": _time(each.created_at),
                "destroyed_at": _time(each.destroyed_at),
                "destruction_asked_by": each.asked_by,
            }
            for each in services.rotation.epochs()
        ],
        "horizons": {"keys": _time(horizons.keys), "tokens": _time(horizons.tokens)},
    }


def _time(at: int | None) -> str | None:
    return None if at is None else rfc3339(at)
