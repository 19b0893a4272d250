"""The policy file: what data may be used for, on which legal basis, and what each use may see.

`purposes.toml` in AUREA_HOME replaces the default policy as a whole. Reading is strict: an unknown
setting, a missing one or two that contradict each other is an error that names the file, the purpose,
the setting and the remedy, because a policy silently read otherwise than meant discloses data.
"""

import hashlib
import json
import re
import tomllib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from consent import dpv_terms
from consent.errors import PolicyError, UnknownPurposeError
from consent.events import NOT_A_NOTICE, NOTICE
from consent.policy_table import PolicyTable
from identity.attributes import STANDARD, is_standard
from identity.records import CHANNEL
from identity.survivorship import RULES, Survivorship

DEFAULT_POLICY: Final = Path(__file__).with_name("purposes.toml")

IDENTITY_LINKING: Final = "identity_linking"

Regime = Literal["opt_in", "opt_out", "none"]
Binding = Literal["person", "record", "contact"]
Entry = Literal["any", "verified"]
Age = Literal["adult", "minor"]

# Consent is never presumed, and what a contract or the law demands is never asked for.
REGIME_OF: Final[Mapping[str, Regime]] = {
    "consent": "opt_in",
    "legitimate_interest": "opt_out",
    "contract": "none",
    "legal_obligation": "none",
}
BINDINGS: Final[tuple[Binding, ...]] = ("person", "record", "contact")
ENTRIES: Final[tuple[Entry, ...]] = ("any", "verified")
AGES: Final[tuple[Age, ...]] = ("adult", "minor")
LEAST_AGE, MOST_AGE = 13, 21  # no law asks for a guardian's word at 21 any more, nor trusts a child below 13
CONTACT_ATTRIBUTES: Final = ("email", "phone")  # the contact points a consent can be bound to

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_DPV = re.compile(r"[A-Z][A-Za-z0-9]+")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_DAY_MS = 86_400_000
_TCF_PURPOSES = 24  # as many as a TC string has bits for


@dataclass(frozen=True, slots=True)
class Purpose:
    """One purpose of the policy. Durations are days; None means without end."""

    name: str
    title: str
    dpv: str  # term of the W3C Data Privacy Vocabulary, without prefix
    legal_basis: str
    regime: Regime
    binds: Binding  # what an event about this purpose decides for: the person, one record, one address
    attributes: tuple[str, ...]
    traits: tuple[str, ...]
    channels: tuple[str, ...] | None  # None: all
    minimum_confidence: float  # of a record's membership, 0 to 1
    entry: Entry
    lasts_days: int | None
    retention_days: int | None
    evidence_retention_days: int | None
    notice: str
    household: bool = False  # whether it is shown who lives together (consent.households)
    consent_age: int | None = None  # below it only a guardian's grant counts (consent.ages)
    opt_in_age: int | None = None  # below it an opt-out purpose needs a grant
    unknown_age: Age = "adult"
    tcf_purposes: tuple[int, ...] = ()  # what it is called in the IAB's framework; compared with TC strings

    def expires_at(self, recorded_at: int) -> int | None:
        """When a grant recorded at `recorded_at` lapses; both in ms since the epoch."""
        return None if self.lasts_days is None else recorded_at + self.lasts_days * _DAY_MS

    @property
    def age_matters(self) -> bool:
        """Whether somebody's age decides anything here."""
        return self.consent_age is not None or self.opt_in_age is not None

    @property
    def disclosed(self) -> tuple[str, ...]:
        """Everything that a profile for this purpose may show, as the access log names it."""
        return (*self.attributes, *self.traits, *(("household",) if self.household else ()))

    @property
    def contact_attributes(self) -> tuple[str, ...]:
        """The kinds of contact point an event about this purpose binds to; none unless `binds` says so."""
        if self.binds != "contact":
            return ()
        return tuple(name for name in CONTACT_ATTRIBUTES if name in self.attributes)


@dataclass(frozen=True, slots=True)
class RequestPolicy:
    """How data-subject requests are handled (the table `requests`)."""

    minimum_confidence: float = 0.99  # that a record is the requester's own, 0 to 1
    retention_days: int = 1095  # of identifiers and evidence, after the request has ended


