"""The page's files, as they were built from page/ and checked in."""

from pathlib import Path

from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

BUILT = Path(__file__).with_name("page_files")


def page_routes() -> list[Route | Mount]:
    """The page at /, its files under /page/."""
    return [
        Route("/", _page, methods=["GET"]),
        Route("/favicon.ico", _icon, methods=["GET"]),
        Mount("/page", GZipMiddleware(StaticFiles(directory=BUILT, check_dir=False))),
    ]


async def _page(request: Request) -> Response:
    # The names of its parts do not change with their content.
    return FileResponse(BUILT / "index.html", headers={"cache-control": "no-cache"})


async def _icon(request: Request) -> Response:
    return RedirectResponse("/page/icon.svg")
