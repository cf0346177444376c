"""``/system/functions`` and ``/system/function/{name}``: deploy, update, delete, list, describe."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from springtide.provider.api.request_values import (
    NamespaceRule,
    allowed_namespace,
    read_json,
    read_object,
    yes_or_no,
)
from springtide.provider.api.scale_accounting import ScaleAccounting
from springtide.provider.json_fields import text_of
from springtide.provider.ports import Provider
from springtide.provider.spec import FunctionSpec, check_name, spec_from_json, status_to_json
from springtide.runtime.errors import BadInput
from springtide.runtime.routes import Routes
from springtide.scaler.core import ownership
from springtide.scaler.core.ownership import Scalers
from springtide.scaler.core.vocabulary import FunctionRef


def router(provider: Provider, accounting: ScaleAccounting, namespaces: NamespaceRule) -> Routes:
    routes = Routes()

    @routes.get("/system/functions")
    async def list_functions(request: Request) -> Response:
        statuses = await provider.statuses(namespaces.of(request))
        return JSONResponse([status_to_json(status) for status in statuses])

    @routes.post("/system/functions")
    async def deploy(request: Request) -> Response:
        await provider.deploy(await _spec(request, namespaces, provider.scalers))
        return Response(status_code=202)

    @routes.put("/system/functions")
    async def update(request: Request) -> Response:
        await provider.update(await _spec(request, namespaces, provider.scalers))
        return Response(status_code=202)

    @routes.delete("/system/functions")
    async def delete(request: Request) -> Response:
        ref = await _named_in_body(request, namespaces)
        await provider.delete(ref)
        accounting.forget(ref)
        return Response(status_code=202)

    @routes.get("/system/function/{name}")
    async def describe(request: Request, name: str) -> Response:
        usage = yes_or_no(request, "usage")
        status = await provider.status(FunctionRef(namespaces.of(request), name), usage=usage)
        return JSONResponse(status_to_json(status), headers={"ETag": f'"{status.function.scale.version}"'})

    return routes


async def _spec(request: Request, namespaces: NamespaceRule, scalers: Scalers) -> FunctionSpec:
    body = await read_json(request)
    spec = spec_from_json(body, default_namespace=namespaces.of_query(request), deploying=True)
    if problems := ownership.problems_of(spec.labels, spec.annotations, scalers):
        raise BadInput("\n".join(problems))
    allowed_namespace(spec.ref.namespace)
    return spec


async def _named_in_body(request: Request, namespaces: NamespaceRule) -> FunctionRef:
    body = await read_object(request)
    problems: list[str] = []
    name = text_of(body, "functionName", problems)
    if problems:
        raise BadInput(problems[0])
    return FunctionRef(namespaces.of(request, body), check_name("functionName", name))
