"""From which age a person's own consent is enough, and until when a guardian's stands in for it (pure).

A child's consent counts only if whoever holds parental responsibility gave it (GDPR 8: below 16, or what a
country says from 13 to 16; CCPA 1798.120(c): below 13, and from 13 to 15 the child's own opt-in). What age
decides is derived at the decision from what the person's records say of their birth, and stored nowhere:

- Somebody is a minor if any record of theirs says so, however doubtful, as a denial would count; a birth date
  corrected on request stands alone.
- Where none of the records that a purpose sees says anything, the policy's `unknown_age` does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from consent.purposes import Purpose

GROWN: Final = 0
"""Born so long ago that no age of consent matters: the day itself is not kept (`birth_fact`)."""
OLDEST_AGE: Final = 21  # the highest age a policy can state
_NEVER: Final = 2**62
_ALWAYS: Final = -(2**62)
_DAY_MS: Final = 86_400_000
_EPOCH: Final = date(1970, 1, 1).toordinal()


@dataclass(frozen=True, slots=True)
class Ages:
    """Times in ms since the epoch, UTC. The defaults are those of a purpose for which age does not matter."""

    own_from: int = _ALWAYS  # what a person says counts if it was said from then on
    guardian_until: int = _NEVER  # what a guardian granted counts until then
    opt_in_until: int = _ALWAYS  # until then an opt-out purpose needs a grant too


ANY_AGE: Final = Ages()


def birth_fact(born: str, now: int) -> int | None:
    """Return what is kept of a birth date (ISO): its day as a number, GROWN, or None if it is none yet."""
    if not born:
        return None
    day = date.fromisoformat(born)
    if _day_ms(day) > now:
        return None
    return GROWN if _day_ms(_anniversary(day, OLDEST_AGE)) <= now else day.toordinal()


def ages_of(stated: Sequence[int], seen: Sequence[int], purpose: Purpose) -> Ages:
    """Return what age means for `purpose`, given the birth facts of a person's records.

    `stated` are those of all records and `seen` those of the records that the purpose sees.
    """
    if not purpose.age_matters:
        return ANY_AGE
    unknown_minor = purpose.unknown_age == "minor" and not seen
    if not stated:
        return Ages(own_from=_NEVER, opt_in_until=_NEVER) if unknown_minor else ANY_AGE
    own, opt_in = purpose.consent_age, purpose.opt_in_age
    needed = max(own or 0, opt_in or 0)
    own_from = _ALWAYS if own is None else max(of_age(fact, own) for fact in stated)
    return Ages(
        own_from=_NEVER if unknown_minor else own_from,
        guardian_until=min(of_age(fact, own or needed) for fact in stated),
        opt_in_until=_NEVER if unknown_minor else max(of_age(fact, needed) for fact in stated),
    )


def of_age(fact: int, years: int) -> int:
    """Return when somebody reaches an age (ms): the day's first moment, in UTC as all times are."""
    return _ALWAYS if fact == GROWN else _day_ms(_anniversary(date.fromordinal(fact), years))


def _anniversary(day: date, years: int) -> date:
    try:
        return day.replace(year=day.year + years)
    except ValueError:  # born on 29 February: a year older on 1 March, the later of the two readings
        return date(day.year + years, 3, 1)


def _day_ms(day: date) -> int:
    return (day.toordinal() - _EPOCH) * _DAY_MS
