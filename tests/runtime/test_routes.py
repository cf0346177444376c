"""Routes as an application answers them."""

from __future__ import annotations

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from springtide.runtime.routes import Routes


def application() -> Starlette:
    routes = Routes()

    @routes.get("/things/{name}")
    @routes.get("/old-things/{name}")
    async def describe(name: str) -> Response:
        return PlainTextResponse(f"described {name}")

    @routes.put("/things/{name}")
    async def change(request: Request, name: str) -> Response:
        return PlainTextResponse(f"changed {name} to {(await request.body()).decode()}")

    @routes.route("/things", methods=["GET", "HEAD"])
    async def every() -> Response:
        return PlainTextResponse("all")

    @routes.delete("/files/{path:path}")
    async def remove(request: Request) -> Response:
        return PlainTextResponse(request.path_params["path"])

    return Starlette(routes=routes.routes)


@pytest.mark.parametrize(
    ("method", "path", "status", "text"),
    [
        pytest.param("GET", "/things/a%20b", 200, "described a b", id="a name in the path"),
        pytest.param("GET", "/old-things/a", 200, "described a", id="two paths, one answer"),
        pytest.param("PUT", "/things/a", 200, "changed a to new", id="the request and a name"),
        pytest.param("HEAD", "/things", 200, "", id="HEAD where it is said"),
        pytest.param("HEAD", "/things/a", 405, "", id="GET does not bring HEAD along"),
        pytest.param("POST", "/things/a", 405, None, id="another verb"),
        pytest.param("DELETE", "/files/a/b", 200, "a/b", id="who names no parts has them in the request"),
    ],
)
async def test_route_is_answered_by_what_was_declared(method: str, path: str, status: int, text: str | None) -> None:
    transport = httpx.ASGITransport(application())
    async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
        answer = await client.request(method, path, content=b"new")

    assert answer.status_code == status
    assert text is None or answer.text == text
