"""How long data, and the proof that it was permitted, may be kept (pure).

Every purpose of the policy states `retention_days` for data and `evidence_retention_days` for the proof of
consent (GDPR 7(1), 17(3)(e)); without a number there is no end. Times are ms since the epoch, UTC.

- An attribute of a record is kept while at least one purpose that names it still retains it, counted from
  when the record was last observed. What no purpose names (and what only linkage compares) stays as long as
  the purpose of linking does.
- A record goes when its last purpose has let go of it.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from consent.events import ConsentEvent, Subject
from consent.purposes import IDENTITY_LINKING, Purposes

DAY_MS: Final = 86_400_000
FOREVER: Final = 2**62
TRAITS: Final = "#traits"
"""All traits together, by the name of their sealed field (consent.vault)."""


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How many ms after its last observation data is kept. `whole`: the record itself."""

    of_attribute: Mapping[str, int]
    unnamed: int  # of attributes that no purpose names
    whole: int

    def expired(self, attributes: Collection[str], observed_at: int, now: int) -> tuple[str, ...]:
        """Return those of a record's attributes whose time is over, sorted; nothing where none is."""
        return tuple(
            sorted(
                name for name in attributes if observed_at + self.of_attribute.get(name, self.unnamed) <= now
            )
        )

    def is_over(self, observed_at: int, now: int) -> bool:
        """Whether the record's last purpose has let go of it."""
        return observed_at + self.whole <= now

    @property
    def shortest(self) -> int:
        """After how long the first attribute of a record can have expired."""
        return min([self.unnamed, self.whole, *self.of_attribute.values()])


def lifetimes(purposes: Purposes, channel: str) -> Lifetimes:
    """Return how long a channel's records are kept under a policy.

    The traits of a record are sealed as one, so they go together, with the last purpose that names any.
    """
    seeing = [each for each in purposes if each.channels is None or channel in each.channels]
    longest: dict[str, int] = {}
    for purpose in seeing:
        deciding = ["birth_date"] if purpose.age_matters else []
        for name in (*purpose.attributes, *deciding, *([TRAITS] if purpose.traits else ())):
            longest[name] = max(longest.get(name, 0), _span(purpose.retention_days))
    linking = _span(purposes[IDENTITY_LINKING].retention_days)
    compared = {name: max(span, linking) for name, span in longest.items()}
    whole = max([linking, *(_span(each.retention_days) for each in seeing)])
    return Lifetimes(compared, linking, whole)


def evidence_until(events: Iterable[ConsentEvent], purposes: Purposes, ended_at: int) -> dict[Subject, int]:
    """Return how long the evidence about subjects whose data ended at `ended_at` has to be kept.

    A subject that is missing has nothing that must still be proven: its evidence goes with the data.
    """
    until: dict[Subject, int] = {}
    for event in events:
        days = purposes[event.purpose].evidence_retention_days if event.purpose in purposes else None
        if days is not None:
            until[event.subject] = max(ended_at + days * DAY_MS, until.get(event.subject, 0))
    return until


def _span(days: int | None) -> int:
    return FOREVER if days is None else days * DAY_MS
