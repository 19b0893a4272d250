"""Which purposes an objection, a withdrawal or a restriction is about, where the person named none (pure)."""

from collections.abc import Sequence
from typing import Final

from consent.dpv_terms import MARKETING, SELLING
from consent.errors import RecordRejectedError
from consent.purposes import IDENTITY_LINKING, Purpose, Purposes
from consent.request_rules import RequestType

STATES: Final = {"objection": "objected", "withdrawal": "withdrawn", "restriction": "restricted"}
"""The request types that are consent events, and the state that each records."""


def purposes_of(kind: RequestType, asked: str, named: Sequence[str], policy: Purposes) -> tuple[str, ...]:
    """Return the purposes that the request concerns; those named, or by what the law gives.

    Linking comes last: once it is withdrawn the records are nobody's together. Raises UnknownPurposeError,
    and RecordRejectedError for a purpose that this right does not reach.
    """
    if kind not in STATES:
        if named:
            raise RecordRejectedError("purposes", f"are not named for {kind}, which is about all of them")
        return ()
    chosen = [policy[name] for name in dict.fromkeys(named)] or _default(kind, asked, policy)
    for purpose in chosen:
        _refuse_beyond(kind, purpose)
    if not chosen:
        raise RecordRejectedError("purposes", "the policy has none that this right reaches: name them")
    return tuple(each.name for each in sorted(chosen, key=lambda each: each.name == IDENTITY_LINKING))


def is_sale(purpose: Purpose) -> bool:
    """Whether a purpose sells or shares personal data in the CCPA's sense: a Global Privacy Control ends it.

    (Cal. Code Regs. tit. 11, 7025: the signal is a valid request to opt out of sale and sharing.)
    """
    return purpose.dpv in SELLING and purpose.regime != "none"


def _refuse_beyond(kind: RequestType, purpose: Purpose) -> None:
    """Raise RecordRejectedError for a purpose that this right does not reach."""
    basis = purpose.legal_basis.replace("_", " ")
    if kind != "restriction" and purpose.regime == "none":
        raise RecordRejectedError("purposes", f"{purpose.name} rests on {basis}: only a restriction ends it")
    if kind == "withdrawal" and purpose.regime != "opt_in":
        raise RecordRejectedError("purposes", f"{purpose.name} rests on {basis}: object to it instead")


def _default(kind: RequestType, asked: str, policy: Purposes) -> list[Purpose]:
    if kind == "restriction":  # one event: a restriction of any purpose is one of all
        return [policy[IDENTITY_LINKING]]
    if kind == "withdrawal":
        return [each for each in policy if each.regime == "opt_in"]
    reached = [each for each in policy if each.regime != "none"]
    if asked == "opt_out":
        return [each for each in reached if is_sale(each)]
    return [each for each in reached if each.regime == "opt_out" or each.dpv in MARKETING]
