"""The builder API and the lists of what can be deployed: forwarded to the provider, where functions are built.

Neither asks for the caller's credentials: a build is known by its signature, which the provider checks.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from springtide.gateway.system_proxy import PassedOn, SystemProxy, target
from springtide.runtime.routes import Routes

BUILDS = (("/build", ["POST"]), ("/publickey", ["GET"]))
LISTS = ("/store/functions.json", "/templates.json")
NOT_HERE = (
    "this provider does not build functions: build the image with a container engine, push it, and deploy it "
    "(faas-cli up without --remote-builder)"
)
NO_LIST = "this provider has no such list"


def add_builder(routes: Routes, provider: SystemProxy, base_url: str) -> None:
    """``provider`` waits as long as a build may be silent."""
    for path, methods in BUILDS:
        _add(routes, path, methods, provider, base_url=base_url, absent=(501, NOT_HERE))
    for path in LISTS:
        _add(routes, path, ["GET", "HEAD"], provider, base_url=base_url, absent=(404, NO_LIST))


def _add(
    routes: Routes, path: str, methods: list[str], provider: SystemProxy, *, base_url: str, absent: tuple[int, str]
) -> None:
    @routes.route(path, methods=methods)
    async def forwarded(request: Request) -> Response:
        """A provider of somebody else's has no such path."""
        response = await provider.forward(request, target(base_url, request))
        if response.status_code not in (404, 405):
            return response
        if isinstance(response, PassedOn):
            await response.aclose()
        status, text = absent
        return PlainTextResponse(text, status)
