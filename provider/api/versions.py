"""``/system/function/{name}/versions`` and ``…/rollback``: what a function can go back to, and going there."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from springtide.provider.api.request_values import NamespaceRule, read_object
from springtide.provider.json_fields import text_of
from springtide.provider.ports import DeployedVersion, Provider
from springtide.provider.spec import rfc3339
from springtide.runtime.errors import BadInput
from springtide.runtime.routes import Routes
from springtide.scaler.core.vocabulary import FunctionRef


def router(provider: Provider, namespaces: NamespaceRule) -> Routes:
    routes = Routes()

    @routes.get("/system/function/{name}/versions")
    async def versions(request: Request, name: str) -> Response:
        found = await provider.versions(FunctionRef(namespaces.of(request), name))
        return JSONResponse([to_json(version) for version in found])

    @routes.post("/system/function/{name}/rollback")
    async def rollback(request: Request, name: str) -> Response:
        """The body may name the version: ``{"to": "…"}``; without, it is the last one."""
        body = await read_object(request) if await request.body() else {}
        problems: list[str] = []
        to = text_of(body, "to", problems)
        if problems:
            raise BadInput(problems[0])
        version = await provider.rollback(FunctionRef(namespaces.of(request, body), name), to or None)
        return JSONResponse(to_json(version), 202)

    return routes


def to_json(version: DeployedVersion) -> dict[str, Any]:
    value: dict[str, Any] = {
        "version": version.name,
        "generation": version.generation,
        "image": version.image,
        "deployedAt": rfc3339(version.deployed_at),
        "current": version.current,
    }
    return value | ({"code": version.code} if version.code else {})
