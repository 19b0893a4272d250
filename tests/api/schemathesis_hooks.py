"""What Schemathesis cannot know from the schema: purposes of the policy, times, people who are there.

Half of the valid bodies that it makes up are given such words, so that more than the first check of a route
is reached. Loaded by SCHEMATHESIS_HOOKS (test_schemathesis.py).
"""

from itertools import cycle
from typing import Any

import schemathesis

from tests.world import TOWN

_ADDRESSES = [f"{name.lower()}@example.com" for name in TOWN]  # of the people in test_schemathesis.py
_WORDS = {
    "purpose": cycle(["personalization", "marketing_email", "identity_linking", "service"]),
    "jurisdiction": cycle(["ES", "US-CA", "GB"]),
    "event_time": cycle(["2026-05-01T00:00:00Z", None]),
    "observed_at": cycle(["2026-05-01T00:00:00Z", None]),
    "received_at": cycle(["2026-05-01T00:00:00Z", None]),
    "as_of": cycle(["2026-05-28T20:26:40Z", None]),
    "until": cycle(["2027-01-01T00:00:00Z", None]),
    "submitted_time": cycle(["2026-05-01T00:00:00Z"]),
    "notice": cycle(["web-2026-01", None]),
    "subject": cycle([
        subject
        for number, address in enumerate(_ADDRESSES)
        for subject in (
            {"record": {"channel": "web", "source_id": str(number)}},
            {"contact": {"type": "email", "value": address}},
        )
    ]),
    "identifiers": cycle([[{"type": "email", "value": address}] for address in _ADDRESSES]),
    "channel": cycle(["web", "pos", "crm"]),
    "source_id": cycle(["1", "2", "3", "new"]),
    "method": cycle(["api", "direct", "email link"]),
    "reason": cycle(["other", "litigation", "as the steward saw it"]),
    "evidence": cycle([None]),
    "members": cycle([None]),
    "purposes": cycle([[]]),
    "corrections": cycle([None]),
    "number": cycle([1, 2, 3]),
}  # fmt: skip
_turn = cycle([True, False])


def _known(value: Any) -> Any:
    if isinstance(value, list):
        return [_known(each) for each in value]
    if isinstance(value, dict):
        return {name: next(_WORDS[name]) if name in _WORDS else _known(each) for name, each in value.items()}
    return value


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Put words that are known here into every other valid JSON body."""
    mode = case.meta and case.meta.generation.mode
    if mode and mode.is_positive and isinstance(case.body, dict) and next(_turn):
        case.body = _known(case.body)
