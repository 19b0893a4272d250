"""The standard attribute names and what each is (the contract's table). Anything else is a trait."""

from typing import Final, Literal

Group = Literal["name", "person", "contact", "address", "identifiers"]

GROUPS: Final[dict[Group, tuple[str, ...]]] = {
    "name": ("full_name", "first_name", "middle_name", "last_name"),
    "person": ("birth_date", "gender", "national_id"),
    "contact": ("email", "phone", "social_handle"),
    "address": (
        "full_address", "street", "house_number", "address_line2", "postcode", "city", "region", "country",
    ),
    "identifiers": ("user_id", "loyalty_id", "device_id", "cookie_id"),
}  # fmt: skip

STANDARD: Final[tuple[str, ...]] = tuple(name for names in GROUPS.values() for name in names)

# Always lists in answers; one value or a list on input.
MULTI_VALUED: Final[frozenset[str]] = frozenset({"email", "phone"})

# Attributes by which a lookup may find a person (besides the record key itself).
LOOKUP_TYPES: Final[tuple[str, ...]] = (
    "email", "phone", "national_id", "social_handle", "user_id", "loyalty_id", "device_id", "cookie_id",
)  # fmt: skip


def is_standard(name: str) -> bool:
    """Whether `name` is an attribute of the contract; if not, it is a trait: never used for linking."""
    return name in _STANDARD


_STANDARD = frozenset(STANDARD)
