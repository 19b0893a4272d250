"""Terms of the W3C Data Privacy Vocabulary (DPV 2) on which more rests than what a receipt says (pure).

What a purpose is called decides whether an objection, an opt-out and the Global Privacy Control reach it. So
a term that is nearly one of these is taken for a slip of the pen, such as `PersonalizedAdvertising`: read as
some other term it would go on using the data of those who said no.
"""

from difflib import SequenceMatcher
from typing import Final

MARKETING: Final = frozenset({
    "DirectMarketing", "Marketing", "SocialMediaMarketing", "PublicRelations", "PoliticalCampaign",
    "Advertising", "PersonalisedAdvertising", "TargetedAdvertising", "RecruitmentAdvertising",
    "RecruitmentTargetedAdvertising",
})  # fmt: skip
"""What GDPR 21(2) lets everybody object to, whatever the legal basis: `Marketing` and what is narrower."""
SELLING: Final = frozenset({
    "PersonalisedAdvertising", "TargetedAdvertising", "RecruitmentTargetedAdvertising",
    "SellDataToThirdParties", "SellProductsToDataSubject",
})  # fmt: skip
"""What the CCPA calls sale and sharing (cross-context behavioural advertising)."""

# No other purpose of DPV 2.3 is as like to one of these (0.78 at most); an American spelling is 0.95.
_ALIKE: Final = 0.8


def meant(term: str) -> str | None:
    """Return which of these terms `term` is a misspelling of; None where it is one of them, or none."""
    known = sorted(MARKETING | SELLING)
    if term in known:
        return None
    likeness = {each: SequenceMatcher(None, each.lower(), term.lower()).ratio() for each in known}
    likest = max(known, key=lambda each: likeness[each])
    return likest if likeness[likest] >= _ALIKE else None
