"""Deployments: forwarded to the provider, and answered once calls find the function."""

from __future__ import annotations

import asyncio
import contextlib

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from springtide.gateway.call_limits import CallBounds
from springtide.gateway.endpoint_source import Readiness
from springtide.gateway.route_table import RouteTable
from springtide.gateway.system_proxy import PassedOn, SystemProxy, target, warned
from springtide.runtime import bounded_json
from springtide.runtime.asgi import bounded_body
from springtide.runtime.routes import Routes
from springtide.scaler.core.call_timeout import CallTimeout
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire.provider_client import call_timeout_of

MAX_PUSH_DELAY_S = 1.0
"""How long a deployment's answer waits until calls find the function."""

MAX_DEPLOYMENT_BYTES = 4 * 1024 * 1024


def add_deploy(
    routes: Routes, provider: SystemProxy, base_url: str, *, table: RouteTable, readiness: Readiness, bounds: CallBounds
) -> None:
    """``provider`` waits as long as a deployment may take."""

    @routes.route("/system/functions", methods=["POST", "PUT"])
    async def deploy(request: Request) -> Response:
        """Answer once calls find the function: the provider's push may be a moment behind its answer."""
        body = await bounded_body(request.stream(), MAX_DEPLOYMENT_BYTES)
        if body is None:
            return PlainTextResponse(f"a deployment has at most {MAX_DEPLOYMENT_BYTES} bytes", 413)
        ref, timeout = _deployed(body, table.namespace)
        response = await provider.forward(request, target(base_url, request), body)
        async with contextlib.AsyncExitStack() as unsent:
            if isinstance(response, PassedOn):
                unsent.push_async_callback(response.aclose)
            if response.status_code < 300 and ref is not None:
                readiness.look_again()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(table.known(ref), MAX_PUSH_DELAY_S)
            if response.status_code < 300 and (warning := bounds.warning(timeout)):
                response = await warned(response, warning)
            unsent.pop_all()
        return response


def _deployed(body: bytes, default_namespace: str) -> tuple[FunctionRef | None, CallTimeout | None]:
    """Which function a deployment is about, and how long it says its calls may take.

    Neither for a body that only the provider understands.
    """
    try:
        value = bounded_json.loads(body)
        ref = FunctionRef(str(value.get("namespace") or default_namespace), str(value["service"]))
        return ref, call_timeout_of(value)
    except (ValueError, KeyError, AttributeError, TypeError):
        return None, None
