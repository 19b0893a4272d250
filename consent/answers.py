"""What the door is asked and what it answers: see `consent.enforcement`."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from consent.decisions import Decision
from consent.lookup import Identifier


@dataclass(frozen=True, slots=True)
class RevealRequest:
    """Who asks for whom, and why. Exactly one of `golden_id` and `identifiers` is given.

    `opted_out`: the person's browser says so at this very moment (Global Privacy Control).
    """

    purpose: str
    client: str
    golden_id: str | None = None
    identifiers: tuple[Identifier, ...] = ()
    opted_out: bool = False


@dataclass(frozen=True, slots=True)
class Profile:
    """What one purpose may see of one person. `requested_id` is set where the ID asked for was merged."""

    golden_no: int
    golden_id: str
    requested_id: str | None
    purpose: str
    as_of: int  # ms since the epoch, UTC
    confidence: float  # of the least sure record of the view
    attributes: Mapping[str, str | list[str]] = field(repr=False)
    traits: Mapping[str, str] = field(repr=False)
    withheld: Mapping[str, str]
    channels: tuple[str, ...]
    records: int
    household: str | None = None  # only for purposes that are shown one (consent.households)


@dataclass(frozen=True, slots=True)
class Scattered:
    """The ID asked for was split, and this purpose may read every successor."""

    requested_id: str
    golden_nos: tuple[int, ...]
    successors: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Withheld:
    """Nothing is answered. `why` and `decision` are for those who may know, never for a consumer."""

    why: str  # unknown, erased, shared, entry, not_permitted, opted_out
    decision: Decision


Answer = Profile | Scattered | Withheld
