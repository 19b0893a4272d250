"""A run keeps nothing of the values of people who left while it was at work."""

import pytest
from sqlalchemy import text

from api.linkage import LinkRequest, run_link
from consent.errors import DestructionIncompleteError
from consent.frequency_tokens import frequency_token
from identity.comparison import SEVERAL
from tests.consent.erasing import numbers
from tests.world import World, row

PEOPLE = ("Adela", "Boris", "Celia", "Dario", "Elsa", "Felix")


def kept(world: World, address: str) -> bool:
    """Whether any run keeps that several people use this e-mail address."""
    hashed = frequency_token(world.services.stores.index, SEVERAL["email"], address)
    with world.services.db.read() as conn:
        rows = conn.execute(text("SELECT token FROM model_frequencies"))
        return hashed in {bytes(row.token) for row in rows}


@pytest.mark.parametrize("destroyed", [True, False], ids=["erased", "an erasure that a reader held up"])
def test_of_who_is_erased_during_a_run_it_keeps_no_hash(
    settled: World, destroyed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in ("hotel", "hostel"):
        settled.ingest(
            *(row("crm", f"{place} {name}", name, email=f"{place}@example.com") for name in PEOPLE)
        )
    services = settled.services

    def incomplete(*_: object, **__: object) -> None:
        raise DestructionIncompleteError("a reader stays")

    def meanwhile(step: str) -> None:
        if step != "publishing":
            return
        leaving = numbers(services, *(f"hotel {name}" for name in PEOPLE))
        if destroyed:
            services.erasure.erase(leaving, request_id="r_1", now=settled.clock())
            return
        with monkeypatch.context() as held_up:
            held_up.setattr(services.key_store, "destroy", incomplete)
            with pytest.raises(DestructionIncompleteError):
                services.erasure.erase(leaving, request_id="r_1", now=settled.clock())

    run_link(services, LinkRequest(), meanwhile)
    assert not kept(settled, "hotel@example.com")
    assert kept(settled, "hostel@example.com"), "what somebody carries is kept"
