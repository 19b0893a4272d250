"""Evidence that comes with a statement, checked against what the statement says (pure).

Evidence proves and decides nothing: a decision rests on the statement's own state. What it must not do is
contradict it, since a ledger that keeps "granted" beside a string that says "no" proves neither.
"""

import re
from collections.abc import Set as AbstractSet
from typing import Final

from consent.decisions import CLOCK_SKEW_MS
from consent.errors import RecordRejectedError
from consent.events import GUARDIAN_METHODS, StatedEvidence
from consent.purposes import Purpose
from consent.tc_string import TcString, TcStringError, read_tc_string

COLUMN: Final = "evidence"


_REFERENCE: Final = re.compile(r"[A-Za-z0-9_.:/-]{1,128}")  # no room for a name or an address


def check_evidence(
    evidence: StatedEvidence | None, state: str, method: str, purpose: Purpose, now: int
) -> None:
    """Raise RecordRejectedError (never with the value) for evidence that cannot prove the statement.

    And for a guardian's grant without any: whose word it was must be on file somewhere.
    """
    by_guardian = method in GUARDIAN_METHODS
    if by_guardian and state == "granted" and (evidence is None or evidence.type != "guardian"):
        raise RecordRejectedError(
            COLUMN, "of type guardian is missing: name where the guardian's word is on file"
        )
    if evidence is None:
        return
    if evidence.type == "iab_tcf":
        _check_tc_string(evidence.value, state, purpose, now)
    elif not by_guardian:
        raise RecordRejectedError(COLUMN, f"of a guardian does not go with the method {method}")
    elif not _REFERENCE.fullmatch(evidence.value):
        raise RecordRejectedError(COLUMN, "is no reference of 1 to 128 letters, digits or any of _.:/-")


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
