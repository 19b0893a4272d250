"""Who may see what, said a second time: from the contract and the policy, and from none of our code.

Deliberately naive: one person is a list of records and a list of what was said, in the order in which it was.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

DAY = 86_400_000  # milliseconds

ROLES = ("consumer", "ingest", "steward", "officer", "auditor", "operator")
STANDARD = (
    "full_name", "first_name", "middle_name", "last_name", "birth_date", "gender", "national_id",
    "email", "phone", "social_handle", "full_address", "street", "house_number", "address_line2",
    "postcode", "city", "region", "country", "user_id", "loyalty_id", "device_id", "cookie_id",
)  # fmt: skip
DENIALS = ("refused", "withdrawn", "objected")
ADDRESS = "@"


@dataclass(frozen=True)
class Said:
    """One statement. `of`: the channels of the records that it was said of; of all: of the golden ID."""

    state: str
    purpose: str
    method: str = "api"
    of: tuple[str, ...] = ("crm", "web")
    at: int = 0  # milliseconds


@dataclass(frozen=True)
class Person:
    """What there is of somebody. `gone`: erased, deleted, or never there. `age`: in years, now."""

    channels: tuple[str, ...]
    said: tuple[Said, ...] = ()
    age: int = 40
    gone: bool = False


def allowed(policy: Mapping[str, Any], purpose: str, person: Person, now: int) -> bool:
    """Whether the policy lets this purpose use the data of this person: docs/purposes.md, rules 1 to 7."""
    rule = policy["purposes"][purpose]
    seen = visible(rule, person)
    if person.gone or not seen or _restricted(purpose, person.said):
        return False
    if rule["regime"] == "none":  # a contract or the law: nothing but a restriction denies
        return True
    said = [each for each in person.said if each.purpose == purpose]
    if _denials(rule, said) & {*person.channels, ADDRESS}:
        return False
    in_view = {*seen, ADDRESS}
    return rule["regime"] == "opt_out" or any(
        _counts(rule, person, each, now) and _evidence(rule, each) & in_view for each in said
    )


def alone(person: Person) -> Person:
    """The person's first record by itself."""
    return replace(person, channels=person.channels[:1])


def visible(rule: Mapping[str, Any], person: Person) -> list[str]:
    """The channels that the purpose may see of the person."""
    return [each for each in person.channels if rule["channels"] == "all" or each in rule["channels"]]


def served(policy: Mapping[str, Any], purpose: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes and traits, by name, that the purpose is served of what there is."""
    rule = policy["purposes"][purpose]
    return {name: values[name] for name in (*rule["attributes"], *rule["traits"]) if name in values}


def withheld(policy: Mapping[str, Any], purpose: str) -> dict[str, str]:
    """What the purpose is told it does not get: every attribute, and every trait that any purpose names."""
    rule = policy["purposes"][purpose]
    traits = {name for each in policy["purposes"].values() for name in each["traits"]}
    missing = [name for name in (*STANDARD, *traits) if name not in (*rule["attributes"], *rule["traits"])]
    return {name: f"purpose {purpose} does not include {name}" for name in missing}


def _restricted(purpose: str, said: Sequence[Said]) -> bool:
    restricted = False
    for each in said:
        if each.state == "restricted":
            restricted = True
        elif each.state == "granted" and each.purpose == purpose and each.method == "verified":
            restricted = False
    return restricted


def _evidence(rule: Mapping[str, Any], said: Said) -> set[str]:
    """What a statement attaches to: records, by channel, or the address that all of a person's records have.

    Where a purpose binds to addresses, a grant attaches to the address alone, a denial to the records too.
    """
    if rule["binds"] != "contact":
        return set(said.of)
    return {ADDRESS} if said.state == "granted" else {ADDRESS, *said.of}


def _denials(rule: Mapping[str, Any], said: Sequence[Said]) -> set[str]:
    """The evidence whose denial stands: a grant in person re-opens its own, one that was verified all."""
    standing: set[str] = set()
    for each in said:
        if each.state in DENIALS:
            standing |= _evidence(rule, each)
        elif each.state == "granted" and each.method == "verified":
            standing = set()
        elif each.state == "granted" and each.method == "direct":
            standing -= _evidence(rule, each)
    return standing


def _counts(rule: Mapping[str, Any], person: Person, grant: Said, now: int) -> bool:
    if grant.state != "granted":
        return False
    if person.age < rule.get("consent_age", 0) and grant.method not in ("guardian", "verified_guardian"):
        return False
    lasts = rule.get("lasts_days")
    return lasts is None or now < grant.at + lasts * DAY
