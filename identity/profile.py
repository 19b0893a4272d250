"""What the records at hand hold: which columns, how well filled, how distinct. Pure."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Column:
    """How a column is filled: the share of records with a value, and about how many values there are."""

    coverage: float
    distinct: int


@dataclass(frozen=True, slots=True)
class Profile:
    """The number of records and their filled columns; columns without any value are absent.

    `shared_values` counts, by column, the values that belong to nobody in particular and are not compared;
    `contact_classes` counts the distinct values by column and class (`identity.contacts`). `told` names, by
    column, another whose value tells its own nearly always.
    """

    records: int
    columns: dict[str, Column]
    shared_values: dict[str, int]
    contact_classes: dict[str, dict[str, int]] = field(default_factory=dict)
    told: dict[str, str] = field(default_factory=dict)

    def has(self, *names: str) -> bool:
        """Whether every one of these columns holds values."""
        return all(name in self.columns for name in names)