@dataclass(frozen=True, slots=True)
class Purposes:
    """The policy in force. `policy_hash` is SHA-256 over its meaning: comments don't change it."""

    by_name: Mapping[str, Purpose]
    survivorship: Survivorship
    policy_hash: bytes
    requests: RequestPolicy = RequestPolicy()
    notices: Mapping[str, str] = field(default_factory=dict)
    """Version of a notice -> SHA-256 of its text, in hexadecimal digits."""

    @classmethod
    def load(cls, path: Path | None = None) -> "Purposes":
        """Read the policy at `path`, or the default one. Raises PolicyError."""
        path = path or DEFAULT_POLICY
        try:
            content = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise PolicyError(f"{path.name}: cannot be read as TOML: {error}") from error
        root = PolicyTable(path.name, "", content)
        purposes = {table.name: _purpose(table) for table in root.tables("purposes")}
        served = {*STANDARD, *(trait for purpose in purposes.values() for trait in purpose.traits)}
        survivorship, requests, notices = _survivorship(root, served), _requests(root), _notices(root)
        root.refuse_unknown()
        if IDENTITY_LINKING not in purposes:
            raise PolicyError(
                f"{path.name}: no [purposes.{IDENTITY_LINKING}]: linking is itself a purpose; "
                "copy its table from the default policy"
            )
        policy_hash = _policy_hash(purposes, survivorship, requests, notices)
        return cls(purposes, survivorship, policy_hash, requests, notices)

    def __getitem__(self, name: str) -> Purpose:
        """Return the purpose `name`. Raises UnknownPurposeError."""
        try:
            return self.by_name[name]
        except KeyError:
            raise UnknownPurposeError(
                f"the policy has no purpose of that name; it has: {', '.join(sorted(self.by_name))}"
            ) from None

    def __contains__(self, name: object) -> bool:
        return name in self.by_name

    def __iter__(self) -> Iterator[Purpose]:
        return iter(self.by_name.values())

    def withheld(self, purpose: Purpose) -> dict[str, str]:
        """Say what `purpose` does not serve and why: from policy alone, so it tells nothing of a person."""
        traits = {trait for each in self for trait in each.traits}
        served = {*purpose.attributes, *purpose.traits}
        return {
            name: f"purpose {purpose.name} does not include {name}"
            for name in (*STANDARD, *sorted(traits))
            if name not in served
        }


def _purpose(table: PolicyTable) -> Purpose:
    name = table.name
    table.require(_NAME.fullmatch(name), "its name", "use lower-case letters, digits and underscores")
    legal_basis = table.choice("legal_basis", tuple(REGIME_OF))
    purpose = Purpose(
        name=name,
        title=table.text("title"),
        dpv=table.text("dpv"),
        legal_basis=legal_basis,
        regime=table.choice("regime", ("opt_in", "opt_out", "none")),
        binds=table.choice("binds", BINDINGS),
        attributes=table.names("attributes"),
        traits=table.names("traits"),
        channels=table.names_or_all("channels"),
        minimum_confidence=table.fraction("minimum_confidence"),
        entry=table.choice("entry", ENTRIES),
        lasts_days=table.days("lasts_days"),
        retention_days=table.days("retention_days"),
        evidence_retention_days=table.days("evidence_retention_days"),
        notice=table.text("notice"),
        household=table.flag("household"),
        consent_age=table.years("consent_age", LEAST_AGE, MOST_AGE),
        opt_in_age=table.years("opt_in_age", LEAST_AGE, MOST_AGE),
        unknown_age=table.choice("unknown_age", AGES) if "unknown_age" in table.content else "adult",
        tcf_purposes=table.numbers("tcf_purposes", _TCF_PURPOSES),
    )
    table.refuse_unknown()
    _refuse_contradictions(purpose, table)
    _refuse_impossible_ages(purpose, table)
    return purpose


def _refuse_impossible_ages(purpose: Purpose, table: PolicyTable) -> None:
    by_choice = purpose.regime != "none" and purpose.binds != "record"
    table.require(
        by_choice or purpose.consent_age is None,
        "consent_age",
        "remove it: what is linked is kept as a date in clear, and a contract or the law asks for no consent",
    )
    table.require(
        purpose.opt_in_age is None or purpose.regime == "opt_out",
        "opt_in_age",
        'remove it: only where the regime is "opt_out" can anybody do without a grant',
    )
    table.require(
        purpose.opt_in_age is None or (purpose.consent_age or 0) <= purpose.opt_in_age,
        "opt_in_age",
        "give an age of at least consent_age",
    )
    table.require(
        purpose.age_matters or purpose.unknown_age == "adult",
        "unknown_age",
        "remove it: no age matters here without consent_age or opt_in_age",
    )


