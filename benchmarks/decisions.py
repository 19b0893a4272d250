"""A decision for a person of 10 records and 100 events, beside its budget of 100 microseconds."""

import argparse
import sys
from functools import partial
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.measure import microseconds, report
from consent.events import CONTACT, RECORD, ConsentEvent, Subject
from consent.permission import Evidence, Member, permission
from consent.purposes import Purposes

NOW, DAY, RECORDS, EVENTS = 1_790_000_000_000, 86_400_000, 10, 100


def person(seed: int) -> tuple[list[Member], list[ConsentEvent]]:
    random = Random(seed)  # noqa: S311 - a benchmark's data
    members = [Member(no, "web", 1.0, frozenset(), frozenset({no, no + 1})) for no in range(1, RECORDS + 1)]
    subjects = [Subject(RECORD, no) for no in range(1, RECORDS + 1)]
    subjects += [Subject(CONTACT, no) for no in range(1, RECORDS + 2)]
    names = ("personalization", "marketing_email", "advertising", "analytics", "identity_linking")
    events = [
        ConsentEvent(
            index=index,
            subject=random.choice(subjects),
            purpose=random.choice(names),
            state=random.choice(("granted", "granted", "granted", "withdrawn")),
            method=random.choice(("import", "direct", "verified")),
            source="channel:web",
            notice=None,
            event_time=NOW - (EVENTS - index) * DAY,
            recorded_at=NOW - (EVENTS - index) * DAY,
            expires_at=NOW + index * DAY,
        )
        for index in range(EVENTS)
    ]
    return members, events


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=50)
    people = [person(seed) for seed in range(parser.parse_args().people)]
    policy = Purposes.load()
    for purpose in ("personalization", "marketing_email", "analytics"):
        calls = [
            partial(permission, members, Evidence(events, NOW), policy[purpose]) for members, events in people
        ]
        taken = sorted(microseconds(call, seconds=0.06) for call in calls)
        report(
            f"decisions.{purpose}", records=RECORDS, events=EVENTS, budget_us=100,
            median_us=round(taken[len(taken) // 2], 1), slowest_person_us=round(taken[-1], 1),
        )  # fmt: skip


if __name__ == "__main__":
    main()
