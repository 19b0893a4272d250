"""Chromium without a window, as Debian and most systems install it; tests that need it skip where it is not.

Nothing is downloaded: Playwright's own browsers are not used.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")


@dataclass
class Seen:
    """A page, and what it did: `requests` beside the page's own, and `complaints` on its console."""

    page: Page
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


@contextmanager
def opened(path: Path) -> Iterator[Seen]:
    """Open a file in a browser of its own that is told to reach no network; skip without a browser."""
    executable = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if executable is None:
        pytest.skip(f"no browser on this machine: none of {', '.join(CHROMIUM)} is installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"], headless=True)
        try:
            page = browser.new_context(offline=True, viewport={"width": 1100, "height": 900}).new_page()
            seen = Seen(page)
            page.on("console", lambda message: seen.complaints.append(f"{message.type}: {message.text}"))
            page.on("pageerror", lambda error: seen.complaints.append(str(error)))
            page.on("request", lambda request: seen.requests.append(request.url))
            page.goto(path.as_uri())
            seen.requests.remove(path.as_uri())
            yield seen
        finally:
            browser.close()
