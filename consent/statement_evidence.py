"""Evidence that comes with a statement, checked against what the statement says (pure).

Evidence proves and decides nothing: a decision rests on the statement's own state. What it must not do is
contradict it, since a ledger that keeps "granted" beside a string that says "no" proves neither.
"""

from collections.abc import Set as AbstractSet
from typing import Final

from consent.decisions import CLOCK_SKEW_MS
from consent.errors import RecordRejectedError
from consent.events import StatedEvidence
from consent.purposes import Purpose
from consent.tc_string import TcString, TcStringError, read_tc_string

COLUMN: Final = "evidence"


def check_evidence(evidence: StatedEvidence | None, state: str, purpose: Purpose, now: int) -> None:
    """Raise RecordRejectedError (never with the value) for evidence that cannot prove `state`."""
    if evidence is not None:
        _check_tc_string(evidence.value, state, purpose, now)


def _check_tc_string(text: str, state: str, purpose: Purpose, now: int) -> None:
    if not purpose.tcf_purposes:
        raise RecordRejectedError(
            COLUMN, f"is a TC string, but the policy names no tcf_purposes of {purpose.name}"
        )
    try:
        said = read_tc_string(text)
    except TcStringError as error:
        raise RecordRejectedError(COLUMN, str(error)) from None
    if said.last_updated > now + CLOCK_SKEW_MS:
        raise RecordRejectedError(COLUMN, "is a TC string updated more than 5 minutes in the future")
    if state == "restricted":  # the framework knows no such thing
        return
    permitted = _permits(said, purpose)
    if permitted is not (state == "granted"):
        raise RecordRejectedError(
            COLUMN,
            f"is a TC string that {'consents to' if permitted else 'does not consent to'} every one of the "
            f"purpose's tcf_purposes, which contradicts {state}",
        )


def _permits(said: TcString, purpose: Purpose) -> bool:
    """Whether the string permits every purpose of the framework that `purpose` stands for."""
    asked: AbstractSet[int] = frozenset(purpose.tcf_purposes)
    if said.purpose_one_treatment and len(asked) > 1:
        asked -= {1}
    permitted = said.consents if purpose.regime == "opt_in" else said.consents | said.legitimate_interests
    return asked <= permitted
