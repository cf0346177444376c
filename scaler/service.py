"""The control loop as a service: the loop, and /metrics and /healthz on its own port."""

from __future__ import annotations

from springtide.runtime.asgi_server import AsgiServer
from springtide.runtime.exposition import exposition
from springtide.runtime.served_loop import ServedLoop
from springtide.scaler.control_loop import ControlLoop, ControlLoopDeps
from springtide.scaler.settings import ScalerSettings
from springtide.wire import leadership

__all__ = ["ControlLoopDeps", "build"]


def build(settings: ScalerSettings, deps: ControlLoopDeps) -> ServedLoop:
    """The service, not yet started; ``port`` tells where it listens once it is."""
    loop = ControlLoop(settings, deps)
    leadership.show(deps.leadership, deps.registry)
    server = AsgiServer(exposition(deps.registry), name="scaler", host=settings.host, port=settings.port)
    return ServedLoop(server, loop.run)
