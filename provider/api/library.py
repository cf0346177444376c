"""``/store/functions.json`` and ``/templates.json``: what ``faas-cli store`` and ``faas-cli new`` read."""

from __future__ import annotations

from starlette.responses import JSONResponse, Response

from springtide.provider.ports import Library
from springtide.runtime.errors import NotFound
from springtide.runtime.routes import Routes

CACHED = {"cache-control": "public, max-age=60"}
"""It changes with what is installed on the machine."""


def router(library: Library | None) -> Routes:
    """``library`` None: where functions run there is none."""
    routes = Routes()

    @routes.get("/store/functions.json")
    async def store() -> Response:
        return JSONResponse(await _of(library).store(), headers=CACHED)

    @routes.get("/templates.json")
    async def templates() -> Response:
        return JSONResponse(await _of(library).templates(), headers=CACHED)

    return routes


def _of(library: Library | None) -> Library:
    if library is None:
        raise NotFound("there is no list of functions or templates here; it is where functions run as processes")
    return library
