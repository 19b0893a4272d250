"""What the demo prints: records, people, golden IDs, accuracy against the truth, and time."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from identity.evaluation import Metrics, Score


@dataclass(frozen=True, slots=True)
class Linked:
    """What `aurea link` counted."""

    records: int
    linkable: int
    golden_ids: int
    created: int
    merged: int
    split: int
    unchanged: int

    @classmethod
    def of(cls, counts: Mapping[str, Any]) -> "Linked":
        """Take the counts from the run's summary."""
        return cls(**{name: int(counts[name]) for name in cls.__slots__})


@dataclass(frozen=True, slots=True)
class Summary:
    """Everything the demo has to say."""

    people: int
    ingested: Mapping[str, Any]
    linked: Linked
    accuracy: Metrics
    accuracy_permitted: Metrics
    seconds: Mapping[str, float]
    client_id: str
    client_secret: str
    golden_id: str
    profile: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        """Return the summary for machines. The secret is left out: it is in the home."""
        return {
            "people": self.people,
            "ingested": dict(self.ingested),
            "linked": {name: getattr(self.linked, name) for name in Linked.__slots__},
            "accuracy": self.accuracy.as_dict(),
            "accuracy_of_permitted_records": self.accuracy_permitted.as_dict(),
            "seconds": {step: round(seconds, 2) for step, seconds in self.seconds.items()},
            "client_id": self.client_id,
            "golden_id": self.golden_id,
        }


def render(summary: Summary, console: Console) -> None:
    """Print the summary for people."""
    console.print(_counts(summary))
    console.print(_accuracy(summary))
    console.print(_times(summary))
    if summary.profile:
        console.print(_profile(summary.profile))


def _counts(summary: Summary) -> Table:
    table = Table(title="Customers of seven channels", show_header=False, min_width=60)
    table.add_column()
    table.add_column(justify="right")
    read = summary.ingested
    rows = {
        "people who exist (the known truth)": summary.people,
        "records read": read.get("read", 0),
        "  new / unchanged": f"{read.get('created', 0):,} / {read.get('unchanged', 0):,}",
        "  linking permitted": summary.linked.linkable,
        "  linking not permitted, left alone": summary.linked.records - summary.linked.linkable,
        "golden IDs": summary.linked.golden_ids,
        "  new / merged / split in this run": (
            f"{summary.linked.created:,} / {summary.linked.merged:,} / {summary.linked.split:,}"
        ),
    }
    for name, value in rows.items():
        table.add_row(name, f"{value:,}" if isinstance(value, int) else value)
    return table


def _accuracy(summary: Summary) -> Table:
    table = Table(title="Accuracy against the known truth", min_width=60)
    for heading in ("", "precision", "recall", "F1"):
        table.add_column(heading, justify="right" if heading else "left")
    rows: dict[str, Score] = {
        "pairs of records, linking permitted": summary.accuracy_permitted.pairwise,
        "pairs of records, all": summary.accuracy.pairwise,
        "B-cubed, linking permitted": summary.accuracy_permitted.bcubed,
        "B-cubed, all": summary.accuracy.bcubed,
    }
    for name, score in rows.items():
        table.add_row(name, f"{score.precision:.3f}", f"{score.recall:.3f}", f"{score.f1:.3f}")
    return table


def _times(summary: Summary) -> Table:
    table = Table(title="Seconds", min_width=60, show_header=False)
    table.add_column()
    table.add_column(justify="right")
    for step, seconds in summary.seconds.items():
        table.add_row(step, f"{seconds:.1f}")
    table.add_row("until the first profile", f"{sum(summary.seconds.values()):.1f}", style="bold")
    return table


def _profile(profile: Mapping[str, Any]) -> Table:
    table = Table(title=f"One profile, for {profile['purpose']}", min_width=60, show_header=False)
    table.add_column()
    table.add_column(overflow="fold")
    for name in ("golden_id", "confidence"):
        table.add_row(name, str(profile[name]))
    table.add_row("records", f"{profile['records']}, of {', '.join(profile['channels'])}", end_section=True)
    for name, value in {**profile["attributes"], **profile["traits"]}.items():
        table.add_row(name, ", ".join(value) if isinstance(value, list) else value, style="bold")
    table.add_section()
    table.add_row("withheld by the policy", ", ".join(profile["withheld"]))
    return table
