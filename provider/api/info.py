"""``/system/info``, ``/healthz`` and ``/metrics``: who this is, whether it answers, and how it has been doing."""

from __future__ import annotations

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.responses import JSONResponse, Response

from springtide.provider.ports import Provider
from springtide.runtime.build_version import Version
from springtide.runtime.routes import Routes


def router(provider: Provider, version: Version, registry: CollectorRegistry) -> Routes:
    routes = Routes()

    @routes.get("/system/info")
    async def describe() -> Response:
        about = {"release": version.release, "sha": version.sha}
        if version.commit_message:
            about["commit_message"] = version.commit_message
        info = provider.info
        return JSONResponse({"provider": info.provider, "version": about, "orchestration": info.orchestration})

    @routes.route("/healthz", methods=["GET", "HEAD"])
    @routes.route("/readyz", methods=["GET", "HEAD"])
    async def health() -> Response:
        return Response()

    @routes.get("/metrics")
    async def metrics() -> Response:
        return Response(generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return routes