def _refuse_contradictions(purpose: Purpose, table: PolicyTable) -> None:
    """Raise PolicyError where two settings of `purpose` cannot both be meant."""
    serves = {*purpose.attributes, *purpose.traits}
    regime = REGIME_OF[purpose.legal_basis]
    table.require(
        purpose.regime == regime, "regime", f'legal basis "{purpose.legal_basis}" goes with "{regime}"'
    )
    table.require(_DPV.fullmatch(purpose.dpv), "dpv", "name a DPV term without prefix, as DirectMarketing")
    meant = dpv_terms.meant(purpose.dpv)
    table.require(meant is None, "dpv", f"DPV has no such term; write {meant} if that is meant")
    table.require(
        purpose.lasts_days is None or purpose.regime == "opt_in",
        "lasts_days",
        "only a consent lapses: remove it",
    )
    table.require(
        not purpose.tcf_purposes or purpose.regime != "none",
        "tcf_purposes",
        "nothing that a contract or the law demands is asked for in a TC string: remove it",
    )
    for name in purpose.attributes:
        table.require(
            is_standard(name), "attributes", f'"{name}" is no standard attribute: list it under traits'
        )
    for name in purpose.traits:
        table.require(not is_standard(name), "traits", f'"{name}" is an attribute: list it under attributes')
    for channel in purpose.channels or ():
        table.require(CHANNEL.fullmatch(channel), "channels", "use letters, digits and _ . - (at most 64)")
    table.require(
        (purpose.binds == "record") == (purpose.name == IDENTITY_LINKING),
        "binds",
        f'"record" belongs to {IDENTITY_LINKING} and to it alone',
    )
    if purpose.binds == "record":
        table.require(
            not serves, "attributes", "linking discloses nothing: leave attributes and traits empty"
        )
    table.require(
        purpose.binds == "person" or not purpose.household,
        "household",
        'remove it: who lives together is decided for a "person"',
    )
    if purpose.binds == "contact":
        table.require(purpose.contact_attributes, "binds", 'serve "email" or "phone", or bind to "person"')


def _survivorship(root: PolicyTable, served: Collection[str]) -> Survivorship:
    table = root.table("survivorship")
    if table is None:
        return Survivorship()
    rules = table.table("attributes")
    for name in () if rules is None else rules.content:
        table.require(name in served, name, "it is no standard attribute, and a trait that no purpose serves")
    result = Survivorship(
        default=table.choice("default", RULES),
        rules={} if rules is None else {name: rules.choice(name, RULES) for name in rules.content},
        precedence=table.names("source_precedence"),
    )
    table.refuse_unknown()
    return result


def _requests(root: PolicyTable) -> RequestPolicy:
    table = root.table("requests")
    if table is None:
        return RequestPolicy()
    days = table.days("retention_days")
    table.require(days is not None, "retention_days", "give whole days, 1 to 36500")
    result = RequestPolicy(table.fraction("minimum_confidence"), days or 0)
    table.refuse_unknown()
    return result


def _notices(root: PolicyTable) -> Mapping[str, str]:
    table = root.table("notices")
    found: dict[str, str] = {}
    if table is None:
        return found
    for version in table.content:
        table.require(NOTICE.fullmatch(version), version, f"the version of a notice {NOT_A_NOTICE}")
        found[version] = table.text(version)
        table.require(
            _SHA256.fullmatch(found[version]), version, "give the SHA-256 of its text: 64 digits 0-9 a-f"
        )
    return found


def _policy_hash(
    purposes: Mapping[str, Purpose],
    survivorship: Survivorship,
    requests: RequestPolicy,
    notices: Mapping[str, str],
) -> bytes:
    meaning: dict[str, Any] = {
        "purposes": {name: asdict(purpose) for name, purpose in purposes.items()},
        "requests": asdict(requests),
        "survivorship": asdict(survivorship),
        **({"notices": dict(notices)} if notices else {}),
    }
    return hashlib.sha256(json.dumps(meaning, sort_keys=True).encode()).digest()
