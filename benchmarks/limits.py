"""What access control adds to a profile read: the remembered token, the rate, the quota of people.

Each in microseconds of processor time a read, in one thread, with the exchanges with the store that a second
of such reads causes counted in. The budget of all is 20 us.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from api.rate_limits import Rate
from api.services import Services, open_services
from api.settings import Settings
from api.stores import create_home

READS, EXCHANGE_EVERY, PEOPLE = 200_000, 1_000, 1_000_000  # an exchange a second at 1,000 reads a second


def each(services: Services, one: Callable[[int], None]) -> tuple[float, float]:
    """Return microseconds a read: of the reading thread alone, and with the exchanges."""
    own = 0.0
    began = time.thread_time()
    for start in range(0, READS, EXCHANGE_EVERY):
        at = time.thread_time()
        for number in range(start, start + EXCHANGE_EVERY):
            one(number)
        own += time.thread_time() - at
        services.share_limits()
    return own / READS * 1e6, (time.thread_time() - began) / READS * 1e6


def main() -> None:
    chance = Random(1)  # noqa: S311 - which people are read
    people = [chance.randrange(PEOPLE) for _ in range(READS)]
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings.from_environment({"AUREA_HOME": str(Path(folder) / "home")})
        create_home(settings)
        services = open_services(settings)
        client, _ = services.clients.create("bench", "consumer", ["analytics"])
        header = f"Bearer {services.tokens.issue(client).token}"
        caller, rate = services.access.read(header), Rate.of(10**6)

        def token(_number: int) -> None:
            if services.access.known(header) is None:
                services.access.read(header)

        def quota(number: int) -> None:
            with services.quota.reserved(caller) as tell:
                tell([people[number]])

        figures = {
            "token": each(services, token),
            "rate": each(services, lambda _: services.rates.wait(caller.client_id, rate) and None),
            "people": each(services, quota),
        }
        services.close()
    shown = {f"{name}_us": round(own, 2) for name, (own, _) in figures.items()}
    shown |= {f"{name}_with_exchanges_us": round(both, 2) for name, (_, both) in figures.items()}
    total = round(sum(both for _, both in figures.values()), 2)
    print(
        json.dumps(
            {"benchmark": "limits", "cores": os.cpu_count(), "budget_us": 20, **shown, "total_us": total}
        )
    )


if __name__ == "__main__":
    main()
