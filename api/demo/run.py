"""`aurea demo`: generate customers, seal them, link them, say how well it went, and serve the result.

Running it again does the same steps over the same home: the same records arrive and are found unchanged,
and the rerun changes no golden ID. The customers are fiction, and so nothing here is secret, which is why
the demo's client may keep its secret in a file.
"""

import json
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, Final, TypeVar

from rich.console import Console

from api.auth import Caller
from api.commands.frame import steps
from api.demo.generator import EXPORTS, PERMITTED_TRUTH, TRUTH, Generated, write_channels
from api.demo.summary import Linked, Summary, render
from api.ingest.progress import progress_for
from api.ingesting import ingest_files
from api.linkage import LinkRequest, run_link
from api.memberships import by_key, read_truth
from api.problems import ProblemError
from api.profiles import read_profile
from api.services import Services, open_services
from api.settings import Settings
from api.stores import create_home
from identity.evaluation import evaluate
from identity.records import RecordKey

HOME: Final = "aurea-demo-home"
CUSTOMERS: Final = 20_000
PURPOSE: Final = "personalization"
HOST: Final = "127.0.0.1"
PORT: Final = 8000
_CLIENT: Final = "demo-shop"
_RECORDS_OF_EXAMPLE: Final = 5  # the example person is one whom so many records know

Result = TypeVar("Result")


@dataclass(slots=True)
class Stopwatch:
    """Runs the steps and remembers how long each took; says on standard error which one is running."""

    seconds: dict[str, float] = field(default_factory=dict)

    def run(self, step: str, work: Callable[[], Result]) -> Result:
        """Do `work` and return its result."""
        sys.stderr.write(f"aurea demo: {step}\n")
        began = time.perf_counter()
        result = work()
        self.seconds[step] = time.perf_counter() - began
        return result


def run_demo(
    *,
    serve: bool,
    as_json: bool,
    customers: int = CUSTOMERS,
    port: int = PORT,
    picture: Path | None = None,
) -> None:
    """Do the whole demo; with `serve`, end only when interrupted. `picture`: also save the summary as SVG."""
    settings = Settings.from_environment(default_home=HOME)
    create_home(settings)
    folder = settings.home / "demo"
    watch = Stopwatch()
    generated = watch.run("generate", lambda: write_channels(folder, customers=customers))
    services = open_services(settings)
    try:
        services.recover()
        summary = _process(services, folder, generated, watch)
    finally:
        services.close()
    if as_json:
        sys.stdout.write(json.dumps(summary.as_json()) + "\n")
    else:
        _print(summary, settings, port, picture)
    if serve:
        _serve(settings, port)


def _process(services: Services, folder: Path, generated: Generated, watch: Stopwatch) -> Summary:
    ingested = watch.run("ingest", lambda: _ingest(services, folder))
    with steps("aurea demo: link") as progress:
        linked = watch.run("link", lambda: run_link(services, LinkRequest(), progress))
    golden = watch.run("read memberships", lambda: by_key(services))
    client_id, secret = _demo_client(services, folder / "client.json")
    example, profile = watch.run("read one profile", lambda: _example(services, golden, client_id))
    return Summary(
        people=generated.people,
        ingested=ingested,
        linked=Linked.of(linked),
        accuracy=evaluate(golden, read_truth(folder / TRUTH)),
        accuracy_permitted=evaluate(golden, read_truth(folder / PERMITTED_TRUTH)),
        seconds=watch.seconds,
        client_id=client_id,
        client_secret=secret,
        golden_id=example,
        profile=profile,
    )


def _ingest(services: Services, folder: Path) -> Mapping[str, Any]:
    """Ingest every channel's file through its mapping; return the counts of all together."""
    total: Counter[str] = Counter()
    with ExitStack() as files:
        mappings = files.enter_context(resources.as_file(resources.files("api.demo") / "mappings"))
        for channel in EXPORTS:
            file = folder / f"{channel}.csv"
            counts = ingest_files(
                services,
                [file],
                mapping=mappings / f"{channel}.toml",
                progress=lambda name: progress_for(name, sys.stderr),
            ).as_json()
            total.update({name: count for name, count in counts.items() if isinstance(count, int)})
    return total


def _demo_client(services: Services, kept: Path) -> tuple[str, str]:
    """Return the demo's consumer and its secret; made once and kept, so that the demo can run again."""
    if kept.is_file():
        known = json.loads(kept.read_text(encoding="utf-8"))
        return known["client_id"], known["client_secret"]
    client, secret = services.clients.create(_CLIENT, "consumer", (PURPOSE,))
    kept.touch(mode=0o600)
    kept.write_text(json.dumps({"client_id": client.client_id, "client_secret": secret}), encoding="utf-8")
    return client.client_id, secret


def _example(
    services: Services, golden: Mapping[RecordKey, str], client_id: str
) -> tuple[str, Mapping[str, Any]]:
    """Return a golden ID of several records that permits the purpose, and its profile for a consumer."""
    caller = Caller(client_id, "consumer", frozenset({PURPOSE}), False, services.clock() + 60_000)
    sizes = Counter(golden.values())
    likely = sorted(sizes, key=lambda golden_id: (abs(sizes[golden_id] - _RECORDS_OF_EXAMPLE), golden_id))
    for golden_id in likely[:200]:
        try:
            profile = read_profile(services, caller, golden_id, PURPOSE)
        except ProblemError:
            continue  # this one does not permit it
        return golden_id, profile.model_dump(exclude_none=True)
    return likely[0], {}


def _print(summary: Summary, settings: Settings, port: int, picture: Path | None) -> None:
    console = Console(record=picture is not None, width=100 if picture else None)
    render(summary, console)
    if picture is not None:
        svg = console.export_svg(title="aurea demo")
        # The fonts' addresses go: a picture in a repository fetches nothing from elsewhere.
        picture.write_text(re.sub(r"@font-face\s*\{[^}]*\}\s*", "", svg), encoding="utf-8")
    base = f"http://{HOST}:{port}"
    console.print("\nOne profile, as a consumer fetches it (the customers are fiction, so is the secret):\n")
    sys.stdout.write(
        f"  TOKEN=$(curl -s -u {summary.client_id}:{summary.client_secret} \\\n"
        f"    -d grant_type=client_credentials {base}/v1/token \\\n"
        f'    | sed \'s/.*"access_token":"\\([^"]*\\)".*/\\1/\')\n'
        f'  curl -s -H "Authorization: Bearer $TOKEN" \\\n'
        f'    "{base}/v1/profiles/{summary.golden_id}?purpose={PURPOSE}"\n\n'
        f"The home is {settings.home}; other commands work on it with AUREA_HOME={settings.home}.\n"
    )


def _serve(settings: Settings, port: int) -> None:
    from api.server import run  # noqa: PLC0415 - loads the HTTP stack, which --no-serve does without

    sys.stderr.write(f"aurea demo: serving http://{HOST}:{port}/ (console at /console/); Ctrl-C ends\n")
    run(settings, host=HOST, port=port, workers=1)


if __name__ == "__main__":  # python -m api.demo.run PICTURE.svg
    run_demo(serve=False, as_json=False, picture=Path(sys.argv[1]) if len(sys.argv) > 1 else None)
