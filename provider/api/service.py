"""The API as a Service."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry

from springtide.provider.api.application import Parts, application
from springtide.provider.api.builds import BuildRules
from springtide.provider.api.endpoints import EndpointFollower
from springtide.provider.api.invoke import PREFIX, InvokeProxy
from springtide.provider.api.request_values import NamespaceRule
from springtide.provider.ports import ImageBuilder, Library, Provider
from springtide.runtime.asgi import App, Receive, Scope, Send
from springtide.runtime.asgi_server import AsgiServer
from springtide.runtime.basic_auth import Credentials
from springtide.runtime.build_version import Version
from springtide.runtime.clock import SystemClock
from springtide.runtime.same_origin import origins
from springtide.runtime.service import first_end
from springtide.runtime.settings import LEAVE_HELP, boolean, duration, integer, setting
from springtide.scaler.core.ownership import Scalers
from springtide.scaler.core.ports import Clock
from springtide.scaler.core.vocabulary import DEFAULT_NAMESPACE
from springtide.wire.decision_log import DecisionLog
from springtide.wire.endpoint_stream import HEARTBEAT_S

BUILDS = BuildRules()


@dataclass(frozen=True, kw_only=True)
class ProviderApiSettings:
    host: str = setting("127.0.0.1", env="host", help="address to listen on")
    port: int = setting(8081, env="port", kind=integer, low=0, high=65535, help="port to listen on; 0 picks a free one")
    default_namespace: str = setting(
        DEFAULT_NAMESPACE, env="function_namespace", help="namespace of functions that name none"
    )
    allowed_origins: tuple[str, ...] = setting(
        (),
        env="allowed_origins",
        kind=origins,
        help="origins beside this server's own whose pages may change things, separated by commas: that of a TLS proxy "
        "in front, as https://faas.example.org",
    )
    read_timeout_s: float = setting(
        60.0,
        env="read_timeout",
        kind=duration,
        low=0.1,
        help="longest wait for a request's body, and for a replica that says nothing",
    )
    payload_secret: str = setting(
        "",
        env="payload_secret",
        help="file with the secret that bodies of POST /build are signed with; empty: no builds",
    )
    build_max_bytes: int = setting(
        BUILDS.max_bytes,
        env="build_max_bytes",
        kind=integer,
        low=1024,
        high=4 << 30,
        help="largest body of POST /build, in bytes; then 413",
    )
    max_build_s: float = setting(
        BUILDS.timeout_s,
        env="max_build_time",
        kind=duration,
        low=1,
        high=3000,
        help="longest build; then it is ended and has failed",
    )
    max_builds: int = setting(
        BUILDS.at_once, env="max_builds", kind=integer, low=1, high=64, help="builds at once; beyond it 429"
    )
    grace_s: float = setting(
        5.0, env="shutdown_grace", kind=duration, low=0, high=3600, help="time for open requests to finish on stop"
    )
    scaler: bool = setting(
        False,  # noqa: FBT003 - the default comes first in every setting
        env="scaler",
        kind=boolean,
        help="the control loop runs here: it owns the functions whose labels name a load",
    )
    scaler_default: bool = setting(
        False,  # noqa: FBT003 - as above
        env="scaler_default",
        kind=boolean,
        help="where the control loop runs, it also owns the functions whose labels say nothing of their load",
    )
    leave_s: float = setting(0.0, env="shutdown_delay", kind=duration, low=0, high=60, help=LEAVE_HELP)

    def scalers(self, *, hpa: bool) -> Scalers:
        """What moves replicas here; ``hpa``: on Kubernetes."""
        return Scalers(hpa=hpa, loop=self.scaler, loop_default=self.scaler and self.scaler_default)


@dataclass(frozen=True, kw_only=True)
class ProviderApiDeps:
    """``credentials`` None switches authentication off; ``builder`` None is for where functions are not built, as
    ``library`` None is for where there is none.
    """

    provider: Provider
    credentials: Credentials | None
    builder: ImageBuilder | None = None
    library: Library | None = None
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    clock: Clock = field(default_factory=SystemClock)
    decisions: DecisionLog = field(default_factory=DecisionLog)
    version: Version = field(default_factory=Version.installed)


class ProviderApi:
    """Serves a provider that others own: stopping the API leaves the provider and its replicas alone."""

    name = "provider-api"

    def __init__(
        self, server: AsgiServer, endpoints: EndpointFollower, invoke: InvokeProxy, *, stopping: asyncio.Event
    ) -> None:
        self._server, self._endpoints, self._invoke = server, endpoints, invoke
        self._stopping = stopping

    def __repr__(self) -> str:
        return f"<ProviderApi {self._server!r} {self._endpoints!r}>"

    @property
    def port(self) -> int:
        """The port really bound, also when 0 was asked for."""
        return self._server.port

    async def start(self) -> None:
        await self._endpoints.start()
        await self._server.start()

    async def stop(self) -> None:
        # Gateways that follow the stream would come back to us for as long as we are in the Service.
        await self._server.leave()
        self._stopping.set()
        await self._server.stop()
        await self._endpoints.stop()
        await self._invoke.aclose()

    async def wait(self) -> None:
        await first_end(self._server.wait(), self._endpoints.wait())


def build(settings: ProviderApiSettings, deps: ProviderApiDeps) -> ProviderApi:
    """A Service that serves ``deps.provider`` until stopped."""
    stopping = asyncio.Event()
    parts = Parts(
        provider=deps.provider,
        decisions=deps.decisions,
        clock=deps.clock,
        registry=deps.registry,
        version=deps.version,
        stopping=stopping,
        heartbeat_s=HEARTBEAT_S,
        namespaces=NamespaceRule(settings.default_namespace),
        builder=deps.builder,
        library=deps.library,
        build_rules=BuildRules(
            secret_file=settings.payload_secret,
            max_bytes=settings.build_max_bytes,
            timeout_s=settings.max_build_s,
            at_once=settings.max_builds,
        ),
    )
    api = application(parts, credentials=deps.credentials, body_deadline_s=settings.read_timeout_s)
    endpoints = EndpointFollower(deps.provider)
    invoke = InvokeProxy(
        endpoints, read_timeout_s=settings.read_timeout_s, default_namespace=settings.default_namespace
    )
    server = AsgiServer(
        _dispatch(api, invoke),
        name=ProviderApi.name,
        host=settings.host,
        port=settings.port,
        grace_s=settings.grace_s,
        leave_s=settings.leave_s,
        allowed_origins=settings.allowed_origins,
        open_to_pages=(PREFIX,),
    )
    return ProviderApi(server, endpoints, invoke, stopping=stopping)


def _dispatch(api: App, invoke: App) -> App:
    """Invocations are open and stay out of the framework; everything else goes to ``api``."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        inner = invoke if scope["path"].startswith(PREFIX) else api
        await inner(scope, receive, send)

    return app
