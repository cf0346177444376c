"""``/system/namespaces`` and ``/system/namespace/{name}``, which some documents write in the plural: both work."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from springtide.provider.api.request_values import allowed_namespace, read_object
from springtide.provider.json_fields import strings_of, text_of
from springtide.provider.ports import Namespace, NamespaceStore
from springtide.runtime.errors import BadInput, NotFound
from springtide.runtime.routes import Routes


def router(store: NamespaceStore) -> Routes:
    routes = Routes()

    @routes.get("/system/namespaces")
    async def list_namespaces() -> Response:
        return JSONResponse([namespace.name for namespace in await store.namespaces()])

    @routes.get("/system/namespace/{name}")
    @routes.get("/system/namespaces/{name}")
    async def describe(name: str) -> Response:
        for namespace in await store.namespaces():
            if namespace.name == name:
                return JSONResponse(_to_json(namespace))
        raise NotFound(f"no namespace {name}")

    @routes.post("/system/namespace/{name}")
    @routes.post("/system/namespaces/{name}")
    async def create(request: Request, name: str) -> Response:
        await store.put_namespace(await _namespace(request, name), replace=False)
        return Response(status_code=202)

    @routes.post("/system/namespace")
    @routes.post("/system/namespace/")
    @routes.post("/system/namespaces")
    @routes.post("/system/namespaces/")
    async def create_named_in_body(request: Request) -> Response:
        await store.put_namespace(await _namespace(request, None), replace=False)
        return Response(status_code=202)

    @routes.put("/system/namespace/{name}")
    @routes.put("/system/namespaces/{name}")
    async def update(request: Request, name: str) -> Response:
        await store.put_namespace(await _namespace(request, name), replace=True)
        return Response(status_code=202)

    @routes.delete("/system/namespace/{name}")
    @routes.delete("/system/namespaces/{name}")
    async def delete(name: str) -> Response:
        await store.delete_namespace(allowed_namespace(name))
        return Response(status_code=202)

    return routes


async def _namespace(request: Request, name: str | None) -> Namespace:
    """The namespace a body describes; a name in the path decides over the body's."""
    body = await read_object(request)
    problems: list[str] = []
    named = text_of(body, "name", problems) if name is None else name
    labels, annotations = strings_of(body, "labels", problems), strings_of(body, "annotations", problems)
    if problems:
        raise BadInput("\n".join(problems))
    return Namespace(allowed_namespace(named), labels, annotations)


def _to_json(namespace: Namespace) -> dict[str, Any]:
    value: dict[str, Any] = {"name": namespace.name}
    if namespace.annotations:
        value["annotations"] = dict(namespace.annotations)
    if namespace.labels:
        value["labels"] = dict(namespace.labels)
    return value
