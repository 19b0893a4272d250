"""Opens what a record says of its person's birth, for deciding whether they may consent, and nothing else.

The fact is sealed by itself beside the attributes when the record is (`consent.record_contents`), under the
record's own key: whoever is of age by then, says no more than that. It is renewed with every update and dies
with the record's key. It goes into a decision and never out of it.
"""

from typing import Final

from consent.purposes import Purposes
from consent.stored_contents import StoredContent
from consent.vault import BORN, Vault

_BYTES: Final = 4  # as many for those of age, so that the length tells nothing


def encoded(fact: int) -> bytes:
    """Return the bytes that are sealed of a fact (`consent.ages.birth_fact`)."""
    return fact.to_bytes(_BYTES, "big")


def birth_facts(vault: Vault, purposes: Purposes) -> "BirthFacts | None":
    """Return what opens the facts, or None where the policy asks for nobody's age: then none is opened."""
    return BirthFacts(vault) if any(purpose.age_matters for purpose in purposes) else None


class BirthFacts:
    """Reads the facts of records. Raises VaultError for bytes that were altered."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def of_record(self, content: StoredContent) -> int | None:
        """Return the record's fact; None if it states no birth date, or its epoch was destroyed."""
        opened = content.open_named(self._vault, (BORN,))
        fact = None if opened is None else opened.get(BORN)
        return None if fact is None else int.from_bytes(fact, "big")
