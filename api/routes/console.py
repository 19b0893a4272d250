"""GET /console/: the page for privacy officers and data stewards; everything it needs comes from here."""

from importlib import resources
from typing import Final

from fastapi import APIRouter
from starlette.responses import HTMLResponse, RedirectResponse, Response

router = APIRouter(tags=["console"])

_HEADERS: Final = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-cache",
}
_FILES: Final = {
    "index.html": "text/html; charset=utf-8",
    "console.css": "text/css; charset=utf-8",
    "console.js": "text/javascript; charset=utf-8",
}


def _file(name: str) -> Response:
    content = (resources.files("api") / "console" / name).read_bytes()
    return Response(content, headers=_HEADERS, media_type=_FILES[name])


@router.get("/console", include_in_schema=False)
async def to_console() -> Response:
    """Send the browser to the page, whose links are relative to its folder."""
    return RedirectResponse("/console/", 308)


@router.get("/console/", response_class=HTMLResponse)
def page() -> Response:
    """Answer with the page."""
    return _file("index.html")


@router.get("/console/console.css", include_in_schema=False)
def style() -> Response:
    """Answer with the page's style."""
    return _file("console.css")


@router.get("/console/console.js", include_in_schema=False)
def script() -> Response:
    """Answer with the page's script."""
    return _file("console.js")
