"""The cron part as a service: ticks, and a port with schedules for people, /metrics and /healthz."""

from __future__ import annotations

from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry

from springtide.runtime.asgi_server import AsgiServer
from springtide.runtime.basic_auth import Credentials, RequireBasicAuth
from springtide.runtime.exposition import exposition
from springtide.runtime.service import BackgroundTask, first_end
from springtide.scaler.core.ports import Clock, Leadership
from springtide.triggers.cron.api import PATH, SchedulesApi
from springtide.triggers.cron.gateway import TickGateway
from springtide.triggers.cron.kept import Store
from springtide.triggers.cron.leading import Leading
from springtide.triggers.cron.metrics import CronMetrics
from springtide.triggers.cron.scheduled_functions import ScheduledFunctions
from springtide.triggers.cron.sending import NO_QUEUE_WARNING
from springtide.triggers.cron.settings import CronSettings
from springtide.triggers.cron.term import TermDeps
from springtide.triggers.gateway_requests import Queue
from springtide.triggers.sleep.api import SleepApi
from springtide.wire import instruments, leadership, learned_sleep
from springtide.wire.endpoint_following import EndpointStream
from springtide.wire.leadership import Always


@dataclass(frozen=True, slots=True, kw_only=True)
class CronDeps:
    """Without ``credentials`` anyone may ask, pause and run."""

    endpoints: EndpointStream
    gateway: TickGateway
    store: Store
    clock: Clock
    registry: CollectorRegistry
    credentials: Credentials | None
    leadership: Leadership = field(default_factory=Always)
    sleep: SleepApi | None = None
    """Answers at the same port what was learned of functions' pauses."""


class Cron:
    """See ``runtime.service.Service``. ``leading`` tells others in this process which functions pause."""

    name = "cron"

    def __init__(self, settings: CronSettings, deps: CronDeps) -> None:
        self._functions = ScheduledFunctions(deps.endpoints)
        queue = Queue(deps.clock, warning=NO_QUEUE_WARNING)
        self.leading = Leading(
            TermDeps(
                functions=self._functions,
                store=deps.store,
                gateway=deps.gateway,
                queue=queue,
                clock=deps.clock,
                leadership=deps.leadership,
                observer=CronMetrics(deps.registry, schedules=self._number, overdue_s=self._overdue_s),
                concurrency=settings.concurrency,
                takeover_s=settings.takeover_s,
            )
        )
        api = SchedulesApi(
            self.leading,
            self._functions,
            gateway=deps.gateway,
            queue=queue,
            clock=deps.clock,
            default_namespace=settings.default_namespace,
        )
        leadership.show(deps.leadership, deps.registry)
        wrong = instruments.wrong_credentials(deps.registry)
        paths = (PATH, learned_sleep.PATH)
        guarded = RequireBasicAuth(api.app(deps.sleep), credentials=deps.credentials, guarded=paths, wrong=wrong)
        app = exposition(deps.registry, guarded)
        self._server = AsgiServer(app, name=self.name, host=settings.host, port=settings.port)
        self._following, self._ticking = BackgroundTask("endpoint stream"), BackgroundTask("schedules")

    def __repr__(self) -> str:
        return f"<Cron {self._functions!r} {self.leading!r}>"

    @property
    def port(self) -> int:
        """The port really bound, also when 0 was asked for."""
        return self._server.port

    async def start(self) -> None:
        await self._server.start()
        self._following.start(self._functions.follow())
        self._ticking.start(self.leading.run())

    async def stop(self) -> None:
        await self._server.stop()
        await self.leading.save()
        await self._ticking.stop()
        await self._following.stop()

    async def wait(self) -> None:
        await first_end(self._server.wait(), self._following.wait(), self._ticking.wait())

    def _number(self) -> int:
        return sum(len(function.schedules) for function in self._functions.all.values())

    def _overdue_s(self) -> float:
        return self.leading.overdue_s


def build(settings: CronSettings, deps: CronDeps) -> Cron:
    """A Service; nothing is opened before its start."""
    return Cron(settings, deps)
