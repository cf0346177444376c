"""``/system/secrets``: values go in and never come back."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from springtide.provider.api.request_values import NamespaceRule, read_object
from springtide.provider.json_fields import text_of
from springtide.provider.ports import SecretStore
from springtide.provider.spec import check_secret_name
from springtide.runtime.errors import BadInput
from springtide.runtime.routes import Routes


def router(store: SecretStore, namespaces: NamespaceRule) -> Routes:
    routes = Routes()

    @routes.get("/system/secrets")
    async def list_secrets(request: Request) -> Response:
        namespace = namespaces.of(request)
        names = await store.secret_names(namespace)
        return JSONResponse([{"name": name, "namespace": namespace} for name in names])

    @routes.post("/system/secrets")
    async def create(request: Request) -> Response:
        await _put(request, replace=False)
        return Response(status_code=202)

    @routes.put("/system/secrets")
    async def update(request: Request) -> Response:
        await _put(request, replace=True)
        return Response(status_code=202)

    @routes.delete("/system/secrets")
    async def delete(request: Request) -> Response:
        body = await read_object(request)
        problems: list[str] = []
        name = _name(body, problems)
        _refuse(problems)
        await store.delete_secret(namespaces.of(request, body), name)
        return Response(status_code=202)

    async def _put(request: Request, *, replace: bool) -> None:
        body = await read_object(request)
        problems: list[str] = []
        name, value = _name(body, problems), _value(body, problems)
        _refuse(problems)
        await store.put_secret(namespaces.of(request, body), name, value, replace=replace)

    return routes


def _name(body: Mapping[str, Any], problems: list[str]) -> str:
    name = text_of(body, "name", problems)
    try:
        return check_secret_name(name)
    except BadInput as error:
        problems.append(str(error))
        return ""


def _value(body: Mapping[str, Any], problems: list[str]) -> bytes:
    """``rawValue``, base64, wins over ``value``, text. No problem ever shows any of either."""
    raw, plain = body.get("rawValue"), body.get("value")
    if raw:
        try:
            return base64.b64decode(raw, validate=True)
        except (binascii.Error, TypeError, ValueError):
            problems.append("rawValue: must be base64")
    elif isinstance(plain, str):
        return plain.encode()
    else:
        problems.append("value: missing; send value (text) or rawValue (base64)")
    return b""


def _refuse(problems: list[str]) -> None:
    if problems:
        raise BadInput("\n".join(problems))
