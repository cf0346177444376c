"""``/system/info``, ``/healthz`` and ``/metrics``: who this is, whether it answers, and how it has been doing."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.responses import JSONResponse, Response

from springtide.provider.ports import Provider


@dataclass(frozen=True, slots=True)
class Version:
    """Which build this is. ``sha`` and ``commit_message`` are empty where nobody recorded them."""

    release: str
    sha: str = ""
    commit_message: str = ""

    @classmethod
    def installed(cls) -> Version:
        """The version of the installed distribution; ``dev`` when run from a tree that was not installed."""
        try:
            return cls(metadata.version("springtide"))
        except metadata.PackageNotFoundError:
            return cls("dev")


def router(provider: Provider, version: Version, registry: CollectorRegistry) -> APIRouter:
    routes = APIRouter()

    @routes.get("/system/info")
    async def describe() -> Response:
        about = {"release": version.release, "sha": version.sha}
        if version.commit_message:
            about["commit_message"] = version.commit_message
        info = provider.info
        return JSONResponse({"provider": info.provider, "version": about, "orchestration": info.orchestration})

    @routes.api_route("/healthz", methods=["GET", "HEAD"])
    async def health() -> Response:
        return Response()

    @routes.get("/metrics")
    async def metrics() -> Response:
        return Response(generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return routes
